// A replica that computes prompts alone, whose requests arrive at random: the time to a prompt's end, in closed form.
//
// A step takes what has come while the one before it ran, at most `many` prompts, the tokens that a step may carry; a
// prompt that finds nobody begins one by itself. With n prompts a step takes s(n), a table that is linear between its
// sizes; about the number that an arrival sees, s(n) = a + w n. Then steps follow
//     t' = a + W_1 + .. + W_N,  N prompts of rate l in t;  t' = a prompt's own, alone, where none came, a share p
// whose moments follow one after the other [I21]:
//     (1 - l w) E t = a (1 - p) + p alone,   (1 - (l w)^2) E t^2 = a^2 (1 - p) + (2 a w + v) l E t + p alone^2
// and so on, v = Var W + c w^2, c the squared variation of the gaps between arrivals; p = E exp(-l t), t a gamma
// variable beyond `alone`, by halvings. The replica is busy for a share E t / (E t + p / l). An arrival sees a step
// biased by its length, waits for its rest, and takes a step with what came before it in that one, and after it. With
// a = 0 its wait is that of M/G/1, l E W^2 / (2 (1 - l w)), whatever is computed together. That a step's tokens are
// limited matters twice: of those that came later only as many have a part in one's own step as there is room for, and
// where steps are full each prompt has 1 / many of a. How many are: the number of prompts as a diffusion, whose density
// below a full step, in steps that have room for all, goes on beyond it as an exponential that falls by
// 2 (1 - load) w^2 / (load v) a prompt. Where several in a row are full, a itself is gone: prompts have all of it.
// Arrivals that are more even than Poisson's wait less by the factor of [KL76], and by v.
//
// An asynchronous loop plans a step while one runs if anything waits when that begins. What waits then is what a full
// step has left; from there on it plans one ahead, of what came in the step before, until nobody came in one. Of the
// steps a share o leaves something, in a share p nobody comes: it is ahead for o / (o + p) of the time, in which a
// prompt waits for one whole step more, unless that is full and would be waited for anyway, or has nothing fixed: then
// the work that is ahead of a prompt is the same. A run of fewer than 1 / o steps may see none of it.
//   [I21] Inoue, Queueing analysis of GPU-based inference servers with dynamic batching, Performance Evaluation 147.
//   [KL76] Kraemer, Langenbach-Belz, Approximate formulae for the delay in the queueing system GI/G/1, ITC 8, 1976.
#pragma once
#include "tokenroof/serving/closed_loop.hpp"

// clang-format off
// Arrivals per second; prompts of a full step; squared variation of the gaps; raw moments of the seconds of a prompt
// that has its steps for itself, and of its part of full steps; steps that a loop plans ahead: 0, or 1.
#define TR_PROMPT_POOL_INPUTS(X) \
    X(rate) X(many) X(arrival_cv2) X(alone) X(alone_2) X(alone_3) X(alone_4) X(each) X(each_2) X(each_3) X(each_4) X(lag)
#define TR_PROMPT_POOL_FIELDS(X) \
    X(load) X(busy) X(full) X(queue) X(ttft) X(ttft_p50) X(ttft_p90) X(ttft_p99)
// clang-format on

namespace tokenroof {
inline namespace TR_ISA {

#define TR_NAME(name) name,
namespace prompt_pool_input { enum Field : int { TR_PROMPT_POOL_INPUTS(TR_NAME) count }; }
namespace prompt_pool_field { enum Field : int { TR_PROMPT_POOL_FIELDS(TR_NAME) count }; }
#undef TR_NAME

// Times of steps at ascending sizes, from one prompt to at least two.
struct PromptTable {
    const double *sizes, *seconds;
    int points;

    TR_HD double at(double n) const {
        int k = 1;
        while (k + 1 < points && sizes[k] < n) ++k;
        const double part = (n - sizes[k - 1]) / (sizes[k] - sizes[k - 1]);
        return seconds[k - 1] + part * (seconds[k] - seconds[k - 1]);
    }
    TR_HD double most() const { return sizes[points - 1]; }
};

// Variance and third central moment behind raw moments; a deviation below 1e-4 is none, as its cube is their rounding.
struct PromptVaried {
    double variance, third;
};
TR_HD PromptVaried prompt_varied(double m1, double m2, double m3) {
    const double variance = m2 - m1 * m1;
    if (variance <= 1e-8 * m1 * m1) return {0.0, 0.0};
    return {variance, m3 - 3.0 * m1 * m2 + 2.0 * m1 * m1 * m1};
}

// Steps that follow one another, of n prompts base + slope n: fixed and w with a prompt's part of the base in full steps,
// g its share of the time; w2 its second moment, v2 .. v4 those of what comes in a time, over the rate; shares of steps
// in which nobody comes, and that leave something; of time that is busy, of that in full steps; raw moments of a step,
// and central ones: where all steps are alike the raw ones differ by their rounding alone.
struct PromptSteps {
    double base, fixed, slope, w, w2, v2, v3, v4, g;
    double none, over, busy, full;
    double m1, m2, m3, m4, variance, third;

    TR_HD double seen() const { return m2 / m1; }
};

// What prompts add, of which part of full steps `w` is; arrivals that vary by c.
TR_HD void prompt_added(const double* in, PromptSteps& p) {
    namespace input = prompt_pool_input;
    const double s = p.w / in[input::each], c = in[input::arrival_cv2];
    const double w = p.w, w2 = in[input::each_2] * s * s, w3 = in[input::each_3] * s * s * s;
    const double w4 = in[input::each_4] * s * s * s * s;
    const PromptVaried own = prompt_varied(w, w2, w3);
    p.w2 = w2;
    p.v2 = own.variance + c * w * w;
    p.v3 = max_nan(own.third + 3.0 * c * w * own.variance + c * c * w * w * w, 0.0);
    p.v4 = p.v2 > 0.0 ? w4 * (p.v3 / w3) * (p.v3 / w3) * (w2 / p.v2) : 0.0;
    p.g = in[input::rate] * w;
}

// The share of steps in which nobody comes, and with it moments of steps, about their mean m: of -none D and what
// differs from the mean in what comes; where nobody came of D - b in place of -b, D = alone - a, b = none D + l w m.
TR_HD void prompt_settle(const double* in, PromptSteps& p) {
    namespace input = prompt_pool_input;
    const double l = in[input::rate], a = p.fixed, g = p.g, alone = in[input::alone], apart = alone - a;
    const PromptVaried own = prompt_varied(alone, in[input::alone_2], in[input::alone_3]);
    double low = 0.0, high = 1.0, came = 0.0, behind = 0.0, ahead = 0.0, least_added = 0.0;
    for (int i = 0; i < 30; ++i) {
        p.none = 0.5 * (low + high);
        p.m1 = (a * (1.0 - p.none) + p.none * alone) / (1.0 - g);
        came = l * p.v2 * p.m1;
        behind = p.none * apart + g * p.m1;
        ahead = apart - behind;
        const double mixed = own.variance + apart * (ahead - behind) + p.none * apart * apart;
        const double varies = (came + p.none * mixed) / (1.0 - g * g);
        p.variance = max_nan(varies, 1e-9 * p.m1 * p.m1);
        least_added = p.variance - varies;
        const double least = min_nan(alone, p.m1);
        const double beyond = max_nan(p.m1 - least, 1e-9 * p.m1), shape = beyond * beyond / p.variance;
        const double found =
            exponential<double>(0.0 - l * least - shape * log1p_lanes<double>(l * p.variance / beyond));
        if (found > p.none)
            low = p.none;
        else
            high = p.none;
    }
    const double moved = p.none * apart, skewed = apart * (apart * apart - 3.0 * behind * ahead);
    p.third = (l * p.v3 * p.m1 + 3.0 * g * l * p.v2 * p.variance - 3.0 * moved * (g * g * p.variance + came) -
               moved * moved * moved + p.none * (skewed + 3.0 * own.variance * ahead + own.third)) / (1.0 - g * g * g);
    // what the least variance adds goes into the third raw moment by the next steps alone
    p.third -= 3.0 * p.m1 * least_added * (1.0 + g) / (1.0 + g + g * g);
    p.m2 = p.m1 * p.m1 + p.variance;
    p.m3 = p.m1 * (p.m1 * p.m1 + 3.0 * p.variance) + p.third;
    const double some = 1.0 - p.none, came2 = came + g * g * p.m2;
    const double came3 = l * p.v3 * p.m1 + 3.0 * l * l * p.w * p.v2 * p.m2 + g * g * g * p.m3;
    const double four = l * p.v4 * p.m1 + l * l * p.m2 * (4.0 * p.v3 * p.w + 3.0 * p.v2 * p.v2) +
                        6.0 * l * l * l * p.m3 * p.v2 * p.w * p.w;
    p.m4 = (a * a * a * a * some + 4.0 * a * a * a * g * p.m1 + 6.0 * a * a * came2 + 4.0 * a * came3 + four +
            p.none * in[input::alone_4]) / (1.0 - g * g * g * g);
    p.busy = p.m1 / (p.m1 + p.none / l);
}

// The share of time in full steps, and of steps that are: the density of a step's time at a full one, over the mass below
// it, and what an exponential has beyond.
TR_HD double prompt_full(const double* in, PromptSteps& p) {
    namespace input = prompt_pool_input;
    const double load = in[input::rate] * in[input::each];
    const double whole = max_nan(in[input::each] * in[input::many], in[input::alone]);
    const Percentiles<double> steps({p.m1, p.variance, p.third});
    const double over = whole - steps.origin;
    double density = 1.0 / square_root(p.variance), below = 0.01;
    if (over > 0.0) {
        const double z = log_positive<double>(over / steps.scale) / steps.spread;
        density = exponential<double>(z * z * -0.5) * 0.3989422804014327 / (over * steps.spread);
        below = max_nan(normal_below(z), 1e-3);
    }
    p.over = 1.0 - below;
    const double falls = 2.0 * (1.0 - load) / (load * max_nan(p.v2 / (p.w * p.w), 1e-3) * p.w);
    const double ratio = density / (falls * below), share = ratio / (1.0 + ratio);
    return share * whole / (share * whole + (1.0 - share) * min_nan(p.m1, whole));
}

// With what is fixed, and w a prompt: moments.
TR_HD void prompt_moments(const double* in, PromptSteps& p, double fixed, double w) {
    p.fixed = fixed;
    p.w = min_nan(w, 0.999 / in[prompt_pool_input::rate]);
    prompt_added(in, p);
    prompt_settle(in, p);
}

// Steps at a rate: s(n) in a line about the number that an arrival sees, from n / 1.5 to 1.5 n.
TR_HD PromptSteps prompt_steps(const double* in, const PromptTable& table) {
    namespace input = prompt_pool_input;
    const double l = in[input::rate], most = table.most();
    double n = l * in[input::alone];
    PromptSteps p;
    p.full = 0.0;
    for (int turn = 0; turn < 5; ++turn) {
        n = max_nan(min_nan(n, most), 1.0);
        const double low = max_nan(n / 1.5, 1.0), high = min_nan(n * 1.5, most), first = table.at(low);
        p.slope = max_nan((table.at(high) - first) / (high - low), 1e-3 * in[input::each]);
        p.base = max_nan(first - p.slope * low, 0.0);
        prompt_moments(in, p, p.base, p.slope);
        const double full = prompt_full(in, p);
        p.full = turn == 0 ? full : 0.5 * (full + p.full);
        const double row = p.full * p.full * p.full * p.full;
        prompt_moments(in, p, p.base * (1.0 - row), p.slope + p.base / most * p.full);
        n = l * p.seen();
    }
    return p;
}

// How much less arrivals that are more even than Poisson's wait.
TR_HD double prompt_even(const double* in, const PromptSteps& p) {
    const double c = in[prompt_pool_input::arrival_cv2];
    if (c >= 1.0) return 1.0;
    const double own = max_nan(p.w2 / (p.w * p.w) - 1.0, 0.0);
    const double gone = 2.0 * (1.0 - p.busy) * (1.0 - c) * (1.0 - c) / (3.0 * p.busy * (c + own + 1e-9));
    return exponential<double>(0.0 - gone) * p.v2 / (p.v2 * p.busy + p.w2 * (1.0 - p.busy));
}

// Shares of steps that are too seldom for any run.
constexpr double prompt_seldom = 1e-4;

// The share of prompts that wait for a step which was planned ahead and would not be waited for anyway.
TR_HD double prompt_ahead(const double* in, const PromptSteps& p) {
    namespace input = prompt_pool_input;
    const double some = p.base * (1.0 - p.none), own = p.none * in[input::alone];
    const double ahead = p.over / (p.over + p.none + prompt_seldom);
    return in[input::lag] * (1.0 - p.full) * ahead * some / (some + own + 1e-300);
}

// Everything, at one rate, into f; NaN where the replica cannot keep up, but for `load`.
TR_HD void prompt_pool(const double* in, const PromptTable& table, double* f) {
    namespace input = prompt_pool_input;
    namespace field = prompt_pool_field;
    const double l = in[input::rate], load = l * in[input::each];
    for (int i = 0; i < field::count; ++i) f[i] = not_a_number();
    f[field::load] = load;
    if (!(l > 0.0 && load < 1.0)) return;
    const PromptSteps p = prompt_steps(in, table);
    const double t1 = p.m2 / p.m1, t2 = p.m3 / p.m1, t3 = p.m4 / p.m1, g = p.g;
    const double finds = p.busy * prompt_even(in, p), before = 0.5 * (1.0 + g) * t1;
    // those that come later: as many as the own step has room for
    const double whole = in[input::each] * in[input::many], after = 0.5 * g * t1;
    const double left = 1.0 - before / whole - min_nan(1.0, 1.0 / in[input::many]);
    const double room = whole * max_nan(left, 0.5);
    const double kept = after > 0.0 ? 1.0 - exponential<double>(0.0 - room / after) : 1.0;
    const double b = 1.0 + kept * g, pace = l * p.v2;
    const double x1 = t1 * (b + g) * 0.5;
    const double x2 = t2 * (b * b + b * g + g * g) / 3.0 + pace * t1 * (1.0 + kept * kept) * 0.5;
    const double x3 = t3 * (b * b * b + b * b * g + b * g * g + g * g * g) * 0.25 +
                      3.0 * pace * t2 * (b / 6.0 + g * kept * kept / 6.0 + kept * kept * b / 3.0 + g / 3.0) +
                      l * p.v3 * t1 * (1.0 + kept * kept * kept) * 0.5;
    const double a1 = in[input::alone];
    const PromptVaried of_alone = prompt_varied(a1, in[input::alone_2], in[input::alone_3]);
    const double own = a1 + finds * (p.base + p.slope - a1);
    const double ahead = prompt_ahead(in, p);
    const double y1 = finds * (x1 + ahead * p.m1), y2 = finds * (x2 + ahead * (2.0 * x1 * p.m1 + p.m2));
    const double y3 = finds * (x3 + ahead * (3.0 * x2 * p.m1 + 3.0 * x1 * p.m2 + p.m3));
    Moments<double> m;
    m.mean = own + y1;
    m.variance = of_alone.variance + y2 - y1 * y1;
    m.third = of_alone.third + y3 - 3.0 * y1 * y2 + 2.0 * y1 * y1 * y1;
    const Percentiles<double> of(m);
    f[field::busy] = finds;
    f[field::full] = p.full;
    f[field::queue] = finds * (before + ahead * p.m1);
    f[field::ttft] = m.mean;
    f[field::ttft_p50] = of.at(0.0);
    f[field::ttft_p90] = of.at(deviate_p90);
    f[field::ttft_p99] = of.at(deviate_p99);
}

} // namespace TR_ISA
} // namespace tokenroof
