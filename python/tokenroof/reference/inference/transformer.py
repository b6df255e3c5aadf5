"""One engine step of a transformer: a decode batch, prompts, or both.

`prepare` (prepare.py) turns packed records into terms; `evaluate` sums them for one load.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from tokenroof.reference.core.ieee import divide, maximum, minimum
from tokenroof.reference.inference.attention_prefill import heads_apart
from tokenroof.reference.inference.cost import faster_cost
from tokenroof.reference.inference.layout import share
from tokenroof.reference.inference.operators import NO_WINDOW, causal_keys, causal_pairs
from tokenroof.reference.inference.parts import Amounts, Parts
from tokenroof.reference.inference.power import (
    CLASSES,
    active_share,
    idle_watts,
    linear_watts,
    power_share,
)
from tokenroof.reference.inference.power_cap import FOLLOWS, Draw, slowed
from tokenroof.reference.inference.prepare import prepare
from tokenroof.reference.inference.prepared import Prepared
from tokenroof.reference.inference.sparse_attention import attention_roof, faster
from tokenroof.reference.records.dtypes import peak_of
from tokenroof.reference.records.records import Record, takes_records

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "decode_step",
    "decode_time",
    "mixed_prompts_step",
    "mixed_prompts_time",
    "mixed_step",
    "mixed_time",
    "prefill_step",
    "prefill_time",
    "prompts_step",
    "prompts_time",
]


class Load(NamedTuple):
    """A decode batch with so much context each, and prompts of new `tokens` behind `past` cached ones."""

    batch: float
    context: float
    prompts: float
    tokens: float
    past: float


def amounts_of(r: Prepared, load: Load) -> dict[str, float]:
    """What the terms of a step depend on, on the busiest rank."""
    lay = r.layout
    micro = share(load.batch, lay.pp)
    sequences = share(micro, lay.dp)
    chunk = load.tokens / lay.cp
    own = share(load.prompts, lay.dp) if load.tokens > 0.0 else 0.0
    return {
        "rank_tokens": sequences + own * chunk,
        "stage_tokens": micro + load.prompts * chunk,
        "head_sequences": sequences + own,
        "decode_sequences": sequences,
        "prompt_tokens": own * chunk,
        "rank_prompts": own,
    }


def launch_of(r: Prepared, load: Load, amounts: Amounts) -> float:
    """Seconds of launches and of the host."""
    launch = r.calibration["step_s"] + r.launch + r.sequence_s * amounts["head_sequences"]
    if load.batch > 0.0:
        launch += r.decode.launch
    if amounts["prompt_tokens"] > 0.0:
        launch += r.prefill.launch
    return launch


def evaluate(r: Prepared, load: Load) -> Parts:
    """The step's parts under a load."""
    amounts, out = amounts_of(r, load), Parts()
    if not all(x >= 0.0 for x in load):
        out.time = math.nan
    out.launch = launch_of(r, load, amounts)
    out.time += out.launch
    out.add_lines(r.common, amounts)
    out.add_products(r.products, amounts)
    out.add_exchanges(r.exchanges, amounts)
    out.add_experts(r, amounts["stage_tokens"])
    out.add_lines(r.decode.lines, amounts)
    prompt = load.tokens if amounts["rank_prompts"] > 0.0 else 0.0
    add_decode_attention(out, r, amounts["decode_sequences"], load.context, prompt)
    out.decode_attention = out.group["attention"]
    out.add_lines(r.prefill.lines, amounts)
    add_prefill_attention(out, r, load, amounts)
    return out


def add_decode_attention(
    out: Parts, r: Prepared, sequences: float, context: float, prompt: float
) -> None:
    """Attention of the decode batch, whose ways are one; beside prompts some kernels have one for all."""
    cp = r.layout.cp
    apart = prompt > 0.0 and cp == 1.0 and heads_apart(r.calibration)
    apart = apart and not r.model["kv_lora_rank"] > 0.0 and r.decode.indexer is None
    for (a,) in r.decode.attention:
        keys = sequences * (minimum(context, a.window) / cp)
        out.add("attention", attention_roof(a, keys, keys, sequences))
    if r.decode.indexer is not None:
        keys = sequences * (context / cp)
        out.add("attention", r.decode.indexer.roof(keys, keys, sequences))
    for i, measured in enumerate(r.decode.measured_decode):
        (form,) = measured.ways
        if apart:
            rows = r.prefill.measured_prefill[i].ways[0]
            cost = rows.cost(sequences, 1.0, maximum(context - 1.0, 0.0))
            empty = rows.empty_tiles(sequences, prompt)
            longer = cost._replace(seconds=cost.seconds + empty, compute=cost.compute + empty)
            out.add_cost("attention", measured.layers, longer)
            continue
        seen = context if cp == 1.0 else minimum(context, form.window) / cp
        out.add_cost("attention", measured.layers, form.cost(sequences, seen, False))
    for kind in r.decode.single_key:
        seen = kind.keys.visible(context) * (1.0 / cp)
        if kind.form is None:
            pairs = sequences * seen
            out.add("attention", attention_roof(kind.line, pairs, pairs, sequences))
        else:
            out.add_cost("attention", kind.layers, kind.form.cost(sequences, seen, False))
    if r.decode.compressed_indexer is not None:
        keys = sequences * (context / r.model["select_ratio"] * (1.0 / cp))
        out.add("attention", r.decode.compressed_indexer.roof(keys, keys, sequences))


def add_prefill_attention(out: Parts, r: Prepared, load: Load, amounts: Amounts) -> None:
    """Attention of prompts: of each kind of layer the fastest way."""
    own, tokens, past = amounts["rank_prompts"], load.tokens, load.past

    def pairs_keys_queries(window: float) -> tuple[float, float, float]:
        pairs = own * (causal_pairs(tokens, past, window) / r.layout.cp)
        return pairs, own * causal_keys(tokens, past, window), amounts["prompt_tokens"]

    for ways in r.prefill.attention:
        roofs = [attention_roof(a, *pairs_keys_queries(a.window)) for a in ways]
        out.add("attention", reduce(faster, roofs))
    if r.prefill.indexer is not None:
        out.add("attention", r.prefill.indexer.roof(*pairs_keys_queries(NO_WINDOW)))
    for measured in r.prefill.measured_prefill:
        costs = [form.cost(own, tokens, past) for form in measured.ways]
        out.add_cost("attention", measured.layers / r.layout.cp, reduce(faster_cost, costs))
    for kind in r.prefill.single_key:
        pairs = own * (kind.keys.pairs(tokens, past) / r.layout.cp)
        keys = own * kind.keys.keys(tokens, past)
        out.add("attention", attention_roof(kind.line, pairs, keys, amounts["prompt_tokens"]))
    if r.prefill.compressed_indexer is not None:
        pairs, keys, queries = pairs_keys_queries(NO_WINDOW)
        share = 1.0 / r.model["select_ratio"]
        roof = r.prefill.compressed_indexer.roof(pairs * share, keys * share, queries)
        out.add("attention", roof)


class Uses(NamedTuple):
    """What a device does: work over the peaks, bytes over the bandwidth, time of classes of kernels."""

    compute: float
    memory: float
    active: dict[str, float]


def device_uses(r: Prepared, out: Parts) -> Uses:
    """By what the time, work and traffic of a step go to."""
    d, c, work, group = r.device, r.calibration, out.work, out.group
    memory = divide(out.bytes / d["memory_bandwidth"], out.time)
    if math.isnan(c["power.idle"]):
        return Uses(divide(out.busy, out.time), memory, {})

    def at_peak(flops: float, kind: str) -> float:
        return 0.0 if flops == 0.0 else divide(flops, peak_of(d, kind))

    products = work["projection"] + work["linear_attention"] + work["mlp"]
    seconds = at_peak(products, r.layout.weights) + at_peak(work["experts"], r.layout.experts)
    seconds += at_peak(work["attention"] + work["head"], "bf16")
    products_s = group["projection"] + group["linear_attention"] + group["mlp"] + group["head"]
    before = out.decode_attention
    active = {
        "gemm": divide(products_s, out.time),
        "attention_decode": divide(before + group["elementwise"], out.time),
        "attention_prefill": divide(group["attention"] - before, out.time),
        "experts": divide(group["experts"], out.time),
    }
    return Uses(divide(seconds, out.time), memory, active)


def cap_share(r: Prepared) -> float:
    """Share of its limit that a board may draw."""
    cap, limit = r.layout.power_cap_w, r.device["tdp_w"]
    return cap / limit if 0.0 < cap < limit else 1.0


def device_watts(r: Prepared, use: Uses) -> float:
    """Board power of one device."""
    d, c, cap = r.device, r.calibration, cap_share(r)
    if math.isnan(c["power.idle"]):
        return linear_watts(d, c, use.compute, use.memory, cap)
    return d["tdp_w"] * power_share(c, use.compute, use.memory, use.active, cap)


def draw_of(r: Prepared, use: Uses, out: Parts) -> tuple[Draw, float]:
    """What a step draws at boost, in shares of the limit, and the ceiling that it is held to."""
    c, own = r.calibration, divide(idle_watts(r.device, r.calibration), r.device["tdp_w"])
    own_pace = out.compute + FOLLOWS["memory"] * out.memory
    own_pace += FOLLOWS["launch"] * out.launch + FOLLOWS["communication"] * out.communication
    follows = divide(own_pace, out.time)
    if math.isnan(c["power.idle"]):
        traffic = (1.0 - own) * c["memory_watts"] * use.memory
        worked = (1.0 - own) * c["compute_watts"] * use.compute
        return Draw(own, 0.5 * traffic, worked, 0.5 * traffic, follows), 1.0
    rest = minimum(own, c["power.idle"])
    clocked = (c["power.idle"] - rest) + active_share(c, use.active)
    worked, moved = c["power.compute"] * use.compute, c["power.memory"] * use.memory
    return Draw(rest, clocked, worked, moved, follows), c["power.ceiling"]


def resting_watts(r: Prepared) -> float:
    """Board power of one device that waits."""
    if math.isnan(r.calibration["power.idle"]):
        return linear_watts(r.device, r.calibration, 0.0, 0.0)
    nothing = dict.fromkeys(CLASSES, 0.0)
    return r.device["tdp_w"] * power_share(r.calibration, 0.0, 0.0, nothing, cap_share(r))


def replica_watts(r: Prepared, use: Uses, batch: float) -> float:
    """Board power of a replica: a microbatch passes a stage while others pass the others."""
    lay = r.layout
    busy = divide(minimum(maximum(batch, 1.0), lay.pp), lay.pp)
    watts = busy * device_watts(r, use) + (1.0 - busy) * resting_watts(r)
    return watts * (lay.tp * lay.dp * lay.cp * lay.pp)


def joules_above_rest(r: Prepared, load: Load, whole: Callable[[float], float]) -> float:
    """Energy of a step beyond its time at rest, of which its gaps make `whole`."""
    parts, lay = evaluate(r, load), r.layout
    use = device_uses(r, parts)
    bare = fields(r, load)["time"]
    time = whole(bare)
    share = divide(bare, time)
    active = {name: part * share for name, part in use.active.items()}
    spread = Uses(use.compute * share, use.memory * share, active)
    rest = resting_watts(r) * (lay.tp * lay.dp * lay.cp * lay.pp)
    return (replica_watts(r, spread, load.batch) - rest) * time


def fields(r: Prepared, load: Load) -> dict[str, float]:
    """All that a step kernel gives; work, traffic and watts of the whole replica.

    While a microbatch passes all stages, so do the batch's others; a stage without one rests.
    """
    parts, lay, cap = evaluate(r, load), r.layout, cap_share(r)
    use = device_uses(r, parts)
    if cap < 1.0:
        draw, ceiling = draw_of(r, use, parts)
        parts = slowed(parts, draw, ceiling, ceiling * cap)
    bad = parts.time if math.isnan(parts.time) else 0.0
    passes = minimum(maximum(load.batch, 1.0), lay.pp)  # microbatches at once
    devices = lay.tp * lay.dp * lay.cp
    workers = devices * passes
    out = {
        "time": parts.time,
        "flops": parts.flops * workers,
        "bytes": parts.bytes * workers,
        "communication_bytes": parts.communication_bytes * workers,
        "memory_s": parts.memory,
        "compute_s": parts.compute,
        "launch_s": parts.launch,
        "communication_s": parts.communication,
        **{f"{name}_s": seconds for name, seconds in parts.group.items()},
        "overhead_s": parts.launch,
        "watts": replica_watts(r, use, load.batch),
    }
    return {name: value + bad for name, value in out.items()}


@takes_records("device", "calibration", "model", "plan")
def mixed_prompts_step(
    device: Record, calibration: Record, model: Record, plan: Record, batch: float, context: float,
    prompts: float, tokens: float, past: float,
) -> dict[str, float]:  # fmt: skip
    """A decode batch and some equal prompts in one step."""
    load = Load(batch, context, prompts, tokens, past)
    return fields(prepare(device, calibration, model, plan), load)


@takes_records("device", "calibration", "model", "plan")
def mixed_prompts_time(
    device: Record, calibration: Record, model: Record, plan: Record, batch: float, context: float,
    prompts: float, tokens: float, past: float,
) -> float:  # fmt: skip
    """Its seconds alone."""
    load = Load(batch, context, prompts, tokens, past)
    r = prepare(device, calibration, model, plan)
    return evaluate(r, load).time if cap_share(r) == 1.0 else fields(r, load)["time"]


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
