"""What nobody publishes, as named parameters: each with a low, a middle and a high value, and a reason.

Results that lean on one carry a range: evaluate at its three values (`Range.values`), or let the functions
of `tokenroof.dataflow` and `tokenroof.decouple` do it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.catalogue.files import FOLDER
from tokenroof.catalogue.lookup import all_devices
from tokenroof.inference.carried import generation
from tokenroof.records.provenance import Provenance
from tokenroof.support.arguments import is_number, number, shown
from tokenroof.support.kinds import takes_records
from tokenroof.support.names import UnknownNameError, among

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from tokenroof.records.device import Device

__all__ = ["Banded", "Range", "complete", "over_corners", "parameter", "parameters"]


#: How the source of a number that `complete` filled in begins.
RANGE = "a range: "


def _is_ordered(values: tuple[Any, ...]) -> bool:
    """Whether each is finite and none below the one before it."""
    low, mid, high = map(number, values)
    return -np.inf < low <= mid <= high < np.inf


@dataclass(frozen=True, slots=True)
class Range:
    """A value that is not known better than this.

    Parameters
    ----------
    low, mid, high : float
        ``low <= mid <= high``.
    unit : str
    source : str
        Where it comes from, or why these bounds.
    name : str
        Of the parameter.

    Examples
    --------
    >>> Range(1.0, 2.0, 4.0, "us", "a guess").values
    array([1., 2., 4.])
    """

    low: float
    mid: float
    high: float
    unit: str = "1"
    source: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        values = (self.low, self.mid, self.high)
        for field, value in zip(("low", "mid", "high"), values, strict=True):
            if not is_number(value):
                raise TypeError(f"{field} is {shown(value)}; allowed: a finite number")
        if not _is_ordered(values):
            raise ValueError(f"range is {values}; allowed: finite numbers low <= mid <= high")

    @classmethod
    def exactly(cls, value: float, unit: str = "1", source: str = "") -> Range:
        """A value without a width."""
        return cls(value, value, value, unit, source)

    @classmethod
    def of(
        cls, field: str, value: float | tuple[float, float, float] | Range | None, name: str
    ) -> Range:
        """What a caller gave: a number, three numbers, a range, or None for the parameter `name`."""
        if value is None:
            return parameter(name)
        if isinstance(value, Range):
            return value
        three = tuple(value) if isinstance(value, (tuple, list)) else (value,) * 3
        allowed = "a finite number, (low, mid, high) with low <= mid <= high, or a Range"
        if not all(is_number(x) for x in three):
            raise TypeError(f"{field} is {shown(value)}; allowed: {allowed}")
        if len(three) != 3 or not _is_ordered(three):
            raise ValueError(f"{field} is {shown(value)}; allowed: {allowed}")
        low, mid, high = map(float, three)
        return cls(low, mid, high, source="given")

    @property
    def kind(self) -> str:
        """Where a number without a width comes from; "range" for one with."""
        return "range" if self.low < self.high else (self.source or "given")

    @property
    def values(self) -> NDArray[np.float64]:
        """Low, middle and high."""
        return np.array([self.low, self.mid, self.high])


@dataclass(frozen=True, slots=True)
class Banded:
    """An array with its range: the middle values of all parameters, and the extremes over their corners.

    Examples
    --------
    >>> Banded(np.array([1.0]), np.array([2.0]), np.array([4.0])).width
    array([4.])
    """

    low: NDArray[np.float64]
    mid: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def width(self) -> NDArray[np.float64]:
        """High over low [1]."""
        return np.asarray(self.high / self.low)

    def __repr__(self) -> str:
        if self.mid.ndim:
            return f"<Banded, shape {self.mid.shape}>"
        return f"<Banded {self.mid:.4g} ({self.low:.4g} to {self.high:.4g})>"


@takes_records
def over_corners(
    function: Callable[..., Mapping[str, NDArray[np.float64]]],
    ranges: Mapping[str, Range],
    ndim: int = 0,
) -> dict[str, Banded]:
    """Evaluate at the middle of all ranges and at all their corners, in one call over arrays.

    Parameters
    ----------
    function : callable
        Takes the parameters by name, as arrays with a leading axis in front of `ndim` others, and
        returns arrays by name that keep it.
    ranges : mapping
        Of the parameters. Extremes are at corners where results are monotonic in each of them.
    ndim : int
        Dimensions of the loads that the parameters broadcast against.

    Returns
    -------
    dict of Banded

    Examples
    --------
    >>> found = over_corners(lambda a, b: {"sum": a + b}, {"a": Range(0, 1, 2), "b": Range(0, 1, 3)})
    >>> found["sum"]
    <Banded 2 (0 to 5)>
    """
    wide = [name for name, r in ranges.items() if r.low < r.high]
    rows = [{name: r.mid for name, r in ranges.items()}]
    rows += [
        rows[0] | dict(zip(wide, corner, strict=True))
        for corner in product(*((ranges[name].low, ranges[name].high) for name in wide))
        if wide
    ]
    tail = (1,) * ndim
    values = {name: np.array([row[name] for row in rows]).reshape(-1, *tail) for name in ranges}
    out = {}
    for name, found in function(**values).items():
        full = np.broadcast_to(found, np.broadcast_shapes(np.shape(found), (len(rows), *tail)))
        out[name] = Banded(full.min(axis=0), np.asarray(full[0]), full.max(axis=0))
    return out


@cache
def _table() -> dict[str, Any]:
    import tomllib

    path = os.path.join(FOLDER, "ranges.toml")
    with open(path, "rb") as file:
        return tomllib.load(file)


@cache
def _index() -> dict[tuple[str, str], Range]:
    rows = {}
    for row in _table()["range"]:
        unit, source = row["unit"], row["source"]
        if not 0 <= row["low"] <= row["mid"] <= row["high"]:
            raise ValueError(f"{row['name']}: range is not 0 <= low <= mid <= high")
        found = Range(row["low"], row["mid"], row["high"], unit, source, row["name"])
        rows[row["name"], row.get("of", "")] = found
    return rows


@takes_records
def parameter(name: str, device: Device | None = None) -> Range:
    """A parameter of the catalogue, of a device, or of its kind, or of all.

    Raises
    ------
    KeyError
        If there is none, with those that there are.

    Examples
    --------
    >>> parameter("hop_s").unit
    's'
    """
    rows = _index()
    owners = ("",) if device is None else (device.name, device.kind, "")
    for owner in owners:
        if isinstance(name, str) and (name, owner) in rows:
            return rows[name, owner]
    known = ", ".join(sorted({key for key, _ in rows}))
    raise UnknownNameError(f"unknown parameter {shown(name)}; allowed: {known}")


def parameters() -> list[dict[str, Any]]:
    """All of them, as rows: name, of (a device, a kind or all), low, mid, high, unit, source.

    Examples
    --------
    >>> sorted(parameters()[0])
    ['high', 'low', 'mid', 'name', 'of', 'source', 'unit']
    """
    return [{"of": "", **row} for row in _table()["range"]]


def _multiprocessors(device: Device) -> Range | None:
    """Multiprocessors of a GPU of which nobody prints them, by the devices of its generation, or its maker.

    Without a count the operators' measured forms would not hold, and the device would lose what these
    wait for: less overhead than measured devices have.
    """
    makers = [
        d for d in all_devices()
        if d.sm_count and d.kind == device.kind and d.vendor == device.vendor
    ]  # fmt: skip
    own = [d for d in makers if generation(d) == generation(device)]
    near = own or makers[-1:]
    if not near:
        return None
    counts = []
    for other in near:
        shared = [t for t in ("bf16", "fp8", "fp4") if t in device.peak and t in other.peak]
        ratio = device.peak[shared[0]] / other.peak[shared[0]] if own and shared else 1.0
        counts.append(float(other.sm_count or 0) * ratio)
    names = ", ".join(d.name for d in near)
    what = "scaled by peaks" if own else "as many"
    middle = sorted(counts)[len(counts) // 2]
    return Range(
        min(counts), middle, max(counts), "1", f"multiprocessors of {names}, {what}", "sm_count"
    )


def complete(device: Device, which: str = "mid") -> Device:
    """A device whose unpublished peaks, limit and multiprocessors are filled in from their ranges.

    Parameters
    ----------
    device : Device
    which : {"low", "mid", "high"}

    Returns
    -------
    Device
        The same record if nothing is missing; else a copy whose provenance marks what was filled in
        as an estimate.

    Examples
    --------
    >>> import tokenroof as tr
    >>> wafer = complete(tr.device("Cerebras WSE-3 (CS-3)"))
    >>> wafer.peak_of("bf16"), wafer.provenance["peak_bf16"].kind
    (1.58e+16, 'estimate')
    """
    if not among(which, ("low", "mid", "high")):
        raise ValueError(f"which is {shown(which)}; allowed: 'low', 'mid', 'high'")
    return _completed(device, which)


@lru_cache(maxsize=512)
@takes_records
def _completed(device: Device, which: str) -> Device:
    if not device.provenance:  # your own: what it does not say stays unknown
        return device
    found: dict[str, Range] = {}
    changes: dict[str, Any] = {}
    if not np.isfinite(device.peak_of("bf16")) and ("peak_bf16", device.name) in _index():
        found["peak_bf16"] = parameter("peak_bf16", device)
        changes["peak"] = {**device.peak, "bf16": getattr(found["peak_bf16"], which)}
    if device.sm_count is None and device.kind in ("gpu", "apu"):
        like = _multiprocessors(device)
        if like is not None:
            found["sm_count"] = like
            changes["sm_count"] = round(like.mid)
    if device.tdp_w is None:
        found["tdp_w"] = parameter("tdp_w", device)
        changes["tdp_w"] = getattr(found["tdp_w"], which)
    if not changes:
        return device
    kept = dict(device.provenance)
    for name, value in found.items():
        kept[name] = Provenance("estimate", RANGE + value.source, _table()["date"], value.unit)
    return device.replace(**changes, provenance=kept)
