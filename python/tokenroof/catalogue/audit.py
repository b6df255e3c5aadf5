"""What in the catalogue is old, estimated, without a source, or out of line with its neighbours."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tokenroof.catalogue.files import date_key, table
from tokenroof.catalogue.neighbours import FEWEST, THRESHOLD, Outlier, jumps, outliers, sizes
from tokenroof.catalogue.numbers import Number, numbers
from tokenroof.support.arguments import shown
from tokenroof.support.quoting import counted

__all__ = ["MONTHS", "MOST_USED", "PRICE_MONTHS", "WHAT", "Audit", "Finding", "audit"]

#: Ages above which a date is old, of facts and of prices [months].
MONTHS, PRICE_MONTHS = 24, 12
WHAT = ("old", "estimated", "unsourced", "out of line")
#: The thirty most used devices: none of their numbers is without a source.
MOST_USED = (
    "H100-SXM", "H100-PCIe", "H100-NVL", "H200-SXM", "H20", "B200-SXM", "B300-SXM", "GB200-NVL72",
    "GB300-NVL72", "A100-SXM4-40GB", "A100-SXM4-80GB", "A100-PCIe-80GB", "A10", "A30", "L4", "L40", "L40S",
    "RTX 2080 Ti", "RTX 4090", "RTX 5090", "RTX PRO 6000 Blackwell Server", "V100-SXM2-16GB", "T4",
    "Instinct MI300X", "Instinct MI325X", "Instinct MI355X", "Instinct MI455X", "TPU v5e", "Gaudi 3",
    "Vera Rubin NVL72",
)  # fmt: skip
_PRICES = ("markets", "gpu_hours")
# a source that names nothing to open
_NOWHERE = re.compile(r"^\s*$|^not published\b|not published in a document known here|from memory")


@dataclass(frozen=True, slots=True)
class Finding:
    """One entry of the catalogue in which something was found.

    Attributes
    ----------
    what : {"old", "estimated", "unsourced", "out of line"}
    file, item : str
        Where it stands.
    fields : tuple of str
        The numbers that it is about, each once.
    numbers : int
        How many these are.
    text : str
        What was found.
    """

    what: str
    file: str
    item: str
    fields: tuple[str, ...]
    numbers: int
    text: str


@dataclass(frozen=True, slots=True)
class Audit:
    """Findings, and what they were made of.

    Attributes
    ----------
    today : str
        Ages are counted to this date.
    months, price_months : int
        Ages above which facts, and prices, are old [month].
    threshold : float
        Absolute z-score above which a number is out of line [1].
    numbers : int
        How many numbers were looked at.
    findings : tuple of Finding
    """

    today: str
    months: int
    price_months: int
    threshold: float
    numbers: int
    findings: tuple[Finding, ...]

    def of(self, what: str) -> tuple[Finding, ...]:
        """The findings of one sort."""
        return tuple(finding for finding in self.findings if finding.what == what)

    def counts(self) -> dict[str, dict[str, int]]:
        """Entries and numbers of each sort."""
        return {
            what: {"entries": len(found), "numbers": sum(one.numbers for one in found)}
            for what in dict.fromkeys(one.what for one in self.findings)
            for found in (self.of(what),)
        }

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self) | {"counts": self.counts()}

    def __str__(self) -> str:
        """Counts, then one line per entry."""
        meant = {
            "old": f"older than {counted(self.months, 'month')}, prices {self.price_months}, at {self.today};"
            " of a dated series its newest",
            "estimated": "kind estimate",
            "unsourced": "not published in a document known here, or from memory",
            "out of line": f"|z| above {self.threshold:g}, robust, of the logarithm;"
            f" who has fewer than {FEWEST} neighbours is not judged",
        }
        used = [f for f in self.of("unsourced") if f.file == "devices" and f.item in MOST_USED]
        lines = [
            f"{counted(self.numbers, 'number')}; of the {len(MOST_USED)} most used devices "
            f"{sum(one.numbers for one in used)} without a source"
        ]
        for what, count in self.counts().items():
            lines += [
                "",
                f"{what} ({meant[what]}): {counted(count['numbers'], 'number')} of "
                f"{counted(count['entries'], 'entry')}",
            ]
            lines += [f"  {one.file}  {one.item}: {one.text}" for one in self.of(what)]
        return "\n".join(lines)


def audit(
    *,
    rows: Iterable[Number] | None = None,
    tables: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    today: str | None = None,
    months: int = MONTHS,
    price_months: int = PRICE_MONTHS,
    threshold: float = THRESHOLD,
) -> Audit:
    """Look the catalogue over.

    Parameters
    ----------
    rows : iterable of Number, optional
        Numbers with their origins; those of the catalogue.
    tables : mapping, optional
        Rows of "devices" and "miners" as their files have them; those of the catalogue.
    today : str, optional
        Ages are counted to this date, YYYY-MM or YYYY-MM-DD; the clock's.
    months, price_months : int
        Ages above which facts, and prices, are old. A date counts by its end: 2025 is December 2025. [month]
    threshold : float
        Absolute z-score above which a number is out of line [1].

    Returns
    -------
    Audit
        Findings, by entry.

    Raises
    ------
    ValueError
        If `today` is no date.

    Examples
    --------
    >>> found = audit(rows=[Number("markets", "here", "gpu_hour", 2.0, "USD/h", "press", "a list", "2024")],
    ...               tables={"devices": (), "miners": ()}, today="2026-11")
    >>> found.of("old")[0].text
    'gpu_hour (2024)'
    """
    today = today or datetime.date.today().isoformat()
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])(-\d{2})?", today):
        raise ValueError(f"today is {shown(today)}; allowed: YYYY-MM or YYYY-MM-DD")
    own = rows is None
    looked_at = numbers() if rows is None else list(rows)
    if tables is None:
        tables = {name: table(name)[name.removesuffix("s")] for name in ("devices", "miners")}
    old = [n for n in _newest(looked_at)
           if _age(n.date, today) > (price_months if n.file in _PRICES else months)]  # fmt: skip
    lines = (
        jumps(looked_at, threshold)
        + outliers(tables, threshold)
        + (sizes(threshold) if own else [])
    )
    findings = (
        *_by_entry("old", old, date=True),
        *_by_entry("estimated", [n for n in looked_at if n.kind == "estimate"]),
        *_by_entry("unsourced", [n for n in looked_at if _NOWHERE.search(n.source)]),
        *map(_out_of_line, sorted(lines, key=lambda one: -abs(one.z))),
    )
    return Audit(today, months, price_months, threshold, len(looked_at), findings)


def _age(date: str | None, today: str) -> int:
    """Months from the end of a date to today; none is as old as can be."""
    year, month, _ = date_key(date)
    now, now_month, _ = date_key(today)
    return (now - year) * 12 + now_month - (month or 12)


def _newest(rows: Iterable[Number]) -> list[Number]:
    """Of a dated series its newest: history does not age."""
    kept: dict[object, Number] = {}
    for i, number in enumerate(rows):
        key: object = i
        if number.file in _PRICES:
            key = (number.file, number.item, number.field)
        elif number.file == "holders":  # the item ends with its date
            key = (number.file, number.item.rpartition(", ")[0])
        if key not in kept or date_key(number.date) > date_key(kept[key].date):
            kept[key] = number
    return list(kept.values())


def _by_entry(what: str, rows: Iterable[Number], date: bool = False) -> list[Finding]:
    """One finding per entry."""
    entries: dict[tuple[str, str], list[Number]] = {}
    for number in rows:
        entries.setdefault((number.file, number.item), []).append(number)
    found = []
    for (file, item), held in entries.items():
        fields = tuple(dict.fromkeys(number.field for number in held))
        text = ", ".join(fields)
        if date:
            text += f" ({', '.join(dict.fromkeys(n.date or 'no date' for n in held))})"
        found.append(Finding(what, file, item, fields, len(held), text))
    return found


def _out_of_line(one: Outlier) -> Finding:
    others = "" if one.neighbours == 1 else f" of {one.neighbours} neighbours"
    text = (
        f"{one.field} is {one.value:.4g} {one.unit}, {one.value / one.middle:.3g} times the middle"
        f"{others} ({one.of}), z {one.z:+.1f}"
    )
    return Finding("out of line", one.file, one.item, (one.field,), 1, text)
