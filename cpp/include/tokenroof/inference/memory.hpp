// What a replica's fullest device must hold: weights, workspace, caches and states (docs/inference/step-model.md,
// section 6).
#pragma once
#include "tokenroof/inference/operators.hpp"
#include "tokenroof/inference/recurrent.hpp"
#include "tokenroof/inference/sparse_attention.hpp"
#include "tokenroof/inference/structure.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Even shares of a load over n ranks; below one item a rank, the busiest still has the whole item.
template <class V> TR_HD V share(V load, double n) {
    if (n == 1.0) return load; // the same number, without a division
    return max_nan(load / n, min_nan(load, splat<V>(1.0)));
}

// Bytes of weights on the fullest device.
TR_HD double weight_bytes(const double* m, const double* p) {
    const int w = int(p[plan::weights]);
    const double ends = dtype_bytes(w == dtype::fp32 || w == dtype::tf32 ? w : int(dtype::bf16));
    const double routed = m[model::routed_parameters];
    const double embedding = m[model::embedding_parameters], head = m[model::head_parameters];
    const double rest = m[model::parameters] - routed - embedding - head;
    const double outer = p[plan::pp] > 1.0 ? max_nan(embedding, head) : embedding + head;
    // what the mixers' projections weigh beyond the rest's type
    const double wide = mixer_parameters(m) * (dtype_bytes(mixer_weights(m, p)) - dtype_bytes(w));
    return (rest * dtype_bytes(w) + wide) / (p[plan::tp] * p[plan::pp]) +
           routed * dtype_bytes(int(p[plan::experts])) /
               (p[plan::moe_tp] * p[plan::moe_ep] * p[plan::pp]) +
           outer * ends / p[plan::tp];
}

// Prompt tokens that engines let into one step of a rank (TensorRT-LLM: max_num_tokens of llm_args.py).
constexpr double step_tokens = 8192.0;

// Bytes that a mixture's products need for the prompts of the other attention ranks: for every pair of a token and
// an expert that may come, what is gathered or given back, and both halves of the gate with their product, in 16
// bits. A rank's own prompts are in what engines reserve.
//   TensorRT-LLM, moe_kernels.cu, getWorkspaceDeviceBufferSizes (rows of all pairs, permuted or given back).
TR_HD double workspace_bytes(const double* m, const double* p) {
    if (!(m[model::moe_layers] > 0.0)) return 0.0;
    const double pairs = (p[plan::dp] - 1.0) * step_tokens * m[model::topk];
    const double width = m[model::moe_ffn] / p[plan::moe_tp];
    return pairs * 2.0 * (m[model::hidden] + m[model::mlp_matrices] * width);
}

// Bytes of cache and state of one sequence on one device. windows: whether windowed layers keep their window alone.
TR_HD double sequence_bytes(const double* m, const double* p, double context, bool windows = true) {
    const double kv = dtype_bytes(int(p[plan::kv_cache]));
    const bool latent = m[model::kv_lora_rank] > 0.0;
    const double kv_heads = max_nan(m[model::kv_heads] / p[plan::tp], 1.0);
    const double token = latent ? m[model::kv_lora_rank] + m[model::rope_head_dim]
                                : kv_heads * (m[model::head_dim] + m[model::v_head_dim]);
    const double index = m[model::index_topk] > 0.0 ? index_key_bytes(m[model::index_head_dim]) : 0.0;
    const double window = windows && m[model::window] > 0.0 ? m[model::window] : no_window;
    const double cached = m[model::full_layers] * context * (token * kv + index) +
                          m[model::window_layers] * min_nan(context, window) * token * kv;
    const double states = m[model::linear_layers] * recurrent_state_bytes(linear_mixer(m, p[plan::tp])) +
                          m[model::mamba_layers] * recurrent_state_bytes(mamba_mixer(m, p[plan::tp]));
    return (cached / p[plan::cp] + states) / p[plan::pp];
}

// Bytes that the fullest device of a replica must hold for `batch` sequences of `context` tokens.
TR_HD double memory_required(const double* m, const double* p, double batch, double context) {
    const double bad = batch >= 0.0 && context >= 0.0 ? 0.0 : not_a_number();
    return weight_bytes(m, p) + workspace_bytes(m, p) + share(batch, p[plan::dp]) * sequence_bytes(m, p, context) + bad;
}

} // namespace TR_ISA
} // namespace tokenroof
