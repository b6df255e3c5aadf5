// Operators as stand-alone kernels: packed device and calibration, then arguments, to OPERATOR_FIELDS.
// Types come as codes of `dtype`.
#pragma once
#include "prepare.hpp"

namespace tokenroof {
inline namespace TR_ISA {

TR_HD void put_operator(double* out, double fixed, double compute, double memory, double flops,
                        double bytes) {
    const double longer = max_nan(compute, memory);
    const double bad = longer == longer ? 0.0 : longer;
    out[op::time] = fixed + longer;
    out[op::flops] = flops + bad;
    out[op::bytes] = bytes + bad;
    out[op::memory_s] = (compute >= memory ? 0.0 : longer) + bad;
    out[op::compute_s] = (compute >= memory ? longer : 0.0) + bad;
    out[op::launch_s] = fixed + bad;
    out[op::communication_s] = bad;
}

// Amounts below zero have no meaning: NaN.
TR_HD double amount_or_nan(double x) { return x >= 0.0 ? x : not_a_number(); }

TR_HD void put_line(double* out, const Line& a, double x, double weights) {
    const double amount = amount_or_nan(x);
    put_operator(out, a.fixed, line_compute(a, amount), weights * a.weights_s + amount * a.traffic,
                 amount * a.flops, weights * a.weights + amount * a.bytes);
}

TR_HD void put_collective(double* out, const Line& a, double nbytes) {
    const double x = amount_or_nan(nbytes), seconds = x * a.traffic;
    const double bad = seconds == seconds ? 0.0 : seconds;
    out[op::time] = a.fixed + seconds;
    out[op::flops] = bad;
    out[op::bytes] = x * a.bytes + bad; // over each rank's link
    out[op::memory_s] = bad;
    out[op::compute_s] = bad;
    out[op::launch_s] = a.fixed + bad;
    out[op::communication_s] = seconds;
}

TR_HD void put_attention(double* out, const Attention& a, double batch, double pairs, double keys,
                         double queries) {
    const double b = amount_or_nan(batch);
    const double p = b * pairs, k = b * keys, q = b * queries;
    put_operator(out, a.fixed, p * a.compute, k * a.key_s + q * a.query_s, p * a.pair_flops,
                 k * a.key_bytes + q * a.query_bytes);
}

TR_HD void put_cost(double* out, const Cost<double>& x) {
    const double bad = x.seconds == x.seconds ? 0.0 : x.seconds;
    out[op::time] = x.fixed + x.seconds;
    out[op::flops] = x.flops + bad;
    out[op::bytes] = x.bytes + bad;
    out[op::memory_s] = (x.compute >= x.memory ? 0.0 : x.seconds) + bad;
    out[op::compute_s] = (x.compute >= x.memory ? x.seconds : 0.0) + bad;
    out[op::launch_s] = x.fixed + bad;
    out[op::communication_s] = bad;
}

// m, n, k, type of weights, type of activations
TR_HD void gemm_operator(const double* d, const double* c, const double* a, double* out) {
    if (measured_form(c, calibration::block_gemm)) {
        const Gemm r = prepare_gemm(d, c + calibration::block_gemm, a[1], a[2], int(a[3]), int(a[4]));
        return put_cost(out, gemm_cost<double>(r, a[0]));
    }
    put_line(out, gemm_line(d, c, a[1], a[2], int(a[3]), int(a[4])), a[0], 1.0);
}

// tokens, hidden, intermediate, experts, topk, matrices, moe_tp, moe_ep, type
TR_HD void experts_operator(const double* d, const double* c, const double* a, double* out) {
    const Line line = experts_line(d, c, a[1], a[2], a[4], a[5], a[6], a[7], int(a[8]));
    put_line(out, line, a[0], experts_touched(a[0], a[3], a[4]) / a[7]);
}

// batch, context, heads, kv_heads, head_dim, v_head_dim, window, type of the cache
TR_HD void attention_decode_operator(const double* d, const double* c, const double* a, double* out) {
    const Attention t = gqa_attention(d, c, calibration::attention_decode_t0, d[device::peak_bf16], a[2],
                                      a[3], a[4], a[5], a[6], int(a[7]));
    const double keys = visible(amount_or_nan(a[1]), t.window);
    put_attention(out, t, a[0], keys, keys, 1.0);
}

// batch, tokens, past, heads, kv_heads, head_dim, v_head_dim, window, type of the cache, of the maths
TR_HD void attention_prefill_operator(const double* d, const double* c, const double* a, double* out) {
    const Attention t = gqa_attention(d, c, calibration::attention_prefill_t0, dtype_peak(d, int(a[9])),
                                      a[3], a[4], a[5], a[6], a[7], int(a[8]));
    const double tokens = amount_or_nan(a[1]), past = amount_or_nan(a[2]);
    put_attention(out, t, a[0], causal_pairs(tokens, past, t.window),
                  causal_keys(tokens, past, t.window), tokens);
}

// batch, context, heads, kv_lora_rank, rope_head_dim, type of the cache
TR_HD void mla_decode_operator(const double* d, const double* c, const double* a, double* out) {
    const Attention t = mla_attention(d, c, calibration::attention_decode_t0, d[device::peak_bf16], a[2],
                                      a[3], a[4], 0.0, int(a[5]));
    const double keys = visible(amount_or_nan(a[1]), t.window);
    put_attention(out, t, a[0], keys, keys, 1.0);
}

// batch, tokens, past, heads, nope_head_dim, rope_head_dim, v_head_dim, type of the maths
TR_HD void mla_prefill_operator(const double* d, const double* c, const double* a, double* out) {
    const Attention t = mla_expanded(d, c, calibration::attention_prefill_t0, dtype_peak(d, int(a[7])),
                                     a[3], a[4], a[5], a[6], 0.0);
    const double tokens = amount_or_nan(a[1]), past = amount_or_nan(a[2]);
    put_attention(out, t, a[0], causal_pairs(tokens, past, t.window),
                  causal_keys(tokens, past, t.window), tokens);
}

// bytes read and written, kernels
TR_HD void elementwise_operator(const double* d, const double* c, const double* a, double* out) {
    put_line(out, elementwise_line(d, c, a[1], 1.0), a[0], 0.0);
}

// ranks, nbytes: the full vector per rank
TR_HD void all_reduce_operator(const double* d, const double* c, const double* a, double* out) {
    put_collective(out, collective_line(d, c, a[0], all_reduce_factor(a[0])), a[1]);
}
TR_HD void all_gather_operator(const double* d, const double* c, const double* a, double* out) {
    put_collective(out, collective_line(d, c, a[0], all_gather_factor(a[0])), a[1]);
}
TR_HD void reduce_scatter_operator(const double* d, const double* c, const double* a, double* out) {
    put_collective(out, collective_line(d, c, a[0], all_gather_factor(a[0])), a[1]);
}
TR_HD void all_to_all_operator(const double* d, const double* c, const double* a, double* out) {
    put_collective(out, collective_line(d, c, a[0], all_gather_factor(a[0])), a[1]);
}
TR_HD void send_operator(const double* d, const double* c, const double* a, double* out) {
    put_collective(out, collective_line(d, c, a[0], 1.0), a[1]);
}

} // namespace TR_ISA
} // namespace tokenroof
