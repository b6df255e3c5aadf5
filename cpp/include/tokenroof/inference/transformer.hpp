// One engine step of a transformer: a decode batch, prefill chunks, or both.
//
// `prepare` (prepare.hpp) turns packed records into terms; `evaluate` sums them for one load, or for as
// many at once as V has lanes. docs/inference/step-model.md is the specification.
#pragma once
#include "tokenroof/inference/memory.hpp"
#include "tokenroof/inference/power.hpp"
#include "tokenroof/inference/power_cap.hpp"
#include "tokenroof/inference/prepare.hpp"
#include "tokenroof/inference/sparse_attention.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Where evaluate<..., true> puts the parts of a step.
template <class V> struct Parts {
    V flops, bytes, communication_bytes, memory, compute, launch, communication, group[8], busy;
    V work[8], decode_attention; // FLOPs by group; seconds of attention before those of prompts
};

template <class V> TR_HD void add_part(Parts<V>& out, Group g, V compute, V memory, V flops, V bytes) {
    const V zero = splat<V>(0.0);
    const V longer = max_nan(compute, memory);
    out.group[g] += longer;
    if (g == group_collective) {
        out.communication += longer;
        out.communication_bytes += bytes;
        return;
    }
    const auto by_compute = compute >= memory;
    out.compute += by_compute ? longer : zero;
    out.memory += by_compute ? zero : longer;
    out.busy += compute;
    out.work[g] += flops;
    out.flops += flops;
    out.bytes += bytes;
}

template <class V, bool Full>
TR_HD void add_lines(V& time, Parts<V>& out, const Lines& lines, const V* amount) {
    for (int i = 0; i < lines.n; ++i) {
        const Line& a = lines.line[i];
        const V x = amount[lines.amount[i]];
        const V compute = line_compute(a, x), memory = line_memory(a, x);
        time += max_nan(compute, memory);
        if constexpr (Full) add_part(out, lines.group[i], compute, memory, x * a.flops, a.weights + x * a.bytes);
    }
}

// Costs of `count` operators of a measured form. Their launch is counted by the step.
template <class V, bool Full>
TR_HD void add_costs(V& time, Parts<V>& out, Group group, double count, const Cost<V>& x) {
    const V seconds = count * x.seconds;
    time += seconds;
    if constexpr (Full) {
        const V zero = splat<V>(0.0);
        const auto by_compute = x.compute >= x.memory;
        out.group[group] += seconds;
        out.compute += by_compute ? seconds : zero;
        out.memory += by_compute ? zero : seconds;
        out.busy += count * x.compute;
        out.work[group] += count * x.flops;
        out.flops += count * x.flops;
        out.bytes += count * x.bytes;
    }
}

// Seconds of all products: they depend on whole numbers of rows alone.
template <class V, bool Full> TR_HD V add_products(Parts<V>& out, const Products& products, const V* amount) {
    V time = splat<V>(0.0);
    for (int i = 0; i < products.n; ++i)
        add_costs<V, Full>(time, out, products.group[i], products.count[i],
                           gemm_cost<V>(products.gemm[i], amount[products.amount[i]]));
    return time;
}
// Of a decode step with so many sequences on each rank.
template <class V> TR_HD V decode_products(const Prepared& r, V sequences) {
    V amount[amounts];
    Parts<V> unused;
    amount[rank_tokens] = amount[head_sequences] = sequences;
    return add_products<V, false>(unused, r.products, amount);
}

// Collectives beyond the launch that the step counts.
template <class V, bool Full>
TR_HD void add_exchanges(V& time, Parts<V>& out, const Exchanges& all, const V* amount) {
    for (int i = 0; i < all.n; ++i) {
        const V x = amount[all.amount[i]], nbytes = x * all.bytes[i];
        const Protocols& p = all.protocols[i];
        V best = p.each[0].fixed + nbytes * p.each[0].per_byte;
        for (int k = 1; k < p.n; ++k) best = min_nan(best, p.each[k].fixed + nbytes * p.each[k].per_byte);
        const V seconds = all.count[i] * (best - all.counted[i]);
        time += seconds;
        if constexpr (Full) {
            out.group[group_collective] += seconds;
            out.communication += seconds;
            out.communication_bytes += all.count[i] * (x * all.crossing[i]);
        }
    }
}

// Routed experts, whose rows are `x` tokens of the stage.
template <class V, bool Full> TR_HD void add_experts(V& time, Parts<V>& out, const Prepared& r, V x) {
    if (r.expert_layers > 0.0) {
        add_costs<V, Full>(time, out, group_experts, r.expert_layers, experts_cost<V>(r.measured_experts, x));
    } else if (r.expert_count > 0.0) {
        const V touched = touched_in_mean(r.expert_routing, x);
        const V compute = line_compute(r.experts, x);
        const V memory = touched * r.experts.weights_s + x * r.experts.traffic;
        time += max_nan(compute, memory);
        if constexpr (Full)
            add_part(out, group_experts, compute, memory, x * r.experts.flops,
                     touched * r.experts.weights + x * r.experts.bytes);
    }
}

// Attention whose launch the step counts.
template <class V, bool Full> TR_HD void add_roof(V& time, Parts<V>& out, const Roof<V>& x) {
    time += max_nan(x.compute, x.memory);
    if constexpr (Full) add_part(out, group_attention, x.compute, x.memory, x.flops, x.bytes);
}

// Layers whose heads read one key, and the indexers among them.
template <class V, bool Full>
TR_HD void add_compressed_decode(V& time, Parts<V>& out, const Prepared& r, V sequences, V context) {
    const CompressedLayers& all = r.compressed;
    const V inverse = splat<V>(1.0 / r.cp);
    for (int i = 0; i < all.n; ++i) {
        const V seen = compressed_visible(all.keys[i], context) * inverse;
        if (all.line)
            add_roof<V, Full>(time, out, attention_roof(all.decode[i], sequences * seen, sequences * seen, sequences));
        else
            add_costs<V, Full>(time, out, group_attention, all.layers[i],
                               attention_decode_cost<V>(all.measured, sequences, seen, false));
    }
    if (!(all.index_layers > 0.0)) return;
    const V keys = sequences * (context / all.index_ratio * inverse);
    add_roof<V, Full>(time, out, index_roof(all.decode_index, keys, keys, sequences));
}

template <class V, bool Full>
TR_HD void add_compressed_prefill(V& time, Parts<V>& out, const Prepared& r, V prompts, V tokens, V past, V queries) {
    const CompressedLayers& all = r.compressed;
    for (int i = 0; i < all.n; ++i)
        add_roof<V, Full>(time, out,
                          attention_roof(all.prefill[i],
                                         prompts * (compressed_pairs(all.keys[i], tokens, past) / r.cp),
                                         prompts * compressed_keys(all.keys[i], tokens, past), queries));
    if (!(all.index_layers > 0.0)) return;
    const double inverse = 1.0 / all.index_ratio;
    add_roof<V, Full>(time, out,
                      index_roof(all.prefill_index,
                                 prompts * (causal_pairs(tokens, past, no_window) / r.cp) * inverse,
                                 prompts * causal_keys(tokens, past, no_window) * inverse, queries));
}

// One layer's attention of the decode batch: beside prompts of `prompt` tokens in their kernel, where that takes all
// rows of a step.
template <class V, bool Prefill>
TR_HD Cost<V> decode_rows(const Prepared& r, int i, V sequences, V own, V prompt) {
    const MeasuredAttention& all = r.attention;
    const Cost<V> alone = attention_decode_cost<V>(all.decode[i], sequences, own, false);
    if constexpr (Prefill) {
        if (!all.one_kernel || all.sparse || r.cp != 1.0) return alone;
        const V zero = splat<V>(0.0), one = splat<V>(1.0);
        const Cost<V> rows = attention_prefill_cost<V>(all.prefill[i], sequences, one, max_nan(own - one, zero));
        const auto beside = prompt > zero;
        const V empty = empty_tiles_s(all.prefill[i], sequences, prompt);
        return {beside ? rows.fixed : alone.fixed,     beside ? rows.seconds + empty : alone.seconds,
                beside ? rows.compute + empty : alone.compute, beside ? rows.memory : alone.memory,
                beside ? rows.flops : alone.flops,     beside ? rows.bytes : alone.bytes};
    }
    return alone;
}

// Attention of the decode batch: the only part of a decode step that depends on the context.
template <class V, bool Full, bool Prefill = false>
TR_HD void add_decode_attention(V& time, Parts<V>& out, const Prepared& r, V sequences, V context,
                                V prompt = V{}) {
    for (int i = 0; i < r.attentions; ++i) {
        const Attention& a = r.decode_attention[i];
        const V seen = visible(context, a.window);
        const V keys = sequences * (r.cp == 1.0 ? seen : seen / r.cp);
        add_roof<V, Full>(time, out, attention_roof(a, keys, keys, sequences));
    }
    if (r.sparse.layers > 0.0) { // the indexer reads every key
        const V keys = sequences * (r.cp == 1.0 ? context : context / r.cp);
        add_roof<V, Full>(time, out, index_roof(r.sparse.decode, keys, keys, sequences));
    }
    const MeasuredAttention& measured = r.attention;
    for (int i = 0; i < measured.decodes; ++i) {
        const AttentionDecode& a = measured.decode[i];
        const V own = r.cp == 1.0 ? context : visible(context, a.window) / r.cp;
        add_costs<V, Full>(time, out, group_attention, measured.decode_layers[i],
                           decode_rows<V, Prefill>(r, i, sequences, own, prompt));
    }
    if (r.compressed.n > 0) add_compressed_decode<V, Full>(time, out, r, sequences, context);
}

// Attention of `prompts` prompts on a rank, of which a device of a context-parallel group has `queries` tokens.
template <class V, bool Full>
TR_HD void add_prefill_attention(V& time, Parts<V>& out, const Prepared& r, V prompts, V tokens, V past, V queries) {
    auto roof = [&](const Attention& a) TR_INLINE {
        return attention_roof(a, prompts * (causal_pairs(tokens, past, a.window) / r.cp),
                              prompts * causal_keys(tokens, past, a.window), queries);
    };
    for (int i = 0; i < r.prefill_attentions; ++i) {
        Roof<V> x = roof(r.prefill_attention[i]);
        if (i == 0 && r.sparse.line) x = faster(x, roof(r.sparse.chosen));
        add_roof<V, Full>(time, out, x);
    }
    if (r.sparse.layers > 0.0)
        add_roof<V, Full>(time, out, index_roof(r.sparse.prefill, prompts * (causal_pairs(tokens, past, no_window) / r.cp),
                                                prompts * causal_keys(tokens, past, no_window), queries));
    const MeasuredAttention& measured = r.attention;
    for (int i = 0; i < measured.prefills; ++i) {
        Cost<V> x = attention_prefill_cost<V>(measured.prefill[i], prompts, tokens, past);
        if (i == 0 && measured.sparse) x = faster(x, attention_prefill_cost<V>(measured.chosen, prompts, tokens, past));
        add_costs<V, Full>(time, out, group_attention, measured.prefill_layers[i] / r.cp, x);
    }
    if (r.compressed.n > 0) add_compressed_prefill<V, Full>(time, out, r, prompts, tokens, past, queries);
}

// Seconds of one step. A decode batch of `batch` sequences with `context` cached tokens each (the new
// one included), and `prompts` prompts of `tokens` new tokens behind `past` cached ones. Without Attend a
// decode step lacks what `add_decode_attention` adds last: it depends on the batch alone. Known: what
// `decode_products` gives is at hand.
template <class V, bool Decode, bool Prefill, bool Full, bool Attend = true, bool Known = false>
TR_HD V evaluate(const Prepared& r, V batch, V context, V prompts, V tokens, V past, Parts<V>& out,
                 V products = V{}) {
    const V zero = splat<V>(0.0), nan = splat<V>(not_a_number());
    V amount[amounts];
    V time = zero;
    if constexpr (Decode) time = (batch >= zero && context >= zero) ? time : nan;
    if constexpr (Prefill) time = (prompts >= zero && tokens >= zero && past >= zero) ? time : nan;

    const V micro = Decode ? share(batch, r.pp) : zero;
    const V sequences = Decode ? share(micro, r.dp) : zero;
    const V chunk = !Prefill ? zero : r.cp == 1.0 ? tokens : tokens / r.cp; // of one prompt, on one device
    const V own = Prefill ? (tokens > zero ? share(prompts, r.dp) : zero) : zero;
    amount[rank_tokens] = sequences + own * chunk;
    amount[stage_tokens] = micro + (Prefill ? prompts * chunk : zero);
    amount[head_sequences] = sequences + own;
    amount[decode_sequences] = sequences;
    amount[prompt_tokens] = own * chunk;
    amount[rank_prompts] = own;

    V fixed = splat<V>(r.step_s + r.fixed) + r.sequence_s * amount[head_sequences];
    if constexpr (Decode) fixed += batch > zero ? splat<V>(r.decode_fixed) : zero;
    if constexpr (Prefill) fixed += own * chunk > zero ? splat<V>(r.prefill_fixed) : zero;
    time += fixed;
    if constexpr (Full) out.launch = fixed;

    add_lines<V, Full>(time, out, r.common, amount);
    if constexpr (Known)
        time += products;
    else
        time += add_products<V, Full>(out, r.products, amount);
    add_exchanges<V, Full>(time, out, r.exchanges, amount);
    add_experts<V, Full>(time, out, r, amount[stage_tokens]);
    if constexpr (Decode) {
        add_lines<V, Full>(time, out, r.decode, amount);
        if constexpr (Attend)
            add_decode_attention<V, Full, Prefill>(time, out, r, sequences, context, own > zero ? tokens : zero);
    }
    if constexpr (Full) out.decode_attention = out.group[group_attention];
    if constexpr (Prefill) {
        add_lines<V, Full>(time, out, r.prefill, amount);
        add_prefill_attention<V, Full>(time, out, r, own, tokens, past, amount[prompt_tokens]);
    }
    return time;
}

// What one device does: work over the peaks of its types, bytes over the bandwidth, and the share of the time that
// each class of kernels runs. What moves data alone counts as decode attention.
struct Uses {
    double compute, memory;
    Activity active;
};
TR_HD Uses device_uses(const Prepared& r, const Parts<double>& out, double time) {
    const double memory = out.bytes / r.bandwidth / time;
    if (!(r.power[constant::power::idle] == r.power[constant::power::idle]))
        return {out.busy / time, memory, Activity{0.0, 0.0, 0.0, 0.0}};
    auto peak_s = [](double work, double peak) TR_INLINE { return work == 0.0 ? 0.0 : work / peak; };
    const double work = peak_s(out.work[group_projection] + out.work[group_linear] + out.work[group_mlp],
                               r.weight_peak) +
                        peak_s(out.work[group_experts], r.expert_peak) +
                        peak_s(out.work[group_attention] + out.work[group_head], r.wide_peak);
    const double products = out.group[group_projection] + out.group[group_linear] + out.group[group_mlp] +
                            out.group[group_head];
    return {work / time, memory,
            {products / time, (out.decode_attention + out.group[group_elementwise]) / time,
             (out.group[group_attention] - out.decode_attention) / time, out.group[group_experts] / time}};
}

// Board watts of one device (power.hpp).
TR_HD double device_watts(const Prepared& r, const Uses& use) {
    if (!(r.power[constant::power::idle] == r.power[constant::power::idle]))
        return linear_watts(r.tdp, r.idle, r.compute_watts, r.memory_watts, use.compute, use.memory, r.cap);
    return r.tdp * power_share(r.power, use.compute, use.memory, use.active, r.cap);
}

// A step under a cap takes longer where it would draw more (power_cap.hpp): its causes, its groups by what they have
// of these, and its time. What the board draws at rest goes with the clock but for what it draws idle; of a board
// without fitted constants half of the traffic's watts are the memory's.
TR_HD double slow_step(const Prepared& r, const Uses& use, Parts<double>& out, double time) {
    const double* g = r.power;
    const bool fitted = g[constant::power::idle] == g[constant::power::idle];
    const double own = r.idle / r.tdp, rest = fitted ? min_nan(own, g[constant::power::idle]) : own;
    const double traffic = fitted ? g[constant::power::memory] * use.memory
                                  : (1.0 - own) * r.memory_watts * use.memory;
    const double worked = fitted ? g[constant::power::compute] * use.compute
                                 : (1.0 - own) * r.compute_watts * use.compute;
    const double clocked = fitted ? (g[constant::power::idle] - rest) + active_share(g, use.active) : 0.5 * traffic;
    const double moved = fitted ? traffic : 0.5 * traffic;
    const double follows = (out.compute + cap::memory_follows * out.memory +
                            (cap::launch_follows * out.launch + cap::communication_follows * out.communication)) / time;
    const double ceiling = fitted ? g[constant::power::ceiling] : 1.0;
    const double from = capped_clock(ceiling, rest, clocked, worked, moved, follows);
    const double to = capped_clock(ceiling * r.cap, rest, clocked, worked, moved, follows);
    if (!(to < from)) return time;
    const Slower by = slower_causes(from, to);
    const double kernels = out.memory + out.compute;
    out.memory *= by.memory;
    out.compute *= by.compute;
    out.launch *= by.launch;
    out.communication *= by.communication;
    const double longer = kernels > 0.0 ? (out.memory + out.compute) / kernels : 1.0;
    for (int i = 0; i < 8; ++i) out.group[i] *= i == group_collective ? by.communication : longer;
    return (out.memory + out.compute) + (out.launch + out.communication);
}

TR_HD double resting_watts(const Prepared& r) {
    if (!(r.power[constant::power::idle] == r.power[constant::power::idle])) return r.idle;
    return r.tdp * power_share(r.power, 0.0, 0.0, Activity{0.0, 0.0, 0.0, 0.0}, r.cap);
}

// Board watts of a replica whose devices are busy for a share of the time.
TR_HD double replica_watts(const Prepared& r, const Uses& use, double busy) {
    return (busy * device_watts(r, use) + (1.0 - busy) * resting_watts(r)) * r.devices;
}

// The same work in a longer time, of which it had so large a share.
TR_HD Uses spread_uses(const Uses& use, double share) {
    const Activity& a = use.active;
    return {use.compute * share, use.memory * share,
            Activity{a.gemm * share, a.attention_decode * share, a.attention_prefill * share, a.experts * share}};
}

// All fields of a step from its parts and time; FLOPs, bytes and watts are those of the whole replica: while a
// microbatch passes all stages, so do the batch's others. Without others a stage rests when it is not its turn.
template <bool Decode>
TR_HD Uses fields_of_parts(const Prepared& r, double batch, Parts<double>& out, double time, double* field) {
    const Uses use = device_uses(r, out, time);
    if (r.cap < 1.0) time = slow_step(r, use, out, time);
    const double invalid = time == time ? 0.0 : time; // a bad load leaves no field with a number
    const double passes = Decode ? min_nan(max_nan(batch, 1.0), r.pp) : 1.0;
    const double each = r.workers * passes, busy = passes / r.pp;
    field[step::time] = time;
    field[step::flops] = out.flops * each + invalid;
    field[step::bytes] = out.bytes * each + invalid;
    field[step::communication_bytes] = out.communication_bytes * each + invalid;
    field[step::memory_s] = out.memory + invalid;
    field[step::compute_s] = out.compute + invalid;
    field[step::launch_s] = out.launch + invalid;
    field[step::communication_s] = out.communication + invalid;
    for (int g = 0; g < 8; ++g) field[step::projection_s + g] = out.group[g] + invalid;
    field[step::overhead_s] = out.launch + invalid;
    field[step::watts] = replica_watts(r, use, busy) + invalid;
    return use;
}

template <bool Decode, bool Prefill>
TR_HD Uses evaluate_step(const Prepared& r, double batch, double context, double prompts, double tokens,
                         double past, double* field) {
    Parts<double> out{};
    const double time = evaluate<double, Decode, Prefill, true>(r, batch, context, prompts, tokens, past, out);
    return fields_of_parts<Decode>(r, batch, out, time, field);
}

} // namespace TR_ISA
} // namespace tokenroof
