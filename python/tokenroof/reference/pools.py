"""One path of a pool's or a miner's balance, event by event, and the random numbers it is made of.

Philox from its paper (Salmon et al., SC'11); fields of the model as `tokenroof._core.POOL_FIELDS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

_M = 2**32 - 1
_BLOCKS, _SHARES, _FEW_SHARES, _FEES = range(4)


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Philox4x32-10: ten rounds of two multiplications, the key stepped in between.

    Examples
    --------
    >>> [hex(word) for word in philox((0, 0, 0, 0), (0, 0))]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    left0, right0, left1, right1 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * left0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * left1, 2**32)
        left0, right0, left1, right1 = high1 ^ right0 ^ k0, low1, high0 ^ right1 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) & _M, (k1 + 0xBB67AE85) & _M
    return left0, right0, left1, right1


def uniforms(index: int, stream: int, path: int, seed: int) -> tuple[float, float]:
    """Two numbers inside (0, 1): 52 bits and a half."""
    a, b, c, d = philox((index, stream, path & _M, path >> 32), (seed & _M, seed >> 32))
    return ((a << 20 | b >> 12) + 0.5) / 2**52, ((c << 20 | d >> 12) + 0.5) / 2**52


def normals(u: float, v: float) -> tuple[float, float]:
    """Box and Muller."""
    radius = math.sqrt(-2.0 * math.log(u))
    return radius * math.cos(2.0 * math.pi * v), radius * math.sin(2.0 * math.pi * v)


def poisson_count(w: float, mean: float, uniform: Callable[[], float]) -> int:
    """Below 32 the first count that a uniform number does not exceed; above by Giles' Q_N2."""
    if mean < 32.0:
        u, k = uniform(), 0
        probability = total = math.exp(-mean)
        while u > total:
            probability *= mean / (k + 1)
            if total + probability == total:
                break  # all there is, to a rounding
            total, k = total + probability, k + 1
        return k
    x = mean + math.sqrt(mean) * w + (1.0 / 3.0 + w**2 / 6.0)
    x += (-w / 36.0 - w**3 / 72.0) / math.sqrt(mean)
    x += (-8.0 / 405.0 + 7.0 * w**2 / 810.0 + w**4 / 270.0) / mean
    return math.floor(max(x, 0.0))


class _Path:
    """The numbers of one path, and its balance."""

    def __init__(self, model: Mapping[str, float], seed: int, path: int) -> None:
        self.m, self.seed, self.path = model, seed, path
        self.balance, self.income, self.ruin = model["reserve"], 0.0, math.inf

    def shares(self, i: int, seconds: float) -> int:
        w = normals(*uniforms(i // 2, _SHARES, self.path, self.seed))[i % 2]
        return poisson_count(
            w, self.m["share_rate"] * seconds,
            lambda: uniforms(i // 2, _FEW_SHARES, self.path, self.seed)[i % 2],
        )  # fmt: skip

    def fees(self, normal: float) -> float:
        return self.m["fee_scale"] * math.exp(self.m["fee_sigma"] * normal)

    def move(self, start: float, seconds: float, change: float) -> None:
        after = self.balance + change
        if after < 0.0 and self.ruin == math.inf:
            self.ruin = start + seconds * self.balance / (self.balance - after)
        self.balance = after

    def receive(self, amount: float) -> None:
        self.balance += amount
        self.income += amount


def pool_path(model: Mapping[str, float], seed: int, path: int) -> tuple[float, float]:
    """Income and time of ruin of one path; every block is paid out as it is found."""
    p, t, i = _Path(model, seed, path), 0.0, 0
    while t < model["horizon_s"]:
        u = uniforms(i // 2, _BLOCKS, path, seed)[i % 2]
        wait = -math.log(u) / model["block_rate"] if model["block_rate"] else math.inf
        end = min(t + wait, model["horizon_s"])
        paid = p.shares(i, end - t) * model["share_gain"] if model["share_rate"] else 0.0
        p.income += paid
        p.move(t, end - t, paid - (end - t) * model["cost_rate"])
        if t + wait < model["horizon_s"]:
            fees = p.fees(normals(*uniforms(i // 2, _FEES, path, seed))[i % 2])
            p.receive(model["block_gain"] + model["fee_gain"] * fees)
        t, i = end, i + 1
    return p.income, p.ruin


def pplns_path(model: Mapping[str, float], seed: int, path: int) -> tuple[float, float]:
    """The same where a block pays for the miner's shares of the last N.

    All blocks come first; their times, the beginnings of their windows, the start and the end then part
    the time into pieces whose shares are counted one after the other.
    """
    p, horizon, window = _Path(model, seed, path), model["horizon_s"], model["window_s"]

    def found() -> Iterator[float]:
        t, i = 0.0, 0
        while True:
            t -= math.log(uniforms(i, _BLOCKS, path, seed)[0]) / model["block_rate"]
            yield t
            i += 1

    start = -window if model["window_filled"] else 0.0
    events: list[tuple[float, int, int]] = [(0.0, 2, 0)] if model["window_filled"] else []
    for i, block in enumerate(found()):
        if block - window >= horizon:
            break
        events.append((max(block - window, start), 0, i))
        if block < horizon:
            events.append((block, 1, i))
    t, count, began = start, 0, {}
    for i, (end, kind, block_index) in enumerate([*sorted(events), (horizon, 3, 0)]):
        shares = p.shares(i, end - t)
        count += shares
        if t >= 0.0:
            p.income += shares * model["share_gain"]
            p.move(t, end - t, shares * model["share_gain"] - (end - t) * model["cost_rate"])
        if kind == 0:
            began[block_index] = count
        elif kind == 1:
            fees = p.fees(normals(*uniforms(block_index, _FEES, path, seed))[0])
            part = (count - began[block_index]) / model["window_shares"]
            p.receive((model["block_gain"] + model["fee_gain"] * fees) * part)
        t = end
    return p.income, p.ruin
