"""A step of the target that carries several tokens a sequence, with or without captured graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference.door import deployment
from tokenroof.support.arguments import amounts, check_shapes
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan

__all__ = ["STEP", "as_captured", "step_fields", "verify", "verify_fields"]

STEP = {name: i for i, name in enumerate(_core.STEP_FIELDS)}
_HEADS = [_core.MODEL_FIELDS.index(name) for name in ("heads", "index_heads")]
_GROUPED = _core.CALIBRATION_FIELDS.index("attention_decode.grouped")
_KERNELS = _core.SERVING_TERMS.index("kernels")
_REST_W = _core.SERVING_TERMS.index("rest_w")
_KERNEL_S = _core.CALIBRATION_FIELDS.index("engine.prefill_kernel")
_DP = _core.PLAN_FIELDS.index("dp")


def verify_fields(
    records: tuple[NDArray[np.float64], ...],
    batch: Any,
    context: Any,
    width: Any,
    captured: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """STEP_FIELDS of a step with `width` tokens per sequence, whose attention reads the cache once.

    Products see batch * width tokens, padded to the sizes of `captured` graphs. Attention with `width`
    queries is that of `width` times the query heads over the same keys: a step is a sum of operators of which
    attention alone depends on the context, so its cost is the difference to no context.
    """
    d, c, m, p = records
    # a record for each width, whatever the number of batches
    width = np.asarray(width, dtype=np.float64)
    wide = np.broadcast_to(m, (*width.shape, m.size)).copy()
    wide[..., _HEADS] *= width[..., None]
    # more tokens share a read of the cache as more heads do: no kernel reads it again for them
    shared = np.broadcast_to(c, (*width.shape, c.size)).copy()
    shared[..., _GROUPED] *= width
    batch, context, width = np.broadcast_arrays(batch, context, width)
    tokens = padded(records, batch * width, captured)
    parts = [
        kernels.decode_step(d, constants, model, p, b, x)
        for constants, model, b, x in (
            (c, m, tokens, 0.0), (shared, wide, batch, context), (shared, wide, batch, 0.0)
        )
    ]  # fmt: skip
    fields = parts[0] + (parts[1] - parts[2])
    joules = [f[..., STEP["watts"]] * f[..., STEP["time"]] for f in parts]
    with np.errstate(invalid="ignore", divide="ignore"):
        watts = (joules[0] + (joules[1] - joules[2])) / fields[..., STEP["time"]]
    highest = np.maximum(parts[0][..., STEP["watts"]], parts[1][..., STEP["watts"]])
    fields[..., STEP["watts"]] = np.where(width == 1.0, parts[1][..., STEP["watts"]],
                                           np.minimum(watts, highest))  # fmt: skip
    return without_graph(records, np.asarray(fields), batch * width, captured)


def step_fields(
    records: tuple[NDArray[np.float64], ...],
    batch: Any,
    context: Any,
    captured: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """STEP_FIELDS of plain decoding, under the same graphs."""
    if captured is None:
        d, c, m, p = records
        return np.asarray(kernels.decode_step(d, c, m, p, batch, context))
    return verify_fields(records, batch, context, np.ones_like(batch), captured)


def as_captured(value: ArrayLike | None) -> NDArray[np.float64] | None:
    """Sizes of captured graphs, in order; None where every size has one."""
    if value is None:
        return None
    sizes = amounts("captured", value, positive=True)
    if sizes.ndim != 1:
        raise ValueError(f"captured has {counted(sizes.ndim, 'dimension')}; allowed: one")
    return np.unique(sizes)


def _of_a_rank(records: tuple[NDArray[np.float64], ...], tokens: Any) -> NDArray[np.float64]:
    return np.asarray(np.ceil(tokens / records[3][..., _DP]))


def padded(
    records: tuple[NDArray[np.float64], ...], tokens: Any, captured: NDArray[np.float64] | None
) -> Any:
    """Tokens that the products of a replica see, each rank's up to the next captured size."""
    if captured is None or not captured.size:
        return tokens
    each = _of_a_rank(records, tokens)
    at = np.minimum(np.searchsorted(captured, each), captured.size - 1)
    return np.where(each <= captured[-1], captured[at] * records[3][..., _DP], tokens)


def without_graph(
    records: tuple[NDArray[np.float64], ...],
    fields: NDArray[np.float64],
    tokens: Any,
    captured: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """The same fields, where a step without a graph takes at least what the host takes to launch it."""
    if captured is None:
        return fields
    largest = captured[-1] if captured.size else 0.0
    d, c, m, p = records
    terms = kernels.serving_terms(d, c, m, p, 1.0, 1.0, 1.0)
    least = terms[..., _KERNELS] * c[..., _KERNEL_S]
    short = np.where(_of_a_rank(records, tokens) > largest, least - fields[..., STEP["time"]], 0.0)
    waits = np.maximum(short, 0.0)
    watts = fields[..., STEP["watts"]]
    for name in ("time", "launch_s", "overhead_s"):
        fields[..., STEP[name]] += waits
    # joules of the work as before, the host's time at the power of a waiting board
    rest = terms[..., _REST_W]
    busy = 1.0 - waits / fields[..., STEP["time"]]
    fields[..., STEP["watts"]] = np.where(waits > 0.0, rest + (watts - rest) * busy, watts)
    return fields


def verify(
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    *,
    batch: ArrayLike = 1.0,
    context: ArrayLike = 1024.0,
    tokens: ArrayLike = 1.0,
    captured: ArrayLike | None = None,
    fidelity: str | Calibration = "calibrated",
) -> dict[str, NDArray[np.float64]]:
    """A decode step that carries several tokens per sequence, as verification does.

    Parameters
    ----------
    device, model, plan, batch, context, fidelity
        As in `tokenroof.decode`.
    tokens : array_like
        Tokens per sequence: the draft length and one [1].
    captured : array_like, optional
        Tokens of the graphs that the engine captured, of one rank [1]: a step is padded to the next, and one
        beyond the largest is launched kernel by kernel. None: every size has its graph; empty: none has.

    Returns
    -------
    dict of ndarray
        By name of ``kernels.STEP_FIELDS``. One token gives `tokenroof.decode`'s numbers, within rounding.

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `tokenroof.decode`.

    Notes
    -----
    A recurrent state is read and written for each token, as engines that can roll back do.

    Examples
    --------
    >>> one, four = verify("H200-SXM", "Llama-3.1-8B", batch=8, tokens=[1, 4])["time"]
    >>> bool(one < four < 1.3 * one)
    True
    """
    on = deployment(device, model, plan, fidelity)
    b, x = amounts("batch", batch), amounts("context", context)
    width = amounts("tokens", tokens, positive=True)
    check_shapes(batch=b, context=x, tokens=width)
    fields = verify_fields(on.records, b, x, width, as_captured(captured))
    return {name: fields[..., i] for name, i in STEP.items()}
