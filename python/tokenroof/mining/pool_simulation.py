"""Pools and miners played out: paths of blocks, shares and fees."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from tokenroof import _core
from tokenroof.mining.pools import PoolTerms, Terms, without_reserve
from tokenroof.support.arguments import check_options, finite_number, shown, whole_number
from tokenroof.support.equality import by_value
from tokenroof.support.processors import thread_count

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A path's events are numbered in 32 bits; shares are counted in floats.
_MOST_EVENTS = 1e9
_MOST_SHARES = 1e15
_MOST_PATHS = 10**9
# Blocks that wait for the end of their window: each thread keeps them for some paths at once, 25 MB of them.
_MOST_WAITING = 1e5


@by_value
@dataclass(frozen=True)
class PoolSimulation:
    """What many paths show, each figure with its standard error.

    Attributes
    ----------
    scheme, party : str
    paths, seed : int
    mean_btc, mean_error_btc : float
        Income over the time, before costs [BTC].
    variance_btc2, variance_error_btc2 : float
        [BTC^2].
    quantiles : tuple of float
        The probabilities asked for [1].
    quantiles_btc, quantiles_error_btc : ndarray
        Their incomes [BTC].
    ruin, ruin_error : float
        Part of the paths whose balance falls below zero within the time; NaN without a reserve. The
        error counts half a path of each kind more, so that it is not zero where no path is ruined.
    income_btc, ruin_time_s : ndarray
        Of each path; infinite where it is not ruined [BTC], [s].
    """

    scheme: str
    party: str
    paths: int
    seed: int
    mean_btc: float
    mean_error_btc: float
    variance_btc2: float
    variance_error_btc2: float
    quantiles: tuple[float, ...]
    quantiles_btc: NDArray[np.float64]
    quantiles_error_btc: NDArray[np.float64]
    ruin: float
    ruin_error: float
    income_btc: NDArray[np.float64] = field(repr=False)
    ruin_time_s: NDArray[np.float64] = field(repr=False)


class SimulationOptions(PoolTerms, total=False):
    """The pool's terms, and on what `simulate_pool` runs; see there."""

    threads: int | None
    progress: Callable[[int, int], Any] | None
    device: str | None


def simulate_pool(
    scheme: str,
    hashrate: float,
    difficulty: float,
    seconds: float,
    *,
    window_filled: bool = True,
    reserve_btc: float | None = None,
    cost_btc_per_s: float = 0.0,
    party: str = "miner",
    paths: int = 100_000,
    seed: int = 0,
    quantiles: float | Sequence[float] = (0.05, 0.5, 0.95),
    **options: Unpack[SimulationOptions],
) -> PoolSimulation:
    """Play a miner's or a pool's income: blocks, shares and fees at random, over many paths.

    Runs without the GIL; Ctrl-C stops it within 50 ms. A seed gives the same answer on any number of
    threads, any processor and any CUDA device: each number is a function of seed, path and event.

    Parameters
    ----------
    scheme, hashrate, difficulty, seconds, subsidy_btc, fees_btc, fees_std_btc, fee, pool_hashrate, \
share_difficulty, window_blocks
        As in `pool_income`, each one number. Fees are lognormal.
    window_filled : bool
        Whether the miner has mined for a window before the time begins; if not, PPLNS pays little at first.
    reserve_btc : float, optional
        What the party starts with [BTC].
    cost_btc_per_s : float
        What the party spends beside paying for shares [BTC/s].
    party : {"miner", "pool"}
    paths, seed : int
    quantiles : float or sequence of float
        Probabilities of the incomes to report [1].
    threads : int, optional
        All that may run by default.
    progress : callable, optional
        Called with paths done and paths in all, every 100 ms and at the end.
    device : str, optional
        "cuda", "cuda:1" ...: play on that CUDA device instead of the processor.

    Returns
    -------
    PoolSimulation
        Mean and quantiles [BTC], variance [BTC^2] and ruin [1], and the paths they come from.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and what is allowed.
    MemoryError, RuntimeError
        If a CUDA device has no room, or fails.
    KeyboardInterrupt
        On Ctrl-C.

    Notes
    -----
    A PPLNS window counts the shares of a time, N of the pool's on average, and the miner's at random; the
    work is that of the blocks within `seconds`, however long it is. At most 100,000 may wait for its end. A
    balance is looked at before each block; between two, a PPS+ miner's shares are paid evenly. A miner
    with a reserve who is paid per share is played share by share.

    References
    ----------
    Rosenfeld, arXiv:1112.4980; Salmon et al., Parallel random numbers, SC'11, for Philox4x32-10.

    Examples
    --------
    >>> month = simulate_pool("SOLO", 1e18, 1e14, 30 * 86400, paths=20_000, seed=1)
    >>> expected = 18.859282
    >>> abs(month.mean_btc - expected) < 4 * month.mean_error_btc
    True
    """
    check_options("simulate_pool", options, SimulationOptions)
    threads, progress = options.pop("threads", None), options.pop("progress", None)
    device = options.pop("device", None)
    terms = _terms(scheme, hashrate, difficulty, party, options)
    count, start = (
        whole_number("paths", paths, 2, _MOST_PATHS),
        whole_number("seed", seed, 0, 2**64 - 1),
    )
    workers = thread_count(threads)
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is {shown(progress)}; allowed: a function or None")
    number = None if device is None else _cuda_device(device)
    wanted = _probabilities(quantiles)
    if not isinstance(window_filled, (bool, np.bool_)):
        raise TypeError(f"window_filled is {shown(window_filled)}; allowed: True or False")
    if reserve_btc is None:
        without_reserve(cost_btc_per_s)
    model = _model(
        terms, party, finite_number("seconds", seconds), bool(window_filled),
        None if reserve_btc is None else finite_number("reserve_btc", reserve_btc),
        finite_number("cost_btc_per_s", cost_btc_per_s),
    )  # fmt: skip
    income, ruin_time = np.empty(count), np.empty(count)
    packed = np.array([model[name] for name in _core.POOL_FIELDS])
    if number is None:
        _core.simulate_pool(_core.ISA, packed, start, 0, income, ruin_time, workers, progress)
    else:
        from tokenroof.cuda.module import module

        module().simulate_pool(packed, start, 0, income, ruin_time, number, progress)
    mean, mean_error, variance, variance_error = _moments(income)
    at, at_error = _quantiles(income, wanted)
    ruin, ruin_error = (math.nan, math.nan) if reserve_btc is None else _ruin(ruin_time)
    return PoolSimulation(
        terms.scheme, party, count, start, mean, mean_error, variance, variance_error, wanted, at, at_error,
        ruin, ruin_error, income, ruin_time,
    )  # fmt: skip


def _terms(scheme: str, hashrate: float, difficulty: float, party: str, given: PoolTerms) -> Terms:
    """The terms of one miner and one pool: no arrays."""
    rate, hard = _one("hashrate", hashrate), _one("difficulty", difficulty)
    if given.get("pool_hashrate") is not None:
        given = {**given, "pool_hashrate": _one("pool_hashrate", given["pool_hashrate"])}
    return Terms.checked(scheme, rate, hard, party, **given)


def _one(name: str, value: object) -> float:
    return finite_number(name, value, above=True)


def _probabilities(quantiles: float | Sequence[float]) -> tuple[float, ...]:
    listed = quantiles if isinstance(quantiles, Iterable) else [quantiles]
    wanted = tuple(finite_number("quantiles", q) for q in listed)
    for q in wanted:
        if q > 1.0:
            raise ValueError(f"quantiles has {q:g}; allowed: 0 to 1")
    return wanted


def _cuda_device(device: object) -> int:
    """Number of the CUDA device that is asked for."""
    if not isinstance(device, str):
        raise TypeError(f"device is {shown(device)}; allowed: None, 'cuda' or 'cuda:0'")
    if device != "cuda" and not device.startswith("cuda:"):
        raise ValueError(f"device is {shown(device)}; allowed: None, 'cuda' or 'cuda:0'")
    from tokenroof.cuda.scan import devices_of

    return devices_of(device, "device")[0]


def _model(
    terms: Terms, party: str, seconds: float, filled: bool, reserve: float | None, cost: float
) -> dict[str, float]:
    """The fields of `_core.POOL_FIELDS`."""
    flow = terms.flow(party)
    relative = terms.fees_std_btc / terms.fees_btc if terms.fees_btc else 0.0
    sigma = math.sqrt(math.log1p(relative**2))
    model = {
        "horizon_s": seconds, "block_rate": flow.blocks, "share_rate": flow.shares,
        "block_gain": flow.block_btc, "fee_gain": flow.fee_part if terms.fees_btc else 0.0,
        "share_gain": flow.share_btc, "fee_scale": terms.fees_btc * math.exp(-0.5 * sigma * sigma),
        "fee_sigma": sigma, "reserve": math.inf if reserve is None else reserve, "cost_rate": cost,
        "window_s": 0.0, "window_shares": 1.0, "window_filled": float(filled),
    }  # fmt: skip
    if flow.windowed:
        model |= {
            "window_s": terms.window_blocks / flow.blocks,
            "window_shares": terms.window_shares,
        }
    elif flow.share_btc == 0.0:
        model["share_rate"] = 0.0
    elif party == "pool":  # a block is a share too
        model["share_rate"] = flow.shares - flow.blocks
        model["block_gain"] = flow.block_btc + flow.share_btc
    elif reserve is not None and cost > 0.0:  # share by share
        model |= {"block_rate": flow.shares, "block_gain": flow.share_btc, "share_rate": 0.0}
    else:  # only how many
        model["block_rate"] = 0.0
    played = seconds + model["window_s"]  # a window's shares are counted before the time begins
    events, shares = model["block_rate"] * seconds, model["share_rate"] * played
    waiting = model["block_rate"] * min(seconds, model["window_s"])
    if events > _MOST_EVENTS:
        kind = "shares" if model["block_rate"] == flow.shares else "blocks"
        raise ValueError(
            f"seconds is {seconds:g}, with {events:.3g} {kind} to a path; allowed: at most {_MOST_EVENTS:g}"
        )
    if waiting > _MOST_WAITING:
        raise ValueError(
            f"window_blocks is {terms.window_blocks:g}, with {waiting:.3g} blocks of a path that wait for "
            f"the end of theirs; allowed: at most {_MOST_WAITING:g}"
        )
    if shares > _MOST_SHARES and model["share_rate"] * seconds <= _MOST_SHARES:
        raise ValueError(
            f"window_blocks is {terms.window_blocks:g}, with {shares:.3g} shares to a path; allowed: at most "
            f"{_MOST_SHARES:g}"
        )
    if shares > _MOST_SHARES:
        raise ValueError(
            f"share_difficulty is {terms.share_difficulty:g}, with {shares:.3g} shares to a path; allowed: "
            f"at most {_MOST_SHARES:g}"
        )
    return {name: float(value) for name, value in model.items()}


def _moments(x: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Mean and variance, each with its standard error (Kendall and Stuart, vol. 1, 10.10)."""
    n = x.size
    mean = float(x.mean())
    squares = (x - mean) ** 2
    variance = float(squares.sum() / (n - 1))
    fourth = float((squares**2).mean())
    spread = max(0.0, fourth - variance**2 * (n - 3) / (n - 1)) / n
    return mean, math.sqrt(variance / n), variance, math.sqrt(spread)


def _ruin(time: NDArray[np.float64]) -> tuple[float, float]:
    """Part of the paths that are ruined, and its standard error by half a path more of each kind."""
    count, ruined = time.size, int(np.isfinite(time).sum())
    part = (ruined + 0.5) / (count + 1.0)
    return ruined / count, math.sqrt(part * (1.0 - part) / count)


def _quantiles(
    x: NDArray[np.float64], wanted: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Quantiles; their errors from the ranks a standard deviation to each side (David, Order Statistics)."""
    q = np.array(wanted)
    side = np.sqrt(q * (1.0 - q) / x.size)
    low, high = np.clip(q - side, 0.0, 1.0), np.clip(q + side, 0.0, 1.0)
    at = np.quantile(x, np.concatenate([q, low, high])).reshape(3, -1)
    return at[0], (at[2] - at[1]) / 2.0
