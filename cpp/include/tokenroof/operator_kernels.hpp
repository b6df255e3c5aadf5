// Operators as stand-alone kernels: packed device and calibration, then arguments, to OPERATOR_FIELDS.
// Types come as codes of `dtype`.
#pragma once
#include "attention_prefill.hpp"
#include "mla.hpp"
#include "collectives.hpp"
#include "experts.hpp"
#include "operators.hpp"
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

// A group of one has nothing to say: no launch either.
TR_HD void put_protocol(double* out, const RankGroup& r, const Protocol& p, double x, double traffic) {
    const bool alone = r.n <= 1.0;
    const double fixed = alone ? 0.0 : p.fixed, seconds = alone ? x - x : x * p.per_byte;
    const double bad = fixed + seconds == fixed + seconds ? 0.0 : fixed + seconds;
    out[op::time] = fixed + seconds;
    out[op::flops] = bad;
    out[op::bytes] = (alone ? x - x : x * traffic) + bad; // over each rank's link
    out[op::memory_s] = bad;
    out[op::compute_s] = bad;
    out[op::launch_s] = fixed + bad;
    out[op::communication_s] = seconds + bad;
}

// The datasheet's seconds per byte at the shares of a record of lines.
TR_HD Protocol shared_line(const double* c, const RankGroup& r, double per_byte) {
    const Shares s = shares_of(c, calibration::collective_t0);
    return {r.n - r.n + s.t0 + c[calibration::launch_s], per_byte / s.memory};
}

// resident: bytes that are read from the L2, whose bandwidth no datasheet has.
TR_HD void put_attention(double* out, const Attention& a, double batch, double pairs, double keys,
                         double queries, double resident) {
    const double b = amount_or_nan(batch);
    const double p = b * pairs, k = b * keys, q = b * queries;
    const double bytes = k * a.key_bytes + q * a.query_bytes, memory = k * a.key_s + q * a.query_s;
    const double left = resident > 0.0 ? (bytes > resident ? 1.0 - resident / bytes : bytes * 0.0) : 1.0;
    put_operator(out, a.fixed, p * a.compute, memory * left, p * a.pair_flops, bytes);
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

// tokens, hidden, intermediate, experts, topk, matrices, moe_tp, moe_ep, skew, type
TR_HD void experts_operator(const double* d, const double* c, const double* a, double* out) {
    const int weight = int(a[9]);
    if (measured_form(c, calibration::block_experts)) {
        const Experts r = prepare_experts(d, c + calibration::block_experts, a[1], a[2], a[3], a[4], a[5],
                                          a[6], a[7], a[8], weight);
        return put_cost(out, experts_cost<double>(r, a[0]));
    }
    const Line line = experts_line(d, c, a[1], a[2], a[4], a[5], a[6], a[7], weight);
    double touched = experts_touched(a[0], a[3], a[4]) / a[7];
    if (a[8] != 0.0) { // skewed routing leaves experts out
        const Routing r = prepare_routing(a[3], a[4], a[7], a[8]);
        const double some = a[0] > 0.0 ? skewed_load(r, a[0], 8.0).touched : a[0] + (a[8] - a[8]);
        touched = min_nan(touched, some);
    }
    put_line(out, line, a[0], touched);
}

// batch, context, heads, kv_heads, head_dim, v_head_dim, window, type of the cache, whether it is warm
TR_HD void attention_decode_operator(const double* d, const double* c, const double* a, double* out) {
    if (measured_form(c, calibration::block_attention_decode)) {
        const AttentionDecode r = prepare_attention_decode(d, c + calibration::block_attention_decode, a[2],
                                                           a[3], a[4], a[5], a[6], int(a[7]));
        return put_cost(out, attention_decode_cost<double>(r, a[0], a[1], a[8] != 0.0));
    }
    const Attention t = gqa_attention(d, c, calibration::attention_decode_t0, d[device::peak_bf16], a[2],
                                      a[3], a[4], a[5], a[6], int(a[7]));
    const double keys = visible(amount_or_nan(a[1]), t.window);
    put_attention(out, t, a[0], keys, keys, 1.0, a[8] != 0.0 ? d[device::l2_bytes] : 0.0);
}

// batch, tokens, past, heads, kv_heads, head_dim, v_head_dim, window, type of the cache, of the maths
TR_HD void attention_prefill_operator(const double* d, const double* c, const double* a, double* out) {
    const double* g = c + calibration::block_attention_prefill;
    if (measured_form(c, calibration::block_attention_prefill)) {
        if (g[constant::attention_prefill::single] == 1.0 && a[1] <= 1.0 && a[1] > 0.0 &&
            measured_form(c, calibration::block_attention_decode)) {
            const AttentionDecode r = prepare_attention_decode(
                d, c + calibration::block_attention_decode, a[3], a[4], a[5], a[6], a[7], int(a[8]));
            return put_cost(out, attention_decode_cost<double>(r, a[0], a[1] + amount_or_nan(a[2]), false));
        }
        const AttentionPrefill r = prepare_attention_prefill(d, g, a[3], a[4], a[5], a[6], a[7], int(a[8]),
                                                             int(a[9]));
        return put_cost(out, attention_prefill_cost<double>(r, a[0], a[1], a[2]));
    }
    const Attention t = gqa_attention(d, c, calibration::attention_prefill_t0, dtype_peak(d, int(a[9])),
                                      a[3], a[4], a[5], a[6], a[7], int(a[8]));
    const double tokens = amount_or_nan(a[1]), past = amount_or_nan(a[2]);
    put_attention(out, t, a[0], causal_pairs(tokens, past, t.window),
                  causal_keys(tokens, past, t.window), tokens, 0.0);
}

// batch, context, heads, kv_lora_rank, rope_head_dim, type of the cache, whether it is warm
TR_HD void mla_decode_operator(const double* d, const double* c, const double* a, double* out) {
    if (measured_form(c, calibration::block_mla_decode)) {
        const AttentionDecode r = prepare_mla_decode(d, c + calibration::block_mla_decode, a[2], a[3], a[4],
                                                     int(a[5]));
        return put_cost(out, attention_decode_cost<double>(r, a[0], a[1], a[6] != 0.0));
    }
    const Attention t = mla_attention(d, c, calibration::attention_decode_t0, d[device::peak_bf16], a[2],
                                      a[3], a[4], 0.0, int(a[5]));
    const double keys = visible(amount_or_nan(a[1]), t.window);
    put_attention(out, t, a[0], keys, keys, 1.0, a[6] != 0.0 ? d[device::l2_bytes] : 0.0);
}

// batch, tokens, past, heads, nope_head_dim, rope_head_dim, v_head_dim, kv_lora_rank, whether it is absorbed,
// type of the maths, of the cache
TR_HD void mla_prefill_operator(const double* d, const double* c, const double* a, double* out) {
    if (measured_form(c, calibration::block_mla_prefill)) {
        const AttentionPrefill r = prepare_mla_prefill(d, c + calibration::block_mla_prefill, a[3], a[4], a[5],
                                                       a[6], a[7], a[8] != 0.0, int(a[10]));
        return put_cost(out, attention_prefill_cost<double>(r, a[0], a[1], a[2]));
    }
    const double peak = dtype_peak(d, int(a[9]));
    const Attention t = a[8] != 0.0
        ? mla_attention(d, c, calibration::attention_prefill_t0, peak, a[3], a[7], a[5], 0.0, int(a[10]))
        : mla_expanded(d, c, calibration::attention_prefill_t0, peak, a[3], a[4], a[5], a[6], 0.0);
    const double tokens = amount_or_nan(a[1]), past = amount_or_nan(a[2]);
    put_attention(out, t, a[0], causal_pairs(tokens, past, t.window),
                  causal_keys(tokens, past, t.window), tokens, 0.0);
}

// bytes read and written, kernels
TR_HD void elementwise_operator(const double* d, const double* c, const double* a, double* out) {
    put_line(out, elementwise_line(d, c, a[1], 1.0), a[0], 0.0);
}

// ranks, nbytes: the full vector per rank
TR_HD void all_reduce_operator(const double* d, const double* c, const double* a, double* out) {
    const RankGroup r = make_group(d, a[0]);
    const double x = amount_or_nan(a[1]), traffic = all_reduce_share(r);
    if (measured_form(c, calibration::block_all_reduce))
        return put_protocol(out, r, all_reduce_protocol(r, c + calibration::block_all_reduce, x), x, traffic);
    put_protocol(out, r, shared_line(c, r, all_reduce_bound(r)), x, traffic);
}
TR_HD void all_gather_operator(const double* d, const double* c, const double* a, double* out) {
    const RankGroup r = make_group(d, a[0]);
    const double x = amount_or_nan(a[1]), traffic = exchange_share(r);
    if (measured_form(c, calibration::block_all_gather))
        return put_protocol(out, r, exchange_protocol(r, c + calibration::block_all_gather, x, 1.0), x, traffic);
    put_protocol(out, r, shared_line(c, r, exchange_bound(r, 1.0, 1.0)), x, traffic);
}
TR_HD void reduce_scatter_operator(const double* d, const double* c, const double* a, double* out) {
    const RankGroup r = make_group(d, a[0]);
    const double x = amount_or_nan(a[1]), traffic = exchange_share(r);
    if (measured_form(c, calibration::block_reduce_scatter))
        return put_protocol(out, r, exchange_protocol(r, c + calibration::block_reduce_scatter, x, 1.0), x,
                            traffic);
    put_protocol(out, r, shared_line(c, r, exchange_bound(r, 1.0, 1.0)), x, traffic);
}
TR_HD void all_to_all_operator(const double* d, const double* c, const double* a, double* out) {
    const RankGroup r = make_group(d, a[0]);
    const double x = amount_or_nan(a[1]), traffic = exchange_share(r);
    if (measured_form(c, calibration::block_all_to_all))
        return put_protocol(out, r, all_to_all_protocol(r, c + calibration::block_all_to_all, x), x, traffic);
    put_protocol(out, r, shared_line(c, r, exchange_bound(r, r.hops, r.inside)), x, traffic);
}
// between two of so many ranks
TR_HD void send_operator(const double* d, const double* c, const double* a, double* out) {
    RankGroup r = make_group(d, a[0]);
    const double x = amount_or_nan(a[1]);
    const double link = r.nodes > 1.0 ? r.network : group_bandwidth(d, 2.0);
    const Protocol p = measured_form(c, calibration::block_all_to_all)
                           ? send_protocol(d, r, c + calibration::block_all_to_all, x)
                           : shared_line(c, r, 1.0 / link);
    r.n = r.n + 1.0; // a message is a message, also in a group of one
    put_protocol(out, r, p, x, 1.0);
}

} // namespace TR_ISA
} // namespace tokenroof
