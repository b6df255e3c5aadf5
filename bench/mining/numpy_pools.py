"""Paths of a SOLO and of a PPLNS miner in vectorised NumPy: what one would write without kernels."""

from __future__ import annotations

import numpy as np

#: A month of a farm that finds a block a day, with fees that vary and costs that may ruin it.
SOLO = {
    "horizon_s": 30.0, "block_rate": 1.0, "block_gain": 3.125, "fee_gain": 1.0, "fee_scale": 0.3,
    "fee_sigma": 0.8, "reserve": 20.0, "cost_rate": 3.3,
}  # fmt: skip
#: A miner with a hundredth of a pool that does.
PPLNS = SOLO | {
    "share_rate": 1e4, "reserve": 0.2, "cost_rate": 0.033, "window_s": 2.0, "window_shares": 2e6,
    "window_filled": 1.0,
}  # fmt: skip


def _blocks(rng, m, paths, beyond=0.0):
    mean = m["block_rate"] * (m["horizon_s"] + beyond)
    width = int(mean + 7 * np.sqrt(mean) + 10)
    times = np.cumsum(rng.exponential(1 / m["block_rate"], (paths, width)), axis=1)
    normal = rng.standard_normal((paths, width))
    worth = m["block_gain"] + m["fee_gain"] * m["fee_scale"] * np.exp(m["fee_sigma"] * normal)
    return times, worth


def _settle(m, times, gains):
    """Income, and whether the balance falls below zero before a block or at the end."""
    inside = times < m["horizon_s"]
    gains = np.where(inside, gains, 0.0)
    got = np.cumsum(gains, axis=1)
    before = m["reserve"] + got - gains - m["cost_rate"] * np.minimum(times, m["horizon_s"])
    return got[:, -1], before.min(axis=1) < 0.0


def solo(rng, m, paths):
    times, worth = _blocks(rng, m, paths)
    return _settle(m, times, worth)


def pplns(rng, m, paths):
    times, worth = _blocks(rng, m, paths, m["window_s"])
    starts = times - m["window_s"]
    events = np.concatenate([starts, times], axis=1)
    order = np.argsort(events, axis=1)
    ordered = np.take_along_axis(events, order, axis=1)
    lengths = np.diff(ordered, axis=1, prepend=-m["window_s"])
    counts = np.cumsum(rng.poisson(m["share_rate"] * lengths), axis=1)
    by_event = np.empty_like(counts)
    np.put_along_axis(by_event, order, counts, axis=1)
    width = times.shape[1]
    part = (by_event[:, width:] - by_event[:, :width]) / m["window_shares"]
    return _settle(m, times, worth * part)
