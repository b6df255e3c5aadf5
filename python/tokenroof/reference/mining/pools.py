"""One path of a pool's or a miner's balance, event by event.

Fields of the model as `tokenroof._core.POOL_FIELDS`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from tokenroof.reference.core.random import uniforms
from tokenroof.reference.core.special import normals, poisson_count

__all__ = ["pool_path", "pplns_path"]

_BLOCKS, _SHARES, _FEW_SHARES, _FEES = range(4)


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

    All blocks within the time come first; their times, the beginnings of their windows, the start and the end
    then part the time into pieces whose shares are counted one after the other.
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
        if block >= horizon:
            break
        events += [(max(block - window, start), 0, i), (block, 1, i)]
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
