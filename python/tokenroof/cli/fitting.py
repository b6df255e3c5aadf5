"""What is said of a model that does not fit, on stderr."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tokenroof.cli.arguments import flags_of
from tokenroof.support.formats import ascii_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan

__all__ = ["say_what_fits", "told_what_fits"]


def say_what_fits(
    device: Device,
    model: Model,
    plan: Plan,
    reason: str,
    fidelity: str | Calibration,
    **load: float,
) -> None:
    """Say how much memory is needed, and which plan would fit, in one line."""
    advice = _advice(device, model, plan, fidelity, load)
    print(f"tokenroof: {ascii_of(reason)}; {advice}", file=sys.stderr)


@contextmanager
def told_what_fits(
    device: Device, model: Model, plan: Plan, fidelity: str | Calibration, **load: float
) -> Iterator[None]:
    """Where weights leave no memory for a cache, the error names the flags of a plan that fits."""
    from tokenroof.serving.simulation.memory import NoRoomError

    try:
        yield
    except NoRoomError as error:
        said = str(error).partition("; allowed")[0]
        raise ValueError(f"{said}; {_advice(device, model, plan, fidelity, load)}") from None


def _advice(
    device: Device, model: Model, plan: Plan, fidelity: str | Calibration, load: dict[str, float]
) -> str:
    """The flags of a plan that fits."""
    from tokenroof.serving.room import plan_that_fits

    fits = plan_that_fits(device, model, plan, fidelity=fidelity, **load)
    if fits is None:
        return "no plan on devices that its links join would fit"
    count = "one device" if fits.devices == 1 else f"{fits.devices} devices"
    return f"it would fit on {count}: {flags_of(fits)}"
