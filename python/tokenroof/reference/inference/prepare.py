"""Packed records to the terms of a step: docs/inference/step-model.md, section 3, read aloud.

Terms are summed in the order in which they are listed here, which is the order that the specification gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tokenroof.reference.core.ieee import divide, minimum
from tokenroof.reference.inference.attention_kinds import side
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
from tokenroof.reference.inference.latent_experts import expert_width, routed_topk
from tokenroof.reference.inference.layout import Layout
from tokenroof.reference.inference.memory import token_bytes
from tokenroof.reference.inference.operators import (
    Line,
    all_gather_factor,
    all_reduce_factor,
    collective_line,
    elementwise_line,
    experts_line,
    fresh_line,
)
from tokenroof.reference.inference.prepared import Exchange, LineTerm, Prepared, Product, Term
from tokenroof.reference.inference.products import product, products_of
from tokenroof.reference.inference.projections import projections
from tokenroof.reference.inference.recurrent import mixers_of
from tokenroof.reference.inference.routing import Routing
from tokenroof.reference.inference.streams import (
    layer_embedding_bytes,
    layer_lookup_bytes,
    residual_bytes,
    stream_line,
)
from tokenroof.reference.inference.structure import (
    ModuleTypes,
    collectives_of_step,
    gathered_bytes,
    kernels_of_step,
    sends_to_experts,
    waiting_kernels,
)
from tokenroof.reference.records.constants import constants
from tokenroof.reference.records.dtypes import ACTIVATION, STORED, peak_of
from tokenroof.reference.records.records import Record


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
            yield from products_of(d, c, "linear_attention", layers, n, k, lay.mixers)
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

    def dense(layers: float, ffn: float, types: ModuleTypes) -> Iterator[Term]:
        width = ffn / lay.tp
        for n, k in ((up * width, h), (h, width)):
            yield from products_of(d, c, "mlp", layers, n, k, types)
        gate = fresh_line(d, c, (up + 1.0) * width * 2.0, up * width * 2.0)
        yield "elementwise", "rank_tokens", gate.times(layers)

    if m["dense_layers"] > 0.0:
        yield from dense(m["dense_layers"], m["ffn"], lay.mlp)
    if m["wide_layers"] > 0.0:
        yield from dense(m["wide_layers"], m["wide_ffn"], lay.mlp)
    layers = m["moe_layers"]
    if layers > 0.0:
        choices, seen = m["experts"] + m["zero_experts"], expert_width(m)
        router = product(d, c, layers, choices, h, "bf16", "bf16")
        yield "experts", "rank_tokens", router
        if m["moe_latent"] > 0.0:
            for n, k in ((seen, h), (h, seen)):
                yield from products_of(d, c, "experts", layers, n, k, lay.shared)
        routed = choices + 2.0 * routed_topk(m) * seen / lay.moe_ep
        permute = elementwise_line(d, c, 2.0, routed * 2.0)
        yield "experts", "rank_tokens", permute.times(layers)
        if m["shared_ffn"] > 0.0:
            yield from dense(layers, m["shared_ffn"], lay.shared)


def around(d: Record, c: Record, m: Record, lay: Layout) -> Iterator[Term]:
    """What stands around the halves of a layer: streams, earlier results, embeddings of its own."""
    h, layers, width, low = m["hidden"], m["layers"], m["layer_embedding"], m["laurel_rank"]

    def moved(count: float, per_token: float) -> Term:
        line = elementwise_line(d, c, 1.0, per_token).times(count)
        return "elementwise", "rank_tokens", line

    def gemm(count: float, n: float, k: float) -> Iterator[Term]:
        return products_of(d, c, "mlp", count, n, k, lay.mlp)

    if m["stream_mixes"] > 0.0:
        mixes = stream_line(d, c, h, m["streams"]).times(m["stream_mixes"])
        yield "elementwise", "rank_tokens", mixes
    if m["residual_slots"] > 0.0:
        yield moved(2.0 * layers, residual_bytes(h, m["residual_slots"]))
    if width > 0.0:
        yield from gemm(1.0, layers * width, h)
        yield moved(1.0, layer_lookup_bytes(layers, width))
        yield from gemm(layers, width, h)
        yield from gemm(layers, h, width)
        yield moved(layers, layer_embedding_bytes(width))
    if low > 0.0:
        yield from gemm(layers, low, h)
        yield from gemm(layers, h, low)


def collectives(d: Record, c: Record, m: Record, p: Record, lay: Layout) -> Iterator[Term]:
    """What ranks exchange in every step."""
    h = m["hidden"]
    mixers = lay.softmax + m["linear_layers"] + m["mamba_layers"]
    moe = m["moe_layers"]
    dispatched = lay.dp > 1.0
    if lay.tp > 1.0:
        reduced = mixers + m["dense_layers"] + m["wide_layers"] + (0.0 if dispatched else moe)
        half, part = all_reduce_factor(lay.tp), all_gather_factor(lay.tp)
        every = exchange(d, c, "all_reduce", lay.tp, reduced, h * 2.0, half)
        yield "collective", "rank_tokens", every
        if m["joint_norm"] > 0.0 and lay.softmax > 0.0:
            squares = exchange(d, c, "all_reduce", lay.tp, lay.softmax, 2.0 * 4.0, half)
            yield "collective", "rank_tokens", squares
        logits = exchange(d, c, "all_gather", lay.tp, 1.0, m["vocab"] * 2.0, part)
        yield "collective", "head_sequences", logits
    if moe > 0.0 and dispatched:
        crossing = all_gather_factor(lay.group)
        if sends_to_experts(d, m, p):
            out = minimum(routed_topk(m), lay.moe_ep) / lay.group * expert_width(m)
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
        cached = token_bytes(m, lay.full, 2.0)
        line = collective_line(d, c, ranks, (lay.cp - 1.0) * cached)
        yield "collective", "prompt_tokens", line.times(lay.softmax)
    else:
        each = all_gather_factor(lay.cp) * lay.cp * lay.heads * (m["v_head_dim"] + 1.0) * 2.0
        line = collective_line(d, c, ranks, each)
        yield "collective", "decode_sequences", line.times(lay.softmax)


def experts(
    d: Record, c: Record, m: Record, p: Record, lay: Layout
) -> tuple[Line | None, Experts | None]:
    """A mixture's routed experts: a line of all layers, or a layer's measured form."""
    if not m["moe_layers"] > 0.0:
        return None, None
    own = constants(c, "experts")
    if own is None:
        line = experts_line(d, c, expert_width(m), m["moe_ffn"], routed_topk(m), m["mlp_matrices"],
                            p["moe_tp"], p["moe_ep"], lay.experts)  # fmt: skip
        return line.times(m["moe_layers"]), None
    hardware = Hardware.of(d, peak_of(d, lay.experts))
    routing = Routing(m["experts"], routed_topk(m), p["moe_ep"], c["engine.skew"], popular=True)
    return None, Experts(
        own, hardware, routing, STORED[lay.experts], ACTIVATION[lay.experts], expert_width(m),
        divide(m["moe_ffn"], p["moe_tp"]), m["mlp_matrices"], sends_to_experts(d, m, p),
    )  # fmt: skip


def lines_of(d: Record, c: Record, m: Record, lay: Layout, prompt: bool) -> list[LineTerm]:
    """What runs for the decode batch alone, or for prompts alone, beside attention."""
    return [*states(d, c, m, lay, prompt), *context_parallel(d, c, m, lay, prompt)]


def prepare(d: Record, calibration: Record, m: Record, p: Record) -> Prepared:
    """Records to the terms of a step."""
    # an operator costs what it costs alone, less the launch: the step counts its own kernels
    c = {**calibration, "launch_s": 0.0}
    kernels, joins = kernels_of_step(c, m, p), collectives_of_step(m, p)
    lay = Layout(m, p)
    # x and the residual in, which is older, and both out
    norm = fresh_line(d, c, 4.0 * 2.0 * m["hidden"], 2.0 * m["hidden"])
    terms: list[Term] = [
        ("head", "rank_tokens", elementwise_line(d, c, 1.0, 2.0 * 2.0 * m["hidden"])),
        ("elementwise", "rank_tokens", norm.times(m["norms"])),
        *projections(d, c, m, lay),
        *recurrent(d, c, m, lay),
        *mlp(d, c, m, lay),
        *around(d, c, m, lay),
        ("head", "head_sequences",
         product(d, c, 1.0, m["vocab"] / lay.tp, m["hidden"], lay.head, lay.head)),
        *collectives(d, c, m, p, lay),
    ]  # fmt: skip
    line, measured_experts = experts(d, c, m, p, lay)
    waiting = waiting_kernels(c, m, p, measured_experts is not None)
    return Prepared(
        device=d,
        calibration=c,
        model=m,
        layout=lay,
        gaps=(kernels + joins) * calibration["launch_s"],
        engine_gaps=waiting * c["engine.kernel_gap"] + joins * c["engine.collective_gap"],
        sequence_s=c["sequence_s"] + c["engine.sequence"],
        common=[(g, a, x) for g, a, x in terms if isinstance(x, Line)],
        products=[(g, a, x) for g, a, x in terms if isinstance(x, Product)],
        exchanges=[(g, a, x) for g, a, x in terms if isinstance(x, Exchange)],
        decode=side(d, c, m, lay, False, lines_of(d, c, m, lay, False)),
        prefill=side(d, c, m, lay, True, lines_of(d, c, m, lay, True)),
        experts=line,
        measured_experts=measured_experts,
    )
