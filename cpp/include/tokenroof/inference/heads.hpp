// What layers of softmax attention have on one device of a tensor-parallel group: heads, and whether they make
// keys and values of their own. Layers alike are one group.
#pragma once
#include "tokenroof/records/records.hpp"

namespace tokenroof {
inline namespace TR_ISA {

struct Heads {
    double heads, kv_heads, width, v_width;
};

// kv_heads are replicated where tp exceeds them.
TR_HD Heads full_heads(const double* m, double tp) {
    return {m[model::heads] / tp, max_nan(m[model::kv_heads] / tp, 1.0), m[model::head_dim], m[model::v_head_dim]};
}
TR_HD Heads window_heads(const double* m, double tp) {
    return {m[model::window_heads] / tp, max_nan(m[model::window_kv_heads] / tp, 1.0), m[model::window_head_dim],
            m[model::window_v_head_dim]};
}

// Softmax layers that see all tokens, a window of them, or compressed ones.
TR_HD double plain_layers(const double* m) { return m[model::full_layers] + m[model::window_layers]; }
TR_HD double compressing_layers(const double* m) {
    return m[model::compressed_layers] + m[model::selected_layers];
}
TR_HD double softmax_layers(const double* m) { return plain_layers(m) + compressing_layers(m); }

struct HeadGroup {
    double layers;
    Heads of;
    double keys, values; // 1 where they are made, 0 where not
};
constexpr int max_head_groups = 4;

TR_HD bool windows_differ(const double* m) {
    return m[model::window_layers] > 0.0 &&
           (m[model::window_heads] != m[model::heads] || m[model::window_kv_heads] != m[model::kv_heads] ||
            m[model::window_head_dim] != m[model::head_dim] || m[model::window_v_head_dim] != m[model::v_head_dim]);
}

// The groups of a model without latents, those of no layers left out; how many.
TR_HD int head_groups(const double* m, double tp, HeadGroup* group) {
    const double own = m[model::tied_values] > 0.0 ? 0.0 : 1.0;
    const double shared = m[model::shared_full_layers], slid = m[model::shared_window_layers];
    int n = 0;
    auto add = [&](double layers, const Heads& of, double keys, double values) TR_INLINE {
        if (layers > 0.0) group[n++] = {layers, of, keys, values};
    };
    if (own == 1.0 && shared + slid == 0.0 && !windows_differ(m)) {
        add(plain_layers(m), full_heads(m, tp), 1.0, 1.0);
        return n;
    }
    add(m[model::full_layers] - shared, full_heads(m, tp), 1.0, own);
    add(shared, full_heads(m, tp), 0.0, 0.0);
    add(m[model::window_layers] - slid, window_heads(m, tp), 1.0, 1.0);
    add(slid, window_heads(m, tp), 0.0, 0.0);
    return n;
}

// Columns of a group's first product: queries (and their gate), keys, values, a gate per head.
TR_HD double head_columns(const double* m, const HeadGroup& g) {
    const double keys = g.keys * g.of.kv_heads;
    return (m[model::q_multiplier] * g.of.heads + keys) * g.of.width + g.values * g.of.kv_heads * g.of.v_width +
           m[model::head_gate] * g.of.heads;
}

} // namespace TR_ISA
} // namespace tokenroof
