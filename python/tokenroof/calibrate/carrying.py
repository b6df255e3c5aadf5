"""How well constants carry over to a device that nobody measured: each device by those of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenroof.calibrate.fitting import Errors
from tokenroof.catalogue.lookup import device as find_device
from tokenroof.inference.constants import generation, geometric_mean


def carry_over(
    rows: list[dict[str, Any]],
    alike: Callable[[dict[str, Any]], Any],
    errors: Callable[[int, dict[str, float]], Errors],
) -> None:
    """Add to each fit its error, and the widest band, with the means of other devices' constants.

    Parameters
    ----------
    rows : list of dict
        Fits. Each gets ``mape_generation`` and ``band_generation``, with the constants of other devices
        of its generation, and ``mape_other`` and ``band_other``, with those of other generations.
    alike : callable
        Row to a key: rows of one key have constants of the same things.
    errors : callable
        Index of a row and constants to their errors on its table.
    """
    own = [generation(find_device(row["device"])) for row in rows]
    bands: dict[tuple[Any, str], list[float]] = {}
    for i, row in enumerate(rows):
        others = [
            (other, own[k] == own[i])
            for k, other in enumerate(rows)
            if alike(other) == alike(row) and other["device"] != row["device"]
        ]
        for name, near in (("generation", True), ("other", False)):
            group = [other["constants"] for other, is_near in others if is_near is near]
            if group:
                found = errors(i, geometric_mean(group))
                row[f"mape_{name}"] = round(found.mape, 4)
                bands.setdefault((alike(row), name), []).append(found.band)
    for row in rows:
        for name in ("generation", "other"):
            if (alike(row), name) in bands:
                row[f"band_{name}"] = round(max(bands[alike(row), name]), 4)
