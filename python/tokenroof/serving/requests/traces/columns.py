"""Columns of a trace as whole numbers: a chunk at once, and where one is bad, its line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from tokenroof.serving.requests.given import LATEST_NS
from tokenroof.serving.requests.traces.lines import TraceError
from tokenroof.support.arguments import shown
from tokenroof.support.quoting import counted

__all__ = ["Column"]

_DIGITS, _DECIMALS = frozenset("0123456789"), frozenset("0123456789.eE+-")
_LARGEST = str(2**63 - 1)
_DATE = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,9})?"
                   r"(Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?", re.ASCII)  # fmt: skip
_DATES = "dates from 1970 to 2261 as 2023-11-16 18:15:46.6805900, in UTC or with its offset"
_LIKE_A_DATE = re.compile(r"\s*\d{4}-\d\d-\d\d\b", re.ASCII)


def _unit_of(time: float, unit_ns: float) -> str:
    """Which unit a time beyond the latest is in, if it is a clock's: seconds since 1970 are some 1.8e9."""
    for name, unit_s in (("milli", 1e-3), ("micro", 1e-6), ("nano", 1e-9)):
        if unit_s < 1e-9 * unit_ns * 0.5 and 1e8 <= time * unit_s <= 1e-9 * LATEST_NS:
            return f" (is it in {name}seconds, unit_s={unit_s:g} or --unit-s {unit_s:g}?)"
    return ""


def _ahead_ns(zone: str) -> int:
    """By how much a clock goes ahead of UTC: "Z", "+02:00", "-0530" [ns]."""
    if zone == "Z":
        return 0
    minutes = 60 * int(zone[1:3]) + int(zone[-2:])
    return (-1 if zone[0] == "-" else 1) * minutes * 60_000_000_000


@dataclass(frozen=True, slots=True)
class Column:
    """Values of a field with what an error says of them; of a table they are text."""

    path: Path
    name: str
    lines: list[int]
    values: list[Any]
    text: bool = False

    def _bad(self, index: int, allowed: str, value: object = None) -> NoReturn:
        value = self.values[index] if value is None else value
        found = f"{self.name} is {shown(value)[:60]}"
        raise TraceError(self.path, self.lines[index], found, allowed)

    def _numbers(self, allowed: str) -> NDArray[Any]:
        """As int64 where all are integers, else float64."""
        values = self.values
        if self.text:
            return self._text(allowed)
        if set(map(type, values)) <= {int}:
            try:
                return np.array(values, np.int64)
            except OverflowError:
                self._bad(
                    next(i for i, v in enumerate(values) if not -(2**63) <= v < 2**63), allowed
                )
        for i, value in enumerate(values):
            if type(value) not in (int, float):
                self._bad(i, allowed)
        try:
            return np.array(values, np.float64)
        except OverflowError:
            self._bad(next(i for i, v in enumerate(values) if abs(v) >= 2**63), allowed)

    def _text(self, allowed: str) -> NDArray[Any]:
        stripped = [value.strip() for value in self.values]
        if _DIGITS.issuperset("".join(stripped)) and all(stripped):
            longest = max(map(len, stripped), default=1)
            # nanoseconds since 1970 have as many digits as the largest number: what is beyond is no int64
            if longest < 19 or (longest == 19 and max(s.zfill(19) for s in stripped) <= _LARGEST):
                return np.array(stripped, dtype=np.bytes_).astype(np.int64)
        numbers = np.empty(len(stripped))
        for i, value in enumerate(stripped):
            try:
                numbers[i] = float(value) if _DECIMALS.issuperset(value) else np.nan
            except ValueError:
                self._bad(i, allowed)
            if np.isnan(numbers[i]):
                self._bad(i, allowed)
        return numbers

    def whole(self, low: int, high: int, also: str = "") -> NDArray[np.int64]:
        """Whole numbers within bounds; `also` is said where one is not."""
        allowed = f"whole numbers from {low} to {high}{also}"
        array = self._numbers(allowed)
        bad = ~((array >= low) & (array <= high))
        if array.dtype.kind == "f":
            bad |= array != np.floor(array)
        if bad.any():
            self._bad(int(np.argmax(bad)), allowed)
        return array.astype(np.int64)

    def times(self, unit_ns: float) -> NDArray[np.int64]:
        """Nanoseconds of numbers of this unit, or of dates where it is 0."""
        if not unit_ns:
            return self._dates()
        allowed = f"times from 0 to {LATEST_NS / unit_ns:g}"
        if any(type(value) is str and _LIKE_A_DATE.match(value) for value in self.values[:1]):
            allowed += "; dates are read with layout='azure' or --layout azure, and columns"
        array = self._numbers(allowed)
        with np.errstate(over="ignore", invalid="ignore"):
            exact = array.dtype.kind == "i" and unit_ns == np.floor(unit_ns)
            bad = ~((array >= 0) & (array <= LATEST_NS / unit_ns))
            if bad.any():
                i = int(np.argmax(bad))
                self._bad(i, allowed + _unit_of(float(array[i]), unit_ns))
            if exact:
                return array * np.int64(unit_ns)
            if (
                self.text and len(array) and array.max() * unit_ns > 2.0**53
            ):  # a clock's, to the nanosecond
                unit = Decimal(unit_ns)
                whole = [round(Decimal(value.strip()) * unit) for value in self.values]
                return np.array(whole, np.int64)
            return np.rint(array * unit_ns).astype(np.int64)

    def _dates(self) -> NDArray[np.int64]:
        stripped = [str(value).strip() for value in self.values]
        matches = _DATE.fullmatch
        plain, ahead = stripped, np.zeros(len(stripped), np.int64)  # ahead of UTC [ns]
        for i, value in enumerate(stripped):
            found = matches(value)
            if not found or not "1970" <= value < "2262":
                self._bad(i, _DATES)
            if zone := found[1]:
                if plain is stripped:
                    plain = list(stripped)
                plain[i] = value.removesuffix(zone)
                ahead[i] = _ahead_ns(zone)
        try:
            utc = np.array(plain, "datetime64[ns]").astype(np.int64) - ahead
        except ValueError:  # a month 13
            for i, value in enumerate(plain):
                try:
                    np.datetime64(value, "ns")
                except ValueError:
                    self._bad(i, _DATES)
            raise
        if (utc < 0).any():
            self._bad(int(np.argmax(utc < 0)), _DATES)
        return utc

    def hashes(
        self, inputs: NDArray[np.int64], block: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Hashes of all rows behind one another, and how many each has."""
        allowed = f"a list of integers, one for each block of {counted(block, 'token')}"
        for i, row in enumerate(self.values):
            if type(row) is not list or not set(map(type, row)) <= {int}:
                self._bad(i, allowed)
        counts = np.array([len(row) for row in self.values], np.int64)
        bad = (counts != inputs // block) & (counts != -(-inputs // block))
        if bad.any():
            i = int(np.argmax(bad))
            least, most = int(inputs[i]) // block, -(-int(inputs[i]) // block)
            found = f"{self.name} has {counted(int(counts[i]), 'entry')}"
            many = f"{least} or {most}" if least < most else f"{most}"
            expected = f"{many}: one for each block of {block} of {int(inputs[i])} tokens"
            raise TraceError(self.path, self.lines[i], found, expected)
        flat = [value for row in self.values for value in row]
        try:
            return np.array(flat, np.int64), counts
        except OverflowError:  # hashes of 64 bits without a sign
            for i, row in enumerate(self.values):
                if any(not -(2**63) <= value < 2**64 for value in row):
                    self._bad(i, allowed + ", of 64 bits")
            return np.array([v - 2**64 * (v >= 2**63) for v in flat], np.int64), counts
