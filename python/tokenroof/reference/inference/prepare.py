"""Packed records to the terms of a step: docs/inference/step-model.md, section 3, read aloud.

Terms are summed in the order in which they are listed here, which is the order that the specification gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tokenroof.reference.core.ieee import divide, minimum
from tokenroof.reference.inference.attention_decode import AttentionDecode, attention_decode
from tokenroof.reference.inference.attention_prefill import AttentionPrefill, attention_prefill
from tokenroof.reference.inference.collectives import (
    all_reduce_bound,
    all_reduce_protocols,
    all_to_all_protocols,
    empty_message,
    exchange_bound,
    exchange_protocols,
    group_bandwidth,
    make_group,
    network_latency,
    send_protocols,
)
from tokenroof.reference.inference.cost import Hardware
from tokenroof.reference.inference.experts import Experts
from tokenroof.reference.inference.gemm import Gemm
from tokenroof.reference.inference.layout import Layout
from tokenroof.reference.inference.mla import mla_decode, mla_prefill
from tokenroof.reference.inference.operators import (
    Attention,
    Line,
    all_gather_factor,
    all_reduce_factor,
    collective_line,
    elementwise_line,
    experts_line,
    gemm_line,
    gqa_attention,
    mla_attention,
    mla_expanded,
)
from tokenroof.reference.inference.prepared import (
    Exchange,
    LineTerm,
    Measured,
    Prepared,
    Product,
    Side,
    Term,
)
from tokenroof.reference.inference.recurrent import mixers_of
from tokenroof.reference.inference.routing import Routing
from tokenroof.reference.inference.sparse_attention import Indexer, index_key_bytes, indexer
from tokenroof.reference.inference.structure import (
    collectives_of_step,
    gathered_bytes,
    kernels_of_step,
    sends_to_experts,
)
from tokenroof.reference.records.constants import constants
from tokenroof.reference.records.dtypes import ACTIVATION, STORED, attention_peak, peak_of
from tokenroof.reference.records.records import Record


def product(
    d: Record, c: Record, count: float, n: float, k: float, weight: str, activation: str
) -> Line | Product:
    """A product of each of `count` layers: measured where the record has constants of its type."""
    own = constants(c, "gemm16" if weight in ("bf16", "fp16") else "gemm")
    if own is None:
        return gemm_line(d, c, n, k, weight, activation).times(count)
    hardware = Hardware.of(d, peak_of(d, weight))
    return Product(Gemm(own, hardware, n, k, STORED[weight], ACTIVATION[activation]), count)


def projections(d: Record, c: Record, m: Record, lay: Layout) -> Iterator[Term]:
    """Queries, keys, values and output of softmax attention."""
    if not lay.softmax > 0.0:
        return
    h = m["hidden"]

    def gemm(n: float, k: float) -> Term:
        types = lay.mixers, lay.mixer_activations
        return "projection", "rank_tokens", product(d, c, lay.softmax, n, k, *types)

    if m["kv_lora_rank"] > 0.0:
        q, rank = m["q_lora_rank"], m["kv_lora_rank"]
        rope, nope = m["rope_head_dim"], m["nope_head_dim"]
        if q > 0.0:
            yield gemm(q + rank + rope, h)
            yield gemm(lay.heads * (nope + rope), q)
        else:
            yield gemm(lay.heads * (nope + rope) + rank + rope, h)
        yield gemm(lay.heads * (nope + m["v_head_dim"]), rank)
        rotated, cached = (lay.heads + 1.0) * rope, rank + rope
    else:
        queries_keys = (m["q_multiplier"] * lay.heads + lay.kv_heads) * m["head_dim"]
        yield gemm(queries_keys + lay.kv_heads * m["v_head_dim"], h)
        rotated = lay.heads * m["head_dim"] + lay.kv_heads * m["head_dim"]
        cached = lay.kv_heads * (m["head_dim"] + m["v_head_dim"])
    if m["index_topk"] > 0.0:
        source = m["q_lora_rank"] if m["q_lora_rank"] > 0.0 else h
        yield gemm(m["index_heads"] * m["index_head_dim"], source)
        yield gemm(m["index_head_dim"] + m["index_heads"], h)
    yield gemm(h, lay.heads * m["v_head_dim"])
    moved = 4.0 * rotated + cached * (2.0 + STORED[lay.cache])
    if m["index_topk"] > 0.0:  # and the indexer's key
        moved = moved + (2.0 * m["index_head_dim"] + index_key_bytes(m["index_head_dim"]))
    yield "elementwise", "rank_tokens", elementwise_line(d, c, 1.0, moved).times(lay.softmax)


def recurrent(d: Record, c: Record, m: Record, lay: Layout) -> Iterator[Term]:
    """Projections, convolution and gates of linear attention and Mamba."""
    h = m["hidden"]
    for layers, mixer in mixers_of(m, lay.tp):
        if not layers > 0.0:
            continue
        products = [(mixer.columns, h), (h, mixer.out)]
        if mixer.gate_rank > 0.0:
            products.append((mixer.gate_columns, mixer.gate_rank))
        for n, k in products:
            types = lay.mixers, lay.mixer_activations
            yield "linear_attention", "rank_tokens", product(d, c, layers, n, k, *types)
        yield "linear_attention", "rank_tokens", mixer.gates(d, c).times(layers)


def states(d: Record, c: Record, m: Record, lay: Layout, prompt: bool) -> Iterator[LineTerm]:
    """States: read and written per decoded token, or once per prompt, whose tokens run in chunks."""
    for layers, mixer in mixers_of(m, lay.tp):
        if not layers > 0.0:
            continue
        if prompt:
            yield "linear_attention", "prompt_tokens", mixer.prompt(d, c).times(layers)
            yield "linear_attention", "rank_prompts", mixer.states(d, c).times(layers)
        else:
            yield "linear_attention", "decode_sequences", mixer.decode(d, c).times(layers)


def mlp(d: Record, c: Record, m: Record, lay: Layout) -> Iterator[Term]:
    """Dense MLPs, router and shared experts."""
    h, up = m["hidden"], m["mlp_matrices"] - 1.0

    def dense(layers: float, ffn: float) -> Iterator[Term]:
        width = ffn / lay.tp
        for n, k in ((up * width, h), (h, width)):
            types = lay.weights, lay.activations
            yield "mlp", "rank_tokens", product(d, c, layers, n, k, *types)
        gate = elementwise_line(d, c, 1.0, (up + 1.0) * width * 2.0)
        yield "elementwise", "rank_tokens", gate.times(layers)

    if m["dense_layers"] > 0.0:
        yield from dense(m["dense_layers"], m["ffn"])
    layers = m["moe_layers"]
    if layers > 0.0:
        router = product(d, c, layers, m["experts"], h, "bf16", "bf16")
        yield "experts", "rank_tokens", router
        routed = m["experts"] + 2.0 * m["topk"] * h / lay.moe_ep
        permute = elementwise_line(d, c, 2.0, routed * 2.0)
        yield "experts", "rank_tokens", permute.times(layers)
        if m["shared_ffn"] > 0.0:
            yield from dense(layers, m["shared_ffn"])


def collectives(d: Record, c: Record, m: Record, p: Record, lay: Layout) -> Iterator[Term]:
    """What ranks exchange in every step."""
    h = m["hidden"]
    mixers = lay.softmax + m["linear_layers"] + m["mamba_layers"]
    moe = m["moe_layers"]
    dispatched = lay.dp > 1.0
    if lay.tp > 1.0:
        reduced = mixers + m["dense_layers"] + (0.0 if dispatched else moe)
        half, part = all_reduce_factor(lay.tp), all_gather_factor(lay.tp)
        every = exchange(d, c, "all_reduce", lay.tp, reduced, h * 2.0, half)
        yield "collective", "rank_tokens", every
        logits = exchange(d, c, "all_gather", lay.tp, 1.0, m["vocab"] * 2.0, part)
        yield "collective", "head_sequences", logits
    if moe > 0.0 and dispatched:
        crossing = all_gather_factor(lay.group)
        if sends_to_experts(d, m, p):
            out = minimum(m["topk"], lay.moe_ep) / lay.group * h
            for size in (ACTIVATION[lay.experts], 2.0):
                way = exchange(d, c, "all_to_all", lay.group, moe, out * size, crossing)
                yield "collective", "stage_tokens", way
        else:
            for kind, size in (
                ("all_gather", gathered_bytes(lay.experts)),
                ("reduce_scatter", 2.0),
            ):
                way = exchange(d, c, kind, lay.group, moe, h * size, crossing)
                yield "collective", "stage_tokens", way
    if lay.pp > 1.0:
        stages = lay.group * lay.pp * lay.cp
        hop = exchange(d, c, "send", stages, lay.pp - 1.0, h * 2.0, 1.0)
        yield "collective", "rank_tokens", hop


def exchange(
    d: Record, c: Record, kind: str, ranks: float, count: float, vector: float, factor: float
) -> Line | Exchange:
    """`count` collectives of so many bytes per x: measured where the record has constants of its kind."""
    own = constants(c, "all_to_all" if kind == "send" else kind)
    group = make_group(d, ranks)
    if own is None:
        line = collective_line(d, c, ranks, factor * vector)
        if group.nodes > 1.0 and kind != "send":
            if kind == "all_reduce":
                bound = all_reduce_bound(group)
            elif kind != "all_to_all":
                bound = exchange_bound(group, 1.0, 1.0)
            else:
                bound = exchange_bound(group, group.hops, group.inside)
            line = replace(line, traffic=divide(vector * bound, c["collective_memory"]))
        return line.times(count)
    if kind == "all_reduce":
        protocols = all_reduce_protocols(group, own)
    elif kind in ("all_gather", "reduce_scatter"):
        protocols = exchange_protocols(group, own, 1.0)
    elif kind == "all_to_all":
        protocols = all_to_all_protocols(group, own)
    else:
        protocols = send_protocols(group, group_bandwidth(d, 2.0), own)
    counted = empty_message(protocols, network_latency(group, own, kind))
    reduce = constants(c, "all_reduce")
    if kind != "all_reduce" and reduce is not None:
        # the gap is that of the engine's own all-reduces: what others take longer to start is theirs
        least = all_reduce_protocols(group, reduce)
        usual = empty_message(least, network_latency(group, reduce, "all_reduce"))
        counted = minimum(counted, usual)
    return Exchange(tuple(protocols), count, vector, factor * vector, counted)


def context_parallel(
    d: Record, c: Record, m: Record, lay: Layout, prompt: bool
) -> Iterator[LineTerm]:
    """Partial results of a decoded token meet; a prompt's keys and values go round."""
    if not (lay.cp > 1.0 and lay.softmax > 0.0):
        return
    ranks = lay.group * lay.cp
    if prompt:
        cached = (
            m["kv_lora_rank"] + m["rope_head_dim"]
            if m["kv_lora_rank"] > 0.0
            else lay.kv_heads * (m["head_dim"] + m["v_head_dim"])
        )
        line = collective_line(d, c, ranks, (lay.cp - 1.0) * cached * 2.0)
        yield "collective", "prompt_tokens", line.times(lay.softmax)
    else:
        each = all_gather_factor(lay.cp) * lay.cp * lay.heads * (m["v_head_dim"] + 1.0) * 2.0
        line = collective_line(d, c, ranks, each)
        yield "collective", "decode_sequences", line.times(lay.softmax)


def kinds(m: Record, prompt: bool) -> Iterator[tuple[float, list[tuple[float, bool]]]]:
    """Full and windowed layers, and the ways that they may run: a window, and whether MLA is absorbed.

    Sparse layers decode over the chosen keys; their prompts also may mask all keys.
    """
    full, topk = m["full_layers"], m["index_topk"]
    if full > 0.0 and topk > 0.0:
        yield full, [(0.0, False), (topk, True)] if prompt else [(topk, True)]
    elif full > 0.0:
        yield full, [(0.0, not prompt)]
    if m["window_layers"] > 0.0:
        yield m["window_layers"], [(m["window"], not prompt)]


def attention_line(
    d: Record, c: Record, m: Record, lay: Layout, kind: str, way: tuple[float, bool]
) -> Attention:
    """One layer of attention by its roofline."""
    peak, (window, absorbed) = attention_peak(d, lay.cache), way
    if not m["kv_lora_rank"] > 0.0:
        return gqa_attention(d, c, kind, peak, lay.heads, lay.kv_heads, m["head_dim"],
                             m["v_head_dim"], window, lay.cache)  # fmt: skip
    if absorbed:
        return mla_attention(d, c, kind, peak, lay.heads, m["kv_lora_rank"], m["rope_head_dim"],
                             window, lay.cache)  # fmt: skip
    return mla_expanded(d, c, kind, peak, lay.heads, m["nope_head_dim"], m["rope_head_dim"],
                        m["v_head_dim"], window)  # fmt: skip


def measured_decode(
    own: Record, d: Record, m: Record, lay: Layout, way: tuple[float, bool]
) -> AttentionDecode:
    """One layer of decode attention by its measured form."""
    hardware, stored, (window, _) = Hardware.of(d), STORED[lay.cache], way
    if not m["kv_lora_rank"] > 0.0:
        return attention_decode(own, hardware, lay.heads, lay.kv_heads, m["head_dim"],
                                m["v_head_dim"], window, stored)  # fmt: skip
    form = mla_decode(own, hardware, lay.heads, m["kv_lora_rank"], m["rope_head_dim"], stored)
    return replace(form, window=window) if window > 0.0 else form


def measured_prefill(
    own: Record, d: Record, m: Record, lay: Layout, way: tuple[float, bool]
) -> AttentionPrefill:
    """One layer of prompts' attention by its measured form."""
    hardware, stored, (window, absorbed) = Hardware.of(d), STORED[lay.cache], way
    if not m["kv_lora_rank"] > 0.0:
        return attention_prefill(own, hardware, lay.heads, lay.kv_heads, m["head_dim"],
                                 m["v_head_dim"], window, stored, 2.0)  # fmt: skip
    form = mla_prefill(own, hardware, lay.heads, m["nope_head_dim"], m["rope_head_dim"],
                       m["v_head_dim"], m["kv_lora_rank"], absorbed, stored)  # fmt: skip
    return replace(form, window=window) if window > 0.0 else form


def side(d: Record, c: Record, m: Record, lay: Layout, prompt: bool) -> Side:
    """What runs for the decode batch alone, or for prompts alone."""
    name = "prefill" if prompt else "decode"
    own = constants(c, f"mla_{name}" if m["kv_lora_rank"] > 0.0 else f"attention_{name}")
    lines = [*states(d, c, m, lay, prompt), *context_parallel(d, c, m, lay, prompt)]
    attention: list[tuple[Attention, ...]] = []
    decodes: list[Measured[AttentionDecode]] = []
    prefills: list[Measured[AttentionPrefill]] = []
    for layers, ways in kinds(m, prompt):
        if own is None:
            one = (attention_line(d, c, m, lay, f"attention_{name}", way) for way in ways)
            attention.append(tuple(a.times(layers) for a in one))
        elif prompt:
            forms = tuple(measured_prefill(own, d, m, lay, way) for way in ways)
            prefills.append(Measured(forms, layers))
        else:
            form = measured_decode(own, d, m, lay, ways[0])
            decodes.append(Measured((form,), layers))
    return Side(lines, attention, decodes, prefills, index(d, c, m, f"attention_{name}"))


def index(d: Record, c: Record, m: Record, kind: str) -> Indexer | None:
    """The indexers of all sparse layers."""
    if not (m["full_layers"] > 0.0 and m["index_topk"] > 0.0):
        return None
    one = indexer(d, c, kind, m["index_heads"], m["index_head_dim"], m["index_topk"])
    return one.times(m["full_layers"])


def experts(
    d: Record, c: Record, m: Record, p: Record, lay: Layout
) -> tuple[Line | None, Experts | None]:
    """A mixture's routed experts: a line of all layers, or a layer's measured form."""
    if not m["moe_layers"] > 0.0:
        return None, None
    own = constants(c, "experts")
    if own is None:
        line = experts_line(d, c, m["hidden"], m["moe_ffn"], m["topk"], m["mlp_matrices"],
                            p["moe_tp"], p["moe_ep"], lay.experts)  # fmt: skip
        return line.times(m["moe_layers"]), None
    hardware = Hardware.of(d, peak_of(d, lay.experts))
    routing = Routing(m["experts"], m["topk"], p["moe_ep"], c["engine.skew"], popular=True)
    return None, Experts(
        own, hardware, routing, STORED[lay.experts], ACTIVATION[lay.experts], m["hidden"],
        divide(m["moe_ffn"], p["moe_tp"]), m["mlp_matrices"], sends_to_experts(d, m, p),
    )  # fmt: skip


def prepare(d: Record, calibration: Record, m: Record, p: Record) -> Prepared:
    """Records to the terms of a step."""
    # an operator costs what it costs alone, less the launch: the step counts its own kernels
    c = {**calibration, "launch_s": 0.0}
    kernels, joins = kernels_of_step(m, p), collectives_of_step(m, p)
    lay = Layout(m, p)
    norm = elementwise_line(d, c, 1.0, 4.0 * 2.0 * m["hidden"])
    terms: list[Term] = [
        ("head", "rank_tokens", elementwise_line(d, c, 1.0, 2.0 * 2.0 * m["hidden"])),
        ("elementwise", "rank_tokens", norm.times(m["norms"])),
        *projections(d, c, m, lay),
        *recurrent(d, c, m, lay),
        *mlp(d, c, m, lay),
        ("head", "head_sequences",
         product(d, c, 1.0, m["vocab"] / lay.tp, m["hidden"], lay.ends, lay.ends)),
        *collectives(d, c, m, p, lay),
    ]  # fmt: skip
    line, measured_experts = experts(d, c, m, p, lay)
    return Prepared(
        device=d,
        calibration=c,
        model=m,
        layout=lay,
        gaps=(kernels + joins) * calibration["launch_s"],
        engine_gaps=kernels * c["engine.kernel_gap"] + joins * c["engine.collective_gap"],
        sequence_s=c["sequence_s"] + c["engine.sequence"],
        common=[(g, a, x) for g, a, x in terms if isinstance(x, Line)],
        products=[(g, a, x) for g, a, x in terms if isinstance(x, Product)],
        exchanges=[(g, a, x) for g, a, x in terms if isinstance(x, Exchange)],
        decode=side(d, c, m, lay, False),
        prefill=side(d, c, m, lay, True),
        experts=line,
        measured_experts=measured_experts,
    )
