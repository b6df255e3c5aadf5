"""What is said of a model that does not fit, on stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tokenroof.cli.arguments import flags_of
from tokenroof.support.formats import ascii_of

if TYPE_CHECKING:
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan

__all__ = ["say_what_fits"]


def say_what_fits(
    device: Device,
    model: Model,
    plan: Plan,
    reason: str,
    fidelity: str | Calibration,
    **load: float,
) -> None:
    """Say how much memory is needed, and which plan would fit, in one line."""
    from tokenroof.serving.room import plan_that_fits

    fits = plan_that_fits(device, model, plan, fidelity=fidelity, **load)
    if fits is None:
        advice = "no plan on devices that its links join would fit"
    else:
        count = "one device" if fits.devices == 1 else f"{fits.devices} devices"
        advice = f"it would fit on {count}: {flags_of(fits)}"
    print(f"tokenroof: {ascii_of(reason)}; {advice}", file=sys.stderr)
