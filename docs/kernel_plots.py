"""A small plot of each kernel, made by the kernel: what is swept, over what, and what stands still.

`PLOTS` is the table; what it does not say of an input stands in `USUAL`, in the unit of the kernel's page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from sketch import COLOURS, Axis, Line, Panel, short, svg

import tokenroof as tr
from tokenroof.inference.door import deployment
from tokenroof.kernels.documentation import KERNELS, UNITS

FP8, BF16 = tr.dtypes.code("fp8"), tr.dtypes.code("bf16")
DEVICE, MODEL, PLAN = "H200-SXM", "Llama-3.1-70B", tr.Plan(tp=4, weights="fp8", kv_cache="fp8")
RECORDS = {
    "device": DEVICE,
    "calibration": "the one fitted for it",
    "model": MODEL,
    "plan": PLAN.label(),
}


@dataclass(frozen=True)
class Plot:
    """One input from its low to its high end, a line for each value of another or each field."""

    over: str
    low: float
    high: float
    log: str = ""
    by: tuple[str, tuple[float, ...]] = ("", ())
    fields: tuple[str, ...] = ()
    given: dict[str, float] = field(default_factory=dict)


#: Inputs as they are where an entry of `PLOTS` does not say otherwise.
USUAL: dict[str, float] = {
    # rooflines and energy: an H100 and the constants of Choi and others' order
    "peak_flops": 989.4e12, "bandwidth": 3.35e12, "link_bandwidth": 450e9, "flops": 1e12, "bytes": 1e9,
    "energy_per_flop": 5e-13, "energy_per_byte": 3e-11, "constant_power": 100.0, "seconds": 0.01,
    "dynamic_energy": 600.0, "time_balance": 295.0, "energy_balance": 60.0, "latency": 5e-6, "nbytes": 1e6,
    "ranks": 8, "ceiling": 1.0, "sm_count": 132,
    # a step and its operators
    "batch": 64, "context": 4096, "tokens": 4096, "past": 0, "prompts": 4, "m": 1024, "n": 8192, "k": 8192,
    "hidden": 7168, "intermediate": 2048, "latent": 1024, "experts": 256, "topk": 8, "zero_experts": 0,
    "matrices": 3, "moe_tp": 1, "moe_ep": 8, "skew": 0, "heads": 16, "kv_heads": 2, "head_dim": 128,
    "v_head_dim": 128, "nope_head_dim": 128, "rope_head_dim": 64, "kv_lora_rank": 512, "absorbed": 0,
    "window": 0, "width": 4096, "ratio": 4, "overlap": 1, "index_heads": 64, "index_head_dim": 128,
    "weights": FP8, "activations": FP8, "kv_dtype": BF16, "maths_dtype": BF16, "warm": 0, "streams": 4,
    "slots": 8, "residual": 1, "greedy": 0, "kernels": 1, "vocab": 128256, "sequences": 64, "key_heads": 16,
    "key_dim": 128, "value_heads": 32, "value_dim": 128, "groups": 8, "state": 128, "taps": 4, "chunk": 64,
    # power, drafts, dataflow
    "compute_use": 0.3, "memory_use": 0.3, "gemm_use": 0.5, "attention_decode_use": 0.0,
    "attention_prefill_use": 0.0, "experts_use": 0.0, "cost_ratio": 0.1, "work_ratio": 0.1, "most": 16,
    "sram_bytes": 500e6, "share": 0.9, "chip_s": 0.1, "chips": 64, "stages": 8, "layers": 80, "layer_s": 2e-6,
    "hop_s": 1e-6,
    # serving
    "concurrency": 64, "input_tokens": 1024, "output_tokens": 256, "kv_tokens": 500_000, "step_seconds": 0.03,
    "gap_s": 30.0, "reach_s": 60.0, "rate": 2.0, "kept_tokens": 20_000, "left_tokens": 8_000, "needed": 20,
    # mining and money
    "hashrate": 200e12, "watts": 3500.0, "hashprice": 50.0, "price_per_kwh": 0.06, "fee": 0.02, "pue": 1.1,
    "difficulty": 1e14, "reward_btc": 3.175, "price_usd": 1e5, "target_span": 1_209_600, "gamma": 0.5,
    "confirmations": 6, "price_per_mtok": 0.5, "hashprice_usd_per_phs_day": 50.0, "joules_per_terahash": 17.5,
    "cost_per_hour": 20.0,
}  # fmt: skip

_BYTES = {"over": "nbytes", "low": 1e3, "high": 1e10, "log": "xy"}
_PARTS = ("memory_s", "compute_s", "launch_s", "communication_s")
_TOKENS = {"over": "tokens", "low": 1, "high": 16384, "log": "xy", "fields": ("time",)}
_BATCH = {"over": "batch", "low": 1, "high": 512, "log": "xy", "fields": ("time",)}
_PROMPT = {"over": "tokens", "low": 128, "high": 65536, "log": "xy", "fields": ("time",)}
_RANKS = ("ranks", (2, 4, 8))
_CONTEXTS = ("context", (1024, 8192, 65536))
_LINK = {"bandwidth": 450e9}
_DRAW = {"rest": 30, "clocked": 430, "worked": 50, "moved": 100}

PLOTS: dict[str, Plot] = {
    "attainable": Plot("intensity", 1, 1e4, "xy", ("bandwidth", (3.35e12, 8e12))),
    "ridge_point": Plot("bandwidth", 1e12, 2e13, "xy", ("peak_flops", (989.4e12, 2250e12))),
    "time_bound": Plot("flops", 1e10, 1e14, "xy", ("bytes", (1e9, 1e10))),
    "time_bound_link": Plot("link_bytes", 1e6, 1e11, "xy", ("link_bandwidth", (50e9, 450e9))),
    "time_bound_capped": Plot("power_cap", 100, 1000, "", ("dynamic_energy", (300, 600)), (),
                              {"seconds": 1.0}),
    "energy": Plot("flops", 1e10, 1e14, "xy", ("bytes", (1e9, 1e11))),
    "energy_balance": Plot("energy_per_byte", 1e-12, 1e-9, "xy", ("energy_per_flop", (5e-13, 5e-12))),
    "effective_energy_balance": Plot("intensity", 1, 1e4, "x", ("flop_share", (0.25, 0.5, 1.0))),
    "flops_per_joule": Plot("intensity", 0.1, 1e4, "xy", ("constant_power", (0, 100, 300))),
    "roofline_power": Plot("intensity", 0.1, 1e4, "x", ("constant_power", (0, 100, 300))),
    "experts_touched": Plot("tokens", 1, 1024, "x", ("topk", (1, 4, 8)), (), {"experts": 128}),
    "send": Plot(**_BYTES, by=("bandwidth", (50e9, 450e9))),
    "all_gather": Plot(**_BYTES, by=_RANKS, given=_LINK),
    "reduce_scatter": Plot(**_BYTES, by=_RANKS, given=_LINK),
    "all_to_all": Plot(**_BYTES, by=_RANKS, given=_LINK),
    "all_reduce": Plot(**_BYTES, by=_RANKS, given=_LINK),
    "all_reduce_ring": Plot(**_BYTES, by=_RANKS, given=_LINK),
    "all_reduce_one_shot": Plot(**_BYTES, by=_RANKS, given=_LINK),
    "all_reduce_two_shot": Plot(**_BYTES, by=_RANKS, given=_LINK),
    "decode_time": Plot("batch", 1, 512, "xy", _CONTEXTS),
    "decode_step": Plot("batch", 1, 512, "xy", fields=_PARTS),
    "prefill_time": Plot("tokens", 128, 32768, "xy", ("past", (0, 32768))),
    "prefill_step": Plot("tokens", 128, 32768, "xy", fields=_PARTS),
    "mixed_time": Plot("tokens", 1, 8192, "xy", ("batch", (8, 128))),
    "mixed_step": Plot("tokens", 1, 8192, "xy", fields=_PARTS),
    "prompts_time": Plot("prompts", 1, 32, "xy", ("tokens", (256, 2048))),
    "prompts_step": Plot("prompts", 1, 32, "xy", fields=_PARTS, given={"tokens": 512}),
    "mixed_prompts_time": Plot("prompts", 1, 32, "xy", ("batch", (8, 128)), (), {"tokens": 512}),
    "mixed_prompts_step": Plot("prompts", 1, 32, "xy", fields=_PARTS, given={"tokens": 512}),
    "memory_required": Plot("context", 1024, 131072, "x", ("batch", (1, 16, 64))),
    "capped_power": Plot("watts_wanted", 0, 2, "", ("ceiling", (0.7, 1.0))),
    "wave_fill": Plot("tiles", 1, 800, "", ("sm_count", (108, 132))),
    "clock_volts": Plot("clock", 0.3, 1, ""),
    "clock_seconds": Plot("clock", 0.3, 1, "", ("follows", (0.2, 0.5, 1.0))),
    "clock_watts": Plot("clock", 0.3, 1, "", ("follows", (0.2, 1.0)), (), _DRAW),
    "capped_clock": Plot("limit", 150, 600, "", ("follows", (0.2, 1.0)), (), _DRAW),
    "expected_tokens": Plot("acceptance", 0, 1, "", ("length", (1, 3, 7))),
    "expected_tokens_by_position": Plot("acceptances", 0, 1, "", ("positions", (1, 3, 7))),
    "speculative_speedup": Plot("length", 1, 12, "", ("acceptance", (0.5, 0.8, 0.95))),
    "speculative_operations": Plot("length", 1, 12, "", ("acceptance", (0.5, 0.8, 0.95))),
    "best_draft_length": Plot("acceptance", 0.3, 0.98, "", ("cost_ratio", (0.02, 0.1, 0.3))),
    "dataflow_chips": Plot("held_bytes", 1e9, 1e12, "xy", ("sram_bytes", (230e6, 500e6))),
    "dataflow_trip": Plot("chips", 32, 1024, "xy", ("stages", (4, 32))),
    "dataflow_microbatch": Plot("batch", 0.25, 64, "xy", ("stages", (4, 16))),
    "board_power": Plot("compute_use", 0, 1, "", ("memory_use", (0.0, 0.5))),
    "serving": Plot("concurrency", 1, 512, "xy", fields=("ttft", "tpot")),
    "serving_terms": Plot("concurrency", 1, 512, "xy", fields=("decode_s", "mixed_s", "prefill_s")),
    "serving_of_terms": Plot("concurrency", 1, 512, "xy", fields=("ttft", "tpot")),
    "serving_system": Plot("output_tokens", 16, 4096, "xy", fields=("rate", "prefill_load")),
    "stable_request_rate": Plot("output_tokens", 16, 4096, "xy", ("input_tokens", (512, 4096))),
    "cache_reached": Plot("reach_s", 1, 300, "", ("gap_s", (10, 60))),
    "cache_held": Plot("reach_s", 1, 300, "", ("rate", (1, 4))),
    "fleet_availability": Plot("spare", 0, 10, "", ("availability", (0.9, 0.95, 0.99))),
    "sha256d": Plot("headers", 0, 255),
    "time_to_block": Plot("hashrate", 1e14, 1e21, "xy", ("difficulty", (1e13, 1e14))),
    "block_probability": Plot("seconds", 3600, 1e8, "x", ("hashrate", (1e17, 1e18))),
    "next_difficulty": Plot("span", 1e5, 8e6, "xy", ("difficulty", (5e13, 1e14))),
    "price_at_hashprice": Plot("hashprice", 10, 200, "", ("difficulty", (5e13, 1e14))),
    "difficulty_at_hashprice": Plot("hashprice", 10, 200, "xy", ("price_usd", (5e4, 1e5))),
    "miner_margin": Plot("price_per_kwh", 0, 0.15, "", ("hashprice", (30, 50))),
    "break_even_power_price": Plot("hashprice", 10, 100, "", ("watts", (2500, 3500))),
    "shutdown_hashprice": Plot("price_per_kwh", 0, 0.15, "", ("watts", (2500, 3500))),
    "double_spend_nakamoto": Plot("attacker_share", 0.05, 0.5, "y", ("confirmations", (1, 6, 24))),
    "double_spend_rosenfeld": Plot("attacker_share", 0.05, 0.5, "y", ("confirmations", (1, 6, 24))),
    "selfish_mining_revenue": Plot("attacker_share", 0, 0.5, "", ("gamma", (0, 0.5, 1))),
    "selfish_mining_threshold": Plot("gamma", 0, 1),
    "token_revenue_per_mwh": Plot("tokens_per_s_per_mw", 1e4, 1e7, "xy", ("price_per_mtok", (0.5, 5))),
    "mining_revenue_per_mwh": Plot("joules_per_terahash", 5, 100, "xy",
                                   ("hashprice_usd_per_phs_day", (30, 50))),
    "cost_per_mtok": Plot("tokens_per_s", 10, 1e5, "xy", ("cost_per_hour", (2, 20))),
    "energy_cost_per_mtok": Plot("tokens_per_s", 10, 1e5, "xy", ("watts", (1000, 10_000))),
    "capital_recovery": Plot("years", 1, 30, "y", ("interest", (0.04, 0.12))),
    "cluster_tokens_per_s": Plot("devices", 1, 1e5, "xy", ("overhead", (0.0, 0.02, 0.05)), given={
        "prompt_tokens": 1000, "answer_tokens": 500,
        "prefill_tokens_per_s": 8000, "decode_tokens_per_s": 1000}),
    "curtailment_price": Plot("revenue_per_hour", 1, 100, "", ("watts", (1e5, 3e5)),
                              given={"licence_fee": 0.3, "curtailment_income": 20}),
    "hashprice_usd": Plot("difficulty", 1e13, 1e15, "xy", ("price_usd", (5e4, 1e5))),
    "gemm_operator": Plot("m", 1, 16384, "xy", ("n", (1024, 8192)), ("time",)),
    "experts_operator": Plot(**_TOKENS, by=("moe_ep", (1, 8))),
    "attention_decode_operator": Plot(**_BATCH, by=_CONTEXTS),
    "attention_prefill_operator": Plot(**_PROMPT, by=("window", (0, 4096)), given={"batch": 1}),
    "mla_decode_operator": Plot(**_BATCH, by=_CONTEXTS),
    "mla_prefill_operator": Plot(**_PROMPT, by=("absorbed", (0, 1)), given={"batch": 1}),
    "sparse_decode_operator": Plot("context", 1024, 262144, "xy", ("batch", (8, 64)), ("time",),
                                   {"topk": 2048}),
    "sparse_prefill_operator": Plot(**_PROMPT, by=("past", (0, 32768)), given={"batch": 1, "topk": 2048}),
    "compressed_decode_operator": Plot("context", 1024, 262144, "xy", ("ratio", (4, 128)), ("time",),
                                       {"topk": 512, "width": 512, "window": 128}),
    "compressed_prefill_operator": Plot(**_PROMPT, by=("ratio", (4, 128)),
                                        given={"batch": 1, "topk": 512, "width": 512, "window": 128}),
    "compressor_operator": Plot(**_TOKENS, by=("width", (512, 2048)), given={"ratio": 4}),
    "block_sparse_decode_operator": Plot("context", 1024, 262144, "xy", ("topk", (1024, 2048)), ("time",),
                                         {"index_heads": 4}),
    "block_sparse_prefill_operator": Plot(**_PROMPT, by=("topk", (1024, 2048)),
                                          given={"batch": 1, "index_heads": 4}),
    "hyper_connection_operator": Plot(**_TOKENS, by=("streams", (2, 4))),
    "attention_residual_operator": Plot(**_TOKENS, by=("slots", (2, 8))),
    "layer_embedding_operator": Plot(**_TOKENS, by=("width", (256, 1024))),
    "latent_experts_operator": Plot(**_TOKENS, by=("zero_experts", (0, 128))),
    "gated_delta_decode_operator": Plot(**_BATCH, by=("value_heads", (16, 32))),
    "gated_delta_prefill_operator": Plot(**_PROMPT, by=("value_heads", (16, 32)), given={"batch": 1}),
    "mamba2_decode_operator": Plot(**_BATCH, by=("heads", (64, 128)), given={"head_dim": 64}),
    "mamba2_prefill_operator": Plot(**_PROMPT, by=("heads", (64, 128)),
                                    given={"batch": 1, "head_dim": 64, "chunk": 256}),
    "grouped_gemm_operator": Plot(**_TOKENS, by=("moe_ep", (1, 8)), given={"n": 2048, "k": 7168}),
    "norm_operator": Plot(**_TOKENS, by=("residual", (0, 1))),
    "rotary_operator": Plot(**_TOKENS, by=("heads", (16, 64))),
    "activation_operator": Plot(**_TOKENS, by=("width", (2048, 16384))),
    "quantise_operator": Plot(**_TOKENS, by=("width", (2048, 16384))),
    "sampling_operator": Plot("sequences", 1, 1024, "xy", ("greedy", (0, 1)), ("time",)),
    "elementwise_operator": Plot(**_BYTES, fields=("time",)),
    "all_reduce_operator": Plot(**_BYTES, by=_RANKS, fields=("time",)),
    "all_gather_operator": Plot(**_BYTES, by=_RANKS, fields=("time",)),
    "reduce_scatter_operator": Plot(**_BYTES, by=_RANKS, fields=("time",)),
    "all_to_all_operator": Plot(**_BYTES, by=_RANKS, fields=("time",)),
    "send_operator": Plot(**_BYTES, fields=("time",)),
}  # fmt: skip

#: What `serving_system` is shown with: two replicas that answer, and those that compute prompts.
POOLS = {"replicas": 2.0, "batch": 64.0, "round_s": 0.02, "tokens": 1.0, "watts": 4000.0, "devices": 4.0,
         "prefill_replicas": 1.0, "prefill_batch": 1.0, "prefill_s": 0.1, "alone_s": 0.1, "prefill_w": 4000.0,
         "prefill_devices": 4.0, "first_s": 0.02, "cache_bytes": 3e8, "link_bandwidth": 50e9}  # fmt: skip
WHOLE = {"tiles", "length", "spare", "prompts", "confirmations"}


def unit(name: str) -> str:
    """The unit of an input, as its page has it."""
    found = re.search(r"\[([^\]]+)\]", UNITS.get(name, ""))
    return "" if found is None or found[1] in ("1", "k", "..., k", "..., 80") else found[1]


def plain(value: float) -> str:
    """A number as a text has it: whole ones as they are."""
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e6 else short(value)


def values_of(name: str) -> np.ndarray:
    """Where a kernel's input is swept."""
    plot = PLOTS[name]
    found = (np.geomspace if "x" in plot.log else np.linspace)(plot.low, plot.high, 81)
    return np.unique(np.round(found)) if plot.over in WHOLE else found


@cache
def _records() -> dict[str, np.ndarray]:
    return dict(zip(("device", "calibration", "model", "plan"), deployment(DEVICE, MODEL, PLAN).records,
                    strict=True))  # fmt: skip


def fields_of(name: str) -> tuple[str, ...]:
    """Names along the last axis of what a kernel gives."""
    found = re.match(r"`(\w+)`", KERNELS[name][2])
    return () if found is None else getattr(tr.kernels, found[1])


def _given(name: str, x: np.ndarray, line: float | None) -> list[Any]:
    plot = PLOTS[name]
    values = USUAL | plot.given | {plot.over: x}
    if plot.by[0]:
        values[plot.by[0]] = line
    records = _records()
    if name == "expected_tokens_by_position":
        return [np.repeat(x[:, None], int(line or 1), axis=1)]
    if name == "sha256d":
        headers = np.zeros((len(x), 80), np.uint8)
        headers[:, 76] = x
        return [headers]
    if name == "serving_of_terms":
        terms = tr.kernels.serving_terms(
            *records.values(), x, values["input_tokens"], values["output_tokens"]
        )
        return [records["calibration"], terms, x, values["output_tokens"]]
    if name == "serving_system":
        return [np.array([POOLS.get(term, 0.0) for term in tr.kernels.SYSTEM_TERMS]), x]
    return [records[i] if i in records else values[i] for i in KERNELS[name][0].split()]


def lines_of(name: str) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Lines of a kernel's plot: what each is called, where it goes."""
    plot, kernel, x = PLOTS[name], getattr(tr.kernels, name), values_of(name)
    out = []
    for line in plot.by[1] or (None,):
        found = np.asarray(kernel(*_given(name, x, line)))
        if name == "sha256d":  # the digest as a number, of all that there are
            found = found[:, ::-1].astype(float) @ 256.0 ** -np.arange(1, 33)
        label = (
            "" if line is None else f"{plot.by[0]} {plain(float(line))} {unit(plot.by[0])}".strip()
        )
        if not plot.fields:
            out.append((label, x, found))
        for one in plot.fields:
            out.append((label or one, x, found[..., fields_of(name).index(one)]))
    return out


def picture(name: str) -> str:
    """The plot of a kernel as SVG."""
    plot = PLOTS[name]
    title = "time [s]" if plot.fields else KERNELS[name][2]
    title = {"serving_system": "request/s, and share", "sha256d": "digest over 2^256"}.get(
        name, title
    )
    along = "last byte of the nonce" if name == "sha256d" else plot.over
    kind = "marks" if name == "sha256d" else "line"
    panel = Panel(
        Axis(f"{along} [{unit(plot.over)}]" if unit(plot.over) else along, "x" in plot.log),
        Axis(title, "y" in plot.log),
        [Line(x, y, label, COLOURS[i % len(COLOURS)], kind, width=2.0 if kind == "line" else 1.5)
         for i, (label, x, y) in enumerate(lines_of(name))],
    )  # fmt: skip
    return svg([panel], 460, 300, label=f"{name} over {plot.over}")


def caption(name: str) -> str:
    """What the plot holds still, with units."""
    plot = PLOTS[name]
    values = USUAL | plot.given
    parts = []
    for one in KERNELS[name][0].split():
        if one in (plot.over, plot.by[0]):
            continue
        if one in RECORDS:
            parts.append(f"{one} {RECORDS[one]}")
        elif one == "system":
            parts.append("of the system " + ", ".join(f"{k} {v:g}" for k, v in POOLS.items()))
        elif one == "terms":
            parts.append(f"terms those of {DEVICE} and {MODEL}")
        elif one.endswith("dtype") or one in ("weights", "activations"):
            parts.append(f"{one} {tr.dtypes.NAMES[int(values[one])]}")
        else:
            parts.append(f"{one} {plain(float(values[one]))} {unit(one)}".strip())
    return "The kernel itself" + (", with " + "; ".join(parts) if parts else "") + "."
