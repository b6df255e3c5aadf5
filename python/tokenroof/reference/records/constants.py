"""Constants of the measured forms of operators: blocks within the calibration record."""

from __future__ import annotations

import math

from tokenroof.reference.records.records import Record


def constants(calibration: Record, block: str) -> dict[str, float] | None:
    """An operator's own constants; None where the record has none, and shares of a roofline count."""
    if calibration["form"] != 1.0:
        return None
    own = {
        name.removeprefix(f"{block}."): value
        for name, value in calibration.items()
        if name.startswith(f"{block}.")
    }
    return None if math.isnan(next(iter(own.values()))) else own
