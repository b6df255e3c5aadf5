// Packed records to the terms of a step: operators (operators.hpp) with their layers counted in.
// docs/inference/step-model.md is the specification, and tokenroof.reference.inference.prepare its other reading.
#pragma once
#include "tokenroof/inference/mla.hpp"
#include "tokenroof/inference/prepared.hpp"
#include "tokenroof/inference/recurrent.hpp"
#include "tokenroof/inference/structure.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Whether a record has constants for an operator's measured form; without, it is a line with shares.
TR_HD bool measured_form(const double* c, int block) {
    return c[calibration::form] == 1.0 && c[block] == c[block];
}

// `count` products of an amount of rows with [k, n]: by their measured form where the record has it.
TR_HD_ONCE void add_product(Prepared& r, const double* d, const double* c, Group group, Amount amount, double count,
                            double n, double k, int weight, int activation) {
    const bool wide = weight == dtype::bf16 || weight == dtype::fp16;
    const int block = wide ? int(calibration::block_gemm16) : int(calibration::block_gemm);
    if (!measured_form(c, block)) {
        r.common.add(group, amount, times(count, gemm_line(d, c, n, k, weight, activation)));
        return;
    }
    Products& all = r.products;
    all.gemm[all.n] = prepare_gemm(d, c + block, n, k, weight, activation);
    all.count[all.n] = count;
    all.amount[all.n] = amount;
    all.group[all.n] = group;
    ++all.n;
}

// One kind of attention by its measured form; whether the record has one. topk: of sparse attention, or 0.
TR_HD_ONCE bool measure_attention(Prepared& r, const double* d, const double* c, const double* m, double layers,
                                  double heads, double kv_heads, double window, double topk, int kv, bool prompt) {
    MeasuredAttention& all = r.attention;
    const bool latent = m[model::kv_lora_rank] > 0.0;
    const int block = latent ? (prompt ? int(calibration::block_mla_prefill) : int(calibration::block_mla_decode))
                             : (prompt ? int(calibration::block_attention_prefill)
                                       : int(calibration::block_attention_decode));
    if (!measured_form(c, block)) return false;
    const double* g = c + block;
    const double width = m[model::head_dim], v_width = m[model::v_head_dim], rank = m[model::kv_lora_rank];
    const double nope = m[model::nope_head_dim], rope = m[model::rope_head_dim];
    const double limit = topk > 0.0 ? topk : window;
    if (prompt) {
        all.prefill[all.prefills] =
            latent ? prepare_mla_prefill(d, g, heads, nope, rope, v_width, rank, false, kv)
                   : prepare_attention_prefill(d, g, heads, kv_heads, width, v_width, window, kv, dtype::bf16);
        if (latent && window > 0.0) all.prefill[all.prefills].window = window;
        all.prefill_layers[all.prefills++] = layers;
        all.sparse = all.sparse || topk > 0.0;
        if (topk > 0.0)
            all.chosen = latent ? prepare_sparse_prefill(d, g, heads, nope, rope, v_width, rank, topk, kv)
                                : prepare_attention_prefill(d, g, heads, kv_heads, width, v_width, topk, kv, dtype::bf16);
    } else {
        all.decode[all.decodes] =
            latent ? prepare_sparse_decode(d, g, heads, rank, rope, limit > 0.0 ? limit : no_window, kv)
                   : prepare_attention_decode(d, g, heads, kv_heads, width, v_width, limit, kv);
        all.decode_layers[all.decodes++] = layers;
    }
    return true;
}

// One kind of attention as a line. absorbed: whether latents are attended to themselves.
TR_HD Attention attention_line(const double* d, const double* c, const double* m, int shares, double heads,
                               double kv_heads, double window, int kv, bool absorbed) {
    const double peak = attention_peak(d, kv);
    if (!(m[model::kv_lora_rank] > 0.0))
        return gqa_attention(d, c, shares, peak, heads, kv_heads, m[model::head_dim], m[model::v_head_dim], window, kv);
    if (absorbed)
        return mla_attention(d, c, shares, peak, heads, m[model::kv_lora_rank], m[model::rope_head_dim], window, kv);
    return mla_expanded(d, c, shares, peak, heads, m[model::nope_head_dim], m[model::rope_head_dim],
                        m[model::v_head_dim], window);
}

TR_HOST_ONCE void prepare_attention(Prepared& r, const double* d, const double* c, const double* m,
                                    const double* p, double heads, double kv_heads) {
    const int kv = int(p[plan::kv_cache]);
    const double full = m[model::full_layers], topk = full > 0.0 ? m[model::index_topk] : 0.0;
    const int decode = calibration::attention_decode_t0, prefill = calibration::attention_prefill_t0;
    for (int kind = 0; kind < 2; ++kind) {
        const double layers = kind == 0 ? full : m[model::window_layers];
        if (!(layers > 0.0)) continue;
        const double window = kind == 1 ? m[model::window] : 0.0, chosen = kind == 0 ? topk : 0.0;
        if (!measure_attention(r, d, c, m, layers, heads, kv_heads, window, chosen, kv, false))
            r.decode_attention[r.attentions++] = times(layers, attention_line(
                d, c, m, decode, heads, kv_heads, chosen > 0.0 ? chosen : window, kv, true));
        if (measure_attention(r, d, c, m, layers, heads, kv_heads, window, chosen, kv, true)) continue;
        r.prefill_attention[r.prefill_attentions++] =
            times(layers, attention_line(d, c, m, prefill, heads, kv_heads, window, kv, false));
        if (!(chosen > 0.0)) continue;
        r.sparse.line = true;
        r.sparse.chosen = times(layers, attention_line(d, c, m, prefill, heads, kv_heads, chosen, kv, true));
    }
    if (!(topk > 0.0)) return;
    r.sparse.layers = full;
    r.sparse.decode = times(full, make_indexer(d, c, decode, m[model::index_heads], m[model::index_head_dim], topk));
    r.sparse.prefill = times(full, make_indexer(d, c, prefill, m[model::index_heads], m[model::index_head_dim], topk));
}

TR_HOST_ONCE void prepare_projections(Prepared& r, const double* d, const double* c, const double* m,
                                      const double* p, double heads, double kv_heads) {
    const int w = mixer_weights(m, p), a = mixer_activations(m, p);
    const double h = m[model::hidden];
    const double layers = m[model::full_layers] + m[model::window_layers];
    if (!(layers > 0.0)) return;
    auto gemm = [&](double count, double n, double k) TR_INLINE {
        add_product(r, d, c, group_projection, rank_tokens, count, n, k, w, a);
    };
    double rotated = heads * m[model::head_dim] + kv_heads * m[model::head_dim];
    double cached = kv_heads * (m[model::head_dim] + m[model::v_head_dim]), indexed = 0.0;
    if (m[model::kv_lora_rank] > 0.0) {
        const double q = m[model::q_lora_rank], rank = m[model::kv_lora_rank];
        const double rope = m[model::rope_head_dim], nope = m[model::nope_head_dim];
        if (q > 0.0) {
            gemm(layers, q + rank + rope, h);
            gemm(layers, heads * (nope + rope), q);
        } else {
            gemm(layers, heads * (nope + rope) + rank + rope, h);
        }
        // the latent is unpacked per head, or queries and results are folded into it: the same work
        gemm(layers, heads * (nope + m[model::v_head_dim]), rank);
        rotated = (heads + 1.0) * rope;
        cached = rank + rope;
    } else {
        gemm(layers, (m[model::q_multiplier] * heads + kv_heads) * m[model::head_dim] +
                         kv_heads * m[model::v_head_dim], h);
    }
    if (m[model::index_topk] > 0.0) {
        const double wide = m[model::index_heads] * m[model::index_head_dim];
        const double from = m[model::q_lora_rank] > 0.0 ? m[model::q_lora_rank] : h;
        gemm(layers, wide, from);
        gemm(layers, m[model::index_head_dim] + m[model::index_heads], h);
        indexed = 2.0 * m[model::index_head_dim] + index_key_bytes(m[model::index_head_dim]);
    }
    gemm(layers, h, heads * m[model::v_head_dim]);
    // rotation in place, and the new keys and values into the cache
    r.common.add(group_elementwise, rank_tokens,
                 times(layers, elementwise_line(d, c, 1.0, rotary_bytes(rotated, cached,
                                                dtype_bytes(int(p[plan::kv_cache]))) + indexed)));
}

TR_HOST_ONCE void prepare_recurrent(Prepared& r, const double* d, const double* c, const double* m,
                                    const double* p) {
    const int w = mixer_weights(m, p), a = mixer_activations(m, p);
    const double h = m[model::hidden];
    const Recurrent kinds[2] = {linear_mixer(m, p[plan::tp]), mamba_mixer(m, p[plan::tp])};
    for (int i = 0; i < 2; ++i) {
        const double layers = m[i == 0 ? model::linear_layers : model::mamba_layers];
        if (!(layers > 0.0)) continue;
        const Recurrent& x = kinds[i];
        add_product(r, d, c, group_linear, rank_tokens, layers, x.columns, h, w, a);
        add_product(r, d, c, group_linear, rank_tokens, layers, h, x.out, w, a);
        if (x.gate_rank > 0.0)
            add_product(r, d, c, group_linear, rank_tokens, layers, x.gate_columns, x.gate_rank, w, a);
        r.common.add(group_linear, rank_tokens, times(layers, recurrent_gates(d, c, x)));
        r.decode.add(group_linear, decode_sequences, times(layers, recurrent_decode(d, c, x)));
        r.prefill.add(group_linear, prompt_tokens, times(layers, recurrent_prompt(d, c, x)));
        r.prefill.add(group_linear, rank_prompts, times(layers, recurrent_states(d, c, x)));
    }
}

TR_HOST_ONCE void prepare_mlp(Prepared& r, const double* d, const double* c, const double* m, const double* p) {
    const int w = int(p[plan::weights]), a = int(p[plan::activations]);
    const double h = m[model::hidden], tp = p[plan::tp], up = m[model::mlp_matrices] - 1.0;
    auto mlp = [&](Group group, double layers, double ffn) TR_INLINE {
        const double width = ffn / tp;
        add_product(r, d, c, group, rank_tokens, layers, up * width, h, w, a);
        add_product(r, d, c, group, rank_tokens, layers, h, width, w, a);
        r.common.add(group_elementwise, rank_tokens,
                     times(layers, elementwise_line(d, c, 1.0, activation_bytes_moved(width, up + 1.0))));
    };
    if (m[model::dense_layers] > 0.0) mlp(group_mlp, m[model::dense_layers], m[model::ffn]);
    r.expert_count = 0.0;
    r.expert_ranks = 1.0;
    r.experts = Line{};
    const double layers = m[model::moe_layers];
    if (!(layers > 0.0)) return;
    const int e = int(p[plan::experts]);
    add_product(r, d, c, group_experts, rank_tokens, layers, m[model::experts], h, dtype::bf16, dtype::bf16);
    // top-k and permutation: logits read, hidden states out and back
    r.common.add(group_experts, rank_tokens,
                 times(layers, elementwise_line(d, c, 2.0, (m[model::experts] + 2.0 * m[model::topk] * h /
                                                            p[plan::moe_ep]) * 2.0)));
    if (m[model::shared_ffn] > 0.0) mlp(group_mlp, layers, m[model::shared_ffn]);
    if (measured_form(c, calibration::block_experts)) {
        r.measured_experts = prepare_experts(
            d, c + calibration::block_experts, h, m[model::moe_ffn], m[model::experts], m[model::topk],
            m[model::mlp_matrices], p[plan::moe_tp], p[plan::moe_ep],
            (c + calibration::block_engine)[constant::engine::skew], e, true, sends_to_experts(d, m, p));
        r.expert_layers = layers;
        return;
    }
    r.experts = times(layers, experts_line(d, c, h, m[model::moe_ffn], m[model::topk],
                                           m[model::mlp_matrices], p[plan::moe_tp], p[plan::moe_ep], e));
    r.expert_count = m[model::experts];
    r.expert_ranks = p[plan::moe_ep];
    const double skew = (c + calibration::block_engine)[constant::engine::skew];
    r.expert_routing = prepare_routing(r.expert_count, m[model::topk], r.expert_ranks, skew == skew ? skew : 0.0, true);
}

TR_HOST_ONCE void prepare_collectives(Prepared& r, const double* d, const double* c, const double* m,
                                      const double* p, double heads) {
    const double h = m[model::hidden], tp = p[plan::tp], cp = p[plan::cp], pp = p[plan::pp];
    const double group = tp * p[plan::dp];
    const double mixers = m[model::full_layers] + m[model::window_layers] + m[model::linear_layers] +
                          m[model::mamba_layers];
    const double dense = m[model::dense_layers], moe = m[model::moe_layers];
    const bool dispatched = p[plan::dp] > 1.0; // tokens of several attention ranks meet at the experts
    const double reduced = mixers + dense + (dispatched ? 0.0 : moe);
    const int reduce = calibration::block_all_reduce, gather = calibration::block_all_gather;
    const int exchange = calibration::block_all_to_all, scatter = calibration::block_reduce_scatter;
    // full: bytes of the whole vector per x, of which `factor` crosses each rank's link
    auto add = [&](Amount amount, double count, double ranks, double full, double factor, int block) TR_INLINE {
        const RankGroup g = make_group(d, ranks);
        if (!measured_form(c, block)) {
            Line line = collective_line(d, c, ranks, factor * full);
            if (g.nodes > 1.0 && factor != 1.0) { // not all of the vector goes through the network
                const double bound = block == calibration::block_all_reduce ? all_reduce_bound(g)
                                     : block == exchange ? exchange_bound(g, g.hops, g.inside)
                                                         : exchange_bound(g, 1.0, 1.0);
                line.traffic = full * bound / shares_of(c, calibration::collective_t0).memory;
            }
            r.common.add(group_collective, amount, times(count, line));
            return;
        }
        Exchanges& all = r.exchanges;
        const double* own = c + block;
        all.protocols[all.n] = block == calibration::block_all_reduce ? all_reduce_protocols(g, own)
                               : block != exchange ? exchange_protocols(g, own, 1.0)
                               : factor == 1.0 ? send_protocols(d, g, own) : all_to_all_protocols(g, own);
        // a gap stands for an all-reduce of the engine's own: what others take longer to start is theirs
        double counted = empty_message(all.protocols[all.n]);
        if (block != reduce && measured_form(c, reduce))
            counted = min_nan(counted, empty_message(all_reduce_protocols(g, c + reduce)));
        all.counted[all.n] = counted;
        all.count[all.n] = count;
        all.bytes[all.n] = full;
        all.crossing[all.n] = factor * full;
        all.amount[all.n++] = amount;
    };
    if (tp > 1.0) {
        add(rank_tokens, reduced, tp, h * 2.0, all_reduce_factor(tp), reduce);
        add(head_sequences, 1.0, tp, m[model::vocab] * 2.0, all_gather_factor(tp), gather);
    }
    if (moe > 0.0 && dispatched) {
        const int experts = int(p[plan::experts]);
        if (sends_to_experts(d, m, p)) {
            // a token goes once to each expert rank that it needs, and comes back in 16 bits
            const double out = min_nan(m[model::topk], p[plan::moe_ep]) / group * h;
            add(stage_tokens, moe, group, out * activation_bytes(experts), all_gather_factor(group), exchange);
            add(stage_tokens, moe, group, out * 2.0, all_gather_factor(group), exchange);
        } else {
            add(stage_tokens, moe, group, h * gathered_bytes(experts), all_gather_factor(group), gather);
            add(stage_tokens, moe, group, h * 2.0, all_gather_factor(group), scatter);
        }
    }
    if (pp > 1.0) add(rank_tokens, pp - 1.0, group * pp * cp, h * 2.0, 1.0, exchange);
    if (cp > 1.0 && m[model::full_layers] + m[model::window_layers] > 0.0) {
        const double layers = m[model::full_layers] + m[model::window_layers];
        // partial results of a token meet; a prompt's keys and values go round
        r.decode.add(group_collective, decode_sequences,
                     times(layers, collective_line(d, c, group * cp, all_gather_factor(cp) * cp * heads *
                                                   (m[model::v_head_dim] + 1.0) * 2.0)));
        const double cached = m[model::kv_lora_rank] > 0.0
                                  ? m[model::kv_lora_rank] + m[model::rope_head_dim]
                                  : max_nan(m[model::kv_heads] / tp, 1.0) *
                                        (m[model::head_dim] + m[model::v_head_dim]);
        r.prefill.add(group_collective, prompt_tokens,
                      times(layers, collective_line(d, c, group * cp, (cp - 1.0) * cached * 2.0)));
    }
}

TR_HD double sum_fixed(const Lines& lines) {
    double s = 0.0;
    for (int i = 0; i < lines.n; ++i) s += lines.line[i].fixed;
    return s;
}

TR_HD void prepare(Prepared& r, const double* d, const double* record, const double* m, const double* p) {
    // operators here cost what they cost alone, less the launch: a step counts its own kernels
    double c[calibration::count];
    for (int i = 0; i < calibration::count; ++i) c[i] = record[i];
    c[calibration::launch_s] = 0.0;
    r.common.n = r.decode.n = r.prefill.n = r.products.n = 0;
    r.attentions = r.prefill_attentions = r.attention.decodes = r.attention.prefills = r.exchanges.n = 0;
    r.expert_layers = r.sparse.layers = 0.0;
    r.sparse.line = r.attention.sparse = false;
    const double tp = p[plan::tp], h = m[model::hidden];
    const double heads = m[model::heads] / tp;
    const double kv_heads = max_nan(m[model::kv_heads] / tp, 1.0); // replicated where tp exceeds them
    r.pp = p[plan::pp];
    r.dp = p[plan::dp];
    r.cp = p[plan::cp];
    r.workers = tp * p[plan::dp] * p[plan::cp];
    r.devices = r.workers * p[plan::pp];

    r.common.add(group_head, rank_tokens, elementwise_line(d, c, 1.0, 2.0 * 2.0 * h)); // embedding
    r.common.add(group_elementwise, rank_tokens,
                 times(m[model::norms], elementwise_line(d, c, 1.0, norm_bytes(h, true))));
    prepare_projections(r, d, c, m, p, heads, kv_heads);
    prepare_recurrent(r, d, c, m, p);
    prepare_mlp(r, d, c, m, p);
    // quantised checkpoints keep the head in 16 bits
    const int w = int(p[plan::weights]);
    const int head = w == dtype::fp32 || w == dtype::tf32 ? w : int(dtype::bf16);
    add_product(r, d, c, group_head, head_sequences, 1.0, m[model::vocab] / tp, h, head, head);
    prepare_collectives(r, d, c, m, p, heads);
    prepare_attention(r, d, c, m, p, heads, kv_heads);

    const Structure s = step_structure(m, p);
    r.step_s = c[calibration::step_s];
    r.sequence_s = c[calibration::sequence_s] + (c + calibration::block_engine)[constant::engine::sequence];
    r.fixed = sum_fixed(r.common) + r.experts.fixed +
              (s.kernels + s.collectives) * record[calibration::launch_s] + engine_gaps(c, s);
    r.decode_fixed = sum_fixed(r.decode);
    r.prefill_fixed = sum_fixed(r.prefill);
    if (r.sparse.layers > 0.0) {
        r.decode_fixed += r.sparse.decode.a.fixed;
        r.prefill_fixed += r.sparse.prefill.a.fixed;
    }
    for (int i = 0; i < r.attentions; ++i) r.decode_fixed += r.decode_attention[i].fixed;
    for (int i = 0; i < r.prefill_attentions; ++i) r.prefill_fixed += r.prefill_attention[i].fixed;
    r.tdp = d[device::tdp_w];
    const double idle = d[device::idle_w];
    r.idle = idle == idle ? idle : r.tdp * c[calibration::idle_fraction];
    for (int i = 0; i < constant::power::count; ++i) r.power[i] = c[calibration::block_power + i];
    r.weight_peak = dtype_peak(d, w);
    r.expert_peak = dtype_peak(d, int(p[plan::experts]));
    r.wide_peak = d[device::peak_bf16];
    r.compute_watts = c[calibration::compute_watts];
    r.memory_watts = c[calibration::memory_watts];
    r.bandwidth = d[device::memory_bandwidth];
    r.peak = d[device::peak_bf16];
}

} // namespace TR_ISA
} // namespace tokenroof
