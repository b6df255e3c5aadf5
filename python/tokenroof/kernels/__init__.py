"""The kernels: NumPy ufuncs and gufuncs over the C++ formulas.

They broadcast, take ``out=``, ``where=`` and ``dtype=``, pickle, and work on pandas, polars, xarray and
Dask objects as any ufunc does. Inputs are positional, in SI units. `by_isa` gives the same kernels for
each instruction set that this machine can run; `tokenroof.reference` mirrors them in plain Python.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from tokenroof import _core

if TYPE_CHECKING:
    import numpy as np

#: Names along the last axis of the ``_step`` kernels. FLOPs, bytes and watts are those of the whole
#: replica; the seconds by cause, and those by group with ``overhead_s``, each sum to ``time``.
STEP_FIELDS: tuple[str, ...] = _core.STEP_FIELDS
#: Names along the last axis of `serving` and of `serving_terms`: seconds, sequences, tokens/s, watts.
SERVING_FIELDS: tuple[str, ...] = _core.SERVING_FIELDS
SERVING_TERMS: tuple[str, ...] = _core.SERVING_TERMS
#: Names along the last axis of the ``_operator`` kernels.
OPERATOR_FIELDS: tuple[str, ...] = _core.OPERATOR_FIELDS

_W09 = "Williams, Waterman, Patterson, Roofline, CACM 52(4), 2009, section 3."
_C13 = "Choi, Bedard, Fowler, Vuduc, A Roofline Model of Energy, IPDPS 2013."
_C14 = "Choi, Dukhan, Liu, Vuduc, Algorithmic Time, Energy, and Power, IPDPS 2014."
_T05 = "Thakur, Rabenseifner, Gropp, IJHPCA 19(1), 2005; Hockney, Parallel Computing 20(3), 1994."
_PY09 = "Patarasuk, Yuan, JPDC 69(2), 2009."
_FIPS = "FIPS 180-4; Bitcoin hashes a block header twice."
_N08 = "Nakamoto, Bitcoin: A Peer-to-Peer Electronic Cash System, 2008, section 11."
_R14 = (
    "Rosenfeld, Analysis of hashrate-based double-spending, arXiv:1402.2009, equation 1; "
    "Grunspan, Perez-Marco, Double spend races, arXiv:1702.02867."
)
_ES13 = "Eyal, Sirer, Majority is not enough, arXiv:1311.0243"
_ECON = "Unit conversion; see tokenroof.economics."
_MINING = "docs/mining.md."
_L23 = "Leviathan, Kalman, Matias, ICML 2023, arXiv:2211.17192, section 3."
_A22 = "Abts et al., A Software-defined Tensor Streaming Multiprocessor, ISCA 2022."
_POWER = "docs/power.md: (p^-12 + c^-12)^(-1/12), within 0.6 %."
_STEP = (
    "docs/step-model.md: the sum of a transformer's operators, each a roofline [W09] with a cost per "
    "launch."
)

_SERVING = "cpp/include/tokenroof/serving.hpp; Little, Operations Research 9(3), 1961."

_UNITS = {
    "concurrency": "requests in flight over the replica [1]",
    "input_tokens": "mean tokens of a prompt [1]",
    "output_tokens": "mean tokens of an answer [1]",
    "terms": "what `serving_terms` gives [k]",
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
    "topk": "experts that each token chooses [1]",
    "nbytes": "the full vector per rank [B]",
    "ranks": "devices that take part [1]",
    "latency": "time of a message without its bytes, alpha [s]",
    "tokens_per_s_per_mw": "throughput per MW [token/(s MW)]",
    "price_per_mtok": "price of a million tokens [$]",
    "hashprice_usd_per_phs_day": "revenue of one PH/s over a day [$]",
    "joules_per_terahash": "energy of 1e12 hashes [J/TH]",
    "pue": "facility power over IT power [1]",
    "cost_per_hour": "cost of the machine [$/h]",
    "tokens_per_s": "throughput [token/s]",
    "watts": "power [W]",
    "price_per_kwh": "price of electricity [$/kWh]",
    "difficulty": "Bitcoin difficulty [1]",
    "reward_btc": "subsidy and fees of a block [BTC]",
    "price_usd": "price of a bitcoin [$]",
    "hashrate": "hashes per second [hash/s]",
    "span": "time that the period took [s]",
    "target_span": "time that the period should take [s]",
    "hashprice": "revenue of one PH/s over a day [$/(PH/s day)]",
    "fee": "part of the revenue that the pool keeps [1]",
    "attacker_share": "attacker's share of the hashrate, 0 to 1 [1]",
    "confirmations": "whole confirmations waited for, 0 to 1e6 [1]",
    "gamma": "part of the other hashrate that mines on the attacker's block in a tie, 0 to 1 [1]",
    "device": "packed `Device` [k]",
    "calibration": "packed `Calibration` [k]",
    "model": "packed `Model` [k]",
    "plan": "packed `Plan` [k]",
    "batch": "decode sequences in flight over the replica [1]",
    "context": "cached tokens per sequence, the new one included [1]",
    "past": "tokens of the prompt that are cached already [1]",
    "prompts": "prompts that are prefilled together [1]",
    "headers": "block headers, uint8 [..., 80]",
    "watts_wanted": "power that the load would draw [W, or a share of the limit]",
    "ceiling": "power that a regulator holds it to, in the same unit",
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
_DOCS: dict[str, tuple[str, str, str, str, str]] = {
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
        "Distinct experts that a batch touches under uniform routing: E (1 - (1 - k/E)^tokens).",
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
                        "Bytes that the fullest device holds: weights, caches and states.",
                        "memory [B]", "docs/step-model.md", ""),
    "serving": ("device calibration model plan concurrency input_tokens output_tokens",
                "Latency and throughput of one replica in closed loop: KV memory limit, prefills that "
                "interfere, burst, queue. NaN where not even one request fits the memory.",
                "`SERVING_FIELDS` [..., k]", _SERVING, ""),
    "serving_terms": ("device calibration model plan concurrency input_tokens output_tokens",
                      "What `serving` needs of device, model and plan, without an engine's gaps: "
                      "for fits of an engine's constants.", "`SERVING_TERMS` [..., k]", _SERVING, ""),
    "serving_of_terms": ("calibration terms concurrency output_tokens",
                         "`serving` from its terms and the engine's constants of a calibration.",
                         "`SERVING_FIELDS` [..., k]", _SERVING, ""),
    "sha256d": ("headers", "Double SHA-256 of block headers, digest in wire order.",
                "digests, uint8 [..., 32]", _FIPS,
                ">>> import numpy as np\n"
                ">>> sha256d(np.zeros(80, np.uint8))[:4].tobytes().hex()\n'4be7570e'"),
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
    "expected_tokens": (
        "acceptance length", "Tokens that a round of speculative decoding yields: "
        "(1 - a^(k + 1)) / (1 - a); NaN for an acceptance beyond 0 ... 1.", "tokens [1]", _L23,
        ">>> round(float(expected_tokens(0.8, 5.0)), 6)\n3.68928",
    ),
    "speculative_speedup": (
        "acceptance length cost_ratio", "Speed-up over plain decoding where verifying costs one step: "
        "(1 - a^(k + 1)) / ((1 - a) (k c + 1)).", "ratio [1]", _L23,
        ">>> round(float(speculative_speedup(0.8, 5.0, 0.05)), 6)\n2.951424",
    ),
    "speculative_operations": (
        "acceptance length work_ratio", "Work over that of plain decoding: "
        "(1 - a) (k c + k + 1) / (1 - a^(k + 1)).", "ratio [1]", _L23,
        ">>> round(float(speculative_operations(0.8, 5.0, 0.05)), 9)\n1.694097493",
    ),
    "best_draft_length": (
        "acceptance cost_ratio most", "The whole draft length of the largest speed-up; the shorter one "
        "of equals.", "tokens [1]", _L23,
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
        "sequences [1]", "docs/other-devices.md", ">>> float(dataflow_microbatch(32.0, 64.0))\n1.0",
    ),
    "board_power": (
        "device calibration compute_use memory_use gemm_use attention_decode_use "
        "attention_prefill_use experts_use",
        "Power of one board under load: idle, work, traffic and busy multiprocessors, up to its limit.",
        "power [W]", f"docs/power.md; {_C14}", "",
    ),
    "expected_tokens_by_position": (
        "acceptances", "Tokens that a round yields where each drafted position has its own acceptance: "
        "1 + a1 + a1 a2 + ...", "tokens [1]", _L23,
        ">>> float(expected_tokens_by_position([0.5, 0.5]))\n1.75",
    ),
    "token_revenue_per_mwh": ("tokens_per_s_per_mw price_per_mtok",
                              "Revenue of tokens per MWh: 3600 tput price / 1e6.", "revenue [$/MWh]",
                              _ECON, ">>> float(token_revenue_per_mwh(1e6, 2.0))\n7200.0"),
    "mining_revenue_per_mwh": ("hashprice_usd_per_phs_day joules_per_terahash pue",
                               "Revenue of mining per MWh at the meter.", "revenue [$/MWh]", _ECON,
                               ">>> round(float(mining_revenue_per_mwh(50.0, 17.5, 1.05)), 6)\n"
                               "113.378685"),
    "cost_per_mtok": ("cost_per_hour tokens_per_s", "Cost of a million tokens.", "cost [$/Mtok]",
                      _ECON, ">>> float(cost_per_mtok(3.6, 1000.0))\n1.0"),
    "energy_cost_per_mtok": ("watts tokens_per_s price_per_kwh",
                             "Cost of the electricity of a million tokens.", "cost [$/Mtok]", _ECON,
                             ">>> float(energy_cost_per_mtok(3600.0, 1000.0, 1.0))\n1.0"),
    "hashprice_usd": ("difficulty reward_btc price_usd",
                      "Revenue of one PH/s over a day.", "hashprice [$/(PH/s day)]",
                      "Luxor's definition: 86400 * 1e15 / (D 2^32) * reward * price.",
                      ">>> round(float(hashprice_usd(1e14, 3.175, 1e5)), 9)\n63.870102167"),
    "time_to_block": ("hashrate difficulty", "Mean wait for a block: D 2^32 / rate.", "time [s]",
                      _MINING, ">>> float(time_to_block(100e12, 1e14))\n4294967296.0"),
    "block_probability": ("hashrate difficulty seconds",
                          "Probability of a block within a time: 1 - exp(-t rate / (D 2^32)).",
                          "probability [1]", "Nakamoto, Bitcoin, 2008: blocks are Poisson.",
                          ">>> round(float(block_probability(1e18, 1e14, 86400.0)), 9)\n0.182223066"),
    "next_difficulty": ("difficulty span target_span",
                        "Difficulty after a period: D T / span, within a quarter and four times.",
                        "difficulty [1]", "Bitcoin Core, CalculateNextWorkRequired.",
                        ">>> float(next_difficulty(3.0, 604800.0, 1209600.0))\n6.0"),
    "price_at_hashprice": ("difficulty reward_btc hashprice",
                           "Price of a bitcoin at which a PH/s earns so much.", "price [$]", _MINING,
                           ">>> round(float(price_at_hashprice(1e14, 3.175, 63.870102167)), 2)\n"
                           "100000.0"),
    "difficulty_at_hashprice": ("reward_btc price_usd hashprice",
                                "Difficulty at which a PH/s earns so much.", "difficulty [1]",
                                _MINING,
                                ">>> round(float(difficulty_at_hashprice(3.175, 1e5, 63.870102167)) "
                                "/ 1e14, 9)\n1.0"),
    "miner_margin": ("hashrate watts hashprice price_per_kwh fee pue",
                     "Revenue of a machine less its power.", "margin [$/day]", _MINING,
                     ">>> round(float(miner_margin(200e12, 3500.0, 50.0, 0.06, 0.0, 1.0)), 9)\n4.96"),
    "break_even_power_price": ("hashrate watts hashprice fee pue",
                               "Price of power above which a machine does not earn it.",
                               "price [$/kWh]", _MINING,
                               ">>> round(float(break_even_power_price(200e12, 3500.0, 50.0, 0.0, "
                               "1.0)), 9)\n0.119047619"),
    "shutdown_hashprice": ("hashrate watts price_per_kwh fee pue",
                           "Hashprice below which a machine does not earn its power.",
                           "hashprice [$/(PH/s day)]", _MINING,
                           ">>> round(float(shutdown_hashprice(200e12, 3500.0, 0.06, 0.0, 1.0)), 9)\n"
                           "25.2"),
    "double_spend_nakamoto": (
        "attacker_share confirmations",
        "Probability that an attacker catches up, by the whitepaper's Poisson approximation.",
        "probability [1]", _N08,
        ">>> round(float(double_spend_nakamoto(0.1, 5.0)), 7)\n0.0009137",
    ),
    "double_spend_rosenfeld": (
        "attacker_share confirmations",
        "Probability that an attacker who has mined one block ahead catches up, exactly.",
        "probability [1]", _R14,
        ">>> round(float(double_spend_rosenfeld(0.1, 6.0)), 7)\n0.0005914",
    ),
    "selfish_mining_revenue": (
        "attacker_share gamma",
        "Share of the chain's blocks that a selfish miner gets.",
        "share [1]", f"{_ES13}, equation 8.",
        ">>> float(selfish_mining_revenue(0.25, 0.5))\n0.25",
    ),
    "selfish_mining_threshold": (
        "gamma", "Share of the hashrate from which selfish mining pays: (1 - g) / (3 - 2 g).",
        "share [1]", f"{_ES13}, observation 1.",
        ">>> float(selfish_mining_threshold(0.5))\n0.25",
    ),
}  # fmt: skip

_OPERATORS: dict[str, tuple[str, str]] = {
    "gemm_operator": ("m n k weights activations warm", "Matrix product [m, k] @ [k, n]."),
    "experts_operator": (
        "tokens hidden intermediate experts topk matrices moe_tp moe_ep skew weights",
        "Grouped matrix products of the experts on the busiest of their devices.",
    ),
    "attention_decode_operator": (
        "batch context heads kv_heads head_dim v_head_dim window kv_dtype warm",
        "Attention of one new token per sequence over its cache.",
    ),
    "attention_prefill_operator": (
        "batch tokens past heads kv_heads head_dim v_head_dim window kv_dtype maths_dtype",
        "Causal attention of new tokens over themselves and the cache.",
    ),
    "mla_decode_operator": (
        "batch context heads kv_lora_rank rope_head_dim kv_dtype warm",
        "Absorbed multi-head latent attention of one new token per sequence.",
    ),
    "mla_prefill_operator": (
        "batch tokens past heads nope_head_dim rope_head_dim v_head_dim kv_lora_rank absorbed "
        "maths_dtype kv_dtype",
        "Multi-head latent attention of a prompt, expanded to heads or absorbed.",
    ),
    "sparse_decode_operator": (
        "batch context heads kv_lora_rank rope_head_dim topk index_heads index_head_dim kv_dtype",
        "Sparse latent attention of one new token per sequence: indexer, choice, the chosen keys.",
    ),
    "sparse_prefill_operator": (
        "batch tokens past heads nope_head_dim rope_head_dim v_head_dim kv_lora_rank topk index_heads "
        "index_head_dim maths_dtype kv_dtype",
        "Sparse latent attention of a prompt: the chosen keys, or all of them under a mask.",
    ),
    "gated_delta_decode_operator": (
        "batch key_heads key_dim value_heads value_dim taps",
        "Gated delta net of one new token per sequence, between its projections.",
    ),
    "gated_delta_prefill_operator": (
        "batch tokens key_heads key_dim value_heads value_dim taps chunk",
        "Gated delta net of prompts, in chunks.",
    ),
    "mamba2_decode_operator": (
        "batch heads head_dim groups state taps",
        "Mamba-2 of one new token per sequence, between its projections.",
    ),
    "mamba2_prefill_operator": (
        "batch tokens heads head_dim groups state taps chunk",
        "Mamba-2 of prompts, in chunks.",
    ),
    "grouped_gemm_operator": (
        "tokens n k experts topk moe_ep skew weights",
        "One grouped product of experts on the busiest of their devices.",
    ),
    "norm_operator": ("tokens hidden residual", "Norm, with the residual or without."),
    "rotary_operator": (
        "tokens heads kv_heads head_dim v_head_dim kv_dtype",
        "Rotary embedding, and the cache's writing.",
    ),
    "activation_operator": ("tokens width matrices", "Activation between the products of an MLP."),
    "quantise_operator": ("tokens width activations", "Activations to a narrower type."),
    "sampling_operator": ("sequences vocab greedy", "The next token from its logits."),
    "elementwise_operator": ("nbytes kernels", "Reads and writes without tensor work."),
    "all_reduce_operator": ("ranks nbytes", "All-reduce over the device's link."),
    "all_gather_operator": ("ranks nbytes", "All-gather over the device's link."),
    "reduce_scatter_operator": ("ranks nbytes", "Reduce-scatter over the device's link."),
    "all_to_all_operator": ("ranks nbytes", "All-to-all over the device's link."),
    "send_operator": ("ranks nbytes", "One message over the device's link."),
}
for _name, (_arguments, _summary) in _OPERATORS.items():
    _DOCS[_name] = (
        f"device calibration {_arguments}",
        f"{_summary} A keyword function stands over it in `tokenroof.operators`.",
        "`OPERATOR_FIELDS` [..., k]",
        "docs/step-model.md",
        "",
    )


def _describe(name: str, function: Any) -> None:
    arguments, summary, result, source, example = _DOCS[name]
    names = arguments.split()
    lines = [summary, "", "Parameters", "----------"]
    for argument in names:
        unit = _UNITS.get(
            argument, "see tokenroof.operators; types as codes of tokenroof.dtypes [1]"
        )
        lines += [f"{argument} : array_like", f"    {unit}."]
    lines += ["", "Returns", "-------", result]
    if name != "sha256d":
        over_records = name in _OPERATORS or function.signature is not None
        below = " A load below zero gives NaN and the invalid flag." if over_records else ""
        if set(names) & {"attacker_share", "gamma"}:
            below = " Outside the ranges above: NaN and the invalid flag."
        lines += ["", "Notes", "-----", f"NaN in, NaN out.{below}"]
    lines += [""]
    lines += ["References", "----------", source]
    if example:
        lines += ["", "Examples", "--------", example]
    function.__doc__ = "\n".join(lines)
    function.__module__ = "tokenroof.kernels"
    positional = inspect.Parameter.POSITIONAL_ONLY
    keyword = inspect.Parameter.KEYWORD_ONLY
    function.__signature__ = inspect.Signature(
        [inspect.Parameter(a, positional) for a in names]
        + [inspect.Parameter(a, keyword, default=None) for a in ("out", "where", "dtype")]
    )


_active: dict[str, np.ufunc] = _core.ufuncs_by_isa()[_core.ISA]
for _name, _function in _active.items():
    _describe(_name, _function)
globals().update(_active)

#: So that doctest finds the examples: it does not look into ufuncs.
__test__ = {name: function.__doc__ for name, function in _active.items()}
__all__ = [
    "OPERATOR_FIELDS", "SERVING_FIELDS", "SERVING_TERMS", "STEP_FIELDS", "by_isa", *_active,
]  # fmt: skip


def by_isa() -> dict[str, dict[str, np.ufunc]]:
    """Kernels by the instruction set that they were compiled for, newest first.

    Examples
    --------
    >>> "generic" in by_isa()
    True
    """
    kernels: dict[str, dict[str, np.ufunc]] = _core.ufuncs_by_isa()
    return kernels
