"""What of a question lies beyond what an engine's constants were fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof.inference.constants import FAR_BAND

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.loads import Load

__all__ = ["beyond", "said", "widened"]


def _given(
    one: Deployment, load: Load, concurrency: NDArray[np.float64]
) -> Iterator[tuple[str, NDArray[np.float64], float, float]]:
    """Name, values, and the least and most that constants were fitted on."""
    values = {
        "concurrency": concurrency,
        "input_tokens": np.array([load.input_tokens]),
        "output_tokens": np.array([load.output_tokens]),
        "parameters": np.array([float(one.model.parameters)]),
        "devices": np.array([float(one.plan.devices)]),
    }
    for name, (least, most) in one.calibration.fitted.items():
        if name in values:
            yield name, values[name], least, most


def beyond(
    on: Sequence[Deployment], load: Load, concurrency: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether anything is out of range, over (deployment, concurrency); false where no range is known.

    Examples
    --------
    >>> from tokenroof.inference.door import deployment
    >>> from tokenroof.serving.loads import as_load
    >>> on = deployment("H100-SXM", "Llama-3.1-70B")
    >>> beyond([on], as_load(1024, 1024), np.array([1.0, 16.0])).tolist()
    [[True, False]]
    """
    out = np.zeros((len(on), concurrency.size), dtype=bool)
    for row, one in zip(out, on, strict=True):
        for _, x, least, most in _given(one, load, concurrency):
            row |= (x < least) | (x > most)
    return out


def said(on: Sequence[Deployment], load: Load, concurrency: NDArray[np.float64]) -> str:
    """What is out of range, in words; "" where nothing is.

    Examples
    --------
    >>> from tokenroof.inference.door import deployment
    >>> from tokenroof.serving.loads import as_load
    >>> on = deployment("H100-SXM", "Llama-3.1-70B")
    >>> said([on], as_load(1024, 1024), np.array([1.0, 16.0]))
    'concurrency 1 below 4'
    """
    found: dict[str, None] = {}
    for one in on:
        for name, x, least, most in _given(one, load, concurrency):
            if (x < least).any():
                found[f"{name} {x.min():.4g} below {least:.4g}"] = None
            if (x > most).any():
                found[f"{name} {x.max():.4g} above {most:.4g}"] = None
    return "; ".join(found)


def widened(band: NDArray[np.float64], out: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Bands of times to the first token: beyond the range nothing was left out to measure them."""
    return np.where(out & np.isfinite(band), np.maximum(band, FAR_BAND), band)
