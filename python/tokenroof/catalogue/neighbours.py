"""Ratios of a row's numbers, held against those of its neighbours: what is out of line."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tokenroof.catalogue import architectures
from tokenroof.catalogue.files import date_key
from tokenroof.catalogue.numbers import Number

__all__ = [
    "FEWEST",
    "FLOOR",
    "RATIOS",
    "THRESHOLD",
    "Outlier",
    "Ratio",
    "jumps",
    "outliers",
    "sizes",
]

#: Modified z-score above which a value is an outlier (Iglewicz and Hoaglin, How to Detect and Handle
#: Outliers, 1993).
THRESHOLD = 3.5
#: Neighbours that a judgement needs.
FEWEST = 4
#: Least spread of neighbours: copies of one chip have none [1, of the logarithm].
FLOOR = 0.05
#: Time between the two dates that a quote stands between [day].
GAP = 183
# standard deviation of a normal distribution over its median absolute deviation
_SIGMA = 1.4826


@dataclass(frozen=True, slots=True)
class Ratio:
    """A quantity that neighbours have alike: of `file`, among rows that agree in `alike` and are at most
    `years` apart (None: of any year)."""

    file: str
    name: str
    unit: str
    value: Callable[[Mapping[str, Any]], float | None]
    alike: tuple[str, ...]
    years: int | None


@dataclass(frozen=True, slots=True)
class Outlier:
    """A row out of line: its value, the median of its neighbours, how many these are, its z-score."""

    file: str
    item: str
    field: str
    value: float
    unit: str
    middle: float
    neighbours: int
    of: str
    z: float


def _over(
    above: str, below: str, factor: float = 1.0
) -> Callable[[Mapping[str, Any]], float | None]:
    def value(row: Mapping[str, Any]) -> float | None:
        top, bottom = _get(row, above), _get(row, below)
        return factor * top / bottom if top and bottom else None

    return value


def _get(row: Mapping[str, Any], name: str) -> float | None:
    """A number of a row; ``peak`` is that of bf16, or of fp16 where there is none."""
    if name == "peak":
        peaks = row.get("peak", {})
        found: float | None = peaks.get("bf16") or peaks.get("fp16")
        return found
    value: float | None = row.get(name)
    return value


def _per_clock(row: Mapping[str, Any]) -> float | None:
    peak, units, clock = (_get(row, name) for name in ("peak", "sm_count", "boost_clock_hz"))
    return peak / (units * clock) if peak and units and clock else None


RATIOS = (
    Ratio("devices", "memory_bandwidth / tdp_w", "B/s/W", _over("memory_bandwidth", "tdp_w"), ("kind",), 2),
    Ratio("devices", "peak / tdp_w", "FLOP/s/W", _over("peak", "tdp_w"), ("kind",), 2),
    Ratio("devices", "peak / memory_bandwidth", "FLOP/B", _over("peak", "memory_bandwidth"), ("kind",), 2),
    Ratio("devices", "memory_bytes / memory_bandwidth", "s",
          _over("memory_bytes", "memory_bandwidth"), ("kind",), 2),
    Ratio("devices", "peak / (sm_count * boost_clock_hz)", "FLOP per SM and clock", _per_clock,
          ("family", "memory"), None),
    Ratio("miners", "power / hashrate", "J/TH", _over("power", "hashrate", 1e12), ("kind",), 1),
    Ratio("miners", "price_usd / hashrate", "USD per TH/s",
          _over("price_usd", "hashrate", 1e12), ("kind",), 1),
)  # fmt: skip


def outliers(
    tables: Mapping[str, Sequence[Mapping[str, Any]]], threshold: float = THRESHOLD
) -> list[Outlier]:
    """Rows of `tables` (rows by file) whose ratios are out of line with those of their neighbours.

    The z-score is that of the logarithm: its distance to the neighbours' median over 1.4826 times their
    median absolute deviation, which counts as `FLOOR` at least. Who has fewer than `FEWEST` neighbours is
    not judged.
    """
    found = []
    for ratio in RATIOS:
        rows = [
            (row, value)
            for row in tables[ratio.file]
            if (value := ratio.value(row)) is not None and value > 0
        ]
        for row, value in rows:
            others = [x for other, x in rows if other is not row and _near(row, other, ratio)]
            judged = _z(value, others)
            if judged is None or abs(judged[1]) <= threshold:
                continue
            of = ", ".join(str(_word(row, key)) for key in ratio.alike)
            if ratio.years is not None:
                of += f" within {ratio.years} year{'s' if ratio.years > 1 else ''}"
            found.append(Outlier(ratio.file, row["name"], ratio.name, value, ratio.unit,
                                 judged[0], len(others), of, judged[1]))  # fmt: skip
    return found


def _word(row: Mapping[str, Any], key: str) -> object:
    """A word of a row; ``memory`` is HBM, GDDR or the like, without its generation."""
    if key == "memory":
        return str(row.get("memory_type", "")).rstrip("0123456789exXE")
    return row.get(key)


def _near(row: Mapping[str, Any], other: Mapping[str, Any], ratio: Ratio) -> bool:
    if any(_word(row, key) != _word(other, key) for key in ratio.alike):
        return False
    if ratio.years is None:
        return True
    year, of_other = (date_key(one.get("release"))[0] for one in (row, other))
    return min(year, of_other) > 0 and abs(year - of_other) <= ratio.years


def _z(value: float, others: Sequence[float]) -> tuple[float, float] | None:
    """Median of the others and z-score of `value` among them; None where they are too few."""
    if len(others) < FEWEST:
        return None
    logs = [math.log(x) for x in others]
    middle = median(logs)
    spread = max(_SIGMA * median(abs(x - middle) for x in logs), FLOOR)
    return math.exp(middle), (math.log(value) - middle) / spread


def jumps(numbers: Iterable[Number], threshold: float = THRESHOLD) -> list[Outlier]:
    """Quotes that leave their series: each over what the dates before and after say by a straight line of the
    logarithm, where these are at most `GAP` apart, held against the other quotes of the series."""
    series: dict[tuple[str, str, str | None], list[Number]] = {}
    for number in numbers:
        if number.file == "markets" and number.value > 0:
            series.setdefault((number.item, number.field, number.unit), []).append(number)
    found = []
    for rows in series.values():
        steps = _steps(rows)
        for i, (row, step) in enumerate(steps):
            judged = _z(step, [other for j, (_, other) in enumerate(steps) if j != i])
            if judged is not None and abs(judged[1]) > threshold:
                found.append(Outlier("markets", row.item, f"{row.field} of {row.date}", row.value,
                                     row.unit or "1", row.value / step * judged[0], len(steps) - 1,
                                     "its series", judged[1]))  # fmt: skip
    return found


def _steps(rows: Sequence[Number]) -> list[tuple[Number, float]]:
    """Each quote between two dates, and how many times their straight line it is."""
    by_day: dict[float, list[Number]] = {}
    for number in rows:
        year, month, of_month = date_key(number.date)
        by_day.setdefault(365.25 * year + 30.44 * month + of_month, []).append(number)
    days = sorted(by_day)
    found = []
    for before, day, after in zip(days, days[1:], days[2:], strict=False):
        if after - before > GAP:
            continue
        low, high = (median(math.log(x.value) for x in by_day[end]) for end in (before, after))
        line = low + (high - low) * (day - before) / (after - before)
        found += [(number, math.exp(math.log(number.value) - line)) for number in by_day[day]]
    return found


_SIZE = re.compile(r"(?:^|[-_. ])e?(\d+(?:\.\d+)?)([bm])(?![a-z])", re.IGNORECASE)


def sizes(threshold: float = THRESHOLD) -> list[Outlier]:
    """Models whose counted parameters are out of line with the size that their names say."""
    found = []
    for model in architectures.models():
        said = _SIZE.search(model.name)
        if said is None:
            continue
        size = float(said[1]) * (1e9 if said[2].lower() == "b" else 1e6)
        counted = min(
            (model.parameters, model.active_parameters), key=lambda n: abs(math.log(n / size))
        )
        # a name is a number of few digits: half of its last one comes on top
        spread = FLOOR + 0.5 * 10.0 ** -len(said[1].partition(".")[2]) / float(said[1])
        if abs(z := math.log(counted / size) / spread) > threshold:
            found.append(
                Outlier("models", model.name, "parameters", counted, "1", size, 1, "its name", z)
            )
    return found
