"""One engine step of a transformer: docs/step-model.md, section 3, read aloud.

A step is a list of terms, each an operator over all its layers and the amount it depends on. Terms are
summed in the order in which they are listed here, which is the order that the specification gives.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce

from tokenroof.reference import attention as attention_forms
from tokenroof.reference import collectives as collective_forms
from tokenroof.reference import operators as ops
from tokenroof.reference._forms import constants as measured_constants
from tokenroof.reference._ieee import divide, maximum, minimum
from tokenroof.reference._records import Record, takes_records
from tokenroof.reference.experts import experts as measured_experts
from tokenroof.reference.gemm import gemm as measured_gemm
from tokenroof.reference.operators import Attention, Line, type_name
from tokenroof.reference.power import CLASSES, linear_watts, power_share
from tokenroof.reference.recurrent import mixers_of
from tokenroof.reference.sparse import (
    Indexer,
    Roof,
    faster,
    faster_cost,
    index_key_bytes,
    indexer,
    roof,
)
from tokenroof.reference.structure import (
    collectives_of_step,
    kernels_of_step,
    mixer_parameters,
    mixer_types,
)

GROUPS = ("projection", "attention", "linear_attention", "mlp", "experts", "elementwise", "head",
          "collective")  # fmt: skip


@dataclass(frozen=True)
class Product:
    """A matrix product of each of some layers, by its measured form."""

    constants: Record
    count: float
    n: float
    k: float
    weight: str
    activation: str


@dataclass(frozen=True)
class Exchange:
    """A collective by its measured protocols, so many times; bytes per x of vector, and over each link."""

    protocols: tuple[tuple[float, float], ...]
    count: float
    vector: float
    crossing: float
    network: float  # seconds that any message takes between nodes


@dataclass(frozen=True)
class Measured:
    """Softmax attention of some layers by its measured form."""

    form: attention_forms.Decode | attention_forms.Prefill
    layers: float
    window: float


# a group, the amount that the cost depends on, the operator
Term = tuple[str, str, Line | Product | Exchange]


def product(
    d: Record, c: Record, count: float, n: float, k: float, weight: str, activation: str
) -> Line | Product:
    """A product of each of `count` layers: measured where the record has constants of its type."""
    own = measured_constants(c, "gemm16" if weight in ("bf16", "fp16") else "gemm")
    if own is None:
        return ops.gemm(d, c, n, k, weight, activation).times(count)
    return Product(own, count, n, k, weight, activation)


def share(load: float, n: float) -> float:
    """Even shares; below one item a rank, the busiest still has the whole item."""
    return maximum(divide(load, n), minimum(load, 1.0))


class Layout:
    """What each device has of the model under a plan."""

    def __init__(self, model: Record, plan: Record) -> None:
        self.tp, self.pp, self.dp, self.cp = plan["tp"], plan["pp"], plan["dp"], plan["cp"]
        self.heads = model["heads"] / self.tp
        self.kv_heads = maximum(model["kv_heads"] / self.tp, 1.0)  # replicated beyond that
        self.softmax = model["full_layers"] + model["window_layers"]
        self.group = self.tp * self.dp
        self.moe_ep = plan["moe_ep"]
        self.weights = type_name(plan["weights"])
        self.activations = type_name(plan["activations"])
        self.mixers, self.mixer_activations = mixer_types(model, plan)
        self.experts = type_name(plan["experts"])
        self.cache = type_name(plan["kv_cache"])
        self.ends = self.weights if self.weights in ("fp32", "tf32") else "bf16"


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
    moved = 4.0 * rotated + cached * (2.0 + ops.STORED[lay.cache])
    if m["index_topk"] > 0.0:  # and the indexer's key
        moved = moved + (2.0 * m["index_head_dim"] + index_key_bytes(m["index_head_dim"]))
    yield "elementwise", "rank_tokens", ops.elementwise(d, c, 1.0, moved).times(lay.softmax)


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


def states(d: Record, c: Record, m: Record, lay: Layout, prompt: bool) -> Iterator[Term]:
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
        gate = ops.elementwise(d, c, 1.0, (up + 1.0) * width * 2.0)
        yield "elementwise", "rank_tokens", gate.times(layers)

    if m["dense_layers"] > 0.0:
        yield from dense(m["dense_layers"], m["ffn"])
    layers = m["moe_layers"]
    if layers > 0.0:
        router = product(d, c, layers, m["experts"], h, "bf16", "bf16")
        yield "experts", "rank_tokens", router
        routed = m["experts"] + 2.0 * m["topk"] * h / lay.moe_ep
        permute = ops.elementwise(d, c, 2.0, routed * 2.0)
        yield "experts", "rank_tokens", permute.times(layers)
        if m["shared_ffn"] > 0.0:
            yield from dense(layers, m["shared_ffn"])


def collectives(d: Record, c: Record, m: Record, lay: Layout) -> Iterator[Term]:
    """What ranks exchange in every step."""
    h = m["hidden"]
    mixers = lay.softmax + m["linear_layers"] + m["mamba_layers"]
    moe = m["moe_layers"]
    dispatched = lay.dp > 1.0

    def term(
        amount: str, count: float, ranks: float, full: float, factor: float, kind: str
    ) -> Term:
        own = measured_constants(c, "all_to_all" if kind == "send" else kind)
        if own is None:
            line = ops.collective(d, c, ranks, factor * full).times(count)
            return "collective", amount, line
        group = collective_forms.group(d, ranks)
        protocols = {
            "all_reduce": lambda: collective_forms.all_reduce_protocols(group, own),
            "all_gather": lambda: collective_forms.exchange_protocols(group, own, 1.0),
            "all_to_all": lambda: collective_forms.all_to_all_protocols(group, own),
            "send": lambda: collective_forms.send_protocols(
                group, collective_forms.bandwidth(d, 2.0), own
            ),
        }[kind]()
        network = collective_forms.network_latency(group, own, kind)
        return "collective", amount, Exchange(tuple(protocols), count, full, factor * full, network)

    if lay.tp > 1.0:
        reduced = mixers + m["dense_layers"] + (0.0 if dispatched else moe)
        half, part = ops.reduce_factor(lay.tp), ops.gather_factor(lay.tp)
        yield term("rank_tokens", reduced, lay.tp, h * 2.0, half, "all_reduce")
        yield term("head_sequences", 1.0, lay.tp, m["vocab"] * 2.0, part, "all_gather")
    if moe > 0.0 and dispatched:
        crossing = ops.gather_factor(lay.group)
        if lay.moe_ep > 1.0:
            out = minimum(m["topk"], lay.moe_ep) / lay.group * h
            for size in (ops.ACTIVATION[lay.experts], 2.0):
                yield term("stage_tokens", moe, lay.group, out * size, crossing, "all_to_all")
        else:
            yield term("stage_tokens", 2.0 * moe, lay.group, h * 2.0, crossing, "all_gather")
    if lay.pp > 1.0:
        yield term("rank_tokens", lay.pp - 1.0, lay.group * lay.pp * lay.cp, h * 2.0, 1.0, "send")


def context_parallel(d: Record, c: Record, m: Record, lay: Layout, prompt: bool) -> Iterator[Term]:
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
        line = ops.collective(d, c, ranks, (lay.cp - 1.0) * cached * 2.0)
        yield "collective", "prompt_tokens", line.times(lay.softmax)
    else:
        each = ops.gather_factor(lay.cp) * lay.cp * lay.heads * (m["v_head_dim"] + 1.0) * 2.0
        line = ops.collective(d, c, ranks, each)
        yield "collective", "decode_sequences", line.times(lay.softmax)


def measured_attention(
    d: Record, c: Record, m: Record, lay: Layout, window: float, prompt: bool, absorbed: bool
) -> attention_forms.Decode | attention_forms.Prefill | None:
    """One kind of attention by its measured form, where the record has constants of it."""
    latent = m["kv_lora_rank"] > 0.0
    side = "prefill" if prompt else "decode"
    own = measured_constants(c, f"mla_{side}" if latent else f"attention_{side}")
    if own is None:
        return None
    hardware = attention_forms.Hardware.of(d)
    stored, wide = ops.STORED[lay.cache], m["v_head_dim"]
    form: attention_forms.Decode | attention_forms.Prefill
    if latent and prompt:
        form = attention_forms.mla_prefill(own, hardware, lay.heads, m["nope_head_dim"],
                                           m["rope_head_dim"], wide, m["kv_lora_rank"], absorbed,
                                           stored)  # fmt: skip
    elif latent:
        form = attention_forms.mla_decode(own, hardware, lay.heads, m["kv_lora_rank"],
                                          m["rope_head_dim"], stored)  # fmt: skip
    elif prompt:
        return attention_forms.attention_prefill(own, hardware, lay.heads, lay.kv_heads,
                                                 m["head_dim"], wide, window, stored, 2.0)  # fmt: skip
    else:
        return attention_forms.attention_decode(own, hardware, lay.heads, lay.kv_heads,
                                                m["head_dim"], wide, window, stored)  # fmt: skip
    return replace(form, window=window) if window > 0.0 else form


def one_attention(
    d: Record, c: Record, m: Record, lay: Layout, layers: float, window: float, prompt: bool,
    absorbed: bool,
) -> Attention | Measured:  # fmt: skip
    """One kind of attention of so many layers; absorbed: whether latents are attended to themselves."""
    form = measured_attention(d, c, m, lay, window, prompt, absorbed)
    if form is not None:
        return Measured(form, layers, window)
    kind = "attention_prefill" if prompt else "attention_decode"
    peak = ops.attention_peak(d, lay.cache)
    if not m["kv_lora_rank"] > 0.0:
        a = ops.grouped_query(d, c, kind, peak, lay.heads, lay.kv_heads, m["head_dim"],
                              m["v_head_dim"], window, lay.cache)  # fmt: skip
    elif absorbed:
        a = ops.latent(d, c, kind, peak, lay.heads, m["kv_lora_rank"], m["rope_head_dim"],
                       window, lay.cache)  # fmt: skip
    else:
        a = ops.latent_expanded(d, c, kind, peak, lay.heads, m["nope_head_dim"],
                                m["rope_head_dim"], m["v_head_dim"], window)  # fmt: skip
    return a.times(layers)


def attentions(
    d: Record, c: Record, m: Record, lay: Layout, prompt: bool
) -> Iterator[tuple[Attention | Measured, ...]]:
    """Softmax attention of full and of windowed layers: for each the ways that it may run.

    Sparse layers decode over the chosen keys; their prompts also may mask all keys.
    """
    full, topk = m["full_layers"], m["index_topk"]
    if full > 0.0 and topk > 0.0:
        chosen = one_attention(d, c, m, lay, full, topk, prompt, True)
        masked = one_attention(d, c, m, lay, full, 0.0, prompt, False)
        yield (masked, chosen) if prompt else (chosen,)
    elif full > 0.0:
        yield (one_attention(d, c, m, lay, full, 0.0, prompt, not prompt),)
    if m["window_layers"] > 0.0:
        yield (one_attention(d, c, m, lay, m["window_layers"], m["window"], prompt, not prompt),)


def index(d: Record, c: Record, m: Record, prompt: bool) -> Indexer | None:
    """The indexers of all sparse layers."""
    if not (m["full_layers"] > 0.0 and m["index_topk"] > 0.0):
        return None
    kind = "attention_prefill" if prompt else "attention_decode"
    one = indexer(d, c, kind, m["index_heads"], m["index_head_dim"], m["index_topk"])
    return one.times(m["full_layers"])


class Step:
    """A step under construction: sums of seconds, by cause and by group."""

    def __init__(self, d: Record, calibration: Record, m: Record, p: Record) -> None:
        # an operator costs what it costs alone, less the launch: the step counts its own kernels
        c = {**calibration, "launch_s": 0.0}
        self.d, self.c, self.m, self.p = d, c, m, p
        kernels, collectives_ = kernels_of_step(m, p), collectives_of_step(m, p)
        self.gaps = (kernels + collectives_) * calibration["launch_s"]
        self.engine_gaps = (
            kernels * c["engine.kernel_gap"] + collectives_ * c["engine.collective_gap"]
        )
        self.sequence_s = c["sequence_s"] + c["engine.sequence"]
        lay = self.lay = Layout(m, p)
        head = product(d, c, 1.0, m["vocab"] / lay.tp, m["hidden"], lay.ends, lay.ends)
        norm = ops.elementwise(d, c, 1.0, 4.0 * 2.0 * m["hidden"])
        terms: list[Term] = [
            ("head", "rank_tokens", ops.elementwise(d, c, 1.0, 2.0 * 2.0 * m["hidden"])),
            ("elementwise", "rank_tokens", norm.times(m["norms"])),
            *projections(d, c, m, lay),
            *recurrent(d, c, m, lay),
            *mlp(d, c, m, lay),
            ("head", "head_sequences", head),
            *collectives(d, c, m, lay),
        ]
        self.common = [t for t in terms if isinstance(t[2], Line)]
        self.products = [t for t in terms if isinstance(t[2], Product)]
        self.exchanges = [t for t in terms if isinstance(t[2], Exchange)]
        self.decode = [*states(d, c, m, lay, False), *context_parallel(d, c, m, lay, False)]
        self.prefill = [*states(d, c, m, lay, True), *context_parallel(d, c, m, lay, True)]
        both = [list(attentions(d, c, m, lay, prompt)) for prompt in (False, True)]
        self.decode_attention, self.prefill_attention = (
            [ways for ways in side if isinstance(ways[0], Attention)] for side in both
        )
        self.measured_decode, self.measured_prefill = (
            [ways for ways in side if isinstance(ways[0], Measured)] for side in both
        )
        self.decode_index, self.prefill_index = (index(d, c, m, prompt) for prompt in (False, True))
        self.experts: Line | None = None
        self.measured_experts = measured_constants(c, "experts")
        if m["moe_layers"] > 0.0 and self.measured_experts is None:
            self.experts = ops.experts(
                d, c, m["hidden"], m["moe_ffn"], m["topk"], m["mlp_matrices"], p["moe_tp"],
                p["moe_ep"], lay.experts,
            ).times(m["moe_layers"])  # fmt: skip

        self.time = self.launch = self.memory = self.compute = self.communication = 0.0
        self.flops = self.bytes = self.communication_bytes = self.busy = 0.0
        self.group = dict.fromkeys(GROUPS, 0.0)
        self.work = dict.fromkeys(GROUPS, 0.0)
        self.decode_attention_s = 0.0
        self.passes = 1.0

    def add(self, group: str, compute: float, memory: float, flops: float, moved: float) -> None:
        """One term: the longer of computing and moving."""
        longer = maximum(compute, memory)
        self.time += longer
        self.group[group] += longer
        if group == "collective":
            self.communication += longer
            self.communication_bytes += moved
            return
        if compute >= memory:
            self.compute += longer
        else:
            self.memory += longer
        self.busy += compute
        self.work[group] += flops
        self.flops += flops
        self.bytes += moved

    def add_terms(self, terms: list[Term], amounts: dict[str, float]) -> None:
        """Operators whose cost is a line."""
        for group, amount, line in terms:
            assert isinstance(line, Line)
            x = amounts[amount]
            self.add(group, x * line.compute, line.weights_s + x * line.traffic, x * line.flops,
                     line.weights + x * line.bytes)  # fmt: skip

    def add_products(self, terms: list[Term], amounts: dict[str, float]) -> None:
        """Matrix products by their measured form, summed first; their launch is counted by the step."""
        before, self.time = self.time, 0.0
        for group, amount, x in terms:
            assert isinstance(x, Product)
            _, seconds, compute, memory, flops, moved = measured_gemm(
                x.constants, self.d["memory_bandwidth"], ops.peak_of(self.d, x.weight),
                self.d["sm_count"], self.d["l2_bytes"], amounts[amount], x.n, x.k, ops.STORED[x.weight],
                ops.ACTIVATION[x.activation],
            )  # fmt: skip
            self.add_costs(group, x.count, seconds, compute, memory, flops, moved)
        self.time = before + self.time

    def add_exchanges(self, terms: list[Term], amounts: dict[str, float]) -> None:
        """Collectives: the fastest protocol's time beyond that of the emptiest message in a node."""
        for group, amount, x in terms:
            assert isinstance(x, Exchange)
            nbytes = amounts[amount] * x.vector
            best, empty = math.inf, math.inf
            for fixed, per_byte in x.protocols:
                best = minimum(best, fixed + nbytes * per_byte)
                empty = minimum(empty, fixed)
            seconds = x.count * (best - (empty - x.network))
            self.time += seconds
            self.group[group] += seconds
            self.communication += seconds
            self.communication_bytes += x.count * (amounts[amount] * x.crossing)

    def add_experts(self, tokens: float) -> None:
        """A mixture's experts by their measured form."""
        d, m, p, own = self.d, self.m, self.p, self.measured_experts
        if own is None or not m["moe_layers"] > 0.0:
            return
        weight = self.lay.experts
        _, *cost = measured_experts(
            own, d["memory_bandwidth"], ops.peak_of(d, weight), d["sm_count"], d["l2_bytes"],
            tokens, m["hidden"], m["moe_ffn"], m["experts"], m["topk"], m["mlp_matrices"],
            p["moe_tp"], p["moe_ep"], self.c["engine.skew"], ops.STORED[weight],
            ops.ACTIVATION[weight], p["dp"] > 1.0,
        )  # fmt: skip
        seconds, compute, memory, flops, moved = cost
        self.add_costs("experts", m["moe_layers"], seconds, compute, memory, flops, moved)

    def add_costs(
        self, group: str, count: float, seconds: float, compute: float, memory: float,
        flops: float, moved: float,
    ) -> None:  # fmt: skip
        """An operator of each of `count` layers, with seconds of its own."""
        self.time += count * seconds
        self.group[group] += count * seconds
        if compute >= memory:
            self.compute += count * seconds
        else:
            self.memory += count * seconds
        self.busy += count * compute
        self.work[group] += count * flops
        self.flops += count * flops
        self.bytes += count * moved

    def add_roof(self, x: Roof) -> None:
        """Softmax attention."""
        self.add("attention", x.compute, x.memory, x.flops, x.bytes)

    def run(self, batch: float, context: float, prompts: float, tokens: float, past: float) -> Step:
        """Put a load on it."""
        lay, c, m = self.lay, self.c, self.m
        if not all(x >= 0.0 for x in (batch, context, prompts, tokens, past)):
            self.time = math.nan
        self.passes = minimum(maximum(batch, 1.0), lay.pp)  # microbatches at once
        micro = share(batch, lay.pp)
        sequences = share(micro, lay.dp)
        chunk = tokens / lay.cp
        own = share(prompts, lay.dp) if tokens > 0.0 else 0.0
        amounts = {
            "rank_tokens": sequences + own * chunk,
            "stage_tokens": micro + prompts * chunk,
            "head_sequences": sequences + own,
            "decode_sequences": sequences,
            "prompt_tokens": own * chunk,
            "rank_prompts": own,
        }

        def launches(terms: list[Term]) -> float:
            total = 0.0
            for _, _, line in terms:
                assert isinstance(line, Line)
                total += line.launch
            return total

        expert_launch = self.experts.launch if self.experts else 0.0
        common = launches(self.common) + expert_launch + self.gaps + self.engine_gaps
        launch = c["step_s"] + common + self.sequence_s * amounts["head_sequences"]
        for active, terms, attention, indexers in (
            (batch > 0.0, self.decode, self.decode_attention, self.decode_index),
            (own * chunk > 0.0, self.prefill, self.prefill_attention, self.prefill_index),
        ):
            more = launches(terms)
            if indexers is not None:
                more += indexers.a.launch
            for ways in attention:
                assert isinstance(ways[0], Attention)
                more += ways[0].launch
            if active:
                launch += more
        self.launch = launch
        self.time += launch

        self.add_terms(self.common, amounts)
        self.add_products(self.products, amounts)
        self.add_exchanges(self.exchanges, amounts)
        self.add_experts(amounts["stage_tokens"])
        if self.experts:
            line, x = self.experts, amounts["stage_tokens"]
            skew = self.c["engine.skew"]
            touched = ops.touched_on_rank(
                x, m["experts"], m["topk"], self.p["moe_ep"], 0.0 if math.isnan(skew) else skew
            )
            self.add("experts", x * line.compute, touched * line.weights_s + x * line.traffic,
                     x * line.flops, touched * line.weights + x * line.bytes)  # fmt: skip
        self.add_terms(self.decode, amounts)
        for ways in self.decode_attention:
            (a,) = ways
            assert isinstance(a, Attention)
            keys = sequences * (minimum(context, a.window) / lay.cp)
            self.add_roof(roof(a, keys, keys, sequences))
        if self.decode_index is not None:
            keys = sequences * (context / lay.cp)
            self.add_roof(self.decode_index.roof(keys, keys, sequences))
        for ways in self.measured_decode:
            (own_form,) = ways
            assert isinstance(own_form, Measured)
            assert isinstance(own_form.form, attention_forms.Decode)
            limit = own_form.form.window
            seen = context if lay.cp == 1.0 else minimum(context, limit) / lay.cp
            _, *cost = own_form.form.cost(sequences, seen, False)
            self.add_costs("attention", own_form.layers, *cost)
        self.decode_attention_s = self.group["attention"]
        self.add_terms(self.prefill, amounts)

        def prompt_load(window: float) -> tuple[float, float, float]:
            pairs = own * (ops.causal_pairs(tokens, past, window) / lay.cp)
            return pairs, own * ops.causal_keys(tokens, past, window), amounts["prompt_tokens"]

        for ways in self.prefill_attention:
            roofs = [roof(a, *prompt_load(a.window)) for a in ways if isinstance(a, Attention)]
            self.add_roof(reduce(faster, roofs))
        if self.prefill_index is not None:
            self.add_roof(self.prefill_index.roof(*prompt_load(ops.NO_WINDOW)))
        for ways in self.measured_prefill:
            costs = []
            for way in ways:
                assert isinstance(way, Measured)
                assert isinstance(way.form, attention_forms.Prefill)
                costs.append(way.form.cost(own, tokens, past))
            _, *cost = reduce(faster_cost, costs)
            assert isinstance(ways[0], Measured)
            self.add_costs("attention", ways[0].layers / lay.cp, *cost)
        return self

    def watts(self) -> float:
        """Board power of one device, by what its time, work and traffic go to."""
        d, c, work, group = self.d, self.c, self.work, self.group
        memory = divide(self.bytes / d["memory_bandwidth"], self.time)
        if math.isnan(c["power.idle"]):
            return linear_watts(d, c, divide(self.busy, self.time), memory)

        def at_peak(flops: float, kind: str) -> float:
            return 0.0 if flops == 0.0 else divide(flops, d[f"peak_{ops.UNIT[kind]}"])

        products = work["projection"] + work["linear_attention"] + work["mlp"]
        seconds = at_peak(products, self.lay.weights) + at_peak(work["experts"], self.lay.experts)
        seconds += at_peak(work["attention"] + work["head"], "bf16")
        products_s = group["projection"] + group["linear_attention"] + group["mlp"] + group["head"]
        before = self.decode_attention_s
        active = {
            "gemm": divide(products_s, self.time),
            "attention_decode": divide(before + group["elementwise"], self.time),
            "attention_prefill": divide(group["attention"] - before, self.time),
            "experts": divide(group["experts"], self.time),
        }
        return d["tdp_w"] * power_share(c, divide(seconds, self.time), memory, active)

    def resting_watts(self) -> float:
        """Board power of one device that waits."""
        if math.isnan(self.c["power.idle"]):
            return linear_watts(self.d, self.c, 0.0, 0.0)
        nothing = dict.fromkeys(CLASSES, 0.0)
        return self.d["tdp_w"] * power_share(self.c, 0.0, 0.0, nothing)

    def fields(self) -> dict[str, float]:
        """All that a step kernel gives; work, traffic and watts of the whole replica.

        While a microbatch passes all stages, so do the batch's others; a stage without one rests.
        """
        bad = self.time if math.isnan(self.time) else 0.0
        devices = self.lay.tp * self.lay.dp * self.lay.cp
        workers, busy = devices * self.passes, divide(self.passes, self.lay.pp)
        watts = busy * self.watts() + (1.0 - busy) * self.resting_watts()
        out = {
            "time": self.time,
            "flops": self.flops * workers,
            "bytes": self.bytes * workers,
            "communication_bytes": self.communication_bytes * workers,
            "memory_s": self.memory,
            "compute_s": self.compute,
            "launch_s": self.launch,
            "communication_s": self.communication,
            **{f"{name}_s": seconds for name, seconds in self.group.items()},
            "overhead_s": self.launch,
            "watts": watts * (devices * self.lay.pp),
        }
        return {name: value + bad for name, value in out.items()}


@takes_records("device", "calibration", "model", "plan")
def mixed_prompts_step(
    device: Record, calibration: Record, model: Record, plan: Record, batch: float, context: float,
    prompts: float, tokens: float, past: float,
) -> dict[str, float]:  # fmt: skip
    """A decode batch and some equal prompts in one step."""
    return (
        Step(device, calibration, model, plan).run(batch, context, prompts, tokens, past).fields()
    )


@takes_records("device", "calibration", "model", "plan")
def mixed_prompts_time(
    device: Record, calibration: Record, model: Record, plan: Record, batch: float, context: float,
    prompts: float, tokens: float, past: float,
) -> float:  # fmt: skip
    """Its seconds alone."""
    return Step(device, calibration, model, plan).run(batch, context, prompts, tokens, past).time


@takes_records("device", "calibration", "model", "plan")
def mixed_step(
    device: Record, calibration: Record, model: Record, plan: Record, batch: float, context: float,
    tokens: float, past: float,
) -> dict[str, float]:  # fmt: skip
    """A decode batch and one prompt."""
    return mixed_prompts_step(device, calibration, model, plan, batch, context, 1.0, tokens, past)


@takes_records("device", "calibration", "model", "plan")
def mixed_time(
    device: Record, calibration: Record, model: Record, plan: Record, batch: float, context: float,
    tokens: float, past: float,
) -> float:  # fmt: skip
    """Its seconds alone."""
    return mixed_prompts_time(device, calibration, model, plan, batch, context, 1.0, tokens, past)


@takes_records("device", "calibration", "model", "plan")
def decode_step(
    device: Record, calibration: Record, model: Record, plan: Record, batch: float, context: float
) -> dict[str, float]:
    """A decode batch alone."""
    return mixed_prompts_step(device, calibration, model, plan, batch, context, 0.0, 0.0, 0.0)


@takes_records("device", "calibration", "model", "plan")
def decode_time(
    device: Record, calibration: Record, model: Record, plan: Record, batch: float, context: float
) -> float:
    """Its seconds alone."""
    return mixed_prompts_time(device, calibration, model, plan, batch, context, 0.0, 0.0, 0.0)


@takes_records("device", "calibration", "model", "plan")
def prompts_step(
    device: Record, calibration: Record, model: Record, plan: Record, prompts: float, tokens: float,
    past: float,
) -> dict[str, float]:  # fmt: skip
    """Some equal prompts alone."""
    return mixed_prompts_step(device, calibration, model, plan, 0.0, 0.0, prompts, tokens, past)


@takes_records("device", "calibration", "model", "plan")
def prompts_time(
    device: Record, calibration: Record, model: Record, plan: Record, prompts: float, tokens: float,
    past: float,
) -> float:  # fmt: skip
    """Its seconds alone."""
    return mixed_prompts_time(device, calibration, model, plan, 0.0, 0.0, prompts, tokens, past)


@takes_records("device", "calibration", "model", "plan")
def prefill_step(
    device: Record, calibration: Record, model: Record, plan: Record, tokens: float, past: float
) -> dict[str, float]:
    """One prompt alone."""
    return prompts_step(device, calibration, model, plan, 1.0, tokens, past)


@takes_records("device", "calibration", "model", "plan")
def prefill_time(
    device: Record, calibration: Record, model: Record, plan: Record, tokens: float, past: float
) -> float:
    """Its seconds alone."""
    return prompts_time(device, calibration, model, plan, 1.0, tokens, past)


# --- memory --------------------------------------------------------------------------------------------


@takes_records("model", "plan")
def weight_bytes(model: Record, plan: Record) -> float:
    """Weights on the fullest device: an even share of layers and heads, and its end of the model."""
    lay = Layout(model, plan)
    embedding, head = model["embedding_parameters"], model["head_parameters"]
    routed = model["routed_parameters"]
    rest = model["parameters"] - routed - embedding - head
    ends = maximum(embedding, head) if lay.pp > 1.0 else embedding + head
    spread = plan["moe_tp"] * plan["moe_ep"] * lay.pp
    wide = mixer_parameters(model) * (ops.STORED[lay.mixers] - ops.STORED[lay.weights])
    return (
        (rest * ops.STORED[lay.weights] + wide) / (lay.tp * lay.pp)
        + routed * ops.STORED[lay.experts] / spread
        + ends * ops.STORED[lay.ends] / lay.tp
    )


@takes_records("model", "plan")
def sequence_bytes(model: Record, plan: Record, context: float) -> float:
    """Cache and state of one sequence on one device."""
    lay = Layout(model, plan)
    latent = model["kv_lora_rank"] > 0.0
    values = (
        model["kv_lora_rank"] + model["rope_head_dim"]
        if latent
        else lay.kv_heads * (model["head_dim"] + model["v_head_dim"])
    )
    stored = ops.STORED[lay.cache]
    sparse = model["index_topk"] > 0.0
    key = index_key_bytes(model["index_head_dim"]) if sparse else 0.0
    window = model["window"] if model["window"] > 0.0 else ops.NO_WINDOW
    full = model["full_layers"] * context * (values * stored + key)
    windowed = model["window_layers"] * minimum(context, window) * values * stored
    held = 0.0
    for layers, mixer in mixers_of(model, lay.tp):
        held += layers * mixer.state_bytes
    return ((full + windowed) / lay.cp + held) / lay.pp


@takes_records("model", "plan")
def memory_required(model: Record, plan: Record, batch: float, context: float) -> float:
    """Weights, and the caches of an even share of the sequences."""
    if not (batch >= 0.0 and context >= 0.0):
        return math.nan
    resident = share(batch, plan["dp"]) * sequence_bytes(model, plan, context)
    return weight_bytes(model, plan) + resident
