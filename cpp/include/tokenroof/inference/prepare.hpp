// Packed records to the terms of a step: operators (operators.hpp) with their layers counted in.
// docs/inference/step-model.md is the specification, and tokenroof.reference.inference.prepare its other reading.
#pragma once
#include "tokenroof/inference/latent_experts.hpp"
#include "tokenroof/inference/memory.hpp"
#include "tokenroof/inference/prepare_attention.hpp"
#include "tokenroof/inference/streams.hpp"

namespace tokenroof {
inline namespace TR_ISA {

TR_HOST_ONCE void prepare_recurrent(Prepared& r, const double* d, const double* c, const double* m,
                                    const double* p) {
    const ModuleTypes t = mixer_types(m, p);
    const double h = m[model::hidden];
    const Recurrent kinds[2] = {linear_mixer(m, p[plan::tp]), mamba_mixer(m, p[plan::tp])};
    for (int i = 0; i < 2; ++i) {
        const double layers = m[i == 0 ? model::linear_layers : model::mamba_layers];
        if (!(layers > 0.0)) continue;
        const Recurrent& x = kinds[i];
        add_products_of(r, d, c, group_linear, layers, x.columns, h, t);
        add_products_of(r, d, c, group_linear, layers, h, x.out, t);
        if (x.gate_rank > 0.0) add_products_of(r, d, c, group_linear, layers, x.gate_columns, x.gate_rank, t);
        r.common.add(group_linear, rank_tokens, times(layers, recurrent_gates(d, c, x)));
        r.decode.add(group_linear, decode_sequences, times(layers, recurrent_decode(d, c, x)));
        r.prefill.add(group_linear, prompt_tokens, times(layers, recurrent_prompt(d, c, x)));
        r.prefill.add(group_linear, rank_prompts, times(layers, recurrent_states(d, c, x)));
    }
}

TR_HOST_ONCE void prepare_mlp(Prepared& r, const double* d, const double* c, const double* m, const double* p) {
    const double h = m[model::hidden], tp = p[plan::tp], up = m[model::mlp_matrices] - 1.0;
    auto mlp = [&](double layers, double ffn, const ModuleTypes& t) TR_INLINE {
        const double width = ffn / tp;
        add_products_of(r, d, c, group_mlp, layers, up * width, h, t);
        add_products_of(r, d, c, group_mlp, layers, h, width, t);
        r.common.add(group_elementwise, rank_tokens,
                     times(layers, fresh_line(d, c, activation_bytes_moved(width, up + 1.0),
                                              activation_fresh(width, up + 1.0))));
    };
    if (m[model::dense_layers] > 0.0) mlp(m[model::dense_layers], m[model::ffn], mlp_types(p));
    if (m[model::wide_layers] > 0.0) mlp(m[model::wide_layers], m[model::wide_ffn], mlp_types(p));
    r.expert_count = 0.0;
    r.expert_ranks = 1.0;
    r.experts = Line{};
    const double layers = m[model::moe_layers];
    if (!(layers > 0.0)) return;
    const int e = int(p[plan::experts]);
    const double choices = m[model::experts] + m[model::zero_experts], topk = routed_topk(m), seen = expert_width(m);
    add_product(r, d, c, group_experts, rank_tokens, layers, choices, h, dtype::bf16, dtype::bf16);
    if (m[model::moe_latent] > 0.0) { // to what the experts see, and back
        add_products_of(r, d, c, group_experts, layers, seen, h, shared_types(p));
        add_products_of(r, d, c, group_experts, layers, h, seen, shared_types(p));
    }
    // top-k and permutation: logits read, hidden states out and back
    r.common.add(group_experts, rank_tokens,
                 times(layers, elementwise_line(d, c, 2.0, (choices + 2.0 * topk * seen / p[plan::moe_ep]) * 2.0)));
    if (m[model::shared_ffn] > 0.0) mlp(layers, m[model::shared_ffn], shared_types(p));
    if (measured_form(c, calibration::block_experts)) {
        r.measured_experts = prepare_experts(
            d, c + calibration::block_experts, seen, m[model::moe_ffn], m[model::experts], topk,
            m[model::mlp_matrices], p[plan::moe_tp], p[plan::moe_ep],
            (c + calibration::block_engine)[constant::engine::skew], e, true, sends_to_experts(d, m, p));
        r.expert_layers = layers;
        r.experts.fixed = layers * r.measured_experts.t0;
        return;
    }
    r.experts = times(layers, experts_line(d, c, seen, m[model::moe_ffn], topk,
                                           m[model::mlp_matrices], p[plan::moe_tp], p[plan::moe_ep], e));
    r.expert_count = m[model::experts];
    r.expert_ranks = p[plan::moe_ep];
    const double skew = (c + calibration::block_engine)[constant::engine::skew];
    r.expert_routing = prepare_routing(r.expert_count, topk, r.expert_ranks, skew == skew ? skew : 0.0, true);
}

// What stands around the halves of a layer: streams, earlier results, embeddings of its own.
TR_HOST_ONCE void prepare_around(Prepared& r, const double* d, const double* c, const double* m, const double* p) {
    const double h = m[model::hidden], layers = m[model::layers], width = m[model::layer_embedding];
    auto moved = [&](double count, double bytes) TR_INLINE {
        r.common.add(group_elementwise, rank_tokens, times(count, elementwise_line(d, c, 1.0, bytes)));
    };
    auto gemm = [&](double count, double n, double k) TR_INLINE {
        add_products_of(r, d, c, group_mlp, count, n, k, mlp_types(p));
    };
    if (m[model::stream_mixes] > 0.0)
        r.common.add(group_elementwise, rank_tokens,
                     times(m[model::stream_mixes], stream_line(d, c, h, m[model::streams])));
    if (m[model::residual_slots] > 0.0) moved(2.0 * layers, residual_bytes(h, m[model::residual_slots]));
    if (width > 0.0) {
        gemm(1.0, layers * width, h);
        moved(1.0, layer_lookup_bytes(layers, width));
        gemm(layers, width, h);
        gemm(layers, h, width);
        moved(layers, layer_embedding_bytes(width));
    }
    const double laurel = m[model::laurel_rank];
    if (laurel > 0.0) {
        gemm(layers, laurel, h);
        gemm(layers, h, laurel);
    }
}

TR_HOST_ONCE void prepare_collectives(Prepared& r, const double* d, const double* c, const double* m,
                                      const double* p, double heads) {
    const double h = m[model::hidden], tp = p[plan::tp], cp = p[plan::cp], pp = p[plan::pp];
    const double group = tp * p[plan::dp];
    const double softmax = softmax_layers(m), mixers = softmax + m[model::linear_layers] + m[model::mamba_layers];
    const double dense = m[model::dense_layers] + m[model::wide_layers], moe = m[model::moe_layers];
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
        if (m[model::joint_norm] > 0.0 && softmax > 0.0) // a token's sums of squares of queries and of keys
            add(rank_tokens, softmax, tp, 2.0 * 4.0, all_reduce_factor(tp), reduce);
        add(head_sequences, 1.0, tp, m[model::vocab] * 2.0, all_gather_factor(tp), gather);
    }
    if (moe > 0.0 && dispatched) {
        const int experts = int(p[plan::experts]);
        if (sends_to_experts(d, m, p)) {
            // a token goes once to each expert rank that it needs, and comes back in 16 bits
            const double out = min_nan(routed_topk(m), p[plan::moe_ep]) / group * expert_width(m);
            add(stage_tokens, moe, group, out * activation_bytes(experts), all_gather_factor(group), exchange);
            add(stage_tokens, moe, group, out * 2.0, all_gather_factor(group), exchange);
        } else {
            add(stage_tokens, moe, group, h * gathered_bytes(experts), all_gather_factor(group), gather);
            add(stage_tokens, moe, group, h * 2.0, all_gather_factor(group), scatter);
        }
    }
    if (pp > 1.0) add(rank_tokens, pp - 1.0, group * pp * cp, h * 2.0, 1.0, exchange);
    if (cp > 1.0 && softmax > 0.0) {
        // partial results of a token meet; a prompt's keys and values go round
        r.decode.add(group_collective, decode_sequences,
                     times(softmax, collective_line(d, c, group * cp, all_gather_factor(cp) * cp * heads *
                                                    (m[model::v_head_dim] + 1.0) * 2.0)));
        const double cached = token_bytes(m, full_heads(m, tp), 2.0);
        r.prefill.add(group_collective, prompt_tokens,
                      times(softmax, collective_line(d, c, group * cp, (cp - 1.0) * cached)));
    }
}

TR_HD double sum_fixed(const Lines& lines) {
    double s = 0.0;
    for (int i = 0; i < lines.n; ++i) s += lines.line[i].fixed;
    return s;
}

// Launches of layers with one key, where the lines have any.
TR_HD void prepare_compressed_fixed(Prepared& r) {
    const CompressedLayers& all = r.compressed;
    for (int i = 0; i < all.n; ++i) {
        if (all.line) r.decode_fixed += all.decode[i].fixed;
        r.prefill_fixed += all.prefill[i].fixed;
    }
    if (!(all.index_layers > 0.0)) return;
    r.decode_fixed += all.decode_index.a.fixed;
    r.prefill_fixed += all.prefill_index.a.fixed;
}

TR_HD void prepare(Prepared& r, const double* d, const double* record, const double* m, const double* p) {
    // operators here cost what they cost alone, less the launch: a step counts its own kernels
    double c[calibration::count];
    for (int i = 0; i < calibration::count; ++i) c[i] = record[i];
    c[calibration::launch_s] = 0.0;
    r.common.n = r.decode.n = r.prefill.n = r.products.n = 0;
    r.attentions = r.prefill_attentions = r.attention.decodes = r.attention.prefills = r.exchanges.n = 0;
    r.expert_layers = r.sparse.layers = r.compressed.index_layers = 0.0;
    r.sparse.line = r.attention.sparse = r.attention.one_kernel = false;
    r.compressed.n = 0;
    const double tp = p[plan::tp], h = m[model::hidden], heads = m[model::heads] / tp;
    r.pp = p[plan::pp];
    r.dp = p[plan::dp];
    r.cp = p[plan::cp];
    r.workers = tp * p[plan::dp] * p[plan::cp];
    r.devices = r.workers * p[plan::pp];

    r.common.add(group_head, rank_tokens, elementwise_line(d, c, 1.0, 2.0 * 2.0 * h)); // embedding
    r.common.add(group_elementwise, rank_tokens,
                 times(m[model::norms], fresh_line(d, c, norm_bytes(h, true), norm_fresh(h))));
    prepare_projections(r, d, c, m, p);
    prepare_recurrent(r, d, c, m, p);
    prepare_mlp(r, d, c, m, p);
    prepare_around(r, d, c, m, p);
    const int w = int(p[plan::weights]), head = head_type(p);
    add_product(r, d, c, group_head, head_sequences, 1.0, m[model::vocab] / tp, h, head, head);
    prepare_collectives(r, d, c, m, p, heads);
    prepare_attention(r, d, c, m, p);

    const Structure s = step_structure(c, m, p);
    r.step_s = c[calibration::step_s];
    r.sequence_s = c[calibration::sequence_s] + (c + calibration::block_engine)[constant::engine::sequence];
    r.fixed = sum_fixed(r.common) + r.experts.fixed +
              (s.kernels + s.collectives) * record[calibration::launch_s] +
              engine_gaps(c, waiting_kernels(c, s), s.collectives);
    r.decode_fixed = sum_fixed(r.decode);
    r.prefill_fixed = sum_fixed(r.prefill);
    if (r.sparse.layers > 0.0) {
        r.decode_fixed += r.sparse.decode.a.fixed;
        r.prefill_fixed += r.sparse.prefill.a.fixed;
    }
    prepare_compressed_fixed(r);
    for (int i = 0; i < r.attentions; ++i) r.decode_fixed += r.decode_attention[i].fixed;
    for (int i = 0; i < r.prefill_attentions; ++i) r.prefill_fixed += r.prefill_attention[i].fixed;
    r.tdp = d[device::tdp_w];
    const double idle = d[device::idle_w];
    r.idle = idle == idle ? idle : r.tdp * c[calibration::idle_fraction];
    const double cap = p[plan::power_cap_w];
    r.cap = cap > 0.0 && cap < r.tdp ? cap / r.tdp : 1.0;
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
