"""Decoding replicas of a search: plan by drafts by sequences, as columns of the kernel's terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference import memory
from tokenroof.serving.system.terms import decode_terms, rounds, shared_terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.loads import Load
    from tokenroof.serving.system.parts import Speculation

__all__ = ["States", "states"]

_SLOTS = _core.SERVING_FIELDS.index("slots")


@dataclass(frozen=True)
class States:
    """Replicas that hold so many sequences each.

    Attributes
    ----------
    on : sequence of Deployment
    drafts : sequence of Speculation or None
    plan, draft : ndarray
        Index into these, of each state.
    terms : dict of ndarray
        Of the kernel of systems.
    """

    on: Sequence[Deployment]
    drafts: Sequence[Speculation | None]
    plan: NDArray[np.intp]
    draft: NDArray[np.intp]
    terms: dict[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.plan)

    def of(self, rows: NDArray[np.intp]) -> States:
        """Some of them."""
        terms = {name: column[rows] for name, column in self.terms.items()}
        return States(self.on, self.drafts, self.plan[rows], self.draft[rows], terms)


def states(
    on: Sequence[Deployment],
    load: Load,
    drafts: Sequence[Speculation | None],
    batches: NDArray[np.float64],
    fidelity: str | Calibration,
    which: NDArray[Any] | None = None,
    fullest: bool = False,
) -> tuple[States, States]:
    """All that fit the memory, of the plans `which`: replicas that decode alone, and that do both.

    `drafts` are either [None] or numbers of drafts above zero. With `fullest` each plan is tried with as many
    sequences as its own memory holds too, which lie between two of `batches`.
    """
    found: tuple[list[Any], list[Any]] = ([], [])
    whole = load.input_tokens + load.output_tokens
    caches = {
        kind: float(on[0].model.kv_bytes(load.input_tokens, kind))
        for kind in dict.fromkeys(one.plan.kv_cache for one in on)
    }
    for i in np.arange(len(on)) if which is None else which:
        one = on[int(i)]
        tried = np.union1d(batches, _fullest(one, load, batches)) if fullest else batches
        some = tried[memory.fits(one.records, tried, whole)]
        if not some.size:
            continue  # not even one request fits
        served = kernels.serving(*one.records, some, load.input_tokens, load.output_tokens)
        how = rounds(one, some, load.context, drafts, fidelity)
        both = (
            decode_terms(one, load, some, how, None, caches[one.plan.kv_cache]),
            shared_terms(one, load, some, how, served),
        )
        for parts, columns in zip(found, both, strict=True):
            stays = np.asarray(columns["batch"] + columns["round_s"])
            good = np.isfinite(np.broadcast_to(stays, (len(drafts), some.size)))
            if good.any():
                parts.append((i, good, columns))
    return _gathered(on, drafts, found[0]), _gathered(on, drafts, found[1])


def _fullest(one: Deployment, load: Load, batches: NDArray[np.float64]) -> NDArray[np.float64]:
    """The most whole sequences that a plan's memory holds, where these are within what is tried."""
    served = kernels.serving(*one.records, 1.0, load.input_tokens, load.output_tokens)
    slots = np.floor(np.ravel(served[..., _SLOTS]))
    return np.asarray(slots[(slots >= batches[0]) & (slots <= batches[-1])])


def _gathered(
    on: Sequence[Deployment], drafts: Sequence[Speculation | None], parts: list[Any]
) -> States:
    """Columns of all parts, one after the other; a term that a part lacks is that of no drafts."""
    empty: NDArray[np.intp] = np.empty(0, dtype=np.intp)
    if not parts:
        return States(on, drafts, empty, empty, {})
    names = dict.fromkeys(name for *_, columns in parts for name in columns)
    counts = np.array([np.count_nonzero(good) for _, good, _ in parts])
    ends = np.cumsum(counts)
    terms = {name: np.empty(ends[-1]) for name in names}
    for (_, good, columns), end, many in zip(parts, ends, counts, strict=True):
        rows = slice(end - many, end)
        for name, column in terms.items():
            value = columns.get(name, 1.0 if name == "tokens" else 0.0)
            column[rows] = (
                value if np.ndim(value) == 0 else np.broadcast_to(value, good.shape)[good]
            )
    plan = np.repeat([i for i, *_ in parts], counts)
    draft = np.concatenate([np.nonzero(good)[0] for _, good, _ in parts])
    return States(on, drafts, plan, draft, terms)
