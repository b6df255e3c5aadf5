"""How long the steps of a simulation take: a line for tests, or a table of the step kernels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.serving.prompts import SLOWER, ungapped_prompts
from tokenroof.serving.simulation.energy import TIME, side_by_side, step_joules
from tokenroof.support.arguments import finite_number, is_integer, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.simulation.limits import Limits

_JOULES = ("mixed_watts", "several_j", "decode_j")
_TILE = 64.0  # tokens at whose multiples products take another tile, beside those below
_FIRST_TILES = (8.0, 16.0, 32.0)
_QUERIES = 600.0  # of a prompt; beyond, a tile of attention more changes little
_EXCHANGES = _core.STEP_FIELDS.index("communication_s")

__all__ = ["StepTable", "StepTime", "step_table"]


@dataclass(frozen=True)
class StepTime:
    """A step's time as a line: fixed + per_token tokens + per_context_token contexts + per_draft drafts.

    Parameters
    ----------
    fixed_ns : int
        Of each step [ns].
    per_token_ns : int
        Of each token that it carries [ns].
    per_context_token_ns : int
        Of each token in the contexts of those sequences that are past their prompt, the new token
        among them [ns].
    watts, idle_watts : float, optional
        What a replica draws in a step and between steps [W]; energy is not known without.
    per_draft_ns : int
        Of each token that was drafted for the step, beside what it takes as one of its tokens [ns].

    Raises
    ------
    ValueError
        For a time that is no whole number of zero and more, watts that are negative, or one of the two
        without the other.

    Examples
    --------
    >>> StepTime(5_000_000, 10_000, 2).clock()["fixed_ns"]
    5000000
    """

    fixed_ns: int
    per_token_ns: int = 0
    per_context_token_ns: int = 0
    watts: float | None = None
    idle_watts: float | None = None
    per_draft_ns: int = 0

    def __post_init__(self) -> None:
        for name in ("fixed_ns", "per_token_ns", "per_context_token_ns", "per_draft_ns"):
            value = getattr(self, name)
            if not is_integer(value) or not 0 <= value <= 10**15:
                raise ValueError(
                    f"{name} is {shown(value)}; allowed: whole numbers from 0 to 10**15"
                )
            object.__setattr__(self, name, int(value))
        if (self.watts is None) != (self.idle_watts is None):
            raise ValueError(
                f"watts is {shown(self.watts)} with idle_watts {shown(self.idle_watts)}; allowed: both "
                "or none"
            )
        for name in ("watts", "idle_watts"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, finite_number(name, getattr(self, name)))

    def clock(self) -> dict[str, Any]:
        """As the compiled simulator takes it."""
        times = ("fixed_ns", "per_token_ns", "per_context_token_ns", "per_draft_ns")
        return {
            **{name: getattr(self, name) for name in times},
            "watts": np.nan if self.watts is None else self.watts,
            "idle_watts": np.nan if self.idle_watts is None else self.idle_watts,
        }


@dataclass(frozen=True, eq=False)
class StepTable:
    """Times of steps at points, linear between them.

    A step with prompts takes what one prompt of all its tokens takes, and more: see the arrays. Products see
    the sum of tokens alone, and jump where it needs another tile: both sides of each are points.

    Attributes
    ----------
    axes : tuple of ndarray
        Sequences past their prompt [1]; mean context of them [token]; tokens of prompts [1]; tokens
        cached before them [1]; prompts [1]; sequences of steps without prompts [1]; tokens of a step [1].
    whole : ndarray
        Time of one prompt of all tokens of a step [ns].
    beside : ndarray
        Over sequences and tokens of prompts, what is more because those sequences are past theirs [ns].
    cached : ndarray
        Over tokens of prompts and those before them, what these add [ns].
    several : ndarray
        Over tokens of prompts and prompts, what it takes off that they are several [ns].
    decode : ndarray
        Time without prompts, over sequences and mean context [ns].
    attended : ndarray
        Over the same, what contexts add beside prompts [ns].
    joules : tuple of ndarray
        Watts over the first four axes, of steps with prompts [W]; `several` and `decode` once more, of the
        energy of the boards of a replica [J].
    idle_watts : float
        What they draw while nothing runs [W]; NaN, with all joules, where the device's power is unknown.
    missing : ndarray, optional
        Of ranks that share experts: over tokens of prompts and sequences of one, what each token takes off
        that other ranks have fewer [ns].
    alone : ndarray, optional
        Time of the kernels of one prompt of all tokens of a step, without gaps; none where nothing is slower
        [ns].
    slower : float
        Share of that, and of what is cached, that prompts take more beside sequences past theirs [1].
    """

    axes: tuple[NDArray[np.float64], ...]
    whole: NDArray[np.float64]
    beside: NDArray[np.float64]
    cached: NDArray[np.float64]
    several: NDArray[np.float64]
    decode: NDArray[np.float64]
    attended: NDArray[np.float64]
    joules: tuple[NDArray[np.float64], ...]
    idle_watts: float
    missing: NDArray[np.float64] | None = None
    alone: NDArray[np.float64] | None = None
    slower: float = 0.0

    def clock(self, limits: Limits) -> dict[str, Any]:
        """As the compiled simulator takes it."""
        ranks = {} if self.missing is None else {"missing": self.missing}
        longer = {} if self.alone is None else {"alone": self.alone, "slower": self.slower}
        return {
            **ranks,
            **longer,
            "axes": [axis.tolist() for axis in self.axes],
            "whole": self.whole,
            "beside": self.beside,
            "cached": self.cached,
            "several": self.several,
            "decode": self.decode,
            "attended": self.attended,
            "padded": limits.graphs.tolist(),
            "pads_prompts": limits.pads_prompts,
            "host_ns": limits.host_ns,
            "idle_watts": self.idle_watts,
            **(
                dict(zip(_JOULES, self.joules, strict=True)) if np.isfinite(self.idle_watts) else {}
            ),
        }


def _grid(most: float, ratio: float, first: float = 1.0) -> NDArray[np.float64]:
    """0, then whole steps that grow by about a ratio, up to `most` and a point beyond."""
    points = [0.0, first]
    while points[-1] < most:
        points.append(max(points[-1] + 1.0, round(points[-1] * ratio)))
    return np.array(points)


def step_table(on: Deployment, limits: Limits, longest: float) -> StepTable:
    """The step kernels over what steps of a scheduler can carry; of data-parallel ranks, one rank's steps
    where all others carry the same.

    Parameters
    ----------
    on : Deployment
    limits : Limits
        A scheduler's.
    longest : float
        The most tokens of one request [1].

    Returns
    -------
    StepTable
        The same record for the same question: the last ones are kept, and nobody writes to them.
    """
    key = _key(on, limits, longest)
    with _LOCK:
        if key in _KEPT:
            _KEPT.move_to_end(key)
            return _KEPT[key]
    with np.errstate(divide="ignore", invalid="ignore"):  # an ideal step of nothing takes no time
        table = _tabulated(on, limits, longest)
    with _LOCK:
        _KEPT[key] = table
        while len(_KEPT) > _MOST_KEPT:
            _KEPT.popitem(last=False)
    return table


_KEPT: OrderedDict[Hashable, StepTable] = OrderedDict()
_LOCK = Lock()
_MOST_KEPT = 8


def _key(on: Deployment, limits: Limits, longest: float) -> Hashable:
    """All that a table depends on: of the longest request the points that reach it."""
    return (
        *(record.tobytes() for record in on.records), on.plan.dp, on.plan.pp, limits.sequences,
        limits.step_tokens, limits.sizes.tobytes(), *_reach(longest)[0], *_reach(longest)[1],
    )  # fmt: skip


def _reach(longest: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points of mean contexts, and of tokens cached before a prompt's."""
    context = _grid(longest, 2.0, 64.0)  # windows mostly end at powers of two
    return np.unique([*context, *(0.75 * context[2:])]), _grid(longest, 2.0, 256.0)


def _both_sides(most: float) -> NDArray[np.float64]:
    """The last tokens of each tile and the first of the next, up to `most`."""
    ends = np.array([*_FIRST_TILES, *np.arange(_TILE, most, _TILE)])
    ends = ends[ends < most]
    return np.concatenate((ends, ends + 1.0))


def _tabulated(on: Deployment, limits: Limits, longest: float) -> StepTable:
    most = limits.step_tokens
    context, past = _reach(longest)
    sequences = _grid(min(limits.sequences, most), 1.4)
    # with a prompt's last token, the head has one row more than there are sequences
    heads = np.array([_TILE - 1.0, _TILE, 2.0 * _TILE - 1.0, 2.0 * _TILE])
    sequences = np.unique([*sequences, *heads[heads < sequences[-1]]])
    tokens = np.unique([*_grid(most, 1.15), *_both_sides(min(most, _QUERIES))])
    whole = np.unique([*_grid(most, 1.1), *np.arange(min(most, _TILE)), *_both_sides(most)])
    prompts = _grid(min(limits.sequences, 64), 1.5)[1:]
    ranks, spread = on.plan.dp, on.plan.dp * on.plan.pp  # of a batch in flight, all pp of them
    times = _steps(on, ranks, spread, (sequences, tokens, past, whole))
    some, k = np.meshgrid(
        np.maximum(tokens, 1.0), np.append(prompts, 2.0 * prompts[-1]), indexing="ij"
    )
    one = np.asarray(kernels.prompts_step(*on.records, 1.0 * ranks, some[:, :1], 0.0))
    each = some / k
    each = np.where(each * k > some, np.nextafter(each, 0.0), each)  # not a tile more by rounding
    many = np.asarray(kernels.prompts_step(*on.records, k * ranks, np.maximum(each, 1.0), 0.0))
    several = np.where(k <= some, one[..., TIME] - many[..., TIME], 0.0)
    # every captured size, and both sides of it, where nothing is padded; both sides of tiles
    dense = np.unique(
        [
            *sequences, *limits.sizes, *(limits.sizes + 1.0), *_grid(sequences[-1], 1.1),
            *_both_sides(sequences[-1]),
        ]
    )  # fmt: skip
    dense = dense[dense <= sequences[-1]]
    steps = side_by_side(kernels.decode_step, on, spread * dense[:, None], context)
    decode = steps[..., TIME].copy()
    decode[0] = 0.0
    attended = _attended(on, ranks, spread, (dense, context), decode)
    axes = (sequences, context, tokens, past, k[0].copy(), dense, whole)
    alone = spread == 1
    joules, idle = step_joules(on, axes, (one, many), steps) if alone else ((), np.nan)
    planes = tuple(np.ascontiguousarray(1e9 * t) for t in (*times, several, decode, attended))
    missing = None if ranks == 1 else _missing(on, ranks, sequences, tokens)
    slower = float(on.records[1][SLOWER]) - 1.0
    own = None if slower == 0.0 else 1e9 * ungapped_prompts(on, np.maximum(whole, 1.0))
    for array in (*axes, *planes, *joules, missing, own):
        if array is not None:
            array.flags.writeable = False  # it is kept, and shared
    every, beside, cached, several, decode, attended = planes
    return StepTable(
        axes, every, beside, cached, several, decode, attended, joules, idle, missing,
        own, slower,
    )  # fmt: skip


def _steps(
    on: Deployment, ranks: int, spread: int, axes: tuple[NDArray[np.float64], ...]
) -> tuple[NDArray[np.float64], ...]:
    """`whole`, `beside`, `cached` of a table [s] over sequences, prompts' tokens, those before, all tokens.

    Attention alone sees contexts, each sequence its own: what they add to a batch that decodes, and what was
    cached adds to a prompt, know nothing of one another.
    """
    sequences, tokens, past, whole = axes
    b, n = sequences[1:, None], tokens[1:]
    prompt = _prompts(on, ranks, n[:, None], past)
    cached = np.zeros((len(tokens), len(past)))
    cached[1:] = prompt - prompt[:, :1]
    beside = np.zeros((len(sequences), len(tokens)))
    beside[1:, 1:] = _mixed(on, spread * b, 0.0, ranks, n, 0.0) - _prompts(on, ranks, b + n, 0.0)
    beside[:, 0] = beside[:, 1]
    return _prompts(on, ranks, np.maximum(whole, 1.0), 0.0), beside, cached


def _attended(
    on: Deployment, ranks: int, spread: int, axes: tuple[NDArray[np.float64], ...],
    decode: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """What contexts add beside prompts [s]: as without, where rows beside them do not run otherwise."""
    dense, context = axes
    alone = decode - decode[:, :1]
    probe = _mixed(on, spread * dense[-1], context[[0, -1]], ranks, 1.0, 0.0)
    if np.isclose(probe[1] - probe[0], alone[-1, -1], rtol=1e-6):
        return alone
    beside = _mixed(on, spread * dense[1:, None], context, ranks, 1.0, 0.0)
    return np.concatenate((alone[:1], beside - beside[:, :1]))


def _mixed(on: Deployment, batch: Any, context: Any, prompts: int, tokens: Any, past: Any) -> Any:
    """Steps with so many equal prompts beside a decode batch [s]."""
    if prompts == 1:
        return side_by_side(kernels.mixed_time, on, batch, context, tokens, past)
    return side_by_side(kernels.mixed_prompts_time, on, batch, context, 1.0 * prompts, tokens, past)


def _prompts(on: Deployment, prompts: int, tokens: Any, past: Any) -> Any:
    if prompts == 1:
        return side_by_side(kernels.prefill_time, on, tokens, past)
    return side_by_side(kernels.prompts_time, on, 1.0 * prompts, tokens, past)


def _missing(
    on: Deployment, ranks: int, sequences: NDArray[np.float64], tokens: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What a token takes off that other ranks do not have [ns], of steps in which one has a prompt.

    Of the exchanges with the experts it takes off less: ranks with unlike numbers of tokens broadcast them
    (vllm/distributed/device_communicators/pynccl.py: all_gatherv, reduce_scatterv), and the link of a ring
    that carries most carries all but its neighbour's. Of `ranks` of which one has more, that is
    ``(ranks - 2) ranks / (ranks - 1)**2`` of what tokens spread evenly would take off: none of two.
    """
    n, b = np.meshgrid(np.maximum(tokens, 1.0), sequences, indexing="ij")
    context = 1.0  # experts do not see it
    shape = ranks * b, context
    everywhere = side_by_side(kernels.mixed_prompts_step, on, *shape, 1.0 * ranks, n, 0.0)
    alone = side_by_side(kernels.mixed_step, on, *shape, n, 0.0)
    spread = (ranks - 2) * ranks / (ranks - 1) ** 2
    fewer = everywhere - alone
    less = fewer[..., TIME] - (1.0 - spread) * fewer[..., _EXCHANGES]
    return np.ascontiguousarray(1e9 * np.maximum(less, 0.0) / ((ranks - 1) * n))
