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


def amounts(field: str, value: ArrayLike, *, positive: bool = False) -> NDArray[np.float64]:
    """Real, finite numbers of a load, zero or more."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{field} is {value!r}; allowed: real numbers") from None
    bad = ~(np.isfinite(array) & ((array > 0) if positive else (array >= 0)))
    if bad.any():
        first: Any = array[bad].flat[0] if array.ndim else array.item()
        kind = "> 0" if positive else ">= 0"
        raise ValueError(f"{field} is {first:g}; allowed: finite numbers {kind}")
    return array


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
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} is {value!r}; allowed: a number {kind} {low:g}")
    try:
        x = float(value)
    except OverflowError:  # an integer of more than 308 digits
        x = np.inf
    if not np.isfinite(x) or (x <= low if above else x < low):
        raise ValueError(f"{name} is {value!r}; allowed: a finite number {kind} {low:g}")
    return x
