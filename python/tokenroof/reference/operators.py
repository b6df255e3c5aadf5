"""Operators of a transformer, from their FLOPs and bytes (docs/step-model.md, section 2).

An operator has work and traffic that grow with an amount x, weights that are read whatever x is, and a
cost per launch. Its time is the launch plus the longer of computing and moving.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tokenroof.reference import collectives
from tokenroof.reference._forms import constants, left_to_memory, result
from tokenroof.reference._ieee import divide, maximum, minimum
from tokenroof.reference._records import Record, takes_records
from tokenroof.reference.collectives import Group
from tokenroof.reference.experts import experts as measured_experts
from tokenroof.reference.experts import grouped_gemm as measured_grouped_gemm
from tokenroof.reference.gemm import gemm as measured_gemm
from tokenroof.reference.routing import loads

NO_WINDOW = 1e18
TYPES = ("fp32", "tf32", "bf16", "fp16", "fp8", "fp8_block", "int8", "fp4", "nvfp4", "mxfp4", "int4",
         "mxfp4_mxfp8")  # fmt: skip
# bytes of an element, with its share of the block's scales
STORED = {
    "fp32": 4.0, "tf32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "fp8_block": 1.0 + 4.0 / 128**2,
    "int8": 1.0, "fp4": 0.5, "nvfp4": 0.5 + 1.0 / 16, "mxfp4": 0.5 + 1.0 / 32, "int4": 0.5 + 2.0 / 128,
    "mxfp4_mxfp8": 0.5 + 1.0 / 32,
}  # fmt: skip
# bytes of an activation that meets such a weight
ACTIVATION = {
    "fp32": 4.0, "tf32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "fp8_block": 1.0, "int8": 1.0,
    "fp4": 0.5, "nvfp4": 0.5 + 1.0 / 16, "mxfp4": 2.0, "int4": 2.0, "mxfp4_mxfp8": 1.0,
}  # fmt: skip
# the unit that does the maths
UNIT = {
    "fp32": "fp32", "tf32": "tf32", "bf16": "bf16", "fp16": "fp16", "fp8": "fp8", "fp8_block": "fp8",
    "int8": "int8", "fp4": "fp4", "nvfp4": "fp4", "mxfp4": "bf16", "int4": "bf16", "mxfp4_mxfp8": "fp8",
}  # fmt: skip


def type_name(code: float) -> str:
    """Name of a type code in a packed record."""
    return TYPES[int(code)]


def experts_touched(tokens: float, experts: float, topk: float) -> float:
    """E (1 - (1 - k/E)**tokens): each expert is missed by each token with probability 1 - k/E."""
    if any(math.isnan(x) for x in (tokens, experts, topk)):
        return math.nan
    share = divide(topk, experts)
    if math.isnan(share) or share > 1.0 or experts < 0:
        return math.nan
    log = -math.inf if share == 1.0 else math.log1p(-share)
    exponent = 0.0 if tokens == 0.0 else tokens * log
    if exponent > 700.0:
        return math.nan
    return 0.0 - experts * math.expm1(exponent)


# --- collectives ---------------------------------------------------------------------------------------


def send(nbytes: float, latency: float, bandwidth: float) -> float:
    """Hockney: alpha + S / B."""
    return latency + divide(nbytes, bandwidth)


def all_gather(nbytes: float, ranks: float, latency: float, bandwidth: float) -> float:
    """Ring: n - 1 steps, each a message of S / n."""
    steps = ranks - 1.0
    return steps * latency + divide(divide(steps, ranks) * nbytes, bandwidth)


def reduce_scatter(nbytes: float, ranks: float, latency: float, bandwidth: float) -> float:
    """The all-gather backwards."""
    return all_gather(nbytes, ranks, latency, bandwidth)


def _some(ranks: float, latency: float) -> float:
    return latency if ranks - 1.0 > 0.0 else 0.0


def all_to_all(nbytes: float, ranks: float, latency: float, bandwidth: float) -> float:
    """All (n - 1)/n of S leave at once."""
    return _some(ranks, latency) + divide(divide(ranks - 1.0, ranks) * nbytes, bandwidth)


def all_reduce_ring(nbytes: float, ranks: float, latency: float, bandwidth: float) -> float:
    """Patarasuk and Yuan: reduce-scatter, then all-gather."""
    steps = ranks - 1.0
    return 2.0 * steps * latency + divide(divide(2.0 * steps, ranks) * nbytes, bandwidth)


def all_reduce_one_shot(nbytes: float, ranks: float, latency: float, bandwidth: float) -> float:
    """Everyone sends everything to everyone."""
    return _some(ranks, latency) + divide((ranks - 1.0) * nbytes, bandwidth)


def all_reduce_two_shot(nbytes: float, ranks: float, latency: float, bandwidth: float) -> float:
    """Direct reduce-scatter, direct all-gather."""
    shares = divide(2.0 * (ranks - 1.0), ranks)
    return (2.0 * latency if ranks - 1.0 > 0.0 else 0.0) + divide(shares * nbytes, bandwidth)


def all_reduce(nbytes: float, ranks: float, latency: float, bandwidth: float) -> float:
    """The best of the three."""
    direct = minimum(
        all_reduce_one_shot(nbytes, ranks, latency, bandwidth),
        all_reduce_two_shot(nbytes, ranks, latency, bandwidth),
    )
    return minimum(all_reduce_ring(nbytes, ranks, latency, bandwidth), direct)


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

    def times(self, count: float) -> Line:
        """So many layers of it."""
        return Line(*(count * v for v in (
            self.launch, self.compute, self.weights_s, self.traffic, self.flops, self.weights,
            self.bytes,
        )))  # fmt: skip


def _line(
    device: Record, calibration: Record, kind: str, launches: float, peak: float,
    flops: float, weights: float, per_x: float,
) -> Line:  # fmt: skip
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


def peak_of(device: Record, type_: str) -> float:
    """Peak of the unit for a type."""
    return device[f"peak_{UNIT[type_]}"]


def attention_peak(device: Record, cache: str) -> float:
    """Of attention over a cache of this type: kernels may multiply eight bits as they are."""
    wide = device["peak_bf16"]
    return maximum(wide, device["peak_fp8"]) if cache == "fp8" else wide


def gemm(device: Record, calibration: Record, n: float, k: float, weight: str, act: str) -> Line:
    """2 n k FLOP a token. Narrow activations are first quantised: read in 16 bits, written narrow."""
    narrow = ACTIVATION[act]
    inputs = k * (narrow + (2.0 + narrow if narrow < 2.0 else 0.0))
    return _line(device, calibration, "gemm", 1.0, peak_of(device, weight),
                 2.0 * n * k, n * k * STORED[weight], inputs + n * 2.0)  # fmt: skip


def experts(
    device: Record, calibration: Record, hidden: float, ffn: float, topk: float, matrices: float,
    moe_tp: float, moe_ep: float, weight: str,
) -> Line:  # fmt: skip
    """Both grouped products; weights are of one touched expert."""
    width = ffn / moe_tp
    pairs = topk / moe_ep
    act = ACTIVATION[weight]
    moved = hidden * act + (matrices - 1.0) * width * 2.0 + width * act + hidden * 2.0
    return _line(device, calibration, "experts", 2.0, peak_of(device, weight),
                 pairs * (2.0 * matrices * hidden * width),
                 matrices * hidden * width * STORED[weight], pairs * moved)  # fmt: skip


def elementwise(device: Record, calibration: Record, launches: float, per_x: float) -> Line:
    """Norms, rotations, activations: traffic alone."""
    return _line(device, calibration, "elementwise", launches, 1.0, 0.0, 0.0, per_x)


def tensor(
    device: Record, calibration: Record, kind: str, launches: float, flops: float, per_x: float
) -> Line:
    """Work in 16 bits and traffic of a class, without weights."""
    return _line(device, calibration, kind, launches, device["peak_bf16"], flops, 0.0, per_x)


def grouped_gemm(
    device: Record, calibration: Record, n: float, k: float, topk: float, moe_ep: float, weight: str
) -> Line:
    """One grouped product; weights are of one touched expert."""
    pairs = topk / moe_ep
    return _line(device, calibration, "experts", 1.0, peak_of(device, weight),
                 pairs * (2.0 * n * k), n * k * STORED[weight],
                 pairs * (k * ACTIVATION[weight] + n * 2.0))  # fmt: skip


def collective(device: Record, calibration: Record, ranks: float, crossing: float) -> Line:
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


def attention(
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


def grouped_query(
    device: Record, calibration: Record, kind: str, peak: float, heads: float, kv_heads: float,
    dim: float, v_dim: float, window: float, cache: str,
) -> Attention:  # fmt: skip
    """Scores and values: 2 (d + d_v) FLOP a pair and head; the cache is read once per KV head."""
    return attention(device, calibration, kind, 1.0, peak, window, 2.0 * heads * (dim + v_dim),
                     kv_heads * (dim + v_dim) * STORED[cache],
                     heads * (dim + v_dim) * 2.0)  # fmt: skip


def latent(
    device: Record, calibration: Record, kind: str, peak: float, heads: float, rank: float,
    rope: float, window: float, cache: str,
) -> Attention:  # fmt: skip
    """Absorbed MLA: each head scores and sums the latent itself."""
    return attention(device, calibration, kind, 1.0, peak, window,
                     2.0 * heads * (2.0 * rank + rope), (rank + rope) * STORED[cache],
                     heads * (2.0 * rank + rope) * 2.0)  # fmt: skip


def latent_expanded(
    device: Record, calibration: Record, kind: str, peak: float, heads: float, nope: float,
    rope: float, v_dim: float, window: float,
) -> Attention:  # fmt: skip
    """MLA of a prompt, unpacked to heads."""
    dims = nope + rope + v_dim
    return attention(device, calibration, kind, 1.0, peak, window, 2.0 * heads * dims,
                     heads * dims * 2.0, heads * dims * 2.0)  # fmt: skip


def causal_pairs(tokens: float, past: float, window: float) -> float:
    """Sum over i = 1..tokens of min(past + i, window)."""
    free = minimum(maximum(window - past, 0.0), tokens)
    return free * past + 0.5 * (free * (free + 1.0)) + (tokens - free) * window


def causal_keys(tokens: float, past: float, window: float) -> float:
    """Keys that some of the tokens see."""
    return minimum(past, window) + tokens if tokens > 0.0 else 0.0 * past


# --- operators on their own ----------------------------------------------------------------------------


def of_roof(
    launch: float, compute: float, memory: float, flops: float, moved: float
) -> dict[str, float]:
    """Fields of a roofline: the longer of computing and moving names the bound."""
    longer = maximum(compute, memory)
    bad = longer if math.isnan(longer) else 0.0
    bound = compute >= memory
    return {
        "time": launch + longer,
        "flops": flops + bad,
        "bytes": moved + bad,
        "memory_s": (0.0 if bound else longer) + bad,
        "compute_s": (longer if bound else 0.0) + bad,
        "launch_s": launch + bad,
        "communication_s": bad,
    }


def amount(x: float) -> float:
    """x, or NaN below zero."""
    return x if x >= 0.0 else math.nan


def after_one_another(*fields: dict[str, float]) -> dict[str, float]:
    """Kernels that do not overlap: every field is the sum."""
    total = dict(fields[0])
    for more in fields[1:]:
        for name, value in more.items():
            total[name] = total[name] + value
    return total


def of_line(line: Line, x: float, weights: float, resident: float = 0.0) -> dict[str, float]:
    """Fields of a line at x; `weights`: how many of its weights are read; `resident`: bytes from the L2."""
    n = amount(x)
    nbytes = weights * line.weights + n * line.bytes
    memory = (weights * line.weights_s + n * line.traffic) * left_to_memory(nbytes, resident)
    return of_roof(line.launch, n * line.compute, memory, n * line.flops, nbytes)


def of_attention(
    a: Attention, batch: float, pairs: float, keys: float, queries: float, resident: float = 0.0
) -> dict[str, float]:
    """A roofline; `resident` bytes come from the L2, for nothing."""
    b = amount(batch)
    p, k, q = b * pairs, b * keys, b * queries
    nbytes = k * a.key_bytes + q * a.query_bytes
    memory = (k * a.key_s + q * a.query_s) * left_to_memory(nbytes, resident)
    return of_roof(a.launch, p * a.pair_s, memory, p * a.pair_flops, nbytes)


@takes_records("device", "calibration")
def gemm_operator(
    device: Record, calibration: Record, m: float, n: float, k: float, weights: float,
    activations: float, warm: float,
) -> dict[str, float]:  # fmt: skip
    """[m, k] @ [k, n]; warm operands were read just before."""
    own = constants(calibration, "gemm")
    if own is not None:
        weight = type_name(weights)
        return result(*measured_gemm(
            own, device["memory_bandwidth"], peak_of(device, weight), device["sm_count"],
            device["l2_bytes"], m, n, k, STORED[weight], ACTIVATION[type_name(activations)], warm != 0.0,
        ))  # fmt: skip
    line = gemm(device, calibration, n, k, type_name(weights), type_name(activations))
    return of_line(line, m, 1.0, device["l2_bytes"] if warm != 0.0 else 0.0)


@takes_records("device", "calibration")
def experts_operator(
    device: Record, calibration: Record, tokens: float, hidden: float, intermediate: float,
    experts_: float, topk: float, matrices: float, moe_tp: float, moe_ep: float, skew: float,
    weights: float,
) -> dict[str, float]:  # fmt: skip
    """Grouped products on one of the ranks, over the experts that it holds and the batch touches."""
    weight = type_name(weights)
    own = constants(calibration, "experts")
    if own is not None:
        return result(*measured_experts(
            own, device["memory_bandwidth"], peak_of(device, weight), device["sm_count"],
            device["l2_bytes"], tokens, hidden, intermediate, experts_, topk, matrices, moe_tp,
            moe_ep, skew, STORED[weight], ACTIVATION[weight],
        ))  # fmt: skip
    line = experts(
        device, calibration, hidden, intermediate, topk, matrices, moe_tp, moe_ep, weight
    )
    return of_line(line, tokens, touched_on_rank(tokens, experts_, topk, moe_ep, skew))


def touched_on_rank(
    tokens: float, experts_: float, topk: float, moe_ep: float, skew: float
) -> float:
    """Experts of a rank that are touched; skewed routing leaves some out."""
    touched = divide(experts_touched(tokens, experts_, topk), moe_ep)
    if skew == 0.0:
        return touched
    return minimum(touched, loads(tokens, experts_, topk, moe_ep, skew, 8.0).touched)


@takes_records("device", "calibration")
def grouped_gemm_operator(
    device: Record, calibration: Record, tokens: float, n: float, k: float, experts_: float,
    topk: float, moe_ep: float, skew: float, weights: float,
) -> dict[str, float]:  # fmt: skip
    """[pairs, k] @ [experts, k, n], each pair with its expert's matrix."""
    weight = type_name(weights)
    own = constants(calibration, "experts")
    if own is not None:
        return result(*measured_grouped_gemm(
            own, device["memory_bandwidth"], peak_of(device, weight), device["sm_count"],
            device["l2_bytes"], tokens, n, k, experts_, topk, moe_ep, skew, STORED[weight],
            ACTIVATION[weight],
        ))  # fmt: skip
    line = grouped_gemm(device, calibration, n, k, topk, moe_ep, weight)
    return of_line(line, tokens, touched_on_rank(tokens, experts_, topk, moe_ep, skew))


@takes_records("device", "calibration")
def elementwise_operator(
    device: Record, calibration: Record, nbytes: float, kernels: float
) -> dict[str, float]:
    """Traffic alone."""
    return of_line(elementwise(device, calibration, kernels, 1.0), nbytes, 0.0)


def gather_factor(ranks: float) -> float:
    """Share of the vector that crosses each link."""
    return divide(ranks - 1.0, ranks)


def reduce_factor(ranks: float) -> float:
    """Twice that for an all-reduce."""
    return divide(2.0 * (ranks - 1.0), ranks)


def _of_protocol(
    group: Group, protocol: tuple[float, float], nbytes: float, traffic: float
) -> dict[str, float]:
    """A latency and seconds per byte; a group of one has nothing to say."""
    n = amount(nbytes)
    fixed, per_byte = protocol
    alone = group.ranks <= 1.0
    launch, seconds = (0.0, n - n) if alone else (fixed, n * per_byte)
    total = launch + seconds
    bad = total if math.isnan(total) else 0.0
    return {
        "time": total,
        "flops": bad,
        "bytes": (n - n if alone else n * traffic) + bad,
        "memory_s": bad,
        "compute_s": bad,
        "launch_s": launch + bad,
        "communication_s": seconds + bad,
    }


def _shared(calibration: Record, group: Group, per_byte: float) -> tuple[float, float]:
    launch = calibration["collective_t0"] + calibration["launch_s"]
    return launch + (group.ranks - group.ranks), divide(per_byte, calibration["collective_memory"])


@takes_records("device", "calibration")
def all_reduce_operator(
    device: Record, calibration: Record, ranks: float, nbytes: float
) -> dict[str, float]:
    """The fastest of one shot, two shots, the library's bulk protocol and the switch."""
    group = collectives.group(device, ranks)
    own = constants(calibration, "all_reduce")
    if own is None:
        protocol = _shared(calibration, group, collectives.all_reduce_bound(group))
    else:
        protocol = collectives.fastest(amount(nbytes), collectives.all_reduce_protocols(group, own))
    return _of_protocol(group, protocol, nbytes, group.reduce_traffic)


def _exchange(
    device: Record, calibration: Record, block: str, ranks: float, nbytes: float
) -> dict[str, float]:
    group = collectives.group(device, ranks)
    own = constants(calibration, block)
    if own is None:
        protocol = _shared(calibration, group, collectives.exchange_bound(group, 1.0, 1.0))
    else:
        protocol = collectives.fastest(
            amount(nbytes), collectives.exchange_protocols(group, own, 1.0)
        )
    return _of_protocol(group, protocol, nbytes, group.traffic)


@takes_records("device", "calibration")
def all_gather_operator(
    device: Record, calibration: Record, ranks: float, nbytes: float
) -> dict[str, float]:
    """(n - 1)/n of the vector over each link."""
    return _exchange(device, calibration, "all_gather", ranks, nbytes)


@takes_records("device", "calibration")
def reduce_scatter_operator(
    device: Record, calibration: Record, ranks: float, nbytes: float
) -> dict[str, float]:
    """(n - 1)/n of the vector over each link."""
    return _exchange(device, calibration, "reduce_scatter", ranks, nbytes)


@takes_records("device", "calibration")
def all_to_all_operator(
    device: Record, calibration: Record, ranks: float, nbytes: float
) -> dict[str, float]:
    """(n - 1)/n of the vector over each link, and further where devices pass messages on."""
    group = collectives.group(device, ranks)
    own = constants(calibration, "all_to_all")
    if own is None:
        bound = collectives.exchange_bound(group, group.hops, group.inside)
        protocol = _shared(calibration, group, bound)
    else:
        protocol = collectives.fastest(amount(nbytes), collectives.all_to_all_protocols(group, own))
    return _of_protocol(group, protocol, nbytes, group.traffic)


@takes_records("device", "calibration")
def send_operator(
    device: Record, calibration: Record, ranks: float, nbytes: float
) -> dict[str, float]:
    """The whole message over one link."""
    group = collectives.group(device, ranks)
    pair = collectives.bandwidth(device, 2.0)
    own = constants(calibration, "all_to_all")
    if own is None:
        link = group.network if group.nodes > 1.0 else pair
        protocol = _shared(calibration, group, divide(1.0, link))
    else:
        protocol = collectives.fastest(amount(nbytes), collectives.send_protocols(group, pair, own))
    return _of_protocol(replace(group, ranks=group.ranks + 1.0), protocol, nbytes, 1.0)
