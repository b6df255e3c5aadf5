"""Serving in closed loop: docs/inference/step-model.md, section 8, read aloud."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from tokenroof.reference.core.ieee import divide, maximum, minimum
from tokenroof.reference.core.roundings import expm1
from tokenroof.reference.core.special import normal_below
from tokenroof.reference.inference.layout import share
from tokenroof.reference.inference.memory import sequence_bytes, weight_bytes, workspace_bytes
from tokenroof.reference.inference.prepare import prepare
from tokenroof.reference.inference.routing import largest_normal
from tokenroof.reference.inference.structure import (
    collectives_of_step,
    kernels_of_step,
    waiting_kernels,
)
from tokenroof.reference.inference.transformer import (
    Load,
    joules_above_rest,
    mixed_prompts_step,
    prompts_step,
    resting_watts,
)
from tokenroof.reference.records.constants import constants
from tokenroof.reference.records.records import Record, takes_records, unpack

__all__ = ["serving", "serving_of_terms", "serving_terms"]

Seconds = Callable[[float], float]


def nearly_hidden(x: float, y: float) -> float:
    """The larger of two times, and of the smaller 0.19 of its share's cube: near their 4-norm."""
    more, less = maximum(x, y), minimum(x, y)
    part = divide(less, more if more > 0.0 else 1.0)
    return more + 0.19 * (less * (part * part * part))


def wholes(
    c: Record, gaps: float, sequences: float, kernels: float, prompts: float, slower: float
) -> tuple[Seconds, Seconds]:
    """Seconds of a step by those of its work: of one that decodes alone, of one that carries prompts."""

    def plain(time: float) -> float:
        return time + gaps + c["engine.sequence"] * sequences

    def carrying(time: float) -> float:
        fuller = time + slower + gaps + c["engine.sequence"] * (sequences + prompts)
        return nearly_hidden(fuller, kernels * c["engine.prefill_kernel"])

    return plain, carrying


def longer_beside(c: Record, batch: float, output: float, alone: float) -> float:
    """Seconds that prompts' kernels take more beside others that decode; with one token nobody does."""
    others, after = maximum(batch - 1.0, 0.0), maximum(output - 1.0, 0.0)
    return (c["engine.beside"] - 1.0) * (alone * minimum(others * after, 1.0))


def admission(c: Record, concurrency: float) -> float:
    """Seconds before a request's prefill: all of them from the fewest requests in flight that were fitted."""
    full, others = c["engine.request"], c["engine.request_users"] - 1.0
    if not others > 0.0:
        return full
    alone = minimum(c["engine.request_alone"], full)
    return alone + (full - alone) * (minimum(maximum(concurrency - 1.0, 0.0), others) / others)


def company(c: Record, step: float, others: float, output: float) -> float:
    """Seconds that prompts are gathered: the first waits all steps, those that come meanwhile half."""
    steps = c["engine.wait_steps"]
    more = divide(steps * others, output)
    return steps * step * divide(1.0 + 0.5 * more, 1.0 + more)


def longest_context(context: float, output: float, sequences: float, ranks: float) -> float:
    """Tokens per sequence of the rank that has most, where each is anywhere in its answer."""
    mean = context + 0.5 * output
    if not ranks > 1.0:
        return mean
    deviation = divide(output, math.sqrt(12.0 * sequences)) if sequences >= 0.0 else math.nan
    return minimum(mean + largest_normal(ranks) * deviation, context + output)


def held_of(
    device: Record,
    c: Record,
    model: Record,
    plan: Record,
    input_tokens: float,
    output_tokens: float,
) -> tuple[float, float]:
    """Whole requests that the replica holds, none where a rank holds none; and those that run at once.

    One more than fits whole runs while the others, each anywhere in its answer, leave it room.
    """
    if math.isnan(device["memory_bytes"]):
        return math.inf, math.inf
    held = (weight_bytes(model, plan) + workspace_bytes(model, plan)) * c["engine.memory_weights"]
    room = device["memory_bytes"] * c["engine.memory_share"] - held - c["engine.memory_reserved"]
    windows = c["engine.memory_windows"] != 0.0
    begun = sequence_bytes(model, plan, input_tokens, windows)
    ended = sequence_bytes(model, plan, input_tokens + output_tokens, windows)
    nothing = 0.0 if room < 0.0 else math.inf  # layers that all read the keys of others
    many = divide(room, ended) if ended > 0.0 else nothing
    if many < 1.0:
        return 0.0, 0.0
    slots = many * plan["dp"]
    if not many < 1e6:
        return slots, slots
    whole = math.floor(many)
    answer, more = ended - begun, whole + 1.0
    # an even distribution's variance is a twelfth of its width's square
    deviation = answer * math.sqrt(more * (1.0 / 12.0))
    if not deviation > 0.0 or c["engine.whole"]:
        return slots, whole * plan["dp"]
    left = room - more * (ended - 0.5 * answer)
    return slots, (whole + normal_below(left / deviation)) * plan["dp"]


@takes_records("device", "calibration", "model", "plan")
def serving_terms(
    device: Record, calibration: Record, model: Record, plan: Record, concurrency: float,
    input_tokens: float, output_tokens: float,
) -> dict[str, float]:  # fmt: skip
    """What device, model and plan give, without an engine's gaps."""
    c = calibration
    slots, places = held_of(device, c, model, plan, input_tokens, output_tokens)
    good = concurrency > 0.0 and input_tokens > 0.0 and output_tokens > 0.0 and slots >= 1.0
    most = c["engine.max_batch"]
    room = minimum(places, most) if most > 0.0 else places
    batch = minimum(concurrency, room) if good else math.nan
    bare = {**c, "engine.kernel_gap": 0.0, "engine.collective_gap": 0.0, "engine.sequence": 0.0}
    sequences = share(share(batch, plan["pp"]), plan["dp"])
    waiting = plan["dp"] if model["moe_layers"] > 0.0 else 1.0
    load = batch, longest_context(input_tokens, output_tokens, sequences, waiting)
    decode = mixed_prompts_step(device, bare, model, plan, *load, 0.0, 0.0, 0.0)
    lanes = plan["pp"] * plan["dp"]
    # Poisson's prompts of a step of each lane, of steps that have any
    came = divide(maximum(batch - 1.0, 0.0), output_tokens * lanes)
    prompts = came / -expm1(-came) if came > 0.0 else 1.0 + came
    carried = plan["dp"] * prompts
    mixed = mixed_prompts_step(device, bare, model, plan, *load, carried, input_tokens, 0.0)
    alone = prompts_step(device, bare, model, plan, 1.0, input_tokens, 0.0)
    several = prompts_step(device, bare, model, plan, prompts, input_tokens, 0.0)
    devices = plan["tp"] * plan["dp"] * plan["cp"] * plan["pp"]
    rest = resting_watts(prepare(device, bare, model, plan)) * devices
    kernels = kernels_of_step(c, model, plan)
    launched = waiting_kernels(c, model, plan, bool(constants(c, "experts")))
    joined = collectives_of_step(model, plan)
    gaps = launched * c["engine.kernel_gap"] + joined * c["engine.collective_gap"]
    slower = longer_beside(c, batch, output_tokens, several["time"])
    plain, carrying = wholes(c, gaps, sequences, kernels, prompts, slower)
    r, no_prompts = prepare(device, bare, model, plan), (0.0, 0.0, 0.0)
    return {
        "batch": batch,
        "slots": slots,
        "decode_s": decode["time"],
        "mixed_s": mixed["time"],
        "prefill_s": alone["time"] if good else math.nan,
        "kernels": kernels,
        "collectives": joined,
        "sequences": sequences,
        "lanes": lanes,
        "decode_j": joules_above_rest(r, Load(*load, *no_prompts), plain),
        "mixed_j": joules_above_rest(r, Load(*load, carried, input_tokens, 0.0), carrying),
        "rest_w": rest,
        "waiting": launched,
        "prompts": prompts,
        "beside_s": several["time"] if good else math.nan,
    }


@takes_records("calibration")
def serving_of_terms(
    calibration: Record, terms: Record | Sequence[float], concurrency: float, output_tokens: float
) -> dict[str, float]:
    """What users see, from the terms and the engine's constants."""
    c = calibration
    if isinstance(terms, Mapping):
        t: Record = terms
    else:
        from tokenroof import _core

        t = unpack(_core.SERVING_TERMS, terms)
    batch = t["batch"]
    gaps = t["waiting"] * c["engine.kernel_gap"] + t["collectives"] * c["engine.collective_gap"]
    host = t["kernels"] * c["engine.prefill_kernel"]
    step = t["decode_s"] + gaps + c["engine.sequence"] * t["sequences"]
    slower = longer_beside(c, batch, output_tokens, t["beside_s"])
    mixed = t["mixed_s"] + slower + gaps + c["engine.sequence"] * (t["sequences"] + t["prompts"])
    carried = t["lanes"] * t["prompts"]
    longer = nearly_hidden(mixed, host) - step
    extra = divide(longer, carried)
    others = maximum(batch - 1.0, 0.0)
    # whose prompts come in other steps than one's own
    apart = others - c["engine.locked"] * minimum(others, c["engine.room"])
    prompts_a_step = divide(apart, output_tokens) * (1.0 - 0.5 * c["engine.together"])
    together = c["engine.together"]
    interference = prompts_a_step * extra
    tpot = step + interference
    own = t["kernels"] * c["engine.prompt_kernel"]
    prefill = nearly_hidden(t["prefill_s"] * c["engine.prompt"], own)
    stays = 0.5 * together + c["engine.burst"] * (1.0 - together)
    burst = maximum(stays, divide(1.0, output_tokens)) * others * extra  # 1/o in one's own step
    # a place is held for all steps of an answer and for one's own prompt
    held = output_tokens * tpot + divide(longer, minimum(carried, maximum(batch, 1.0)))
    queue = maximum(divide(concurrency, batch) - 1.0, 0.0) * held
    wait = admission(c, concurrency) + company(c, step, others, output_tokens)
    ttft = wait + prefill + step + burst + queue
    latency = ttft + maximum(output_tokens - 1.0, 0.0) * tpot
    more = t["mixed_j"] - t["decode_j"]
    joules = t["decode_j"] + divide(prompts_a_step, carried) * more
    return {
        "ttft": ttft,
        "tpot": tpot,
        "latency": latency,
        "output_rate": divide(concurrency * output_tokens, latency),
        "batch": batch,
        "slots": t["slots"],
        "step_s": step,
        "interference_s": interference,
        "prefill_s": prefill,
        "others_s": others * extra,
        "burst_s": burst,
        "queue_s": queue,
        "watts": t["rest_w"] + divide(joules, tpot),
    }


@takes_records("device", "calibration", "model", "plan")
def serving(
    device: Record, calibration: Record, model: Record, plan: Record, concurrency: float,
    input_tokens: float, output_tokens: float,
) -> dict[str, float]:  # fmt: skip
    """Latency and throughput of a replica in closed loop."""
    terms = serving_terms(
        device, calibration, model, plan, concurrency, input_tokens, output_tokens
    )
    return serving_of_terms(calibration, terms, concurrency, output_tokens)
