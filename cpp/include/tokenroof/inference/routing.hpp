// How many (token, expert) pairs the busiest expert-parallel rank gets, and over how many of its experts,
// when the experts' loads follow a power law.
//
// Loads are independent draws of x in [1, R] with density ~ x^-a, scaled to topk per token; an expert whose
// share rounds to no token is not touched. R is 0.8 tokens, and 200 while there are fewer pairs than experts.
// Sums over draws are expectations in closed form; the busiest of `ranks` sums of E / ranks draws is the
// Cornish-Fisher expansion at the mean of the largest of as many normal variables. a = 0 is random routing:
// each token takes any topk experts alike, and `experts_touched` counts those that some token took. a < 0 stands
// for balanced routing, as benchmarks of kernels deal tokens out: every expert as many, min(E, topk tokens) of
// them touched.
//   Cornish, Fisher, Revue de l'Institut International de Statistique 5(4) 1938 (first term in the skewness).
//   David, Nagaraja, Order Statistics, 3rd ed., table 10.2 (means of the largest normal variable: fitted by
//   0.6 L / (1 + 0.09 L), L = log2(ranks), within 0.06 up to 256).
#pragma once
#include "tokenroof/inference/operators.hpp"

namespace tokenroof {
inline namespace TR_ISA {

constexpr double natural_log_of_2 = 6.93147180559945286227e-01;

// exp(y) - 1 for any y.
template <class V> TR_HD V expm1_any(V y) {
    const V zero = splat<V>(0.0);
    const V m = expm1_negative(y > zero ? -y : y);
    return y > zero ? -m / (m + 1.0) : m;
}

// sqrt(x) for x > 0 as exp(log(x) / 2); zero at zero.
template <class V> TR_HD V root(V x) {
    const V zero = splat<V>(0.0), safe = x > zero ? x : splat<V>(1.0);
    const V value = expm1_any(log_positive(safe) * 0.5) + 1.0;
    return x > zero ? value : x;
}

// Of the shape and the device alone.
struct Routing {
    double experts, topk, ranks, local;   // local: experts of one rank
    double per_expert, per_rank, per_local; // 1 / experts, 1 / ranks, topk / local
    double q;                             // 1 - a, stepped around whole numbers
    double inverse_q[4];                  // of q and the next three whole numbers above
    double largest, skewed, spread;       // of the busiest rank: mean of the largest, its skewness term, 1 / local
    double log_missed;                    // log(1 - topk / experts)
    bool balanced, random;
};

// Exponents at which a power law's integral is a logarithm are stepped around by this much.
constexpr double exponent_gap = 1e-4;

TR_HD Routing prepare_routing(double experts, double topk, double ranks, double skew) {
    Routing r;
    r.experts = experts;
    r.topk = topk;
    r.ranks = ranks;
    r.local = experts / ranks;
    r.balanced = skew < 0.0;
    r.random = skew == 0.0;
    r.log_missed = log1p_lanes<double>(-(topk / experts));
    double q = r.balanced || r.random ? 0.5 : 1.0 - skew;
    for (int i = 0; i < 4; ++i)
        if (q + i < exponent_gap && q + i > -exponent_gap) q = exponent_gap - i;
    r.q = q;
    for (int i = 0; i < 4; ++i) r.inverse_q[i] = 1.0 / (q + i);
    r.per_expert = 1.0 / experts;
    r.per_rank = 1.0 / ranks;
    r.per_local = topk / r.local;
    const double l = log_positive(max_nan(ranks, 1.0)) * (1.0 / natural_log_of_2);
    const double largest = 0.6 * l / (1.0 + 0.09 * l);
    r.largest = largest;
    r.skewed = (largest * largest - 1.0) / (6.0 * r.local);
    r.spread = (1.0 - 1.0 / max_nan(ranks, 1.0)) / r.local;
    return r;
}

// Pairs on the busiest rank, its touched experts, and its tiles of `rows` tokens of one expert.
template <class V> struct Routed {
    V pairs, touched, tiles;
};

template <class V> TR_HD Routed<V> balanced_load(const Routing& r, V tokens, V rows) {
    const V pairs = tokens * r.topk, one = splat<V>(1.0);
    Routed<V> out;
    out.pairs = max_nan(pairs * r.per_rank, min_nan(pairs, one)); // some rank has at least one
    out.touched = min_nan(splat<V>(r.local), out.pairs);
    const V some = out.touched > splat<V>(0.0) ? out.touched : one;
    out.tiles = out.touched * ceil_lanes(out.pairs / (some * rows));
    return out;
}

// A mean rank's experts that some token took; tiles as if these had their pairs alike.
template <class V> TR_HD Routed<V> random_load(const Routing& r, V tokens, V rows) {
    const V pairs = tokens * r.topk, one = splat<V>(1.0), all = splat<V>(r.local);
    const V mean = experts_touched_lanes<V>(tokens, splat<V>(r.experts), splat<V>(r.log_missed)) * r.per_rank;
    Routed<V> out;
    out.pairs = max_nan(pairs * r.per_rank, min_nan(pairs, one));
    out.touched = max_nan(mean, min_nan(pairs, one));
    const V even = min_nan(all, out.pairs), some = even > splat<V>(0.0) ? even : one;
    out.tiles = out.touched * ceil_lanes(out.pairs / (some * rows));
    return out;
}

template <class V> TR_HOST_ONCE Routed<V> skewed_load(const Routing& r, V tokens, V rows) {
    const V zero = splat<V>(0.0), one = splat<V>(1.0), all = splat<V>(r.local);
    const V pairs = tokens * r.topk, even = pairs * r.per_rank;
    const V most = pairs <= splat<V>(r.experts) ? splat<V>(200.0) : max_nan(tokens * 0.8, splat<V>(1.0001));
    // integrals of x^(q - 1) from 1 to R
    const V whole_e = expm1_any(log_positive(most) * r.q);
    const V whole = whole_e * r.inverse_q[0];
    const V first = ((whole_e + 1.0) * most - 1.0) * r.inverse_q[1];
    const V second = ((whole_e + 1.0) * (most * most) - 1.0) * r.inverse_q[2];
    const V third = ((whole_e + 1.0) * (most * most * most) - 1.0) * r.inverse_q[3];
    const V inverse = one / whole, mean = first * inverse, share = one / mean;
    const V m2 = second * inverse * share * share, m3 = third * inverse * share * share * share;
    const V variance = max_nan(m2 - 1.0, splat<V>(1e-12)); // of the load over its mean
    const V lopsided = m3 - 3.0 * m2 + 2.0;
    const V sd = root(variance * r.spread);
    // the busiest rank's load over the mean's; no more than all pairs, nor than its experts can hold
    V busiest = one + max_nan(sd * r.largest + lopsided / variance * (r.skewed * r.spread * r.local),
                              sd * (0.5 * r.largest));
    busiest = max_nan(min_nan(busiest, min_nan(splat<V>(r.ranks), most * share)), one);
    V load = max_nan(even * busiest, min_nan(pairs, one));
    load = min_nan(load, tokens * min_nan(r.local, r.topk));
    // an expert is touched from half a token on; what rounds to none goes to experts one token at a time
    // tokens per unit of x; next to none is not none, which would divide by zero
    const V scale = max_nan(pairs * r.per_expert * share, splat<V>(1e-300));
    const V low = min_nan(max_nan(0.5 / scale, one), most);
    const V low_e = expm1_any(log_positive(low) * r.q);
    const V reached = one - low_e * r.inverse_q[0] * inverse;
    const V lost = ((low_e + 1.0) * low - 1.0) * r.inverse_q[1] * inverse * share;
    V touched = max_nan(reached * r.local * (one + 0.9 * (one - reached) * (busiest - one)), even * lost);
    touched = min_nan(min_nan(max_nan(touched, min_nan(pairs, one)), all), load);
    // experts beyond one tile
    const V tall = min_nan(max_nan(rows / scale, low), most);
    const V tall_e = expm1_any(log_positive(tall) * r.q);
    const V beyond = one - tall_e * r.inverse_q[0] * inverse;
    const V heavy = (first - ((tall_e + 1.0) * tall - 1.0) * r.inverse_q[1]) * inverse * scale / rows;
    const V further = max_nan((heavy - 0.5 * beyond) * r.local, zero);
    Routed<V> out;
    out.pairs = load;
    out.touched = touched;
    // next to no tokens are not none, which would divide by zero
    out.tiles = max_nan(touched + further * (load / max_nan(even, splat<V>(1e-300))), load / rows);
    return out;
}

template <class V> TR_HD Routed<V> routed_load(const Routing& r, V tokens, V rows) {
    return r.balanced ? balanced_load(r, tokens, rows)
           : r.random ? random_load(r, tokens, rows)
                      : skewed_load(r, tokens, rows);
}

// Of a rank's experts, those whose weights a step reads: the mean over ranks, without tiles.
template <class V> TR_HD V touched_in_mean(const Routing& r, V tokens) {
    const V zero = splat<V>(0.0), some = tokens > zero ? tokens : splat<V>(1.0);
    if (r.balanced) return min_nan(splat<V>(r.local), tokens * r.topk * r.per_rank);
    const V touched = experts_touched_lanes<V>(tokens, splat<V>(r.experts), splat<V>(r.log_missed)) / r.ranks;
    if (r.random) return touched;
    const V skewed = skewed_load<V>(r, some, splat<V>(8.0)).touched;
    return min_nan(touched, tokens > zero ? skewed : tokens);
}

} // namespace TR_ISA
} // namespace tokenroof
