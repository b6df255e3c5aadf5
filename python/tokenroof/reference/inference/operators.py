"""Operators of a transformer, from their FLOPs and bytes (docs/inference/step-model.md, section 2).

An operator has work and traffic that grow with an amount x, weights that are read whatever x is, and a
cost per launch. Its time is the launch plus the longer of computing and moving.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tokenroof.reference.core.ieee import divide, maximum, minimum
from tokenroof.reference.core.roundings import expm1, log1p
from tokenroof.reference.inference.l2 import l2_place, less_from_l2
from tokenroof.reference.records.constants import constants
from tokenroof.reference.records.dtypes import ACTIVATION, STORED, peak_of
from tokenroof.reference.records.records import Record

__all__ = [
    "all_gather",
    "all_reduce",
    "all_reduce_one_shot",
    "all_reduce_ring",
    "all_reduce_two_shot",
    "all_to_all",
    "experts_touched",
    "reduce_scatter",
    "send",
]

NO_WINDOW = 1e18


def experts_touched(tokens: float, experts: float, topk: float) -> float:
    """E (1 - (1 - k/E)**tokens): each expert is missed by each token with probability 1 - k/E."""
    if any(math.isnan(x) for x in (tokens, experts, topk)):
        return math.nan
    share = divide(topk, experts)
    if math.isnan(share) or not 0.0 <= share <= 1.0 or experts < 0.0 or tokens < 0.0:
        return math.nan
    log = -math.inf if share == 1.0 else log1p(-share)
    exponent = 0.0 if tokens == 0.0 else tokens * log
    return 0.0 - experts * expm1(exponent)


# --- collectives ---------------------------------------------------------------------------------------


def send(nbytes: float, latency: float, bandwidth: float) -> float:
    """Hockney: alpha + S / B."""
    return latency + divide(nbytes, bandwidth)


def _count(ranks: float) -> float:
    """Ranks; NaN below one, where there is nobody."""
    return ranks if ranks >= 1.0 else math.nan


def all_gather(nbytes: float, ranks: float, latency: float, bandwidth: float) -> float:
    """Ring: n - 1 steps, each a message of S / n."""
    n = _count(ranks)
    return (n - 1.0) * latency + divide(divide(n - 1.0, n) * nbytes, bandwidth)


def reduce_scatter(nbytes: float, ranks: float, latency: float, bandwidth: float) -> float:
    """The all-gather backwards."""
    return all_gather(nbytes, ranks, latency, bandwidth)


def _some(ranks: float, latency: float) -> float:
    return latency if ranks - 1.0 > 0.0 else 0.0


def all_to_all(nbytes: float, ranks: float, latency: float, bandwidth: float) -> float:
    """All (n - 1)/n of S leave at once."""
    n = _count(ranks)
    return _some(n, latency) + divide(divide(n - 1.0, n) * nbytes, bandwidth)


def all_reduce_ring(nbytes: float, ranks: float, latency: float, bandwidth: float) -> float:
    """Patarasuk and Yuan: reduce-scatter, then all-gather."""
    steps = _count(ranks) - 1.0
    return 2.0 * steps * latency + divide(divide(2.0 * steps, ranks) * nbytes, bandwidth)


def all_reduce_one_shot(nbytes: float, ranks: float, latency: float, bandwidth: float) -> float:
    """Everyone sends everything to everyone."""
    return _some(ranks, latency) + divide((_count(ranks) - 1.0) * nbytes, bandwidth)


def all_reduce_two_shot(nbytes: float, ranks: float, latency: float, bandwidth: float) -> float:
    """Direct reduce-scatter, direct all-gather."""
    shares = divide(2.0 * (_count(ranks) - 1.0), ranks)
    return 2.0 * _some(ranks, latency) + divide(shares * nbytes, bandwidth)


def all_reduce(nbytes: float, ranks: float, latency: float, bandwidth: float) -> float:
    """The best of the three."""
    direct = minimum(
        all_reduce_one_shot(nbytes, ranks, latency, bandwidth),
        all_reduce_two_shot(nbytes, ranks, latency, bandwidth),
    )
    return minimum(all_reduce_ring(nbytes, ranks, latency, bandwidth), direct)


def all_gather_factor(ranks: float) -> float:
    """Share of the vector that crosses each link."""
    return divide(ranks - 1.0, ranks)


def all_reduce_factor(ranks: float) -> float:
    """Twice that for an all-reduce."""
    return divide(2.0 * (ranks - 1.0), ranks)


# --- operators whose cost grows with tokens ------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """Cost of an operator against an amount x."""

    launch: float
    compute: float  # s per x
    weights_s: float  # s
    traffic: float  # s per x
    flops: float  # per x
    weights: float  # bytes
    bytes: float  # per x
    each: float = 0.0  # bytes per x of one kernel that finds some of them in the L2
    place: tuple[float, float] = (1.0, 0.0)  # there, as `l2_place` says

    def memory(self, x: float) -> float:
        """Seconds of traffic."""
        cold = self.weights_s + x * self.traffic
        return less_from_l2(cold, x * self.each, self.place) if self.place[1] > 0.0 else cold

    def times(self, count: float) -> Line:
        """So many layers of it."""
        return replace(self, **{
            name: count * getattr(self, name)
            for name in ("launch", "compute", "weights_s", "traffic", "flops", "weights", "bytes")
        })  # fmt: skip


def make_line(
    device: Record, calibration: Record, kind: str, launches: float, peak: float,
    flops: float, weights: float, per_x: float,
) -> Line:  # fmt: skip
    """From FLOPs and bytes to seconds; `kind`: the class of the calibration's shares."""
    bandwidth = device["memory_bandwidth"] * calibration[f"{kind}_memory"]
    rate = peak * calibration[f"{kind}_compute"]
    return Line(
        launches * (calibration[f"{kind}_t0"] + calibration["launch_s"]),
        0.0 if flops == 0.0 else divide(flops, rate),
        divide(weights, bandwidth),
        divide(per_x, bandwidth),
        flops,
        weights,
        per_x,
    )


def gemm_line(
    device: Record, calibration: Record, n: float, k: float, weight: str, act: str,
    come_narrow: bool = False,
) -> Line:  # fmt: skip
    """2 n k FLOP a token. Narrow activations are first quantised: read in 16 bits, written narrow.

    Unless the kernel before has done so: they `come_narrow`.
    """
    narrow = ACTIVATION[act]
    inputs = k * (narrow + (2.0 + narrow if narrow < 2.0 and not come_narrow else 0.0))
    return make_line(device, calibration, "gemm", 1.0, peak_of(device, weight),
                     2.0 * n * k, n * k * STORED[weight], inputs + n * 2.0)  # fmt: skip


def experts_line(
    device: Record, calibration: Record, hidden: float, ffn: float, topk: float, matrices: float,
    moe_tp: float, moe_ep: float, weight: str,
) -> Line:  # fmt: skip
    """Both grouped products; weights are of one touched expert."""
    width = ffn / moe_tp
    pairs = topk / moe_ep
    act = ACTIVATION[weight]
    moved = hidden * act + (matrices - 1.0) * width * 2.0 + width * act + hidden * 2.0
    return make_line(device, calibration, "experts", 2.0, peak_of(device, weight),
                     pairs * (2.0 * matrices * hidden * width),
                     matrices * hidden * width * STORED[weight], pairs * moved)  # fmt: skip


def elementwise_line(device: Record, calibration: Record, launches: float, per_x: float) -> Line:
    """Norms, rotations, activations: traffic alone."""
    return make_line(device, calibration, "elementwise", launches, 1.0, 0.0, 0.0, per_x)


def fresh_line(device: Record, calibration: Record, per_x: float, fresh: float) -> Line:
    """The same in a step: `fresh` of its bytes the kernel in front wrote; the L2 has them where all fit."""
    line = elementwise_line(device, calibration, 1.0, per_x)
    known = constants(calibration, "attention_decode")
    if not known:
        return line
    inverse, saved = l2_place(device["l2_bytes"], known["resident"], known["cached"])
    return replace(line, each=per_x, place=(inverse, divide(fresh, per_x) * saved))


def tensor_line(
    device: Record, calibration: Record, kind: str, launches: float, flops: float, per_x: float
) -> Line:
    """Work in 16 bits and traffic of a class, without weights."""
    return make_line(device, calibration, kind, launches, device["peak_bf16"], flops, 0.0, per_x)


def grouped_gemm_line(
    device: Record, calibration: Record, n: float, k: float, topk: float, moe_ep: float, weight: str
) -> Line:
    """One grouped product; weights are of one touched expert."""
    pairs = topk / moe_ep
    return make_line(device, calibration, "experts", 1.0, peak_of(device, weight),
                     pairs * (2.0 * n * k), n * k * STORED[weight],
                     pairs * (k * ACTIVATION[weight] + n * 2.0))  # fmt: skip


def collective_line(device: Record, calibration: Record, ranks: float, crossing: float) -> Line:
    """`crossing` bytes per x over each rank's link."""
    domain = device["link_domain_size"] if device["link_domain_size"] > 1.0 else 8.0
    if ranks <= domain:
        link = device["link_bandwidth"]
    else:
        link = device["node_link_bandwidth"] if ranks > domain else ranks  # NaN
    share = calibration["collective_memory"]
    launch = calibration["collective_t0"] + calibration["launch_s"]
    return Line(launch, 0.0, 0.0, divide(crossing, link * share), 0.0, 0.0, crossing)


# --- attention -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attention:
    """Cost of softmax attention per (query, key) pair, per key read and per query."""

    launch: float
    window: float
    pair_s: float
    key_s: float
    query_s: float
    pair_flops: float
    key_bytes: float
    query_bytes: float

    def times(self, count: float) -> Attention:
        """So many layers of it."""
        return replace(self, **{
            name: count * getattr(self, name)
            for name in ("launch", "pair_s", "key_s", "query_s", "pair_flops", "key_bytes",
                         "query_bytes")
        })  # fmt: skip


def make_attention(
    device: Record, calibration: Record, kind: str, launches: float, peak: float, window: float,
    pair_flops: float, key_bytes: float, query_bytes: float,
) -> Attention:  # fmt: skip
    """From FLOPs and bytes to seconds."""
    bandwidth = device["memory_bandwidth"] * calibration[f"{kind}_memory"]
    return Attention(
        launches * (calibration[f"{kind}_t0"] + calibration["launch_s"]),
        window if window > 0.0 else NO_WINDOW,
        divide(pair_flops, peak * calibration[f"{kind}_compute"]),
        divide(key_bytes, bandwidth),
        divide(query_bytes, bandwidth),
        pair_flops,
        key_bytes,
        query_bytes,
    )


def gqa_attention(
    device: Record, calibration: Record, kind: str, peak: float, heads: float, kv_heads: float,
    dim: float, v_dim: float, window: float, cache: str,
) -> Attention:  # fmt: skip
    """Scores and values: 2 (d + d_v) FLOP a pair and head; the cache is read once per KV head."""
    return make_attention(device, calibration, kind, 1.0, peak, window, 2.0 * heads * (dim + v_dim),
                          kv_heads * (dim + v_dim) * STORED[cache],
                          heads * (dim + v_dim) * 2.0)  # fmt: skip


def mla_attention(
    device: Record, calibration: Record, kind: str, peak: float, heads: float, rank: float,
    rope: float, window: float, cache: str,
) -> Attention:  # fmt: skip
    """Absorbed MLA: each head scores and sums the latent itself."""
    return make_attention(device, calibration, kind, 1.0, peak, window,
                          2.0 * heads * (2.0 * rank + rope), (rank + rope) * STORED[cache],
                          heads * (2.0 * rank + rope) * 2.0)  # fmt: skip


def mla_expanded(
    device: Record, calibration: Record, kind: str, peak: float, heads: float, nope: float,
    rope: float, v_dim: float, window: float,
) -> Attention:  # fmt: skip
    """MLA of a prompt, unpacked to heads."""
    dims = nope + rope + v_dim
    return make_attention(device, calibration, kind, 1.0, peak, window, 2.0 * heads * dims,
                          heads * dims * 2.0, heads * dims * 2.0)  # fmt: skip


def causal_pairs(tokens: float, past: float, window: float) -> float:
    """Sum over i = 1..tokens of min(past + i, window)."""
    free = minimum(maximum(window - past, 0.0), tokens)
    return free * past + 0.5 * (free * (free + 1.0)) + (tokens - free) * window


def causal_keys(tokens: float, past: float, window: float) -> float:
    """Keys that some of the tokens see."""
    return minimum(past, window) + tokens if tokens > 0.0 else 0.0 * past
