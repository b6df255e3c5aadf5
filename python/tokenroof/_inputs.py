"""Arguments of the analysis layer: names to records, and loads that are checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.plan import Plan

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.device import Device
    from tokenroof.model import Model


def as_device(value: str | Device) -> Device:
    """A device by name, or the record itself; the catalogue's with unpublished numbers filled in."""
    from tokenroof.device import Device, device
    from tokenroof.estimates import complete

    if isinstance(value, Device):
        return complete(value)
    if isinstance(value, str):
        return complete(device(value))
    raise TypeError(f"device is {value!r}; allowed: a name or a Device")


def as_model(value: str | Model) -> Model:
    """A model by name, or the record itself."""
    from tokenroof.model import Model, model

    if isinstance(value, Model):
        return value
    if isinstance(value, str):
        return model(value)
    raise TypeError(f"model is {value!r}; allowed: a name or a Model")


def as_plan(value: Plan | None) -> Plan:
    """A plan, one device in bf16 by default."""
    if value is None:
        return Plan()
    if isinstance(value, Plan):
        return value
    raise TypeError(f"plan is {value!r}; allowed: a Plan")


def is_number(value: object) -> bool:
    """Whether it is one real number, Python's or NumPy's, and no bool."""
    real = isinstance(value, (int, float, np.integer, np.floating))
    return real and not isinstance(value, bool)


def number(value: object) -> float:
    """One real number as a float; NaN for anything else, and for an integer beyond float64."""
    try:
        return float(value) if is_number(value) else np.nan  # type: ignore[arg-type]
    except OverflowError:
        return np.nan


def amounts(field: str, value: ArrayLike, *, positive: bool = False) -> NDArray[np.float64]:
    """Real, finite numbers of a load, zero or more."""
    try:
        given = np.asarray(value)
        if given.dtype.kind in "bcSUVmM":  # text that reads as a number, or half of a complex one
            raise TypeError
        array = given.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{field} is {value!r}; allowed: real numbers") from None
    bad = ~(np.isfinite(array) & ((array > 0) if positive else (array >= 0)))
    if bad.any():
        first: Any = array[bad].flat[0] if array.ndim else array.item()
        kind = "> 0" if positive else ">= 0"
        raise ValueError(f"{field} is {first:g}; allowed: finite numbers {kind}")
    return array


def whole_numbers(field: str, value: ArrayLike) -> NDArray[np.float64]:
    """Whole numbers of one and more, as floats."""
    array = amounts(field, value, positive=True)
    bad = array != np.floor(array)
    if bad.any():
        raise ValueError(f"{field} is {array[bad].flat[0]:g}; allowed: whole numbers >= 1")
    return array


def count(field: str, value: object) -> int:
    """One whole number of one and more."""
    if (
        isinstance(value, (bool, np.bool_))
        or not isinstance(value, (int, np.integer))
        or not 1 <= value <= 2**53
    ):
        raise ValueError(f"{field} is {value!r}; allowed: a positive integer")
    return int(value)


def flag(field: str, value: object) -> float:
    """True or False, as kernels take it."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{field} is {value!r}; allowed: True or False")
    return float(value)


def check_shapes(**arrays: NDArray[np.float64]) -> None:
    """Reject arrays that do not broadcast, by name."""
    try:
        np.broadcast_shapes(*(array.shape for array in arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items() if array.ndim)
        raise ValueError(f"shapes are {shapes}; allowed: shapes that broadcast") from None


def together(**arrays: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Arrays of one shape."""
    check_shapes(**arrays)
    return tuple(np.broadcast_arrays(*arrays.values()))


def check_units(device: Device, plan: Plan) -> None:
    """Reject a type that the device has neither a unit for, nor a wider one."""
    from tokenroof.roofline import peak

    peak(device, "bf16")  # attention and the head
    for name in (plan.weights, plan.experts):
        peak(device, name or plan.weights)


def link_domain(device: Device) -> int:
    """Devices that one domain of links joins; over PCIe alone, the eight of a host."""
    size = device.link_domain_size or 1
    return int(size) if size > 1 else 8


def check_links(device: Device, plan: Plan) -> None:
    """Reject a plan that needs a link whose bandwidth is unknown."""
    check_network(device, f"plan has {plan.devices} devices", plan.devices)


def check_network(device: Device, what: str, most: float) -> None:
    """Reject a group beyond a device's links where its network is unknown; `what` says how large it is."""
    domain = link_domain(device)
    if most > domain and not device.node_link_bandwidth:
        raise ValueError(
            f"{what}; allowed: at most the {domain} that {device.name} "
            "joins by its links, unless the device has a node_link_bandwidth"
        )


def finite_number(name: str, value: object, low: float = 0.0, *, above: bool = False) -> float:
    """A finite number, at least (or above) `low`."""
    kind = "above" if above else "of at least"
    if not is_number(value):
        raise TypeError(f"{name} is {value!r}; allowed: a number {kind} {low:g}")
    x = number(value)
    if not np.isfinite(x) or (x <= low if above else x < low):
        raise ValueError(f"{name} is {value!r}; allowed: a finite number {kind} {low:g}")
    return x
