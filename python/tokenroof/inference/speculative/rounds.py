"""Rounds of drafting and verifying, over arrays of loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.inference import memory
from tokenroof.inference.door import deployment
from tokenroof.inference.speculative.chances import expected
from tokenroof.inference.speculative.drafting import draft_cost
from tokenroof.inference.speculative.verification import (
    STEP,
    as_captured,
    step_fields,
    verify_fields,
)
from tokenroof.support.arguments import amounts, together
from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.catalogue.accepted import Acceptance
    from tokenroof.inference.speculative.chances import ByPosition
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan

__all__ = ["Speculation", "decode"]


@by_value
@dataclass(frozen=True)
class Speculation:
    """Rounds of drafting and verifying, over arrays of loads.

    Attributes
    ----------
    length, acceptance : ndarray
        Tokens drafted per round, chance that one is accepted after those before it [1]; by position: the mean
        share of drafted tokens that is kept.
    expected_tokens : ndarray
        Tokens that a round yields per sequence [1].
    draft_s, verify_s, round_s : ndarray
        Seconds of a round: drafting, verifying, both [s].
    plain_s : ndarray
        A step of plain decoding at the same load [s].
    tpot_s : ndarray
        Mean time per token of a sequence [s].
    tokens_per_s : ndarray
        Tokens of the whole replica per second [token/s].
    watts : ndarray
        Mean board power of the target's devices, drafting on them included [W].
    fits : ndarray of bool
        Whether weights and caches of target and draft fit the memory that the engine gives them. A draft
        that is a number has none.
    error_band : float
        Relative band around step times; acceptance is yours and has none here.
    calibrated_on : str
    """

    length: NDArray[np.float64]
    acceptance: NDArray[np.float64]
    batch: NDArray[np.float64]
    expected_tokens: NDArray[np.float64]
    draft_s: NDArray[np.float64]
    verify_s: NDArray[np.float64]
    plain_s: NDArray[np.float64]
    watts: NDArray[np.float64]
    error_band: float
    calibrated_on: str
    fits: NDArray[np.bool_]

    @property
    def round_s(self) -> NDArray[np.float64]:
        return np.asarray(self.draft_s + self.verify_s)

    @property
    def tpot_s(self) -> NDArray[np.float64]:
        return np.asarray(self.round_s / self.expected_tokens)

    @property
    def interactivity(self) -> NDArray[np.float64]:
        """Tokens per second of one user [token/s]."""
        return np.asarray(1.0 / self.tpot_s)

    @property
    def tokens_per_s(self) -> NDArray[np.float64]:
        return np.asarray(self.batch / self.tpot_s)

    @property
    def speedup(self) -> NDArray[np.float64]:
        """Over plain decoding at the same batch [1]."""
        return np.asarray(self.plain_s / self.tpot_s)

    @property
    def tokens_per_joule(self) -> NDArray[np.float64]:
        """Tokens per joule of board energy [token/J]."""
        return np.asarray(self.tokens_per_s / self.watts)

    def best(self, axis: int = -1) -> NDArray[np.intp]:
        """Index of the shortest time per token along an axis, say that of draft lengths."""
        return np.asarray(self.tpot_s.argmin(axis=axis))


def decode(
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    *,
    draft: str | Model | float = "mtp",
    length: ArrayLike = 3,
    acceptance: ArrayLike | str | Acceptance | ByPosition = 0.8,
    batch: ArrayLike = 1.0,
    context: ArrayLike = 1024.0,
    draft_plan: Plan | None = None,
    captured: ArrayLike | None = None,
    fidelity: str | Calibration = "calibrated",
) -> Speculation:
    """Speculative decoding on one replica.

    Parameters
    ----------
    device, model, plan, batch, context, fidelity
        As in `tokenroof.decode`; everything broadcasts.
    draft : str, Model or float
        "mtp": the model's own module (`mtp_model`), where it has one, run once per drafted token; "eagle": a
        head over its states (`eagle_model`); "ngram": look-up in the prompt, at no cost; a model, by name or
        record; or the seconds of a drafted token over those of a step of the target, a number.
    length : array_like
        Tokens drafted per round; 0 is plain decoding [1].
    acceptance : array_like, str, Acceptance or ByPosition
        Chance that a drafted token is accepted after those before it, 0 to 1, the same at all positions. Or
        by position: a measured one of `tokenroof.catalogue.acceptances`, or its name, or your own
        `ByPosition`; then lengths are whole, and at most its positions.
    draft_plan : Plan, optional
        Layout of a draft model, on at most the target's devices; by default over as many of them as its
        heads divide over. None for a draft that is no model.
    captured : array_like, optional
        Tokens of the graphs that the engine captured, as in `verify`.

    Returns
    -------
    Speculation

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `tokenroof.decode`; for an acceptance beyond 0 ... 1, a length that is negative, "mtp" of a
        model without such a module, or a draft plan over more devices than the target's.

    References
    ----------
    Leviathan, Kalman, Matias, ICML 2023, arXiv:2211.17192.

    Examples
    --------
    >>> from tokenroof.records.plan import Plan
    >>> found = decode("H200-SXM", "Llama-3.1-70B", Plan(tp=8), draft="Llama-3.1-8B",
    ...                length=np.arange(9), acceptance=0.8)
    >>> found.speedup[0].round(6), bool(found.speedup[found.best()] > 1.5)
    (np.float64(1.0), True)
    >>> found = decode("B200-SXM", "DeepSeek-R1", Plan(tp=8, weights="nvfp4", engine="trtllm"),
    ...                acceptance="DeepSeek-R1 MTP, reasoning", length=[1, 2, 3, 4, 5])
    >>> bool(found.speedup[2] > found.speedup[0])
    True
    """
    on = deployment(device, model, plan, fidelity)
    b, x = amounts("batch", batch), amounts("context", context)
    k, graphs = amounts("length", length), as_captured(captured)
    tokens, a = expected(acceptance, k)
    b, x, k, a, tokens = together(batch=b, context=x, length=k, acceptance=a, tokens=tokens)
    plain = step_fields(on.records, b, x, graphs)
    checked = verify_fields(on.records, b, x, k + 1.0, graphs)
    token_s, token_w, draft_bytes = draft_cost(
        on, draft, draft_plan, b, x, x + k, fidelity, plain, graphs
    )
    draft_s, verify_s = k * token_s, checked[..., STEP["time"]]
    with np.errstate(invalid="ignore"):
        joules = draft_s * token_w + verify_s * checked[..., STEP["watts"]]
        watts = joules / (draft_s + verify_s)
    return Speculation(
        k, a, b, tokens, draft_s, verify_s,
        plain[..., STEP["time"]], watts, on.calibration.error_band, on.calibration.calibrated_on,
        memory.fits(on.records, b, x + k, draft_bytes),
    )  # fmt: skip
