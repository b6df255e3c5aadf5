// Operators as stand-alone kernels: packed device and calibration, then arguments, to OPERATOR_FIELDS.
// Types come as codes of `dtype`.
#pragma once
#include "tokenroof/inference/attention_decode.hpp"
#include "tokenroof/inference/attention_prefill.hpp"
#include "tokenroof/inference/collectives.hpp"
#include "tokenroof/inference/experts.hpp"
#include "tokenroof/inference/mla.hpp"
#include "tokenroof/inference/operator_fields.hpp"
#include "tokenroof/inference/prepare.hpp"
#include "tokenroof/inference/recurrent.hpp"
#include "tokenroof/inference/sparse_attention.hpp"

namespace tokenroof {
inline namespace TR_ISA {

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

TR_HD void put_indexer(double* out, const Indexer& x, double batch, double pairs, double keys, double queries) {
    const double b = amount_or_nan(batch);
    const Roof<double> r = index_roof(x, b * pairs, b * keys, b * queries);
    put_operator(out, x.a.fixed, r.compute, r.memory, r.flops, r.bytes);
}

// Of `batch` prompts with amounts that are known to be none below zero.
TR_HD Roof<double> prompt_roof(const Attention& a, double batch, double tokens, double past) {
    return attention_roof(a, batch * causal_pairs(tokens, past, a.window), batch * causal_keys(tokens, past, a.window),
                          batch * tokens);
}

TR_HD void put_recurrent_decode(const double* d, const double* c, const Recurrent& r, double batch, double* out) {
    double around[op::count], state[op::count];
    put_line(around, recurrent_gates(d, c, r), batch, 0.0);
    put_line(state, recurrent_decode(d, c, r), batch, 0.0);
    put_sum(out, around, state);
}
TR_HD void put_recurrent_prefill(const double* d, const double* c, const Recurrent& r, double batch, double tokens,
                                 double* out) {
    double around[op::count], chunks[op::count], states[op::count], sum[op::count];
    const double all = amount_or_nan(batch) * amount_or_nan(tokens);
    put_line(around, recurrent_gates(d, c, r), all, 0.0);
    put_line(chunks, recurrent_prompt(d, c, r), all, 0.0);
    put_line(states, recurrent_states(d, c, r), all > 0.0 ? batch : all, 0.0);
    put_sum(sum, around, chunks);
    put_sum(out, sum, states);
}

// m, n, k, type of weights, type of activations, whether the operands are warm
TR_HD void gemm_operator(const double* d, const double* c, const double* a, double* out) {
    if (measured_form(c, calibration::block_gemm)) {
        const Gemm r = prepare_gemm(d, c + calibration::block_gemm, a[1], a[2], int(a[3]), int(a[4]),
                                    a[5] != 0.0);
        return put_cost(out, gemm_cost<double>(r, a[0]));
    }
    put_line(out, gemm_line(d, c, a[1], a[2], int(a[3]), int(a[4])), a[0], 1.0,
             a[5] != 0.0 ? d[device::l2_bytes] : 0.0);
}

// Experts of a rank that tokens touch on average; skewed routing leaves some out.
TR_HD double touched_on_rank(double tokens, double experts, double topk, double ranks, double skew) {
    return touched_in_mean(prepare_routing(experts, topk, ranks, skew), tokens) + (skew - skew);
}

// tokens, hidden, intermediate, experts, topk, matrices, moe_tp, moe_ep, skew, type, whether the weights are warm
TR_HD void experts_operator(const double* d, const double* c, const double* a, double* out) {
    const int weight = int(a[9]);
    if (measured_form(c, calibration::block_experts)) {
        const Experts r = prepare_experts(d, c + calibration::block_experts, a[1], a[2], a[3], a[4], a[5],
                                          a[6], a[7], a[8], weight, false, false, a[10] != 0.0);
        return put_cost(out, experts_cost<double>(r, a[0]));
    }
    const Line line = experts_line(d, c, a[1], a[2], a[4], a[5], a[6], a[7], weight);
    put_line(out, line, a[0], touched_on_rank(a[0], a[3], a[4], a[7], a[8]));
}

// tokens, n, k, experts, topk, moe_ep, skew, type: one of the products, [pairs, k] @ [experts, k, n]
TR_HD void grouped_gemm_operator(const double* d, const double* c, const double* a, double* out) {
    const int weight = int(a[7]);
    if (measured_form(c, calibration::block_experts)) {
        const GroupedGemm r = prepare_grouped_gemm(d, c + calibration::block_experts, a[1], a[2], a[3], a[4], a[5],
                                                   a[6], weight);
        return put_cost(out, grouped_gemm_cost<double>(r, a[0]));
    }
    const Line line = grouped_gemm_line(d, c, a[1], a[2], a[4], a[5], weight);
    put_line(out, line, a[0], touched_on_rank(a[0], a[3], a[4], a[5], a[6]));
}

// batch, context, heads, kv_heads, head_dim, v_head_dim, window, type of the cache, whether it is warm
TR_HD void attention_decode_operator(const double* d, const double* c, const double* a, double* out) {
    if (measured_form(c, calibration::block_attention_decode)) {
        const AttentionDecode r = prepare_attention_decode(d, c + calibration::block_attention_decode, a[2],
                                                           a[3], a[4], a[5], a[6], int(a[7]));
        return put_cost(out, attention_decode_cost<double>(r, a[0], a[1], a[8] != 0.0));
    }
    const Attention t = gqa_attention(d, c, calibration::attention_decode_t0, attention_peak(d, int(a[7])), a[2],
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
    const Attention t = mla_attention(d, c, calibration::attention_decode_t0, attention_peak(d, int(a[5])), a[2],
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

// One query per sequence over the `topk` keys that its indexer chose:
// batch, context, heads, kv_lora_rank, rope_head_dim, topk, index_heads, index_head_dim, type of the cache
TR_HD void sparse_decode_operator(const double* d, const double* c, const double* a, double* out) {
    double attention[op::count], index[op::count];
    const double* g = c + calibration::block_mla_decode;
    const double context = amount_or_nan(a[1]);
    if (measured_form(c, calibration::block_mla_decode)) {
        const AttentionDecode r = prepare_sparse_decode(d, g, a[2], a[3], a[4], a[5], int(a[8]));
        put_cost(attention, attention_decode_cost<double>(r, a[0], a[1], false));
    } else {
        const Attention t = mla_attention(d, c, calibration::attention_decode_t0, attention_peak(d, int(a[8])), a[2],
                                          a[3], a[4], a[5], int(a[8]));
        const double keys = visible(context, t.window);
        put_attention(attention, t, a[0], keys, keys, 1.0, 0.0);
    }
    const Indexer x = make_indexer(d, c, calibration::attention_decode_t0, a[6], a[7], a[5]);
    put_indexer(index, x, a[0], context, context, 1.0);
    put_sum(out, attention, index);
}

// batch, tokens, past, heads, nope_head_dim, rope_head_dim, v_head_dim, kv_lora_rank, topk, index_heads,
// index_head_dim, type of the maths, of the cache
TR_HD void sparse_prefill_operator(const double* d, const double* c, const double* a, double* out) {
    double attention[op::count], index[op::count];
    const double* g = c + calibration::block_mla_prefill;
    const double tokens = amount_or_nan(a[1]), past = amount_or_nan(a[2]);
    if (measured_form(c, calibration::block_mla_prefill)) {
        const AttentionPrefill all = prepare_mla_prefill(d, g, a[3], a[4], a[5], a[6], a[7], false, int(a[12]));
        const AttentionPrefill chosen = prepare_sparse_prefill(d, g, a[3], a[4], a[5], a[6], a[7], a[8], int(a[12]));
        put_cost(attention, faster(attention_prefill_cost<double>(all, a[0], a[1], a[2]),
                                   attention_prefill_cost<double>(chosen, a[0], a[1], a[2])));
    } else {
        const double peak = dtype_peak(d, int(a[11])), b = amount_or_nan(a[0]);
        const int shares = calibration::attention_prefill_t0;
        const Attention all = mla_expanded(d, c, shares, peak, a[3], a[4], a[5], a[6], 0.0);
        const Attention chosen = mla_attention(d, c, shares, peak, a[3], a[7], a[5], a[8], int(a[12]));
        const Roof<double> r = faster(prompt_roof(all, b, tokens, past), prompt_roof(chosen, b, tokens, past));
        put_operator(attention, all.fixed, r.compute, r.memory, r.flops, r.bytes);
    }
    const Indexer x = make_indexer(d, c, calibration::attention_prefill_t0, a[9], a[10], a[8]);
    put_indexer(index, x, a[0], causal_pairs(tokens, past, no_window), causal_keys(tokens, past, no_window),
                tokens);
    put_sum(out, attention, index);
}

// batch, key_heads, key_dim, value_heads, value_dim, taps of the convolution
TR_HD void gated_delta_decode_operator(const double* d, const double* c, const double* a, double* out) {
    put_recurrent_decode(d, c, gated_delta_net(a[1], a[2], a[3], a[4], a[5], delta_chunk), a[0], out);
}
// batch, tokens, key_heads, key_dim, value_heads, value_dim, taps, chunk
TR_HD void gated_delta_prefill_operator(const double* d, const double* c, const double* a, double* out) {
    put_recurrent_prefill(d, c, gated_delta_net(a[2], a[3], a[4], a[5], a[6], a[7]), a[0], a[1], out);
}
// batch, heads, head_dim, groups, state, taps
TR_HD void mamba2_decode_operator(const double* d, const double* c, const double* a, double* out) {
    put_recurrent_decode(d, c, mamba2(a[1], a[2], a[3], a[4], a[5], mamba_chunk), a[0], out);
}
// batch, tokens, heads, head_dim, groups, state, taps, chunk
TR_HD void mamba2_prefill_operator(const double* d, const double* c, const double* a, double* out) {
    put_recurrent_prefill(d, c, mamba2(a[2], a[3], a[4], a[5], a[6], a[7]), a[0], a[1], out);
}

// tokens, hidden, whether the residual comes and goes with it
TR_HD void norm_operator(const double* d, const double* c, const double* a, double* out) {
    put_line(out, elementwise_line(d, c, 1.0, norm_bytes(a[1], a[2] != 0.0) + (a[2] - a[2])), a[0], 0.0);
}
// tokens, heads, kv_heads, head_dim, v_head_dim, type of the cache
TR_HD void rotary_operator(const double* d, const double* c, const double* a, double* out) {
    const double moved = rotary_bytes((a[1] + a[2]) * a[3], a[2] * (a[3] + a[4]), dtype_bytes(int(a[5])));
    put_line(out, elementwise_line(d, c, 1.0, moved), a[0], 0.0);
}
// tokens, width, matrices of the MLP
TR_HD void activation_operator(const double* d, const double* c, const double* a, double* out) {
    put_line(out, elementwise_line(d, c, 1.0, activation_bytes_moved(a[1], a[2])), a[0], 0.0);
}
// tokens, width, type that the values are narrowed to
TR_HD void quantise_operator(const double* d, const double* c, const double* a, double* out) {
    put_line(out, elementwise_line(d, c, 1.0, a[1] * quantise_bytes(activation_bytes(int(a[2])))), a[0], 0.0);
}
// sequences, vocab, whether the likeliest token is taken
TR_HD void sampling_operator(const double* d, const double* c, const double* a, double* out) {
    const bool greedy = a[2] != 0.0;
    const double moved = sampling_bytes(a[1], greedy) + (a[2] - a[2]); // NaN stays
    put_line(out, elementwise_line(d, c, greedy ? 1.0 : 3.0, moved), a[0], 0.0);
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
        return put_protocol(out, r, fastest(all_reduce_protocols(r, c + calibration::block_all_reduce), x), x, traffic);
    put_protocol(out, r, shared_line(c, r, all_reduce_bound(r)), x, traffic);
}
TR_HD void all_gather_operator(const double* d, const double* c, const double* a, double* out) {
    const RankGroup r = make_group(d, a[0]);
    const double x = amount_or_nan(a[1]), traffic = exchange_share(r);
    if (measured_form(c, calibration::block_all_gather))
        return put_protocol(out, r, fastest(exchange_protocols(r, c + calibration::block_all_gather, 1.0), x), x, traffic);
    put_protocol(out, r, shared_line(c, r, exchange_bound(r, 1.0, 1.0)), x, traffic);
}
TR_HD void reduce_scatter_operator(const double* d, const double* c, const double* a, double* out) {
    const RankGroup r = make_group(d, a[0]);
    const double x = amount_or_nan(a[1]), traffic = exchange_share(r);
    if (measured_form(c, calibration::block_reduce_scatter))
        return put_protocol(out, r, fastest(exchange_protocols(r, c + calibration::block_reduce_scatter, 1.0), x), x,
                            traffic);
    put_protocol(out, r, shared_line(c, r, exchange_bound(r, 1.0, 1.0)), x, traffic);
}
TR_HD void all_to_all_operator(const double* d, const double* c, const double* a, double* out) {
    const RankGroup r = make_group(d, a[0]);
    const double x = amount_or_nan(a[1]), traffic = exchange_share(r);
    if (measured_form(c, calibration::block_all_to_all))
        return put_protocol(out, r, fastest(all_to_all_protocols(r, c + calibration::block_all_to_all), x), x, traffic);
    put_protocol(out, r, shared_line(c, r, exchange_bound(r, r.hops, r.inside)), x, traffic);
}
// between two of so many ranks
TR_HD void send_operator(const double* d, const double* c, const double* a, double* out) {
    RankGroup r = make_group(d, a[0]);
    const double x = amount_or_nan(a[1]);
    const double link = r.nodes > 1.0 ? r.network : group_bandwidth(d, 2.0);
    const Protocol p = measured_form(c, calibration::block_all_to_all)
                           ? fastest(send_protocols(d, r, c + calibration::block_all_to_all), x)
                           : shared_line(c, r, 1.0 / link);
    r.n = r.n + 1.0; // a message is a message, also in a group of one
    put_protocol(out, r, p, x, 1.0);
}

} // namespace TR_ISA
} // namespace tokenroof
