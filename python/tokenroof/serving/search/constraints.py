"""Constraints by name: what keeps to them, which binds, and the nearest miss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.inference.power_cap import check_power_cap
from tokenroof.records import dtypes
from tokenroof.serving.system.parts import as_speculation
from tokenroof.support.arguments import finite_number, number, shown, whole_number
from tokenroof.support.pareto import pareto
from tokenroof.support.units import check_unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from tokenroof.records.device import Device
    from tokenroof.records.plan import Plan
    from tokenroof.serving.search.choose import Found
    from tokenroof.serving.system.parts import Speculation

__all__ = [
    "CAP_ATTRS", "EXCLUDABLE", "Asked", "alone_beyond", "asked", "binding", "kept", "miss", "nearest_miss",
]  # fmt: skip

#: What a search may leave out: systems that compute prompts apart, or in the same pool; drafts; replicas
#: over a network; stages, attention ranks, spread experts.
EXCLUDABLE = ("disaggregated", "both", "speculation", "network", "pp", "dp", "ep")


@dataclass(frozen=True)
class Asked:
    """What a point has to keep to.

    Attributes
    ----------
    bounds : dict
        Most of what the kernel gives: "ttft" and "tpot" [s], "provisioned_w" [W].
    devices : float
        So many there are, those that stay idle too; 0: as many as a system takes.
    types, exclude : tuple of str
    speculation : Speculation or None
    caps : tuple of float or None
        On the power of boards [W]; None: the limit.
    """

    bounds: dict[str, float]
    devices: float = 0.0
    types: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    speculation: Speculation | None = None
    caps: tuple[float | None, ...] = ()

    def capped(self, device: Device, plans: Iterable[Plan]) -> list[Plan]:
        """Each plan at each cap; as they are where none was asked for.

        Raises
        ------
        ValueError
            For a cap that the boards do not take.
        """
        for cap in self.caps:
            check_power_cap(device, cap)
        if not self.caps:
            return list(plans)
        return [plan.replace(power_cap_w=cap) for plan in plans for cap in self.caps]

    def said(self) -> dict[str, Any]:
        """By the names that callers use, for the attributes of a table."""
        found: dict[str, Any] = {_NAMES[name]: most for name, most in self.bounds.items()}
        if self.devices:
            found["devices"] = self.devices
        if self.types is not None:
            found["types"] = ", ".join(self.types)
        if self.caps:
            found["power_caps"] = ", ".join(
                "none" if cap is None else f"{cap:g}" for cap in self.caps
            )
        if self.exclude:
            found["exclude"] = ", ".join(self.exclude)
        return found


#: Of the caps of points.
CAP_ATTRS = {"units": "W", "long_name": "watts that each board is held to"}
_NAMES = {"ttft": "ttft_max", "tpot": "tpot_max", "provisioned_w": "power_w"}
_UNITS = {"ttft": "s", "tpot": "s", "provisioned_w": "W"}


def asked(given: Mapping[str, Any]) -> Asked:
    """Constraints of a caller, checked."""
    bounds = {}
    for name, own in _NAMES.items():
        most = given.get(own)
        if most is None:
            continue
        if not 0.0 < number(most) < np.inf:
            raise ValueError(f"{own} is {shown(most)}; allowed: a positive number, or None")
        check_unit(own, float(most))
        bounds[name] = float(most)
    devices = given.get("devices")
    many = 0.0 if devices is None else float(whole_number("devices", devices, 1, 2**20))
    types, exclude = _words("types", given.get("types")), _words("exclude", given.get("exclude"))
    for kind in types or ():
        dtypes.code(kind, "types")
    for name in exclude or ():
        if name not in EXCLUDABLE:
            raise ValueError(f"exclude has {shown(name)}; allowed: {', '.join(EXCLUDABLE)}")
    if exclude and {"both", "disaggregated"} <= set(exclude):
        raise ValueError(
            "exclude has both and disaggregated; allowed: one of them, or nothing is left"
        )
    spec = as_speculation(given.get("speculation"))
    return Asked(bounds, many, types, exclude or (), spec, _caps(given.get("power_caps")))


def _caps(value: Any) -> tuple[float | None, ...]:
    """Caps on the power of boards, as numbers; one may stand alone."""
    if value is None:
        return ()
    found = [value] if np.ndim(value) == 0 else list(value)
    if not found:
        raise ValueError(f"power_caps is {shown(value)}; allowed: watts, among them None, or None")
    caps = [None if cap is None else finite_number("power_caps", cap, above=True) for cap in found]
    return tuple(dict.fromkeys(caps))


def _words(field: str, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    found = (value,) if isinstance(value, str) else value
    if not isinstance(found, (list, tuple, set, frozenset)) or not found:
        raise TypeError(f"{field} is {shown(value)}; allowed: a sequence of names, or None")
    if not all(isinstance(x, str) for x in found):
        raise TypeError(f"{field} is {shown(value)}; allowed: a sequence of names, or None")
    return tuple(sorted(found) if isinstance(found, (set, frozenset)) else found)


def kept(found: Found, asked: Asked) -> NDArray[np.bool_]:
    """Systems that keep to all bounds, and are built."""
    good = np.isfinite(found.values["rate"] + found.values["ttft"])
    for name, most in asked.bounds.items():
        good &= found.values[name] <= most
    return np.asarray(good)


def alone_beyond(
    values: Mapping[str, NDArray[np.float64]], asked: Asked
) -> dict[str, NDArray[np.bool_]]:
    """Of each constraint the systems that miss it and no other."""
    over = {name: ~(values[name] <= most) for name, most in asked.bounds.items()}
    return {
        name: np.logical_and.reduce([mask, *(~over[other] for other in over if other != name)])
        for name, mask in over.items()
    }


def binding(
    values: Mapping[str, NDArray[np.float64]],
    asked: Asked,
    speed: NDArray[np.float64],
    worth: NDArray[np.float64],
    chosen: NDArray[np.intp],
) -> list[str]:
    """For each point the constraints without which a system as fast would yield more; "" where none."""
    out: list[list[str]] = [[] for _ in chosen]
    for name, alone in alone_beyond(values, asked).items():
        front = pareto(speed, np.where(alone & np.isfinite(worth), worth, np.nan))
        if not front.size:
            continue
        best = np.append(worth[front], -np.inf)
        at = best[np.searchsorted(speed[front], speed[chosen])]
        for row, better in zip(out, at > worth[chosen], strict=True):
            if better:
                row.append(_NAMES[name])
    return [", ".join(row) for row in out]


def miss(values: Mapping[str, NDArray[np.float64]], asked: Asked) -> NDArray[np.float64]:
    """By which factor each misses the constraint that it misses most; inf where it is not built [1]."""
    built = np.isfinite(values["rate"])
    ratios = [np.where(built, values[name] / most, np.inf) for name, most in asked.bounds.items()]
    return np.asarray(np.max([np.where(built, 0.0, np.inf), *ratios], axis=0))


def nearest_miss(values: Mapping[str, NDArray[np.float64]], asked: Asked) -> str:
    """Why there is no point: the constraint that is missed by least, and by how much."""
    built = np.isfinite(values["rate"])
    if not built.any():
        if asked.devices:
            return (
                f"devices is {asked.devices:.0f}, and no system that holds the model takes so few"
            )
        return "weights and one request's cache fit no system"
    if not asked.bounds:
        return "no system has a power that counts"
    at = int(np.argmin(miss(values, asked)))
    missed = [
        f"{_NAMES[name]} is {asked.bounds[name]:g}, nearest {values[name][at]:.4g} {_UNITS[name]}"
        for name, most in asked.bounds.items()
        if values[name][at] / most > 1.0
    ]
    return f"no system keeps to what was asked; {'; '.join(missed)}"
