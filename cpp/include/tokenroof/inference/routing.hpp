// How many (token, expert) pairs the busiest expert-parallel rank gets, over how many of its experts, and in how
// many tiles: means over how tokens happen to fall, so that no edge falls on all experts at once.
//
// A model's routing: experts are popular to different degrees, in octaves of a power law that is the model's own
// whatever the load (a token chooses an expert with a chance p, over `popularity_levels` octaves with density
// ~ x^-a), and each expert gets a binomial number of tokens. It is touched with 1 - (1 - p)^tokens. Its tiles are
// the mean of a number rounded up that lies evenly around tokens * p: by a third of it, as far as an octave goes,
// or as wide as the binomial's deviation. The busiest rank has the popularity of its experts and the luck of the draw.
//
// Loads as benchmarks of kernels draw them are independent draws of x in [1, R] with density ~ x^-a, scaled to topk per token; an expert whose
// share rounds to no token is not touched. R is 0.8 tokens, and 200 while there are fewer pairs than experts.
// Sums over draws are expectations in closed form; the busiest of `ranks` sums of E / ranks draws is the
// Cornish-Fisher expansion at the mean of the largest of as many normal variables. a = 0 is random routing:
// each token takes any topk experts alike, and `experts_touched` counts those that some token took. a < 0 stands
// for balanced routing, as benchmarks of kernels deal tokens out: every expert as many, min(E, topk tokens) of
// them touched.
//   Cornish, Fisher, Revue de l'Institut International de Statistique 5(4) 1938 (first term in the skewness).
//   Popularity, and tokens given it: a mixture of binomials; Feller, vol. 1, VI.2.
//   David, Nagaraja, Order Statistics, 3rd ed., table 10.2 (means of the largest normal variable: fitted by
//   0.6 L / (1 + 0.09 L), L = log2(ranks), within 0.06 up to 256).
#pragma once
#include "tokenroof/core/special.hpp"
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

// Octaves between the least and the most popular expert of a model.
constexpr int popularity_levels = 8;

// By level: the chance that a token chooses one of its experts, the logarithm of the chance that it does not, how
// far a binomial's number lies around its mean (over the root of the tokens), and how many of a rank's experts
// stand on it.
struct Popularity {
    double chance[popularity_levels], log_missed[popularity_levels], width[popularity_levels];
    double experts[popularity_levels];
    double variance, skewness; // of the busiest rank's mean: of popularity over its mean, and what skewness adds
    double sampled;            // of the tokens' draw, times the pairs of a rank
};

// Of the shape and the device alone.
struct Routing {
    double experts, topk, ranks, local;   // local: experts of one rank
    double per_expert, per_rank, per_local; // 1 / experts, 1 / ranks, topk / local
    double q;                             // 1 - a, stepped around whole numbers
    double inverse_q[4];                  // of q and the next three whole numbers above
    double largest, skewed, spread;       // of the busiest rank: mean of the largest, its skewness term, 1 / local
    double log_missed;                    // log(1 - topk / experts)
    double width;                         // of a random expert's tokens, as in `Popularity`
    bool balanced, random, popular;
    Popularity popularity; // where tokens follow it
};

// Exponents at which a power law's integral is a logarithm are stepped around by this much.
constexpr double exponent_gap = 1e-4;

// Mean of the largest of n normal variables.
TR_HD double largest_normal(double n) {
    const double l = log_positive(max_nan(n, 1.0)) * (1.0 / natural_log_of_2);
    return 0.6 * l / (1.0 + 0.09 * l);
}

// Half the width of an even distribution with a binomial's variance, over the root of the tokens.
TR_HD double binomial_width(double chance) { return square_root(3.0 * (chance * (1.0 - chance))); }

// Popular experts as often as there are tokens at most: what is beyond goes to the others.
TR_HD double popularity_scale(const double* weight, double most) {
    double scale = 0.0, above = 0.0, top = double(1 << (popularity_levels - 1));
    for (int open = popularity_levels; open > 0; --open) {
        double rest = 0.0, x = 1.0;
        for (int i = 0; i < open; ++i) {
            rest = rest + weight[i] * x;
            x = x * 2.0;
        }
        scale = (1.0 - above) / rest;
        if (!(scale * top > most)) break;
        above = above + weight[open - 1] * most;
        top = top * 0.5;
    }
    return scale;
}

TR_HD Popularity prepare_popularity(const Routing& r, double skew) {
    Popularity p;
    double weight[popularity_levels], sum = 0.0, x = 1.0;
    const double step = expm1_any((1.0 - skew) * natural_log_of_2) + 1.0;
    for (int i = 0; i < popularity_levels; ++i) {
        weight[i] = x;
        sum = sum + x;
        x = x * step;
    }
    for (int i = 0; i < popularity_levels; ++i) weight[i] = weight[i] / sum;
    const double most = r.experts / r.topk, scale = popularity_scale(weight, most);
    double second = 0.0, third = 0.0;
    x = scale;
    for (int i = 0; i < popularity_levels; ++i) {
        const double y = min_nan(x, most);
        p.chance[i] = y < most ? y * (r.topk * r.per_expert) : 1.0;
        p.log_missed[i] = log1p_lanes<double>(-p.chance[i]);
        p.width[i] = binomial_width(p.chance[i]);
        p.experts[i] = weight[i] * r.local;
        second = second + weight[i] * (y * y);
        third = third + weight[i] * (y * y * y);
        x = x * 2.0;
    }
    const double variance = max_nan(second - 1.0, 1e-12), lopsided = third - 3.0 * second + 2.0;
    p.variance = variance * r.spread;
    p.skewness = lopsided / variance * (r.skewed * r.spread * r.local);
    p.sampled = r.spread * r.local;
    return p;
}

// popular: as a model's tokens choose, where otherwise loads are dealt as benchmarks of kernels do.
TR_HD Routing prepare_routing(double experts, double topk, double ranks, double skew, bool popular = false) {
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
    const double largest = largest_normal(ranks);
    r.largest = largest;
    r.skewed = (largest * largest - 1.0) / (6.0 * r.local);
    r.spread = (1.0 - 1.0 / max_nan(ranks, 1.0)) / r.local;
    r.width = binomial_width(min_nan(topk / experts, 1.0));
    r.popular = popular && skew > 0.0;
    if (r.popular) r.popularity = prepare_popularity(r, skew);
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

// Tiles beyond the first of an expert whose tokens lie evenly within `half` around `mean`, on average.
template <class V> TR_HD V further_tiles(V mean, V half, V rows, V per_rows) {
    const V none = splat<V>(0.0), one = splat<V>(1.0);
    const V least = mean - 0.5; // a tile more from half a token beyond the last whole one
    const V edge = ceil_lanes(least * per_rows - 0.5);
    const V within = max_nan(min_nan(half, rows * 0.5), rows * 0.0009765625);
    const V beyond = min_nan(max_nan((least - edge * rows) / (within + within) + 0.5, none), one);
    return edge > none ? edge - 1.0 + beyond : none;
}

// A mean rank's experts that some token took.
template <class V> TR_HD Routed<V> random_load(const Routing& r, V tokens, V rows) {
    const V pairs = tokens * r.topk, one = splat<V>(1.0), all = splat<V>(r.local);
    const V mean = experts_touched_lanes<V>(tokens, splat<V>(r.experts), splat<V>(r.log_missed)) * r.per_rank;
    Routed<V> out;
    out.pairs = max_nan(pairs * r.per_rank, min_nan(pairs, one));
    out.touched = max_nan(mean, min_nan(pairs, one));
    const V further = further_tiles(pairs * r.per_expert, square_root(tokens) * r.width, rows, one / rows);
    out.tiles = max_nan(out.touched + further * all, out.pairs / rows);
    return out;
}

template <class V> TR_HOST_ONCE Routed<V> popular_load(const Routing& r, V tokens, V rows) {
    const Popularity& p = r.popularity;
    const V one = splat<V>(1.0), pairs = tokens * r.topk, even = pairs * r.per_rank;
    // next to no tokens are not none, which would divide by zero
    const V some = max_nan(even, splat<V>(1e-300));
    const V sd = square_root(p.variance + p.sampled / some);
    V busiest = one + max_nan(sd * r.largest + p.skewness, sd * (0.5 * r.largest));
    busiest = max_nan(min_nan(busiest, splat<V>(r.ranks)), one);
    V load = max_nan(even * busiest, min_nan(pairs, one));
    load = min_nan(load, tokens * min_nan(r.local, r.topk));
    const V root = square_root(tokens), per_rows = one / rows;
    V reached = splat<V>(0.0), further = splat<V>(0.0);
    for (int i = 0; i < popularity_levels; ++i) {
        const V mean = tokens * p.chance[i];
        reached = reached - p.experts[i] * expm1_negative(tokens * p.log_missed[i]);
        const V half = max_nan(mean * (1.0 / 3.0), root * p.width[i]);
        further = further + p.experts[i] * further_tiles(mean, half, rows, per_rows);
    }
    const V rest = one - reached * (1.0 / r.local);
    V touched = reached * (one + 0.9 * rest * (busiest - one));
    touched = min_nan(min_nan(max_nan(touched, min_nan(pairs, one)), splat<V>(r.local)), load);
    Routed<V> out;
    out.pairs = load;
    out.touched = touched;
    out.tiles = max_nan(touched + further * (load / some), load / rows);
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
           : r.random  ? random_load(r, tokens, rows)
           : r.popular ? popular_load(r, tokens, rows)
                       : skewed_load(r, tokens, rows);
}

// Of a rank's experts, those whose weights a step reads: the mean over ranks, without tiles.
template <class V> TR_HD V touched_in_mean(const Routing& r, V tokens) {
    const V zero = splat<V>(0.0), some = tokens > zero ? tokens : splat<V>(1.0);
    if (r.balanced) return min_nan(splat<V>(r.local), tokens * r.topk * r.per_rank);
    const V touched = experts_touched_lanes<V>(tokens, splat<V>(r.experts), splat<V>(r.log_missed)) / r.ranks;
    if (r.random) return touched;
    if (r.popular) {
        V reached = zero;
        for (int i = 0; i < popularity_levels; ++i)
            reached = reached - r.popularity.experts[i] * expm1_negative(some * r.popularity.log_missed[i]);
        return tokens > zero ? min_nan(touched, reached) : tokens;
    }
    const V skewed = skewed_load<V>(r, some, splat<V>(8.0)).touched;
    return min_nan(touched, tokens > zero ? skewed : tokens);
}

} // namespace TR_ISA
} // namespace tokenroof
