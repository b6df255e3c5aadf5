"""How long a round of a mixture's data-parallel ranks takes, which meet at the experts and step as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tokenroof import _core, kernels
from tokenroof.serving.prompts import beside, central_moments, further, padded_decode, slower

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.prompts import Prompts

__all__ = [
    "StepsOf",
    "carrying",
    "fullest",
    "round_beside",
    "round_decode",
    "round_further",
]

_TURNS = 24
_TIME, _EXCHANGES = (_core.STEP_FIELDS.index(name) for name in ("time", "communication_s"))


class _Lengths(Protocol):
    """What of a load's `Shape` steps depend on."""

    @property
    def input_tokens(self) -> float:
        """Of a prompt [1]."""

    @property
    def context(self) -> float:
        """Of a sequence that decodes [1]."""

    @property
    def prompts(self) -> Prompts:
        """Lengths of prompts, and their shares."""


@dataclass(frozen=True, slots=True)
class StepsOf:
    """Steps of a replica under a load, or rounds where it has ranks that wait for one another.

    Attributes
    ----------
    on : Deployment
    shape : Shape
    graphs : ndarray
        Sizes of captured graphs [1].
    budget : float
        Tokens of a step of one rank [1].
    """

    on: Deployment
    shape: _Lengths
    graphs: NDArray[np.float64]
    budget: float

    @property
    def ranks(self) -> int:
        """Ranks that step as one: 1 of a dense model, whose ranks wait for nobody.

        And of prompts beyond a step, which come in pieces: those are taken as of one rank, and held nowhere.
        """
        fits = self.shape.input_tokens <= self.budget
        return int(self.on.plan.dp) if self.on.model.experts and fits else 1

    def decode(self, sequences: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of so many without prompts [s]."""
        of = round_decode if self.ranks > 1 else padded_decode
        return of(self.on, sequences, self.shape.context, self.graphs)

    def beside(self, sequences: NDArray[np.float64]) -> NDArray[np.float64]:
        """With one prompt: mean, variance, third central moment [s], [s2], [s3]."""
        given = self.on, sequences, self.shape.context, self.shape.prompts
        return round_beside(*given, self.graphs) if self.ranks > 1 else beside(*given)

    def further(
        self, sequences: NDArray[np.float64], others: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """What each further prompt adds, of so many [s]."""
        given = self.on, sequences, self.shape.context
        if self.ranks > 1:
            return round_further(*given, self.shape.prompts, others, self.graphs)
        return further(*given, self.shape.input_tokens, others)

    def once(
        self, came: NDArray[np.float64], seconds: tuple[NDArray[np.float64], ...]
    ) -> NDArray[np.float64]:
        """How often prompts, of which so many come in a step's time, are the first of theirs [1].

        With ranks a first one lengthens the round most, and more come in long ones.
        """
        if self.ranks > 1:
            return carrying(came, *seconds)
        return np.asarray(-np.expm1(-came) / np.maximum(came, 1e-9))


def carrying(
    came: NDArray[np.float64],
    step: NDArray[np.float64],
    begin: NDArray[np.float64],
    each: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Steps that carry prompts, over prompts: long ones follow one another, as more come in them.

    Parameters
    ----------
    came : ndarray
        Prompts in a step's time, in the mean over all steps [1].
    step, begin, each : ndarray
        Seconds of a step without prompts, what the first one adds beyond each, and what each adds [s].

    Returns
    -------
    ndarray
        [1].
    """
    share = -np.expm1(-came)
    for _ in range(_TURNS):
        rate = came / (step + begin * share + each * came)
        begins = -np.expm1(-rate * step)
        stops = np.exp(-rate * (step + begin + each * came / np.maximum(share, 1e-300)))
        # the higher the share the fewer begin: half of the way, so that it settles
        share = 0.5 * (share + begins / np.maximum(begins + stops, 1e-300))
    return np.where(came > 1e-9, share / np.maximum(came, 1e-9), 1.0)


def fullest(sequences: ArrayLike, ranks: int) -> NDArray[np.float64]:
    """Sequences of the fullest rank, of so many on all.

    A request goes to the emptiest rank, so that ranks differ by one at most when it comes; and answers end on
    any, so that one is full by the whole one.

    Parameters
    ----------
    sequences : array_like
        On all ranks [1].
    ranks : int

    Returns
    -------
    ndarray
        [1].

    Examples
    --------
    >>> fullest([1.0, 4.0, 9.0], 4).tolist()
    [1.0, 1.75, 3.0]
    """
    return np.asarray((np.maximum(np.asarray(sequences, np.float64), 1.0) + (ranks - 1.0)) / ranks)


def round_decode(
    on: Deployment, sequences: NDArray[np.float64], context: float, graphs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Seconds of rounds without prompts: every rank runs what the fullest one does, as a captured graph.

    A rank without a sequence runs a dummy one.

    Parameters
    ----------
    on : Deployment
    sequences : ndarray
        On all ranks [1].
    context : float
        Of each [1].
    graphs : ndarray
        Sizes of captured graphs [1].

    Returns
    -------
    ndarray
        [s].
    """
    ranks = on.plan.dp
    most = fullest(sequences, ranks)
    low = np.floor(most)
    own = np.stack([low, low + 1.0])
    wide = own + _padding(own, graphs)
    seconds = np.asarray(kernels.decode_time(*on.records, ranks * wide, context * own / wide))
    return np.asarray(seconds[0] + (most - low) * (seconds[1] - seconds[0]))


def _padding(tokens: NDArray[np.float64], graphs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tokens that a captured graph computes beyond those that are there."""
    sizes = np.append(graphs, np.inf)
    found = sizes[np.searchsorted(sizes, np.ceil(tokens))]
    return np.where(np.isfinite(found), found - tokens, 0.0)


def _company(sequences: NDArray[np.float64], ranks: int) -> NDArray[np.float64]:
    """How often the emptiest rank, to which a prompt goes, has a sequence that decodes."""
    return np.asarray(np.clip((sequences - (ranks - 1.0)) / ranks, 0.0, 1.0))


def _carrying(
    on: Deployment,
    sequences: NDArray[np.float64],
    context: float,
    tokens: NDArray[np.float64],
    prompts: ArrayLike,
    carriers: ArrayLike,
    graphs: NDArray[np.float64],
    all_carry: ArrayLike = False,
) -> NDArray[np.float64]:
    """Seconds of rounds of which some ranks carry prompts, by what the fullest one has.

    Captured graphs are padded to the fullest rank's on all; a rank without a prompt then runs as many
    sequences, and may be the slower one. Of others the experts see the tokens that there are, and the
    exchanges, by broadcasts, what `StepTable.missing` says.

    Parameters
    ----------
    sequences : ndarray
        On all ranks [1]; with 0 the prompts have the round for themselves.
    context : float
        Of each [1].
    tokens : ndarray
        Of each of its prompts [1].
    prompts, carriers : array_like
        Its prompts [1], and the tokens of all ranks' prompts over those of its own.
    all_carry : array_like of bool
        Whether no rank is without.
    """
    ranks = float(on.plan.dp)
    own = np.where(sequences > 0.0, fullest(sequences, on.plan.dp), 0.0)
    own, tokens, prompts, carriers = np.broadcast_arrays(own, tokens, prompts, carriers)
    pads = _padding(own + prompts * tokens, graphs)
    captured = own + prompts * tokens <= graphs.max(initial=0.0)
    rows = own + pads
    some = np.maximum(rows, 1.0)
    shape = ranks * some, context * own / some
    beside = kernels.mixed_prompts_time(*on.records, *shape, ranks * prompts, tokens, 0.0)
    alone = kernels.prompts_time(*on.records, ranks * prompts, tokens, 0.0)
    company = _company(sequences, on.plan.dp) * slower(on, tokens, prompts=prompts)
    every = np.where(rows > 0.0, beside, alone) + company
    whole = prompts * tokens
    all_, one = (
        np.asarray(kernels.mixed_prompts_step(*on.records, ranks * some, 1.0, k, whole, 0.0))
        for k in (ranks, 1.0)
    )
    shared = (ranks - 2.0) * ranks / (ranks - 1.0) ** 2
    fewer = all_ - one
    less = np.maximum(fewer[..., _TIME] - (1.0 - shared) * fewer[..., _EXCHANGES], 0.0)
    wide = own + pads + prompts * tokens
    padded = np.asarray(kernels.decode_time(*on.records, ranks * wide, context * own / wide))
    together = np.maximum(every, np.where(np.asarray(all_carry), 0.0, padded))
    apart = every - less * (ranks - carriers) / (ranks - 1.0)
    return np.asarray(np.where(captured, together, apart))


def round_beside(
    on: Deployment,
    sequences: NDArray[np.float64],
    context: float,
    prompts: Prompts,
    graphs: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Of a round in which one rank carries one prompt: mean, variance, third central moment.

    Parameters
    ----------
    on : Deployment
    sequences : ndarray
        That decode on all ranks [1]; with 0 the prompt has the round for itself.
    context : float
        Of each [1].
    prompts : Prompts
    graphs : ndarray
        Sizes of captured graphs [1].

    Returns
    -------
    ndarray, (*sequences, 3)
        [s], [s2], [s3].
    """
    at, share = prompts
    seconds = _carrying(on, sequences[..., None], context, at, 1.0, 1.0, graphs)
    return central_moments(seconds, share)


def round_further(
    on: Deployment,
    sequences: NDArray[np.float64],
    context: float,
    prompts: Prompts,
    others: NDArray[np.float64],
    graphs: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Seconds that each further prompt adds to a round that has one: the mean over so many, one and more.

    Each goes to another rank while there is one without, and the round lasts as the longest of them takes:
    of more than there are ranks the fullest one has several.

    Parameters
    ----------
    on, sequences, context, prompts, graphs
        As of `round_beside`.
    others : ndarray
        Further ones [1].

    Returns
    -------
    ndarray
        [s].
    """
    at, share = prompts
    ranks = float(on.plan.dp)
    many = np.maximum(others, 1.0)
    below = np.cumsum(share)
    shorter = np.cumsum(at * share) / below  # mean of those no longer than each
    found = []
    for k in (np.ones_like(many), 1.0 + many):
        with_some = np.minimum(k, ranks)[..., None]
        each = (np.maximum(k + 0.5 * (ranks - 1.0), ranks) / ranks)[..., None]  # whole ones
        longest = np.diff(np.minimum(below, 1.0) ** with_some, prepend=0.0)
        # beyond the longest one the fullest rank has others, as long as all
        whole = at + (each - 1.0) * float(at @ share)
        all_ = at + (with_some - 1.0) * shorter + (k[..., None] - with_some) * float(at @ share)
        carriers = np.clip(all_ / whole, 1.0, ranks)
        seconds = _carrying(
            on, np.maximum(sequences, 1.0)[..., None], context, whole / each, each, carriers, graphs,
            with_some >= ranks,
        )  # fmt: skip
        found.append((seconds * longest).sum(axis=-1))
    return np.asarray(np.maximum((found[1] - found[0]) / many, 1e-9))
