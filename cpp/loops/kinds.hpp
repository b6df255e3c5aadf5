// One element of each step kernel, for the loops of CPUs (steps.cpp, fields.cpp) and of CUDA (cpp/cuda). A single
// prompt is a number of prompts.
#pragma once
#include "tokenroof/inference/power.hpp"
#include "tokenroof/inference/transformer.hpp"

namespace tokenroof {
inline namespace TR_ISA {

enum Kind : int { decode_kind, prompts_kind, mixed_prompts_kind };
template <int K> constexpr int loads_of = K == mixed_prompts_kind ? 5 : K == prompts_kind ? 3 : 2;

template <int K> TR_HD void fields(const Prepared& r, const double* x, double* out) {
    if constexpr (K == decode_kind) evaluate_step<true, false>(r, x[0], x[1], 0.0, 0.0, 0.0, out);
    if constexpr (K == prompts_kind) evaluate_step<false, true>(r, 0.0, 0.0, x[0], x[1], x[2], out);
    if constexpr (K == mixed_prompts_kind) evaluate_step<true, true>(r, x[0], x[1], x[2], x[3], x[4], out);
}

template <int K> TR_HD_ONCE double capped_seconds(const Prepared& r, const double* x) {
    double out[step::count];
    fields<K>(r, x, out);
    return out[step::time];
}
// Of several loads at once without a cap alone: what a board draws is worked out for one load at a time.
template <int K, class V> TR_HD V seconds(const Prepared& r, const V* x) {
    const V none = splat<V>(0.0);
    Parts<V> unused;
    if constexpr (K == decode_kind) return evaluate<V, true, false, false>(r, x[0], x[1], none, none, none, unused);
    if constexpr (K == prompts_kind) return evaluate<V, false, true, false>(r, none, none, x[0], x[1], x[2], unused);
    if constexpr (K == mixed_prompts_kind) return evaluate<V, true, true, false>(r, x[0], x[1], x[2], x[3], x[4], unused);
}
template <int K> TR_HD double seconds_of_one(const Prepared& r, const double* x) {
    return r.cap < 1.0 ? capped_seconds<K>(r, x) : seconds<K, double>(r, x);
}

// Whole batch counts below this are worth a table of what does not depend on the context.
constexpr int table_counts = 8192;

// x: uses of compute and memory, then the four of an `Activity`.
TR_HD double board_watts_of(const double* d, const double* c, const double* x) {
    double bad = 0.0;
    for (int i = 0; i < 6; ++i) bad = x[i] >= 0.0 ? bad : not_a_number();
    return board_watts(d, c, x[0], x[1], Activity{x[2], x[3], x[4], x[5]}) + bad;
}

} // namespace TR_ISA
} // namespace tokenroof
