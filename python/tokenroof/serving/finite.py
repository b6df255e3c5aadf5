"""A run of so many requests, all there from the start, as benchmarks of the most throughput make them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof import _core, kernels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tokenroof.serving.loads import Load

__all__ = ["served_run"]

_FIELD = {name: i for i, name in enumerate(_core.SERVING_FIELDS)}
_TOGETHER = _core.CALIBRATION_FIELDS.index("engine.together")


def served_run(
    records: Sequence[NDArray[np.float64]], users: NDArray[np.float64], load: Load
) -> NDArray[np.float64]:
    """`kernels.serving` of a run that ends.

    Answers are of one length, so that what starts together ends together: a run goes in waves of a batch,
    and a last one of what is left, whose steps are shorter, though not in proportion. The first wave's
    prompts come at once. A wave is over when the last of it is answered, no sooner than all prompts and
    steps of answers take: of short answers the mean one is far ahead of the last.
    """
    d, c, m, p = records
    requests = load.requests
    within = np.minimum(users, requests)
    c = np.broadcast_to(c, np.broadcast_shapes(c.shape[:-1], within.shape) + c.shape[-1:]).copy()
    c[..., _TOGETHER] = within / requests
    sizes = load.input_tokens, load.output_tokens
    out = kernels.serving(d, c, m, p, within, *sizes).copy()
    batch = out[..., _FIELD["batch"]]
    wave = _wave(out, load.output_tokens)
    with np.errstate(invalid="ignore"):
        full = np.floor(requests / batch + 1e-9)
        left = np.maximum(requests - full * batch, 0.0)
        some = left > 1e-6 * batch
        last = kernels.serving(d, c, m, p, np.where(some, left, 1.0), *sizes)
        seconds = full * wave + np.where(some, _wave(last, load.output_tokens), 0.0)
        out[..., _FIELD["output_rate"]] = requests * load.output_tokens / seconds
    return out


def _wave(found: NDArray[np.float64], output: float) -> NDArray[np.float64]:
    """Seconds of a batch that starts together, of those of its requests."""
    answers = max(output - 1.0, 0.0) * found[..., _FIELD["step_s"]]
    least = answers + found[..., _FIELD["others_s"]]
    return np.asarray(
        np.maximum(found[..., _FIELD["latency"]] - found[..., _FIELD["queue_s"]], least)
    )
