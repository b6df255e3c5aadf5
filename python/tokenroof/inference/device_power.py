"""Power of a device whose record is at hand: its limit, its share of the site, how sure its watts are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tokenroof import kernels
from tokenroof.catalogue.fits import fits, remembered
from tokenroof.inference.constants import power_fit
from tokenroof.inference.estimates import RANGE, Range, parameter
from tokenroof.inference.likeness import measured_name
from tokenroof.records.calibration import Calibration
from tokenroof.records.deployment import DevicePower
from tokenroof.support.kinds import takes_records

if TYPE_CHECKING:
    from tokenroof.records.device import Device

__all__ = [
    "CLASSES",
    "board_watts",
    "constants_record",
    "device_power",
    "host_watts",
    "limit_of",
    "watts_band",
]

#: Classes of kernels whose activity counts.
CLASSES = ("gemm", "attention_decode", "attention_prefill", "experts")

# Provisioned power over chassis or rack power, and over board power, for devices without a figure of
# their own: the public all-in constants are 1.36 times the system's power for H100, the keynote's 300 K
# Rubin in a GW 1.26; over the board's limit they are 2.1 (GB200) to 2.5 (H100).
_PROVISIONED_OVER_SYSTEM = 1.3
_PROVISIONED_OVER_TDP = 2.2


def limit_of(device: Device) -> Range:
    """Limit of the board [W]: the catalogue's, or a stated range where none is published."""
    known = device.provenance.get("tdp_w")
    if device.tdp_w and not (known and known.source.startswith(RANGE)):
        return Range.exactly(float(device.tdp_w), "W", "catalogue")
    return parameter("tdp_w", device)


def watts_band(device: Device, kind: str | None = None) -> float:
    """Relative band around the watts of a class of kernels; by default of the class that is least sure."""
    found, rows = power_fit(device), fits("power")
    own = (
        [row for row in rows if row["device"] == measured_name(device)]
        if found.near == "device"
        else []
    )
    bands = [found.band]
    for key in (f"band_{k}" for k in (CLASSES if kind is None else (kind,))):
        bands += [row[key] for row in own if key in row] or [r[key] for r in rows if key in r]
    return float(max(bands))


def host_watts(device: Device, share: float) -> float:
    """What hosts, network, fans and supplies draw per device, at this share of their nameplate [W]."""
    own = limit_of(device).mid
    system = float(device.system_power_w) if device.system_power_w else 1.8 * own
    if device.kind in ("cpu", "apu", "wafer"):  # the board is the system, or names its power
        system = max(own, float(device.system_power_w or 0.0))
    return float(share * max(system - own, 0.0))


def _provisioned(device: Device) -> tuple[float, str]:
    if device.provisioned_power_w:
        return float(device.provisioned_power_w), "catalogue"
    if device.system_power_w:
        factor = _PROVISIONED_OVER_SYSTEM
        return factor * float(device.system_power_w), f"estimate: {factor} x system power"
    if device.tdp_w is None:  # nobody states its watts: tokens per MW of it are not known
        return math.nan, "unknown: tdp_w is None"
    own = limit_of(device)
    kind = "estimate" if own.kind == "catalogue" else "estimate with a range"
    return _PROVISIONED_OVER_TDP * own.mid, f"{kind}: {_PROVISIONED_OVER_TDP} x limit"


@remembered(512)
def device_power(device: Device) -> DevicePower:
    """All of it in one record; NaN for a device of a kind whose limit has neither a value nor a range."""
    try:
        limit = limit_of(device).mid
    except KeyError:
        return DevicePower(math.nan, math.nan, math.nan, math.nan, "unknown", watts_band(device))
    idle = float(device.idle_w) if device.idle_w is not None else 0.1 * limit
    host = host_watts(device, parameter("host_share").mid)
    return DevicePower(limit, idle, host, *_provisioned(device), watts_band(device))


@takes_records
def constants_record(values: dict[str, float]) -> Calibration:
    """A calibration record that holds nothing but constants of power."""
    return Calibration(name="power", constants={"power": values})


@remembered(512)
def _power_records(device: Device) -> tuple[Any, Any]:
    """Records of a board with a limit of one watt: constants are shares of the limit."""
    record = constants_record(power_fit(device).constants).pack()
    alone = dict.fromkeys(
        ("idle_w", "system_power_w", "provisioned_power_w")
    )  # of the board itself
    return device.replace(tdp_w=1.0, **alone).pack(), record


def board_watts(device: Device, *uses: Any) -> Any:
    """Power of a board over its limit, from its uses in the order of `tokenroof.kernels.board_power` [1]."""
    return kernels.board_power(*_power_records(device), *uses)
