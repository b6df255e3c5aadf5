"""Tiers as a person writes them down, in TOML."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from typing import Any

from tokenroof.economics.tiers import Tier
from tokenroof.support.names import near_matches
from tokenroof.support.quoting import counted, file_of, shown

__all__ = ["read_tiers"]

_LARGEST_FILE = 2**24
_KEYS = ("name", "model", "stand_in", "context", "interactivity", "price_per_mtok", "power_share",
         "source", "date")  # fmt: skip
_NEEDED = ("name", "model", "context", "interactivity", "price_per_mtok")
_RANGED = ("context", "interactivity")


def read_tiers(path: str | os.PathLike[str]) -> tuple[Tier, ...]:
    """Tiers of your own: a table ``[[tier]]`` for each.

    Parameters
    ----------
    path : path
        TOML. Keys of a tier: ``name``, ``model``, ``context`` [tokens], ``interactivity`` [token/s of one
        user], ``price_per_mtok`` [$/Mtok]; where no number is known of ``context`` or ``interactivity``,
        a range ``[low, high]``. As you like: ``stand_in``, a model of the catalogue in place of one without
        published shapes; ``power_share`` [1]; ``source`` and ``date``, text.

    Returns
    -------
    tuple of Tier
        In the order of the file; source and date in their `provenance`.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError, TypeError
        Naming the file, the key, its value and what is allowed; a key that does not exist with near matches.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "mine.toml"
    >>> _ = file.write_text('''
    ... [[tier]]
    ... name = "chat"
    ... model = "gpt-oss-120b"
    ... context = 4096
    ... interactivity = [30, 60]
    ... price_per_mtok = 0.6
    ... ''')
    >>> read_tiers(file)[0].interactivity_range
    (30.0, 60.0)
    """
    file = file_of("path", path)
    with file.open("rb") as stream:
        raw = stream.read(_LARGEST_FILE + 1)
    try:
        return _tiers(_parsed(raw))
    except (ValueError, TypeError) as error:
        raise _placed(error, os.fspath(path)) from None


def _parsed(raw: bytes) -> Mapping[str, Any]:
    import tomllib  # here: `import tokenroof` must not pay for it

    if len(raw) > _LARGEST_FILE:
        raise ValueError("the file is larger than 16 MiB; allowed: TOML of tiers")
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"the file is not TOML ({said}); allowed: TOML of tiers") from None


def _tiers(found: Mapping[str, Any]) -> tuple[Tier, ...]:
    if found.get("currency", "USD") != "USD":
        raise ValueError(
            f"currency is {shown(found['currency'])}; allowed: 'USD', in which prices are"
        )
    for key in found:
        if key not in ("tier", "currency"):
            raise ValueError(f"no key {shown(key)}; allowed: tables [[tier]]")
    rows = found.get("tier", [])
    if not isinstance(rows, list) or not rows or not all(isinstance(r, dict) for r in rows):
        raise ValueError(f"tier is {shown(rows)}; allowed: one table [[tier]] or more")
    tiers = tuple(_tier(number, row) for number, row in enumerate(rows, 1))
    names = [tier.name for tier in tiers]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"name is {shown(name)} in {counted(names.count(name), 'tier')}; allowed: each once"
            )
    shares = [tier.power_share for tier in tiers if tier.power_share is not None]
    if sum(shares) > 1.0 + 1e-9:
        raise ValueError(f"power_share sums to {sum(shares):.12g}; allowed: at most 1")
    return tiers


def _tier(number: int, row: Mapping[str, Any]) -> Tier:
    place = f"tier {shown(row['name'])}" if isinstance(row.get("name"), str) else f"tier {number}"
    for key in row:
        if key not in _KEYS:
            near = near_matches(key, _KEYS)
            hint = f"did you mean {', '.join(near)}?" if near else f"allowed: {', '.join(_KEYS)}"
            raise ValueError(f"{place}: no key {shown(key)}; {hint}")
    for key in _NEEDED:
        if key not in row:
            raise ValueError(
                f"{place}: {key} is missing; allowed: {', '.join(_NEEDED)}, all of them"
            )
    said = {key: row[key] for key in ("source", "date") if key in row}
    if isinstance(said.get("date"), date):  # TOML knows days
        said["date"] = said["date"].isoformat()
    for key, value in said.items():
        if not isinstance(value, str):
            raise TypeError(f"{place}: {key} is {shown(value)}; allowed: text")
    if "date" in said and not _is_day(said["date"]):
        raise ValueError(
            f"{place}: date is {shown(said['date'])}; allowed: YYYY, YYYY-MM or YYYY-MM-DD"
        )
    given = {key: value for key, value in row.items() if key not in ("source", "date")}
    for key in _RANGED:
        if isinstance(given[key], list):
            given[f"{key}_range"] = given.pop(key)
    try:
        return Tier(**given, provenance=said)
    except (ValueError, TypeError) as error:
        raise _placed(error, place) from None


def _placed(error: Exception, place: str) -> Exception:
    """The error with the place in front; some kinds take more than a text."""
    kind = TypeError if isinstance(error, TypeError) else ValueError
    return kind(f"{place}: {error}")


def _is_day(text: str) -> bool:
    """Whether it is a year, a month or a day of the calendar."""
    if not (len(text) in (4, 7, 10) and text[:4].isdecimal() and text.isascii()):
        return False
    try:
        date.fromisoformat(text + {4: "-01-01", 7: "-01", 10: ""}[len(text)])
    except ValueError:
        return False
    return True
