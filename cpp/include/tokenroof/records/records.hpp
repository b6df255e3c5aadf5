// The packed records that step kernels take: one list of fields each, exported to Python by name.
// Everything is a double in SI units; counts are whole numbers, types are codes of `dtype`.
#pragma once
#include "tokenroof/core/config.hpp"
#include "tokenroof/records/constants.hpp"

// clang-format off
#define TR_DEVICE_FIELDS(X) \
    X(memory_bandwidth) X(memory_bytes) \
    X(peak_fp32) X(peak_tf32) X(peak_bf16) X(peak_fp16) X(peak_fp8) X(peak_int8) X(peak_fp4) \
    X(sm_count) X(boost_clock_hz) X(l2_bytes) X(link_bandwidth) X(link_domain_size) X(node_link_bandwidth) \
    X(tdp_w) X(idle_w) X(system_power_w) X(link_topology)

#define TR_MODEL_FIELDS(X) \
    X(hidden) X(vocab) X(layers) X(heads) X(kv_heads) X(head_dim) X(v_head_dim) X(q_multiplier) \
    X(tower_parameters) \
    X(q_lora_rank) X(kv_lora_rank) X(rope_head_dim) X(nope_head_dim) \
    X(full_layers) X(window_layers) X(window) \
    X(window_heads) X(window_kv_heads) X(window_head_dim) X(window_v_head_dim) \
    X(tied_values) X(qk_norm) X(joint_norm) X(single_key) X(shared_full_layers) X(shared_window_layers) X(head_gate) \
    X(o_groups) X(o_lora_rank) X(compressed_layers) X(compress_ratio) X(selected_layers) X(select_ratio) \
    X(index_heads) X(index_head_dim) X(index_topk) X(index_layers) X(sparse_layers) \
    X(linear_layers) X(linear_key_heads) X(linear_key_dim) X(linear_value_heads) \
    X(linear_value_dim) X(linear_conv) X(linear_gate_rank) X(linear_full_gate) \
    X(mamba_layers) X(mamba_heads) X(mamba_head_dim) X(mamba_groups) X(mamba_state) X(mamba_conv) \
    X(dense_layers) X(ffn) X(mlp_matrices) X(wide_layers) X(wide_ffn) \
    X(moe_layers) X(experts) X(topk) X(moe_ffn) X(shared_ffn) X(moe_latent) X(zero_experts) \
    X(streams) X(stream_mixes) X(residual_slots) X(layer_embedding) X(laurel_rank) \
    X(norms) X(parameters) X(routed_parameters) X(embedding_parameters) X(head_parameters)

#define TR_PLAN_FIELDS(X) \
    X(tp) X(pp) X(dp) X(moe_tp) X(moe_ep) X(cp) X(weights) X(experts) X(activations) X(kv_cache) \
    X(attention) X(shared_experts) X(head) X(attention_wide) X(mlp_wide) X(shared_wide) \
    X(power_cap_w)

// Per class of operator: a constant per launch [s], and the reached shares of peak and bandwidth.
#define TR_CALIBRATION_CLASS(X, name) X(name##_t0) X(name##_compute) X(name##_memory)
#define TR_CALIBRATION_FIELDS(X) \
    TR_CALIBRATION_CLASS(X, gemm) TR_CALIBRATION_CLASS(X, attention_prefill) \
    TR_CALIBRATION_CLASS(X, attention_decode) TR_CALIBRATION_CLASS(X, experts) \
    TR_CALIBRATION_CLASS(X, elementwise) TR_CALIBRATION_CLASS(X, collective) \
    X(launch_s) X(step_s) X(sequence_s) \
    X(idle_fraction) X(compute_watts) X(memory_watts) X(form)

#define TR_STEP_FIELDS(X) \
    X(time) X(flops) X(bytes) X(communication_bytes) \
    X(memory_s) X(compute_s) X(launch_s) X(communication_s) \
    X(projection_s) X(attention_s) X(linear_attention_s) X(mlp_s) X(experts_s) X(elementwise_s) \
    X(head_s) X(collective_s) X(overhead_s) X(watts)

#define TR_OPERATOR_FIELDS(X) \
    X(time) X(flops) X(bytes) X(memory_s) X(compute_s) X(launch_s) X(communication_s)

#define TR_DTYPES(X) \
    X(fp32) X(tf32) X(bf16) X(fp16) X(fp8) X(fp8_block) X(int8) X(fp4) X(nvfp4) X(mxfp4) X(int4) \
    X(mxfp4_mxfp8) X(mxfp8) X(int4_32) X(int4_64) X(fp8_bf16) X(int8_bf16) X(nvfp4_bf16) \
    X(mxfp4_mxfp4)

// How the devices of a domain are joined: over the host's PCIe; by a switch, or one that also adds; each to
// each; as a torus of two or three dimensions.
#define TR_TOPOLOGIES(X) X(host) X(switched) X(reducing) X(mesh) X(torus2) X(torus3)
// clang-format on

namespace tokenroof {
inline namespace TR_ISA {

#define TR_NAME(name) name,
namespace device { enum Field : int { TR_DEVICE_FIELDS(TR_NAME) count }; }
namespace model { enum Field : int { TR_MODEL_FIELDS(TR_NAME) count }; }
namespace plan { enum Field : int { TR_PLAN_FIELDS(TR_NAME) count }; }
namespace step { enum Field : int { TR_STEP_FIELDS(TR_NAME) count }; }
namespace op { enum Field : int { TR_OPERATOR_FIELDS(TR_NAME) count }; }
namespace dtype { enum Code : int { TR_DTYPES(TR_NAME) count }; }
namespace topology { enum Code : int { TR_TOPOLOGIES(TR_NAME) count }; }

// Positions of an operator's constants within its block, and of the blocks behind the lines' constants:
// block_gemm is where the block `gemm` starts. `form` says which constants count: 0 the lines', 1 the blocks'.
#define TR_OPERATOR_CONSTANTS(name, list) namespace name { enum Field : int { list(TR_NAME) count }; }
namespace constant {
TR_OPERATOR_CONSTANTS(gemm, TR_GEMM_CONSTANTS)
TR_OPERATOR_CONSTANTS(attention_decode, TR_ATTENTION_DECODE_CONSTANTS)
TR_OPERATOR_CONSTANTS(attention_prefill, TR_ATTENTION_PREFILL_CONSTANTS)
TR_OPERATOR_CONSTANTS(mla_decode, TR_MLA_DECODE_CONSTANTS)
TR_OPERATOR_CONSTANTS(mla_prefill, TR_MLA_PREFILL_CONSTANTS)
TR_OPERATOR_CONSTANTS(experts, TR_EXPERTS_CONSTANTS)
TR_OPERATOR_CONSTANTS(all_reduce, TR_ALL_REDUCE_CONSTANTS)
TR_OPERATOR_CONSTANTS(exchange, TR_EXCHANGE_CONSTANTS)
TR_OPERATOR_CONSTANTS(engine, TR_ENGINE_CONSTANTS)
TR_OPERATOR_CONSTANTS(power, TR_POWER_CONSTANTS)
}
#undef TR_OPERATOR_CONSTANTS
#define TR_BLOCK(block, op, list) block_##block, last_##block = block_##block + constant::op::count - 1,
namespace calibration {
enum Field : int { TR_CALIBRATION_FIELDS(TR_NAME) before_blocks = form, TR_CONSTANT_BLOCKS(TR_BLOCK) count };
}
#undef TR_BLOCK
#undef TR_NAME

// Bytes of a stored element, its share of the block's scales included.
TR_HD double dtype_bytes(int code) {
    switch (code) {
    case dtype::fp32: case dtype::tf32: return 4.0;
    case dtype::bf16: case dtype::fp16: return 2.0;
    case dtype::fp8: case dtype::int8: case dtype::fp8_bf16: case dtype::int8_bf16: return 1.0;
    case dtype::fp8_block: return 1.0 + 4.0 / 16384.0;          // fp32 scale per 128 x 128
    case dtype::mxfp8: return 1.0 + 1.0 / 32.0;                 // 8-bit scale per 32
    case dtype::fp4: return 0.5;
    case dtype::nvfp4: case dtype::nvfp4_bf16: return 0.5 + 1.0 / 16.0; // fp8 scale per 16
    case dtype::mxfp4: case dtype::mxfp4_mxfp8: case dtype::mxfp4_mxfp4: return 0.5 + 1.0 / 32.0; // 8-bit scale per 32
    case dtype::int4: return 0.5 + 2.0 / 128.0;                 // bf16 scale per 128, or per 64 or 32
    case dtype::int4_64: return 0.5 + 2.0 / 64.0;
    case dtype::int4_32: return 0.5 + 2.0 / 32.0;
    default: return not_a_number();
    }
}

// Bytes of an activation that meets a weight of this type: what the tensor unit reads.
TR_HD double activation_bytes(int code) {
    switch (code) {
    case dtype::fp32: case dtype::tf32: return 4.0;
    case dtype::fp8: case dtype::fp8_block: case dtype::int8: case dtype::mxfp4_mxfp8: return 1.0;
    case dtype::fp4: return 0.5;
    case dtype::nvfp4: return 0.5 + 1.0 / 16.0;
    case dtype::mxfp4_mxfp4: return 0.5 + 1.0 / 32.0;
    case dtype::mxfp8: return 1.0 + 1.0 / 32.0;
    case dtype::bf16: case dtype::fp16: case dtype::mxfp4: case dtype::int4: case dtype::int4_32:
    case dtype::int4_64: case dtype::fp8_bf16: case dtype::int8_bf16: case dtype::nvfp4_bf16: return 2.0;
    default: return not_a_number();
    }
}

// FLOP/s of the unit that multiplies this type, from a packed device whose gaps are filled upwards.
// int4, mxfp4 and the types that end in bf16 are storage types: their maths is bf16 (mxfp4_mxfp8: fp8; mxfp4_mxfp4: fp4).
TR_HD double dtype_peak(const double* d, int code) {
    switch (code) {
    case dtype::fp32: return d[device::peak_fp32];
    case dtype::tf32: return d[device::peak_tf32];
    case dtype::bf16: case dtype::int4: case dtype::int4_32: case dtype::int4_64: case dtype::mxfp4:
    case dtype::fp8_bf16: case dtype::int8_bf16: case dtype::nvfp4_bf16: return d[device::peak_bf16];
    case dtype::fp16: return d[device::peak_fp16];
    case dtype::fp8: case dtype::fp8_block: case dtype::mxfp8: case dtype::mxfp4_mxfp8: return d[device::peak_fp8];
    case dtype::int8: return d[device::peak_int8];
    case dtype::fp4: case dtype::nvfp4: case dtype::mxfp4_mxfp4: return d[device::peak_fp4];
    default: return not_a_number();
    }
}

// Of attention over a cache of this type: kernels may multiply eight bits as they are.
TR_HD double attention_peak(const double* d, int kv_type) {
    return kv_type == dtype::fp8 ? max_nan(d[device::peak_bf16], d[device::peak_fp8]) : d[device::peak_bf16];
}

} // namespace TR_ISA
} // namespace tokenroof
