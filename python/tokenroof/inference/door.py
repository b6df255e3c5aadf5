"""The door: what callers give becomes records, is checked, and is resolved once.

Public functions take names, records, plans and a fidelity. `deployment` turns them into one `Deployment`;
`deployments` does so for many plans of one device, which share what depends on the device, the engine and
the types alone. Below the door nothing is looked up again.
"""

from __future__ import annotations

import os
import reprlib
from functools import lru_cache
from typing import TYPE_CHECKING

from tokenroof.catalogue.architectures import model as model_of
from tokenroof.catalogue.lookup import device as device_of
from tokenroof.inference.calibration import resolve_step
from tokenroof.inference.captured import with_captured_graphs
from tokenroof.inference.device_power import device_power
from tokenroof.inference.estimates import complete
from tokenroof.inference.expert_choice import with_counted_routing, with_sinks
from tokenroof.inference.power_cap import capped_power, check_power_cap, with_cap
from tokenroof.inference.released import plan_as_released
from tokenroof.inference.unmeasured import with_unmeasured
from tokenroof.records import dtypes
from tokenroof.records.deployment import Deployment
from tokenroof.records.device import Device, link_domain, unit_peak
from tokenroof.records.model import Model
from tokenroof.records.plan import Plan
from tokenroof.records.refusals import check_loads
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from tokenroof.records.calibration import Calibration

__all__ = [
    "as_device", "as_model", "as_plan", "check_context", "check_links", "check_network", "check_plan",
    "check_units", "checked", "deployment", "deployments", "resolved",
]  # fmt: skip


# a record that stands in the wrong place is named, not told whole
_REPR = reprlib.Repr()
_REPR.maxother = 60
_short = _REPR.repr


def as_device(value: str | os.PathLike[str] | Device) -> Device:
    """A device by name or file, or the record itself; the catalogue's with unpublished numbers filled in."""
    if isinstance(value, (str, os.PathLike, Device)):
        return complete(device_of(value))
    raise TypeError(f"device is {_short(value)}; allowed: a name or a Device")


def as_model(value: str | os.PathLike[str] | Model) -> Model:
    """A model by name or file, or the record itself."""
    if isinstance(value, (str, os.PathLike, Model)):
        return model_of(value)
    raise TypeError(f"model is {_short(value)}; allowed: a name or a Model")


def as_plan(value: Plan | None, model: Model) -> Plan:
    """A plan; by default one device in the types that the model was released in."""
    if value is None:
        return plan_as_released(model)
    if isinstance(value, Plan):
        return value
    raise TypeError(f"plan is {_short(value)}; allowed: a Plan")


def check_context(model: Model, what: str, tokens: float, most: int | None = None) -> None:
    """Reject requests longer than a model takes, as engines do; `most` in place of the model's own.

    Nothing is refused where neither is known: ``context_max`` is 0 where a config does not say.
    """
    takes = model.context_max if most is None else most
    if 0 < takes < tokens:
        raise ValueError(
            f"{what} is {counted(tokens, 'token', ',.12g')}; allowed: at most {takes:,}, "
            + (
                f"the context_max of {model.name} (model.replace(context_max=...) for one that takes more)"
                if most is None
                else "which its scheduler is told"
            )
        )


def check_units(device: Device, plan: Plan) -> None:
    """Reject a type that the device has neither a unit for, nor a wider one."""
    unit_peak(device, "bf16")  # attention and the head
    for name in (plan.weights, plan.experts):
        dtypes.code(name or plan.weights)
        unit_peak(device, name or plan.weights)


def check_links(device: Device, plan: Plan) -> None:
    """Reject a plan that needs a link whose bandwidth is unknown."""
    check_network(device, f"plan has {counted(plan.devices, 'device')}", plan.devices)


def check_network(device: Device, what: str, most: float) -> None:
    """Reject a group beyond a device's links where its network is unknown; `what` says how large it is."""
    if most > 1 and device.link is None:
        raise ValueError(
            f"{what}; allowed: one, as {device.name} has no link to others: neither a link_bandwidth "
            "nor a pcie_generation"
        )
    domain = link_domain(device)
    if most > domain and not device.node_link_bandwidth:
        raise ValueError(
            f"{what}; allowed: at most the {domain} that {device.name} "
            "joins by its links, unless the device has a node_link_bandwidth"
        )


def check_plan(device: Device, model: Model, plan: Plan) -> None:
    """Reject a plan that does not divide the model, or that the engine or the device cannot run."""
    plan.check(model)
    check_loads(plan, model)
    check_links(device, plan)
    check_units(device, plan)
    check_power_cap(device, plan.power_cap_w)


@lru_cache(maxsize=512)
def _packed_device(device: Device) -> NDArray[np.float64]:
    return _read_only(device.pack())


@lru_cache(maxsize=512)
def _packed_plan(plan: Plan) -> NDArray[np.float64]:
    return _read_only(plan.pack())


def _read_only(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array.flags.writeable = False
    return array


def resolved(
    device: Device, model: Model, plans: Iterable[Plan], fidelity: str | Calibration
) -> list[Deployment]:
    """Deployments of complete records and of plans that are checked."""
    packed_device, packed_model, power = (
        _packed_device(device), _read_only(model.pack()), device_power(device)
    )  # fmt: skip
    found = []
    for plan in plans:
        calibration = resolve_step(fidelity, device, plan, bool(model.experts))
        calibration = with_counted_routing(calibration, model, fidelity)
        if fidelity == "calibrated":
            calibration = with_captured_graphs(with_sinks(calibration, model), model)
        if fidelity == "calibrated":
            calibration = with_unmeasured(calibration, model)
        if plan.power_cap_w is not None:
            calibration = with_cap(calibration, device, plan)
        records = (
            packed_device, calibration.packed, packed_model, _packed_plan(plan.on(device))
        )  # fmt: skip
        own = power if plan.power_cap_w is None else capped_power(device, plan, power)
        found.append(Deployment(device, model, plan, calibration, own, records))
    return found


def checked(
    device: Device, model: Model, plans: Iterable[Plan | None], fidelity: str | Calibration
) -> list[Deployment]:
    """Deployments of complete records and of plans as they were given: `deployments` past the names."""
    given = [as_plan(plan, model) for plan in plans]
    for plan in given:
        check_plan(device, model, plan)
    return resolved(device, model, given, fidelity)


def deployments(
    device: str | Device,
    model: str | Model,
    plans: Iterable[Plan | None],
    fidelity: str | Calibration = "calibrated",
) -> list[Deployment]:
    """Resolve many plans of one model on one device.

    Parameters
    ----------
    device, model : str or record
    plans : iterable of Plan
        None: one device in the types that the model was released in.
    fidelity : {"calibrated", "datasheet"} or Calibration

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, a plan that does not divide the model or that the device cannot run, or a
        fidelity that is none.
    """
    return checked(as_device(device), as_model(model), plans, fidelity)


def deployment(
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    fidelity: str | Calibration = "calibrated",
) -> Deployment:
    """Resolve one plan of a model on a device: `deployments` of one."""
    return deployments(device, model, [plan], fidelity)[0]
