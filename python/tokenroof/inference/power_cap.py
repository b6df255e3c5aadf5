"""A cap on the power of boards: what firmware takes, what a site sets aside, how sure the times are."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from tokenroof.inference.estimates import parameter
from tokenroof.inference.likeness import measured_name

if TYPE_CHECKING:
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import DevicePower
    from tokenroof.records.device import Device
    from tokenroof.records.plan import Plan

__all__ = ["CAP_BAND", "cap_band", "capped_power", "check_power_cap", "least_cap", "with_cap"]

#: What a cap adds to the bands of times at least, in quadrature: four in five points of all sweeps are in it.
CAP_BAND = 0.15
# The board whose curve of volts and share of traffic were fitted (power_cap.hpp); of others the band
# grows with what a cap takes of the limit: four in five of their points are within
# exp(1.1 (1 - cap / limit)), as `bench/power_caps.py` says.
_FITTED, _PER_SHARE = "RTX PRO 6000 Blackwell Workstation", 1.1


def least_cap(device: Device) -> float:
    """The least cap that the firmware of a board takes [W], or that boards like it do.

    Examples
    --------
    >>> import tokenroof as tr
    >>> round(least_cap(tr.device("H200-SXM")))
    200
    """
    return parameter("power_cap_floor", device).mid * float(device.tdp_w or math.nan)


def check_power_cap(device: Device, cap: float | None) -> None:
    """Reject a cap above the limit of a board, below what its firmware takes, or of an unknown limit.

    Examples
    --------
    >>> import tokenroof as tr
    >>> check_power_cap(tr.device("H200-SXM"), 800.0)
    Traceback (most recent call last):
    ValueError: power_cap_w is 800 on H200-SXM; allowed: 200 to 700 W, its limit, or None
    """
    if cap is None:
        return
    if not device.tdp_w:
        raise ValueError(
            f"power_cap_w is {cap:g} on {device.name}, whose tdp_w is unknown; allowed: None, or a device "
            "with its tdp_w [W], as device.replace(tdp_w=700.0)"
        )
    least, most = least_cap(device), float(device.tdp_w)
    if not least * (1.0 - 1e-9) <= cap <= most:
        raise ValueError(
            f"power_cap_w is {cap:g} on {device.name}; allowed: {least:.4g} to {most:g} W, its limit, or None"
        )


def _holds(device: Device, plan: Plan) -> bool:
    cap = plan.power_cap_w
    return cap is not None and bool(device.tdp_w) and cap < float(device.tdp_w or 0.0)


def capped_power(device: Device, plan: Plan, known: DevicePower) -> DevicePower:
    """What a site sets aside for a device under a plan's cap.

    Less by the watts that its board can no longer draw, and by their part of supplies and cooling: as much of
    these as the device's share of its system has. Hosts and network stay.
    """
    if not _holds(device, plan):
        return known
    cap, limit = float(plan.power_cap_w or 0.0), known.limit_w
    system = float(device.system_power_w) if device.system_power_w else 1.8 * limit
    around = max(known.provisioned_w / max(system, limit), 1.0)
    return replace(
        known,
        limit_w=cap,
        provisioned_w=known.provisioned_w - around * (limit - cap),
        provisioned_kind=f"{known.provisioned_kind}, boards at {cap:g} W",
    )


def cap_band(device: Device, cap: float) -> float:
    """What a cap [W] adds to the bands of times: more on boards that nothing was fitted on, the deeper it is.

    Examples
    --------
    >>> import tokenroof as tr
    >>> [round(cap_band(tr.device("H200-SXM"), w), 2) for w in (650.0, 500.0, 350.0)]
    [0.15, 0.37, 0.73]
    """
    if measured_name(device) == _FITTED:
        return CAP_BAND
    return max(CAP_BAND, math.expm1(_PER_SHARE * (1.0 - cap / float(device.tdp_w or cap))))


def with_cap(known: Calibration, device: Device, plan: Plan) -> Calibration:
    """Constants of a step, with the band that a cap asks for.

    Examples
    --------
    >>> import tokenroof as tr
    >>> step = tr.decode("H200-SXM", "Llama-3.1-8B", tr.Plan(power_cap_w=400), batch=1, context=1024)
    >>> step.calibrated_on.rsplit("; ", 1)[1]
    'boards at 400 W: by the clocks of another board'
    """
    if not _holds(device, plan):
        return known
    wider = cap_band(device, float(plan.power_cap_w or 0.0))
    whose = "this" if measured_name(device) == _FITTED else "another"
    found = known.replace(
        error_band=math.hypot(known.error_band, wider),
        ttft_band=math.hypot(known.ttft_band, wider),
        calibrated_on=f"{known.calibrated_on}; boards at {plan.power_cap_w:g} W: by the clocks of "
        f"{whose} board",
    )
    found.__dict__["packed"] = known.packed  # bands are no part of it
    return found
