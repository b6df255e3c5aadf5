"""How well constants carry over to a device that nobody measured: each device by those of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenroof.calibrate.fitting import Errors
from tokenroof.catalogue.lookup import device as find_device
from tokenroof.inference.carried import carried, generation


def carry_over(
    operator: str,
    rows: list[dict[str, Any]],
    alike: Callable[[dict[str, Any]], Any],
    errors: Callable[[int, dict[str, float]], Errors],
) -> None:
    """Add to each fit its error, and the widest band, with constants that carry over from other devices.

    Parameters
    ----------
    operator : str
    rows : list of dict
        Fits. Each gets ``mape_generation`` and ``band_generation``, with the constants of other devices
        of its generation, and ``mape_other`` and ``band_other``, with those of other generations: of its
        kind of memory where there are any, as an unmeasured device gets them.
    alike : callable
        Row to a key: rows of one key have constants of the same things.
    errors : callable
        Index of a row and constants to their errors on its table.
    """
    devices = [find_device(row["device"]) for row in rows]
    own = [generation(device) for device in devices]
    memory = [name.rsplit(" ", 1)[1] for name in own]
    bands: dict[tuple[Any, str], list[float]] = {}
    for i, row in enumerate(rows):
        others = [
            k
            for k, other in enumerate(rows)
            if alike(other) == alike(row) and other["device"] != row["device"]
        ]
        near = [k for k in others if own[k] == own[i]]
        far = [k for k in others if own[k] != own[i]]
        far = [k for k in far if memory[k] == memory[i]] or far
        for name, group in (("generation", near), ("other", far)):
            if group:
                fits = [rows[k] for k in group]
                found = errors(i, carried(operator, fits, devices[i], row.get("dtype", "")))
                row[f"mape_{name}"] = round(found.mape, 4)
                bands.setdefault((alike(row), name), []).append(found.band)
    for row in rows:
        for name in ("generation", "other"):
            if (alike(row), name) in bands:
                row[f"band_{name}"] = round(max(bands[alike(row), name]), 4)
