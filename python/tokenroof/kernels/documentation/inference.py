"""Rooflines, energy, collectives, steps, speculation, dataflow and power."""

from __future__ import annotations

_W09 = "Williams, Waterman, Patterson, Roofline, CACM 52(4), 2009, section 3."
_C13 = "Choi, Bedard, Fowler, Vuduc, A Roofline Model of Energy, IPDPS 2013."
_C14 = "Choi, Dukhan, Liu, Vuduc, Algorithmic Time, Energy, and Power, IPDPS 2014."
_T05 = "Thakur, Rabenseifner, Gropp, IJHPCA 19(1), 2005; Hockney, Parallel Computing 20(3), 1994."
_PY09 = "Patarasuk, Yuan, JPDC 69(2), 2009."
_L23 = "Leviathan, Kalman, Matias, ICML 2023, arXiv:2211.17192, section 3."
_A22 = "Abts et al., A Software-defined Tensor Streaming Multiprocessor, ISCA 2022."
_CAP = "docs/inference/power.md; Light-Heart-Labs, vLLM throughput vs GPU power cap, 2026."
_POWER = "docs/inference/power.md: (p^-12 + c^-12)^(-1/12), within 0.6 %."
_STEP = (
    "docs/inference/step-model.md: the sum of a transformer's operators, each a roofline [W09] with a cost "
    "per launch."
)

UNITS = {
    "peak_flops": "peak rate [FLOP/s]",
    "bandwidth": "memory or link bandwidth [B/s]",
    "link_bandwidth": "link bandwidth, one way [B/s]",
    "intensity": "arithmetic intensity [FLOP/B]",
    "flops": "work [FLOP]",
    "bytes": "memory traffic [B]",
    "link_bytes": "traffic over the link [B]",
    "seconds": "time [s]",
    "dynamic_energy": "energy of operations and traffic [J]",
    "power_cap": "cap on the dynamic power [W]",
    "energy_per_flop": "energy of an operation [J/FLOP]",
    "energy_per_byte": "energy of moving a byte [J/B]",
    "constant_power": "power that is drawn all the time [W]",
    "time_balance": "ridge point [FLOP/B]",
    "energy_balance": "energy balance point [FLOP/B]",
    "flop_share": "e_f / (e_f + pi_0 tau_f), share of an operation's energy that is its own [1]",
    "tokens": "tokens of the batch [1]",
    "experts": "experts of a layer [1]",
    "topk": "experts that each token chooses; of sparse attention, keys that each query chooses [1]",
    "nbytes": "the full vector per rank [B]",
    "ranks": "devices that take part, one or more; NaN below [1]",
    "latency": "time of a message without its bytes, alpha [s]",
    "device": "packed `Device` [k]",
    "calibration": "packed `Calibration` [k]",
    "model": "packed `Model` [k]",
    "plan": "packed `Plan` [k]",
    "batch": "decode sequences in flight over the replica [1]",
    "context": "cached tokens per sequence, the new one included [1]",
    "past": "tokens of the prompt that are cached already [1]",
    "prompts": "prompts that are prefilled together [1]",
    "watts_wanted": "power that the load would draw [W, or a share of the limit]",
    "ceiling": "power that a regulator holds it to, in the same unit",
    "clock": "clock of multiprocessors, of boost's [1]",
    "limit": "power that a board may draw [W, or a share of its limit]",
    "rest": "power that is drawn at any clock, in the same unit",
    "clocked": "power of multiprocessors that run, at boost, in the same unit",
    "worked": "power of operations at the rate of boost, in the same unit",
    "moved": "power of traffic at the rate of boost, in the same unit",
    "follows": "share of the time that goes with the clock [1]",
    "tiles": "tiles of a kernel's output, or thread blocks [1]",
    "sm_count": "multiprocessors [1]",
    "compute_use": "FLOP/s over the dense peak of the type [1]",
    "memory_use": "bytes/s over the datasheet's bandwidth [1]",
    "gemm_use": "time share of matrix products, times the share of multiprocessors with a tile [1]",
    "attention_decode_use": "the same of decode attention [1]",
    "attention_prefill_use": "the same of prefill attention [1]",
    "experts_use": "the same of experts [1]",
    "acceptance": "chance that a drafted token is accepted after those before it [1]",
    "length": "tokens drafted per round [1]",
    "cost_ratio": "time of drafting a token over that of a step of the target [1]",
    "work_ratio": "FLOPs of drafting a token over those of the target's token [1]",
    "most": "largest length to consider, at most 4,096 [1]",
    "acceptances": "acceptance of each drafted position, given those before it [..., k]",
    "held_bytes": "weights, caches and states [B]",
    "sram_bytes": "memory of a chip [B]",
    "share": "of that memory, what is free for them [1]",
    "chip_s": "time of the trip's work on one chip [s]",
    "chips": "chips, or wafers, that hold the model [1]",
    "stages": "stages of the pipeline [1]",
    "layers": "layers of the model [1]",
    "layer_s": "time that a layer's dependent operations take however wide it is laid out [s]",
    "hop_s": "time from one stage to the next [s]",
}

# name -> (inputs, summary, result, source, example)
KERNELS: dict[str, tuple[str, str, str, str, str]] = {
    "attainable": (
        "peak_flops bandwidth intensity",
        "Rate that a kernel of this arithmetic intensity can reach: min(P, I B).",
        "rate [FLOP/s]", _W09,
        ">>> float(attainable(989.4e12, 3.35e12, 64.0))\n214400000000000.0",
    ),
    "ridge_point": (
        "peak_flops bandwidth", "Arithmetic intensity from which compute binds: P / B.",
        "intensity [FLOP/B]", _W09,
        ">>> round(float(ridge_point(989.4e12, 3.35e12)), 3)\n295.343",
    ),
    "time_bound": (
        "flops bytes peak_flops bandwidth",
        "Time of a kernel whose compute and traffic overlap fully: max(W / P, Q / B).",
        "time [s]", _W09,
        ">>> float(time_bound(1e12, 1e9, 1e15, 1e12))\n0.001",
    ),
    "time_bound_link": (
        "flops bytes link_bytes peak_flops bandwidth link_bandwidth",
        "`time_bound` with a link as a third roof.", "time [s]", _W09,
        ">>> float(time_bound_link(1e12, 1e9, 1e9, 1e15, 1e12, 1e11))\n0.01",
    ),
    "time_bound_capped": (
        "seconds dynamic_energy power_cap",
        "Time under a cap on the dynamic power: max(T, E / cap).", "time [s]", _C14,
        ">>> float(time_bound_capped(1.0, 600.0, 500.0))\n1.2",
    ),
    "energy": (
        "flops bytes energy_per_flop energy_per_byte constant_power seconds",
        "Energy: W e_f + Q e_m + pi_0 T.", "energy [J]", _C13,
        ">>> float(energy(1e15, 0.0, 5e-13, 3e-11, 100.0, 1.0))\n600.0",
    ),
    "energy_balance": (
        "energy_per_flop energy_per_byte",
        "Intensity at which operations and traffic cost the same energy: e_m / e_f.",
        "intensity [FLOP/B]", _C13,
        ">>> round(float(energy_balance(5e-13, 3e-11)), 9)\n60.0",
    ),
    "effective_energy_balance": (
        "intensity time_balance energy_balance flop_share",
        "Energy balance once constant power is charged to the time that it burns.",
        "intensity [FLOP/B]", _C13,
        ">>> float(effective_energy_balance(100.0, 100.0, 60.0, 0.5))\n30.0",
    ),
    "flops_per_joule": (
        "intensity peak_flops bandwidth energy_per_flop energy_per_byte constant_power",
        "Work per energy of a kernel of this intensity: a smooth arch, without a corner.",
        "efficiency [FLOP/J]", _C13,
        ">>> float(flops_per_joule(1.0, 1.0, 1.0, 0.5, 0.25, 0.25))\n1.0",
    ),
    "roofline_power": (
        "intensity peak_flops bandwidth energy_per_flop energy_per_byte constant_power",
        "Power while a kernel of this intensity runs at its roof.", "power [W]", _C13,
        ">>> float(roofline_power(1.0, 2.0, 2.0, 1.0, 1.0, 1.0))\n5.0",
    ),
    "experts_touched": (
        "tokens experts topk",
        "Distinct experts that a batch touches under uniform routing: E (1 - (1 - k/E)^tokens); NaN below "
        "zero, and where each token chooses more than there are.",
        "experts [1]", "Occupancy; Feller, An Introduction to Probability, vol. 1, IV.2.",
        ">>> round(float(experts_touched(64.0, 256.0, 8.0)), 9)\n222.442487686",
    ),
    "send": ("nbytes latency bandwidth", "One message: alpha + S / B.", "time [s]", _T05,
             ">>> float(send(1e9, 0.0, 1e9))\n1.0"),
    "all_gather": ("nbytes ranks latency bandwidth",
                   "Ring all-gather: (n - 1) alpha + (n - 1)/n S / B.", "time [s]", _T05,
                   ">>> float(all_gather(8e9, 8.0, 0.0, 1e9))\n7.0"),
    "reduce_scatter": ("nbytes ranks latency bandwidth",
                       "Ring reduce-scatter: (n - 1) alpha + (n - 1)/n S / B.", "time [s]", _T05,
                       ">>> float(reduce_scatter(8e9, 8.0, 0.0, 1e9))\n7.0"),
    "all_to_all": ("nbytes ranks latency bandwidth",
                   "Direct all-to-all: alpha + (n - 1)/n S / B.", "time [s]", _T05,
                   ">>> float(all_to_all(8e9, 8.0, 0.0, 1e9))\n7.0"),
    "all_reduce": ("nbytes ranks latency bandwidth",
                   "The best of ring, one-shot and two-shot all-reduce, as libraries choose by size.",
                   "time [s]", f"{_T05} {_PY09}",
                   ">>> float(all_reduce(8e9, 8.0, 0.0, 1e9))\n14.0"),
    "all_reduce_ring": ("nbytes ranks latency bandwidth",
                        "Ring all-reduce: 2 (n - 1) alpha + 2 (n - 1)/n S / B.", "time [s]", _PY09,
                        ">>> float(all_reduce_ring(8e9, 8.0, 0.0, 1e9))\n14.0"),
    "all_reduce_one_shot": ("nbytes ranks latency bandwidth",
                            "Every rank sends its vector to every other: alpha + (n - 1) S / B.",
                            "time [s]", _T05,
                            ">>> float(all_reduce_one_shot(1e9, 8.0, 0.0, 1e9))\n7.0"),
    "all_reduce_two_shot": ("nbytes ranks latency bandwidth",
                            "Direct reduce-scatter and all-gather: 2 alpha + 2 (n - 1)/n S / B.",
                            "time [s]", _T05,
                            ">>> float(all_reduce_two_shot(8e9, 8.0, 0.0, 1e9))\n14.0"),
    "decode_time": ("device calibration model plan batch context",
                    "Time of one decode step.", "time [s]", _STEP, ""),
    "decode_step": ("device calibration model plan batch context",
                    "All fields of one decode step.", "`STEP_FIELDS` [..., k]", _STEP, ""),
    "prefill_time": ("device calibration model plan tokens past",
                     "Time of prefilling one prompt (or one chunk of it).", "time [s]", _STEP, ""),
    "prefill_step": ("device calibration model plan tokens past",
                     "All fields of prefilling one prompt.", "`STEP_FIELDS` [..., k]", _STEP, ""),
    "mixed_time": ("device calibration model plan batch context tokens past",
                   "Time of one engine step that carries a decode batch and a prefill chunk; "
                   "`decode_time` and `prefill_time` are its edges.", "time [s]", _STEP, ""),
    "mixed_step": ("device calibration model plan batch context tokens past",
                   "All fields of one mixed step.", "`STEP_FIELDS` [..., k]", _STEP, ""),
    "prompts_time": ("device calibration model plan prompts tokens past",
                     "Time of prefilling several equal prompts in one step.", "time [s]", _STEP, ""),
    "prompts_step": ("device calibration model plan prompts tokens past",
                     "All fields of prefilling several equal prompts.", "`STEP_FIELDS` [..., k]",
                     _STEP, ""),
    "mixed_prompts_time": ("device calibration model plan batch context prompts tokens past",
                           "Time of one engine step that carries a decode batch and several equal "
                           "prompts.", "time [s]", _STEP, ""),
    "mixed_prompts_step": ("device calibration model plan batch context prompts tokens past",
                           "All fields of one step with a decode batch and several equal prompts.",
                           "`STEP_FIELDS` [..., k]", _STEP, ""),
    "memory_required": ("model plan batch context",
                        "Bytes that the fullest device holds: weights, workspace, caches, states.",
                        "memory [B]", "docs/inference/step-model.md", ""),
    "capped_power": (
        "watts_wanted ceiling", "The lesser of two powers with a rounded corner, as a regulator holds a "
        "board: min (1 - 0.0561 (min/max)^12).", "power, in the same unit", _POWER,
        ">>> round(float(capped_power(700.0, 700.0)), 1), round(float(capped_power(100.0, 700.0)), 1)\n"
        "(660.7, 100.0)",
    ),
    "wave_fill": (
        "tiles sm_count", "Mean share of multiprocessors that have a tile, over all waves.",
        "share [1]", "NVIDIA, Matrix Multiplication Background, DU-09799-001, section 3.2.",
        ">>> float(wave_fill(126.0, 108.0))\n0.5833333333333334",
    ),
    "clock_volts": (
        "clock", "Volts of multiprocessors over those at boost: max(0.85, 1 - 0.15 (1 - y) / 0.07).",
        "ratio [1]", _CAP, ">>> round(float(clock_volts(0.965)), 4), float(clock_volts(0.5))\n(0.925, 0.85)",
    ),
    "clock_seconds": (
        "clock follows", "Seconds at a clock over those at boost: 1 + follows (1 / y - 1).",
        "ratio [1]", _CAP, ">>> float(clock_seconds(0.5, 0.2))\n1.2",
    ),
    "clock_watts": (
        "clock rest clocked worked moved follows", "Watts of a load at a clock: rest + clocked y v^2 + "
        "(worked v^2 + moved) / T, v `clock_volts` and T `clock_seconds`.",
        "power, in the same unit", _CAP,
        ">>> round(float(clock_watts(0.5, 80.0, 100.0, 200.0, 100.0, 1.0)), 3)\n238.375",
    ),
    "capped_clock": (
        "limit rest clocked worked moved follows", "The clock at which a load draws the limit: 1 where it "
        "draws less at boost, 0.1 where even that draws more.", "ratio [1]", _CAP,
        ">>> round(float(capped_clock(238.375, 80.0, 100.0, 200.0, 100.0, 1.0)), 6)\n0.5",
    ),
    "expected_tokens": (
        "acceptance length", "Tokens that a round of speculative decoding yields: "
        "(1 - a^(k + 1)) / (1 - a); NaN for an acceptance beyond 0 ... 1.", "tokens [1]", _L23,
        ">>> round(float(expected_tokens(0.8, 5.0)), 6)\n3.68928",
    ),
    "speculative_speedup": (
        "acceptance length cost_ratio", "Speed-up over plain decoding where verifying costs one step: "
        "(1 - a^(k + 1)) / ((1 - a) (k c + 1)); NaN for an acceptance beyond 0 ... 1.", "ratio [1]", _L23,
        ">>> round(float(speculative_speedup(0.8, 5.0, 0.05)), 6)\n2.951424",
    ),
    "speculative_operations": (
        "acceptance length work_ratio", "Work over that of plain decoding: "
        "(1 - a) (k c + k + 1) / (1 - a^(k + 1)); NaN for an acceptance beyond 0 ... 1.", "ratio [1]", _L23,
        ">>> round(float(speculative_operations(0.8, 5.0, 0.05)), 9)\n1.694097493",
    ),
    "best_draft_length": (
        "acceptance cost_ratio most", "The whole draft length of the largest speed-up; the shorter one "
        "of equals. NaN for an acceptance beyond 0 ... 1.", "tokens [1]", _L23,
        ">>> float(best_draft_length(0.8, 0.05, 64.0))\n8.0",
    ),
    "dataflow_chips": (
        "held_bytes sram_bytes share", "Chips whose SRAM holds a model: ceil(bytes / (SRAM share)), at "
        "least one.", "chips [1]", _A22, ">>> float(dataflow_chips(70e9, 230e6, 1.0))\n305.0",
    ),
    "dataflow_trip": (
        "chip_s chips stages layers layer_s hop_s", "One trip of a microbatch through a statically "
        "scheduled pipeline: t stages / chips + layers t_layer + (stages - 1) t_hop.", "time [s]", _A22,
        ">>> float(dataflow_trip(1.0, 8.0, 4.0, 2.0, 0.125, 0.25))\n1.5",
    ),
    "dataflow_microbatch": (
        "batch stages", "Sequences that travel together: max(batch / stages, min(batch, 1)).",
        "sequences [1]", "docs/inference/other-devices.md", ">>> float(dataflow_microbatch(32.0, 64.0))\n1.0",
    ),
    "board_power": (
        "device calibration compute_use memory_use gemm_use attention_decode_use "
        "attention_prefill_use experts_use",
        "Power of one board under load: idle, work, traffic and busy multiprocessors, up to its limit.",
        "power [W]", f"docs/inference/power.md; {_C14}", "",
    ),
    "expected_tokens_by_position": (
        "acceptances", "Tokens that a round yields where each drafted position has its own acceptance: "
        "1 + a1 + a1 a2 + ...", "tokens [1]", _L23,
        ">>> float(expected_tokens_by_position([0.5, 0.5]))\n1.75",
    ),
}  # fmt: skip
