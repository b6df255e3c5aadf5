"""Systems of states and prefill replicas worked out: some at a time, without those that a bound rules out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.inference.door import resolved
from tokenroof.serving.search.axes import draft_lengths, prefills, runs, system_plans
from tokenroof.serving.search.choose import (
    combined,
    joinable,
    least_times,
    upper_bound,
    worth_trying,
)
from tokenroof.serving.search.constraints import alone_beyond, kept, miss
from tokenroof.serving.search.question import Pile, Question, links_of, reduced, worth_of
from tokenroof.serving.search.states import States, states
from tokenroof.support.pareto import pareto

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.search.axes import Prefill

    Kinds = tuple[States, States]
    Front = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]

__all__ = ["search"]

#: States that are looked at, and pairs that are worked out, at once: some 100 MB.
_STATES, _PAIRS = 4096, 16384


def _candidates(question: Question) -> list[Deployment]:
    """Replicas of all devices that pools may be of."""
    q, found = question, list[Any]()
    for device in (q.device, *q.others):
        plans = q.plans
        if plans is None:
            plans = system_plans(
                device, q.model, q.devices_max, q.engine, q.asked.types, q.asked.exclude
            )
        elif device is not q.device:
            plans = [plan for plan in plans if runs(device, q.model, plan)]
        found += resolved(device, q.model, q.asked.capped(device, plans), q.fidelity)
    return found


def search(question: Question, full: bool = False) -> list[Pile]:
    """Systems worked out: all of them, or but for those that a bound rules out.

    First those without drafts. A round takes at least the step that carries one token a sequence, and yields
    at most the tokens of the longest: plans of which even that would be no better than what was found are
    left out, and of the rest systems whose own bound is no better.
    """
    q, asked = question, question.asked
    on = _candidates(q)
    drafts = draft_lengths(q.model, asked.speculation, asked.exclude)
    if not on:
        return []
    first = None if "disaggregated" in asked.exclude else prefills(on, q.load)
    hunt = _Hunt(q, first, not full and q.power in ("provisioned", "dashboard"))

    def of(lengths: Any, which: NDArray[np.intp] | None) -> Kinds:
        return states(on, q.load, lengths, q.batches, q.fidelity, which, q.fullest)

    plain = of(drafts[:1], None)
    hunt.work_out(plain)
    rest = drafts[1:]
    if rest:
        most = max(spec.tokens for spec in rest if spec is not None)
        left = np.arange(len(on))
        if hunt.bounded:
            # the plans that are best without drafts show what the others have to pass
            seeds = hunt.best_plans()
            hunt.work_out(of(rest, seeds))
            left = np.setdiff1d(hunt.hopeful(plain, most), seeds)
        hunt.work_out(of(rest, left))
    hunt.nearest()
    return hunt.piles


def _front(parts: list[Front]) -> Front:
    """Speed, worth and plan of what no other beats."""
    speed, worth, plan = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    at = pareto(speed, worth)
    return speed[at], worth[at], plan[at]


def _nothing() -> Front:
    return np.empty(0), np.empty(0), np.empty(0, dtype=np.intp)


@dataclass
class _Hunt:
    """A search under way.

    Attributes
    ----------
    question : Question
    first : Prefill or None
        Replicas of prompts.
    bounded : bool
        Whether what is no better than was found is left out.
    piles : list of Pile
        What was worked out and may still count.
    keeps, misses : tuple of ndarray, and dict of them
        Speed, worth and plan of the best systems that keep to all constraints, and of those that miss one.
    looked : list
        States that were looked at, with their replicas of prompts.
    """

    question: Question
    first: Prefill | None
    bounded: bool
    piles: list[Pile] = field(default_factory=list)
    keeps: Front = field(default_factory=_nothing)
    misses: dict[str, Front] = field(default_factory=dict)
    looked: list[tuple[States, Prefill | None]] = field(default_factory=list)

    def work_out(self, kinds: Kinds) -> None:
        """Add the systems of some states."""
        alone, shared = kinds
        first, q = self.first, self.question
        if "both" not in q.asked.exclude and len(shared):
            self._add(shared, None, np.arange(len(shared)), False)
        if first is None or not len(first) or not len(alone) or not links_of(q).bandwidth.any():
            return
        rows = np.arange(len(alone))
        if self.bounded:
            bound = np.max(upper_bound(alone, first, q.load.output_tokens), axis=1)
            seeds = pareto(alone.terms["tokens"] / alone.terms["round_s"], bound)
            self._add(alone, first, seeds, False)
            rows = np.setdiff1d(rows, seeds)
        self._add(alone, first, rows, self.bounded)

    def best_plans(self) -> NDArray[np.intp]:
        """Plans of the systems that are not beaten yet."""
        return np.unique(np.concatenate([one[2] for one in (self.keeps, *self.misses.values())]))

    def hopeful(self, plain: Kinds, most: float) -> NDArray[np.intp]:
        """Plans of which a state would pass what was found, if a round of `most` tokens took a step."""
        found: list[NDArray[np.intp]] = [np.empty(0, dtype=np.intp)]
        for of, first in zip(plain, (self.first, None), strict=True):
            if not len(of) or (first is None and of is plain[0]):
                continue
            ideal = States(
                of.on, of.drafts, of.plan, of.draft, of.terms | {"tokens": np.full(len(of), most)}
            )
            for rows in _parts(np.arange(len(ideal)), _STATES):
                some = ideal.of(rows)
                found.append(some.plan[np.any(self._needed(some, first), axis=1)])
        return np.unique(np.concatenate(found))

    def nearest(self) -> None:
        """Where nothing keeps to the constraints, work out what misses them by least."""
        q, bounds = self.question, self.question.asked.bounds
        if not self.bounded or not bounds or self.keeps[0].size:
            return
        best = min(
            (float(np.min(miss(p.found.values, q.asked))) for p in self.piles), default=np.inf
        )
        for of, first in self.looked:
            for rows in _parts(np.arange(len(of)), _STATES):
                some = of.of(rows)
                times = least_times(some, first, links_of(q))
                least = np.max(
                    [times[name] / bounds[name] for name in times if name in bounds]
                    or [np.zeros_like(times["ttft"])],
                    axis=0,
                )  # fmt: skip
                least[~joinable(some, first, links_of(q), q.asked.devices)] = np.inf
                state, prefill = np.nonzero(least < best)
                order = np.argsort(least[state, prefill], kind="stable")
                for at in _parts(order, _PAIRS // 16):
                    if least[state[at[0]], prefill[at[0]]] >= best:
                        break
                    self._solve(of, first, rows[state[at]], prefill[at])
                    last = self.piles[-1].found.values
                    best = min(best, float(np.min(miss(last, q.asked))))

    def _add(
        self, of: States, first: Prefill | None, rows: NDArray[np.intp], bounded: bool
    ) -> None:
        """Work out the systems of some states, or those of them that a bound does not rule out."""
        q = self.question
        if bounded:
            self.looked.append((of, first))
        for part in _parts(rows, _STATES):
            some = of.of(part)
            mask = joinable(some, first, links_of(q), q.asked.devices)
            if bounded:
                mask &= self._needed(some, first)
            state, prefill = np.nonzero(mask)
            for at in _parts(np.arange(state.size), _PAIRS):
                self._solve(of, first, part[state[at]], prefill[at])

    def _solve(
        self, of: States, first: Prefill | None, state: NDArray[np.intp], prefill: NDArray[np.intp]
    ) -> None:
        q = self.question
        found = combined(
            of, first, state, prefill, links_of(q), q.load.output_tokens, q.asked.devices
        )
        if not len(found):
            return
        pile = reduced(Pile(of, first, found), q)
        self.piles.append(pile)
        speed, worth, plan = pile.found.speed, worth_of(pile, q), of.plan[pile.found.state]

        def put(before: Front, mask: NDArray[np.bool_]) -> Front:
            return _front([before, (speed[mask], worth[mask], plan[mask])])

        self.keeps = put(self.keeps, kept(pile.found, q.asked))
        for name, mask in alone_beyond(pile.found.values, q.asked).items():
            self.misses[name] = put(self.misses.get(name, _nothing()), mask)

    def _needed(self, of: States, first: Prefill | None) -> NDArray[np.bool_]:
        """Pairs of a state and prefill replicas that may pass what was found.

        One that is sure to miss a constraint, and no other, can only say that it binds: others that miss
        it alone are what it has to pass too. One that is sure to miss two says nothing.
        """
        q, bounds = self.question, self.question.asked.bounds
        bound = upper_bound(of, first, q.load.output_tokens)
        times = least_times(of, first, links_of(q))
        speed = np.broadcast_to(1.0 / times["tpot"], bound.shape)
        good = worth_trying(bound, speed, self.keeps[:2])
        missed = {name: time > bounds[name] for name, time in times.items() if name in bounds}
        many = np.sum([*missed.values(), np.zeros(bound.shape)], axis=0)
        for name, mask in missed.items():
            best = self.misses.get(name, _nothing())
            good &= ~mask | ((many < 2.0) & worth_trying(bound, speed, best[:2]))
        return good


def _parts(rows: NDArray[np.intp], size: int) -> Iterator[NDArray[np.intp]]:
    """So many rows at a time."""
    for start in range(0, rows.size, size):
        yield rows[start : start + size]
