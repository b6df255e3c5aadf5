"""The pure-Python twin of every kernel: standard library only, one number at a time.

Written from the formulas' sources and docs/step-model.md. The package never computes with it; tests and
``tokenroof check`` hold the kernels against it. Records come as packed vectors, or as mappings
of field names to floats (`unpack` makes one); ``_step`` and ``_operator`` functions return mappings.
"""

from tokenroof.reference.core.random import philox
from tokenroof.reference.economics.economics import (
    cost_per_mtok,
    energy_cost_per_mtok,
    hashprice_usd,
    mining_revenue_per_mwh,
    token_revenue_per_mwh,
)
from tokenroof.reference.inference.attention_decode import attention_decode_operator
from tokenroof.reference.inference.attention_prefill import attention_prefill_operator
from tokenroof.reference.inference.collectives import (
    all_gather_operator,
    all_reduce_operator,
    all_to_all_operator,
    reduce_scatter_operator,
    send_operator,
)
from tokenroof.reference.inference.dataflow import (
    dataflow_chips,
    dataflow_microbatch,
    dataflow_trip,
)
from tokenroof.reference.inference.elementwise import (
    activation_operator,
    elementwise_operator,
    norm_operator,
    quantise_operator,
    rotary_operator,
    sampling_operator,
)
from tokenroof.reference.inference.experts import experts_operator, grouped_gemm_operator
from tokenroof.reference.inference.gemm import gemm_operator
from tokenroof.reference.inference.layout import share
from tokenroof.reference.inference.memory import memory_required, sequence_bytes, weight_bytes
from tokenroof.reference.inference.mla import mla_decode_operator, mla_prefill_operator
from tokenroof.reference.inference.operators import (
    all_gather,
    all_reduce,
    all_reduce_one_shot,
    all_reduce_ring,
    all_reduce_two_shot,
    all_to_all,
    experts_touched,
    reduce_scatter,
    send,
)
from tokenroof.reference.inference.power import board_power, capped_power, wave_fill
from tokenroof.reference.inference.recurrent import (
    gated_delta_decode_operator,
    gated_delta_prefill_operator,
    mamba2_decode_operator,
    mamba2_prefill_operator,
)
from tokenroof.reference.inference.roofline import (
    attainable,
    effective_energy_balance,
    energy,
    energy_balance,
    flops_per_joule,
    ridge_point,
    roofline_power,
    time_bound,
    time_bound_capped,
    time_bound_link,
)
from tokenroof.reference.inference.sparse_attention import (
    sparse_decode_operator,
    sparse_prefill_operator,
)
from tokenroof.reference.inference.speculative import (
    best_draft_length,
    expected_tokens,
    expected_tokens_by_position,
    speculative_operations,
    speculative_speedup,
)
from tokenroof.reference.inference.transformer import (
    decode_step,
    decode_time,
    mixed_prompts_step,
    mixed_prompts_time,
    mixed_step,
    mixed_time,
    prefill_step,
    prefill_time,
    prompts_step,
    prompts_time,
)
from tokenroof.reference.mining import bitcoin
from tokenroof.reference.mining.attacks import (
    double_spend_nakamoto,
    double_spend_rosenfeld,
    selfish_mining_revenue,
    selfish_mining_threshold,
)
from tokenroof.reference.mining.bitcoin import (
    block_probability,
    break_even_power_price,
    difficulty_at_hashprice,
    miner_margin,
    next_difficulty,
    price_at_hashprice,
    shutdown_hashprice,
    time_to_block,
)
from tokenroof.reference.mining.pools import pool_path, pplns_path
from tokenroof.reference.mining.sha256 import scan, sha256, sha256d
from tokenroof.reference.records.records import unpack
from tokenroof.reference.serving.serving import serving, serving_of_terms, serving_terms

__all__ = [
    "activation_operator", "all_gather", "all_gather_operator", "all_reduce", "all_reduce_one_shot",
    "all_reduce_operator", "all_reduce_ring", "all_reduce_two_shot", "all_to_all",
    "all_to_all_operator", "attainable", "attention_decode_operator", "attention_prefill_operator",
    "best_draft_length", "bitcoin", "block_probability", "board_power", "break_even_power_price",
    "capped_power", "cost_per_mtok", "dataflow_chips", "dataflow_microbatch", "dataflow_trip",
    "decode_step", "decode_time", "difficulty_at_hashprice", "double_spend_nakamoto",
    "double_spend_rosenfeld", "effective_energy_balance", "elementwise_operator", "energy",
    "energy_balance", "energy_cost_per_mtok", "expected_tokens", "expected_tokens_by_position",
    "experts_operator", "experts_touched", "flops_per_joule", "gated_delta_decode_operator",
    "gated_delta_prefill_operator", "gemm_operator", "grouped_gemm_operator", "hashprice_usd",
    "mamba2_decode_operator", "mamba2_prefill_operator", "memory_required", "miner_margin",
    "mining_revenue_per_mwh", "mixed_prompts_step", "mixed_prompts_time", "mixed_step",
    "mixed_time", "mla_decode_operator", "mla_prefill_operator", "next_difficulty", "norm_operator",
    "philox", "pool_path", "pplns_path", "prefill_step", "prefill_time", "price_at_hashprice",
    "prompts_step", "prompts_time", "quantise_operator", "reduce_scatter",
    "reduce_scatter_operator", "ridge_point", "roofline_power", "rotary_operator",
    "sampling_operator", "scan", "selfish_mining_revenue", "selfish_mining_threshold", "send",
    "send_operator", "sequence_bytes", "serving", "serving_of_terms", "serving_terms", "sha256",
    "sha256d", "share", "shutdown_hashprice", "sparse_decode_operator", "sparse_prefill_operator",
    "speculative_operations", "speculative_speedup", "time_bound", "time_bound_capped",
    "time_bound_link", "time_to_block", "token_revenue_per_mwh", "unpack", "wave_fill",
    "weight_bytes",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
