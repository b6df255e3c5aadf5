"""Devices whose datasheet is a measured one's, or next to it: renamed, or changed by a little.

What was fitted on a device are shares of its datasheet, which hold for another of the same silicon. Within
`ALIKE` of a measured device a device takes that one's constants, from `APART` on those that carry over from
its generation, and between the two what lies between: no step where a number changes by a little. What counts
is what kernels run on: peaks, bandwidth, multiprocessors, clock, L2; of collectives the link as well. Names,
memory beyond its bandwidth and watts do not (but watts of boards that were reported without a table).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, cast

from tokenroof.catalogue.fits import fits, remembered
from tokenroof.catalogue.lookup import device as device_of
from tokenroof.catalogue.squares import squares
from tokenroof.inference.carried import generation

if TYPE_CHECKING:
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device

__all__ = [
    "ALIKE", "APART", "OPERATORS", "Likeness", "between", "like_measured", "likeness", "measured_name",
]  # fmt: skip

_P = ParamSpec("_P")

#: Largest distance, a ratio of datasheet values less one, within which a device is a measured one, and that
#: from which on it is another of the generation.
ALIKE, APART = 0.05, 0.1

#: Operators with measured forms: names of files, and of the blocks of a calibration record that they fill.
OPERATORS = (
    "gemm",
    "attention_decode",
    "attention_prefill",
    "mla_decode",
    "mla_prefill",
    "experts",
    "all_reduce",
    "all_gather",
    "reduce_scatter",
    "all_to_all",
)

_CHIP = ("memory_bandwidth", "sm_count", "boost_clock_hz", "l2_bytes")
_OF_LINKS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")


@dataclass(frozen=True)
class Likeness:
    """The measured device that another one is like.

    Attributes
    ----------
    name : str
        Of the measured device.
    twin : Device
        The device itself under that name.
    distance, link_distance : float
        Largest ratio less one of what kernels run on, and of the link, to the measured device's.
    """

    name: str
    twin: Device
    distance: float
    link_distance: float

    @property
    def weight(self) -> float:
        """How much of the measured device's constants counts [1]."""
        return _weight(self.distance)

    def weight_of(self, block: str) -> float:
        """The same for one operator."""
        apart = self.link_distance if block in _OF_LINKS else 0.0
        return _weight(max(self.distance, apart))

    def band(self, near: float, far: float) -> float:
        """A band never narrower than the measured device's: wider by the distance, then the generation's."""
        if self.distance == 0.0:
            return near
        own, w = (1.0 + near) * (1.0 + self.distance) - 1.0, self.weight
        return own if w == 1.0 else max(own, w * own + (1.0 - w) * far) if far == far else own

    @property
    def said(self) -> str:
        """What is to be said of it."""
        if self.distance == 0.0:
            return f"; its datasheet is that of {self.name}"
        within = f"within {self.distance:.1%} of the datasheet of {self.name}"
        if self.weight == 1.0:
            return f"; {within}, whose constants these are"
        return f"; {within}: {self.weight:.0%} its constants, the rest its generation's"


def _weight(distance: float) -> float:
    return min(max((APART - distance) / (APART - ALIKE), 0.0), 1.0)


def _apart(one: float | None, other: float | None) -> float:
    """Ratio of two values less one; none of both is alike, one of them is not."""
    if not one or not other:
        return 0.0 if not one and not other else math.inf
    return max(one, other) / min(one, other) - 1.0


@remembered(4)
def _measured() -> dict[str, tuple[str, ...]]:
    """Devices that any operator was fitted on, or of which boards were reported, and what of them counts.

    What boards were reported to reach knows nothing of watts, as fitted constants do: there they count.
    """
    fitted = {row["device"] for operator in OPERATORS for row in fits(operator)}
    named = fitted | {row.device for row in squares()}
    return {name: _CHIP if name in fitted else (*_CHIP, "tdp_w") for name in sorted(named)}


@remembered(4096)
def likeness(device: Device) -> Likeness | None:
    """The measured device that this one is like; None of one that was measured itself, or is like none.

    Examples
    --------
    >>> import tokenroof as tr
    >>> mine = tr.device("H200-SXM").replace(name="mine", memory_bandwidth=4.9e12)
    >>> found = likeness(mine)
    >>> found.name, round(found.distance, 3), found.weight
    ('H200-SXM', 0.021, 1.0)
    >>> likeness(tr.device("H200-SXM")), likeness(tr.device("H20"))
    (None, None)
    """
    if device.measured or device.kind not in ("gpu", "apu"):
        return None
    known = _measured()
    if device.name in known:
        return None
    near: tuple[float, float, str] | None = None
    for name, counts in known.items():
        one = device_of(name)
        if generation(one) != generation(device):
            continue
        types = set(one.peak) | set(device.peak)
        pairs = [(one.peak.get(t), device.peak.get(t)) for t in types]
        pairs += [(getattr(one, field), getattr(device, field)) for field in counts]
        distance = max(_apart(a, b) for a, b in pairs)
        links = _apart(one.link_bandwidth, device.link_bandwidth)
        if distance < APART and (near is None or (distance, links) < near[:2]):
            near = distance, links, one.name
    if near is None:
        return None
    return Likeness(near[2], device.replace(name=near[2]), near[0], near[1])


def measured_name(device: Device) -> str:
    """The name under which a device was measured: its own, or that of the one whose datasheet it has.

    Examples
    --------
    >>> import tokenroof as tr
    >>> measured_name(tr.device("H200-SXM").replace(name="mine"))
    'H200-SXM'
    """
    like = likeness(device)
    return like.name if like is not None and like.weight == 1.0 else device.name


def between(near: Mapping[str, float], far: Mapping[str, float], weight: float) -> dict[str, float]:
    """Constants between two sets: `weight` of the first, by their logarithms; along a line from or to zero.

    Examples
    --------
    >>> between({"a": 1.0, "b": 0.0}, {"a": 4.0, "b": 1.0}, 0.5)
    {'a': 2.0, 'b': 0.5}
    """
    if weight == 1.0:
        return dict(near)
    found = {}
    for name, value in near.items():
        other = far.get(name, value)
        if value > 0.0 and other > 0.0:
            found[name] = value if value == other else value**weight * other ** (1.0 - weight)
        else:
            found[name] = weight * value + (1.0 - weight) * other
    return found


def _mixed(near: Calibration, far: Calibration, like: Likeness) -> Calibration:
    blocks = {
        name: between(own, far.constants.get(name, own), like.weight_of(name))
        for name, own in near.constants.items()
    }
    found = near.replace(
        constants=blocks, error_band=like.band(near.error_band, far.error_band),
        ttft_band=like.band(near.ttft_band, far.ttft_band),
        operator_bands={
            b: like.band(x, far.operator_bands.get(b, x)) for b, x in near.operator_bands.items()
        },
        calibrated_on=near.calibrated_on + like.said,
    )  # fmt: skip
    if blocks == near.constants:
        found.__dict__["packed"] = near.packed
    return found


def like_measured(
    function: Callable[Concatenate[Device, _P], Calibration],
) -> Callable[Concatenate[Device, _P], Calibration]:
    """Decorator: what a function has of a device, of one next to a measured one between the two."""

    @remembered(4096)
    def mixed(
        device: Device, args: tuple[Any, ...], named: tuple[tuple[str, Any], ...]
    ) -> Calibration:
        like, given = likeness(device), dict(named)
        assert like is not None
        near, far = (function(d, *args, **given) for d in (like.twin, device))
        return _mixed(near, far, like)

    @wraps(function)
    def found(device: Device, *args: _P.args, **named: _P.kwargs) -> Calibration:
        if likeness(device) is None:
            return function(device, *args, **named)
        return mixed(device, args, tuple(named.items()))

    return cast("Callable[Concatenate[Device, _P], Calibration]", found)
