"""A model on devices, resolved: what every layer below the public functions takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan

__all__ = ["Deployment", "DevicePower"]


@by_value
@dataclass(frozen=True, slots=True)
class DevicePower:
    """What a device draws beside its load, and how sure its watts are.

    Attributes
    ----------
    limit_w, idle_w : float
        Limit of the board, and what it draws when it does nothing [W].
    host_w : float
        Its share of hosts, network, fans and supplies [W].
    provisioned_w : float
        What a site sets aside for it, all in [W].
    provisioned_kind : str
        What kind of figure that is: "catalogue", or how it was estimated.
    band : float
        Relative band around its watts under load, of the class of kernels that is least sure.
    """

    limit_w: float
    idle_w: float
    host_w: float
    provisioned_w: float
    provisioned_kind: str
    band: float


@by_value
@dataclass(frozen=True, slots=True, eq=False)
class Deployment:
    """One replica: a device, a model and a plan that fit together, and all that was looked up for them.

    Made by `tokenroof.inference.door` alone, which checks and resolves what a caller gave. Whoever takes
    one looks nothing up again.

    Attributes
    ----------
    device, model, plan : record
        The device with its unpublished numbers filled in; the plan as it was given.
    calibration : Calibration
        Constants for the device, the engine and the types of the plan.
    power : DevicePower
        Of one device.
    records : tuple of ndarray
        Device, calibration, model and plan as kernels take them, the plan's types as the device runs
        them. Read-only.

    Examples
    --------
    >>> from tokenroof.inference.door import deployment
    >>> on = deployment("H200-SXM", "Llama-3.1-8B", None, "calibrated")
    >>> on.device.name, on.plan.devices, len(on.records)
    ('H200-SXM', 1, 4)
    """

    device: Device
    model: Model
    plan: Plan
    calibration: Calibration
    power: DevicePower
    records: tuple[
        NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]
    ]
