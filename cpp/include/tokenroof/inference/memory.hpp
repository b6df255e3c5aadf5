// What a replica's fullest device must hold: weights, workspace, caches and states (docs/inference/step-model.md,
// section 6).
#pragma once
#include "tokenroof/inference/compressed_attention.hpp"
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
    const double each = dtype_bytes(int(p[plan::weights])), wide = dtype_bytes(wide_type(p));
    const double routed = m[model::routed_parameters], h = m[model::hidden];
    const double embedding = m[model::embedding_parameters], head = m[model::head_parameters];
    const double rest = m[model::parameters] - routed - embedding - head;
    // a table that is tied is the head's
    const double table = embedding * wide, output = head * dtype_bytes(head_type(p));
    const double outer = p[plan::pp] > 1.0 ? max_nan(table, output) : table + output;
    // what modules weigh beyond the rest's type: mixers' projections, MLPs, shared experts
    const double mlp = m[model::mlp_matrices] * h;
    const double beyond = mixer_parameters(m) * (module_bytes(mixer_types(m, p)) - each) +
                          m[model::dense_layers] * (mlp * m[model::ffn]) * (module_bytes(mlp_types(p)) - each) +
                          m[model::moe_layers] * (mlp * m[model::shared_ffn]) * (module_bytes(shared_types(p)) - each);
    const double copies = replicated_parameters(m, p[plan::tp]) * module_bytes(mixer_types(m, p));
    return (rest * each + beyond) / (p[plan::tp] * p[plan::pp]) + copies / p[plan::pp] +
           routed * dtype_bytes(int(p[plan::experts])) /
               (p[plan::moe_tp] * p[plan::moe_ep] * p[plan::pp]) +
           outer / p[plan::tp] + m[model::tower_parameters] * wide / p[plan::tp];
}

// Bytes of a softmax layer's cached key and value on one device.
TR_HD double token_bytes(const double* m, const Heads& of, double stored) {
    if (m[model::kv_lora_rank] > 0.0) return (m[model::kv_lora_rank] + m[model::rope_head_dim]) * stored;
    if (m[model::single_key] > 0.0) return of.width * stored;
    return of.kv_heads * (of.width + of.v_width) * stored;
}

// Bytes that layers with compressed keys hold: their windows and keys, and what waits to be compressed.
TR_HD double compressed_bytes(const double* m, double window, double token, double context) {
    const double light = m[model::selected_layers], heavy = m[model::compressed_layers], width = m[model::head_dim];
    double all = 0.0;
    if (heavy > 0.0)
        all += heavy * (compressed_visible(make_compressed(window, m[model::compress_ratio], 0.0), context) * token +
                        compressor_state_bytes(width, m[model::compress_ratio], false));
    if (light > 0.0)
        all += light * (compressed_visible(make_compressed(window, m[model::select_ratio], 0.0), context) * token +
                        compressor_state_bytes(width, m[model::select_ratio], true)) +
               m[model::index_layers] * compressor_state_bytes(m[model::index_head_dim], m[model::select_ratio], true);
    return all;
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
    const double token = token_bytes(m, full_heads(m, p[plan::tp]), kv);
    const double slid = token_bytes(m, window_heads(m, p[plan::tp]), kv);
    const double index = m[model::index_topk] > 0.0 ? index_key_bytes(m[model::index_head_dim]) : 0.0;
    const double keys = m[model::selected_layers] > 0.0 ? context / m[model::select_ratio] : context;
    const double window = windows && m[model::window] > 0.0 ? m[model::window] : no_window;
    const double cached = (m[model::full_layers] - m[model::shared_full_layers]) * context * token +
                          m[model::index_layers] * keys * index +
                          (m[model::window_layers] - m[model::shared_window_layers]) * min_nan(context, window) * slid +
                          compressed_bytes(m, window, token, context);
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
