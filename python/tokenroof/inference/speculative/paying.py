"""The batch beyond which speculation stops paying."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from tokenroof.inference.speculative.rounds import decode
from tokenroof.support.arguments import check_options, count, shown, whole_numbers
from tokenroof.support.equality import by_value
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan

__all__ = ["Paying", "Rounds", "pays_until"]


class Rounds(TypedDict, total=False):
    """What `tokenroof.speculative.decode` takes beside a batch and lengths."""

    draft: str | Model | float
    acceptance: Any
    context: float
    draft_plan: Plan | None
    captured: ArrayLike | None
    fidelity: str | Calibration


@by_value
@dataclass(frozen=True)
class Paying:
    """Where speculation pays, batch by batch.

    Attributes
    ----------
    until : int
        The largest batch at which a round yields more tokens per second than plain decoding; 0 where none
        does [1].
    still : bool
        Whether it pays at the largest batch that was tried, or that fits the memory.
    batch : ndarray
        All batches that fit the memory [1].
    speedup : ndarray
        Of the best length at each of them, over plain decoding [1].
    length : ndarray
        That length [1].
    """

    until: int
    still: bool
    batch: NDArray[np.float64]
    speedup: NDArray[np.float64]
    length: NDArray[np.float64]


def pays_until(
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    *,
    length: ArrayLike = (1, 2, 3, 4, 5, 6, 7, 8),
    most: int = 4096,
    **rounds: Unpack[Rounds],
) -> Paying:
    """The largest batch at which speculation still yields more than plain decoding.

    Every batch from 1 on is tried. Of a mixture the gain may fall, as a round's tokens touch experts that one
    token would not, and rise again once the batch touches them all: `speedup` says where.

    Parameters
    ----------
    device, model, plan
        As in `decode`.
    length : array_like, 1-d
        Drafts of a round to choose from [1]; with acceptance by position those that were measured count.
    most : int
        The largest batch to try, at most 65,536 [1].
    **rounds
        ``draft``, ``acceptance``, ``context`` (one number), ``draft_plan``, ``captured``, ``fidelity``, as in
        `decode`.

    Returns
    -------
    Paying

    Raises
    ------
    KeyError, ValueError, TypeError
        As `decode`; for lengths that are not whole numbers of 1 and more, or a batch beyond its bounds.

    Examples
    --------
    >>> import tokenroof as tr
    >>> plan = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
    >>> found = pays_until("H200-SXM", "Llama-3.1-70B", plan, draft="Llama-3.1-8B", acceptance=0.6)
    >>> 1 < found.until < 4096, found.still, bool(found.speedup[0] > 1.0)
    (True, False, True)
    """
    check_options("pays_until", rounds, Rounds)
    lengths = np.unique(whole_numbers("length", length))
    if not lengths.size or lengths[0] < 1.0:
        raise ValueError(f"length is {shown(length)}; allowed: whole numbers of 1 and more")
    most = count("most", most)
    if most > 65_536:
        raise ValueError(f"most is {most}; allowed: at most 65536")
    context = rounds.get("context", 1024.0)
    if np.ndim(context):
        raise ValueError(
            f"context has {counted(np.ndim(context), 'dimension')}; allowed: one number"
        )
    batch = np.arange(1.0, most + 1.0)
    found = decode(device, model, plan, length=lengths[:, None], batch=batch, **rounds)
    best = np.where(found.fits, found.speedup, -np.inf).argmax(axis=0)
    at = np.arange(most)
    speedup, chosen = found.speedup[best, at], lengths[best]
    fits = found.fits.any(axis=0)
    pays = fits & (speedup > 1.0)
    until = int(batch[pays][-1]) if pays.any() else 0
    last = int(batch[fits][-1]) if fits.any() else 0
    return Paying(until, 0 < until == last, batch[fits], speedup[fits], chosen[fits])
