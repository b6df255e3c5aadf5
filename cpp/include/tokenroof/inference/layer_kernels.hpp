// Stand-alone kernels of the operators of recent layers: compressed and block-sparse attention, streams,
// embeddings of each layer, latent experts. As in operator_kernels.hpp.
#pragma once
#include "tokenroof/inference/operator_kernels.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// batch, context, heads, width, window, ratio, topk, index_heads, index_head_dim, type of the cache
TR_HD void compressed_decode_operator(const double* d, const double* c, const double* a, double* out) {
    double attention[op::count], index[op::count];
    const int kv = int(a[9]), shares = calibration::attention_decode_t0;
    const double context = amount_or_nan(a[1]), topk = a[6];
    const double keys = compressed_visible(make_compressed(a[4], a[5], topk), context);
    if (measured_form(c, calibration::block_mla_decode)) {
        const AttentionDecode r = prepare_single_key_decode(d, c + calibration::block_mla_decode, a[2], a[3], kv);
        put_cost(attention, attention_decode_cost<double>(r, a[0], keys, false));
    } else {
        const Attention t = single_key_attention(d, c, shares, attention_peak(d, kv), a[2], a[3], kv);
        put_attention(attention, t, a[0], keys, keys, 1.0, 0.0);
    }
    for (int i = 0; i < op::count; ++i) out[i] = attention[i];
    if (!(topk > 0.0)) return;
    const double all = context / a[5];
    put_indexer(index, make_indexer(d, c, shares, a[7], a[8], topk), a[0], all, all, 1.0);
    put_sum(out, attention, index);
}

// batch, tokens, past, heads, width, window, ratio, topk, index_heads, index_head_dim, type of the maths, of the
// cache
TR_HD void compressed_prefill_operator(const double* d, const double* c, const double* a, double* out) {
    double attention[op::count], index[op::count];
    const int shares = calibration::attention_prefill_t0;
    const double tokens = amount_or_nan(a[1]), past = amount_or_nan(a[2]), ratio = a[6], topk = a[7];
    const Compressed seen = make_compressed(a[5], ratio, topk);
    const Attention t = single_key_attention(d, c, shares, dtype_peak(d, int(a[10])), a[3], a[4], int(a[11]));
    put_attention(attention, t, a[0], compressed_pairs(seen, tokens, past), compressed_keys(seen, tokens, past),
                  tokens, 0.0);
    for (int i = 0; i < op::count; ++i) out[i] = attention[i];
    if (!(topk > 0.0)) return;
    put_indexer(index, make_indexer(d, c, shares, a[8], a[9], topk), a[0],
                causal_pairs(tokens, past, no_window) / ratio, causal_keys(tokens, past, no_window) / ratio, tokens);
    put_sum(out, attention, index);
}

// tokens, width, ratio, whether stretches overlap, type of the cache
TR_HD void compressor_operator(const double* d, const double* c, const double* a, double* out) {
    const double stored = a[1] * dtype_bytes(int(a[4]));
    const double moved = compressor_bytes(a[1], a[2], a[3] != 0.0, stored) + (a[3] - a[3]); // NaN stays
    put_line(out, elementwise_line(d, c, 1.0, moved), a[0], 0.0);
}

// batch, context, heads, kv_heads, head_dim, v_head_dim, topk, index_heads, index_head_dim, type of the cache
TR_HD void block_sparse_decode_operator(const double* d, const double* c, const double* a, double* out) {
    double attention[op::count], index[op::count];
    const double context = amount_or_nan(a[1]);
    const double chosen[9] = {a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[9], 0.0};
    attention_decode_operator(d, c, chosen, attention);
    const Indexer x = make_indexer(d, c, calibration::attention_decode_t0, a[7], a[8], a[6]);
    put_indexer(index, x, a[0], context, context, 1.0);
    put_sum(out, attention, index);
}

// batch, tokens, past, heads, kv_heads, head_dim, v_head_dim, topk, index_heads, index_head_dim, type of the
// maths, of the cache: of the chosen keys, or of all under a mask, what takes less time
TR_HD void block_sparse_prefill_operator(const double* d, const double* c, const double* a, double* out) {
    double all[op::count], few[op::count], index[op::count];
    const double tokens = amount_or_nan(a[1]), past = amount_or_nan(a[2]);
    double way[10] = {a[0], a[1], a[2], a[3], a[4], a[5], a[6], 0.0, a[11], a[10]};
    attention_prefill_operator(d, c, way, all);
    way[7] = a[7];
    attention_prefill_operator(d, c, way, few);
    const bool chosen = few[op::time] < all[op::time] || few[op::time] != few[op::time];
    const Indexer x = make_indexer(d, c, calibration::attention_prefill_t0, a[8], a[9], a[7]);
    put_indexer(index, x, a[0], causal_pairs(tokens, past, no_window), causal_keys(tokens, past, no_window), tokens);
    put_sum(out, chosen ? few : all, index);
}

// tokens, hidden, streams
TR_HD void hyper_connection_operator(const double* d, const double* c, const double* a, double* out) {
    put_line(out, stream_line(d, c, a[1], a[2]), a[0], 1.0);
}
// tokens, hidden, slots
TR_HD void attention_residual_operator(const double* d, const double* c, const double* a, double* out) {
    put_line(out, elementwise_line(d, c, 1.0, residual_bytes(a[1], a[2])), a[0], 0.0);
}

// tokens, hidden, width, type of weights, of activations
TR_HD void layer_embedding_operator(const double* d, const double* c, const double* a, double* out) {
    double gate[op::count], between[op::count], projected[op::count], sum[op::count];
    const double in[6] = {a[0], a[2], a[1], a[3], a[4], 0.0}, back[6] = {a[0], a[1], a[2], a[3], a[4], 0.0};
    gemm_operator(d, c, in, gate);
    put_line(between, elementwise_line(d, c, 1.0, layer_embedding_bytes(a[2])), a[0], 0.0);
    gemm_operator(d, c, back, projected);
    put_sum(sum, gate, between);
    put_sum(out, sum, projected);
}

// tokens, hidden, latent, intermediate, experts, zero_experts, topk, matrices, moe_tp, moe_ep, skew, type of the
// experts, of both projections
TR_HD void latent_experts_operator(const double* d, const double* c, const double* a, double* out) {
    double down[op::count], inside[op::count], up[op::count], sum[op::count];
    const double in[6] = {a[0], a[2], a[1], a[12], a[12], 0.0}, back[6] = {a[0], a[1], a[2], a[12], a[12], 0.0};
    const double routed[11] = {a[0], a[2], a[3], a[4], computed_topk(a[6], a[4], a[5]),
                               a[7], a[8], a[9], a[10], a[11], 0.0};
    gemm_operator(d, c, in, down);
    experts_operator(d, c, routed, inside);
    gemm_operator(d, c, back, up);
    put_sum(sum, down, inside);
    put_sum(out, sum, up);
}

} // namespace TR_ISA
} // namespace tokenroof
