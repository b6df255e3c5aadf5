// A replica whose requests arrive at random: the mean and the percentiles of what they see, in closed form.
//
// Requests in service share the engine's steps: with n of them a request's answer takes output steps of s(n) and
// the prompts of n requests, w(n) each, pass meanwhile, so that
//     mu(n) = n / (output s(n) + n w(n))
// leave in a second; of a mixture of experts the first prompt beside few touches what many touch anyway. How many
// there are is a birth-death chain of these rates, whatever the lengths' distribution
// [C79]; beyond the places of the batch they queue. Decode steps that carry the k prompts which came in the step
// before last t = s + a [k > 0] + w k, k Poisson(lambda t), a what the first adds beyond each further one, beside those of
// a prompt that finds nobody. Steps with and without prompts follow each other as two states, q of them with:
//     q = 1 - exp(-lambda s) over exp(-lambda l) + 1 - exp(-lambda s),   l = s + a + w lambda t / q.
// Of such a step an arrival
// sees the rest, as a random point in time does, biased by its length, and then its own step, with its prompt and the others' of the same step; one more
// for each time that the budget of tokens cuts what is ahead of it. Three moments of the sum give a lognormal
// with an origin, and that the percentiles. A long step of one's own lets more prompts into the next ones; each step,
// however many wait, brings each answer a token, so that in one no more pass than fill its steps. A wait
// for a place is exponential, weighted between those of M/D/c [C76] and M/M/c [K86].
//   [C79] Cohen, The multiple phase service network with generalized processor sharing, Acta Informatica 12, 1979.
//   [I21] Inoue, Queueing analysis of GPU-based inference servers with dynamic batching, Performance Evaluation 147.
//   [C76] Cosmetatos, Some approximate equilibrium results for the multi-server queue M/G/r, OR Quarterly 27, 1976.
//   [K86] Kimura, A two-moment approximation for the mean waiting time in the GI/G/s queue, Management Science 32, 1986.
#pragma once
#include "tokenroof/core/special.hpp"

// clang-format off
// Of a plan: tokens and squared coefficients of variation of prompts and answers; tokens that a step may carry; the
// squared coefficient of variation of the gaps between arrivals; steps that a loop has decided before it sees an
// arrival: 0, or 1 of an asynchronous one; ranks that step as one, each with that budget, among which requests are
// even.
#define TR_OPEN_LOOP_INPUTS(X) \
    X(input) X(input_cv2) X(output) X(output_cv2) X(budget) X(arrival_cv2) X(lag) X(ranks)
#define TR_OPEN_LOOP_FIELDS(X) \
    X(load) X(running) X(waiting) X(waits) X(prompt_load) X(queue) X(ttft) X(ttft_p50) X(ttft_p90) X(ttft_p99) \
    X(tpot) X(tpot_p50) X(tpot_p90) X(tpot_p99) X(e2e) X(e2e_p50) X(e2e_p90) X(e2e_p99)
// clang-format on

namespace tokenroof {
inline namespace TR_ISA {

#define TR_NAME(name) name,
namespace open_loop_input { enum Field : int { TR_OPEN_LOOP_INPUTS(TR_NAME) count }; }
namespace open_loop_field { enum Field : int { TR_OPEN_LOOP_FIELDS(TR_NAME) count }; }
#undef TR_NAME

// Standard normal deviates of the 90th and the 99th percentile.
constexpr double deviate_p90 = 1.2815515655446004, deviate_p99 = 2.3263478740408408;
// Share of the variance of s(n) that remains in the mean over a request's life, in which n forgets itself once:
// 2 (x - 1 + exp(-x)) / x^2 at x = 1.
constexpr double life_share = 0.7357588823428847;

// Mean, variance and third central moment of a sum of independent parts.
template <class V> struct Moments { V mean, variance, third; };

// A lognormal with an origin that has these moments: its percentile of a standard normal deviate.
template <class V> struct Percentiles {
    V origin, scale, spread, flat;
    TR_HD explicit Percentiles(const Moments<V>& m) {
        const V one = splat<V>(1.0), tiny = splat<V>(1e-60);
        const V deviation = square_root(m.variance > tiny ? m.variance : tiny);
        V skew = m.third / (deviation * deviation * deviation);
        skew = skew > splat<V>(0.01) ? skew : splat<V>(0.01);
        skew = skew < splat<V>(20.0) ? skew : splat<V>(20.0);
        // skew = 3 cv + cv^3
        const V u = exponential(log_positive((skew + square_root(skew * skew + 4.0)) * 0.5) * (1.0 / 3.0));
        const V cv = u - one / u;
        const V square = log_positive(one + cv * cv);
        const V mean = deviation / cv;
        origin = m.mean - mean;
        spread = square_root(square);
        scale = mean * exponential(square * -0.5);
        flat = m.mean;
    }
    TR_HD V at(double deviate) const { return origin + scale * exponential(spread * deviate); }
};

// How many requests are in service and in the queue, at one rate of arrivals.
template <class V> struct Population {
    V idle, running, waiting, waits, ratio, step, step2, seen, seen2;
    V own, own2, own3;          // raw moments of the step that carries the prompt of an arrival
    V prompt, prompt2, prompt3; // of what a prompt adds, over the time that is busy
    V begin;                    // of that what the first of a step adds beyond each further one
    V each, each2, each3;       // and what each further one adds
    V along;                    // its mean as those in service see it
    V alone, alone2;            // of a step that a prompt has for itself
};

// What a prompt adds to a step beside n in service: raw moments of its seconds, over lengths of prompts; what the first
// of a step adds beyond each further one, and the moments of these.
struct Added {
    double mean, second, third, begin, each, each2, each3;
};

// work: of n = 1 .. places, output s(n) / n + w(n): seconds of the engine a request; steps: s(0) .. s(places), s(0) of
// a step that carries a prompt alone, without what the prompt adds; prompts: of as many. In blocks of eight, so that
// weights far beyond the crest end the sum and large ones are scaled.
template <class V>
TR_HD Population<V> open_loop_population(const double* steps, const Added* prompts, const double* work,
                                         long long places, V rate) {
    const V zero = splat<V>(0.0), one = splat<V>(1.0);
    V weight = one, idle = one, total = one, first = zero, time = zero, time2 = zero, seen = zero, seen2 = zero;
    V last = zero, own = zero, own2 = zero, own3 = zero, prompt = zero, prompt2 = zero, prompt3 = zero, along = zero;
    V begin = zero, each = zero, each2 = zero, each3 = zero;
    const V ratio = rate * work[places - 1];
    const double s0 = steps[0];
    const Added w0 = prompts[0];
    const double alone = s0 + w0.mean, alone2 = s0 * s0 + 2.0 * s0 * w0.mean + w0.second;
    own += alone;
    own2 += alone2;
    own3 += s0 * s0 * s0 + 3.0 * s0 * s0 * w0.mean + 3.0 * s0 * w0.second + w0.third;
    for (long long n = 1; n <= places; ++n) {
        weight = weight * (rate * work[n - 1]);
        const V full = n == places ? weight / (one - ratio) : weight;
        const double s = steps[n], w = prompts[n].mean;
        const double b = s + prompts[n].begin, x = prompts[n].each, x2 = prompts[n].each2, x3 = prompts[n].each3;
        const V of_time = full * s, of_many = full * double(n);
        total += full;
        first += of_many;
        time += of_time;
        time2 += of_time * s;
        seen += of_many * s;
        seen2 += of_many * s * s;
        own += full * (b + x);
        own2 += full * (b * b + 2.0 * b * x + x2);
        own3 += full * (b * b * b + 3.0 * b * b * x + 3.0 * b * x2 + x3);
        prompt += full * w;
        prompt2 += full * prompts[n].second;
        prompt3 += full * prompts[n].third;
        begin += full * prompts[n].begin;
        each += full * x;
        each2 += full * x2;
        each3 += full * x3;
        along += of_many * w;
        last = n == places ? full : last;
        if (n % 8 == 0 && n < places) {
            const V scale = weight > splat<V>(1e200) ? splat<V>(1e-200) : one;
            weight = weight * scale, idle = idle * scale, total = total * scale, first = first * scale;
            time = time * scale, time2 = time2 * scale, seen = seen * scale, seen2 = seen2 * scale;
            own = own * scale, own2 = own2 * scale, own3 = own3 * scale, along = along * scale;
            prompt = prompt * scale, prompt2 = prompt2 * scale, prompt3 = prompt3 * scale;
            begin = begin * scale, each = each * scale, each2 = each2 * scale, each3 = each3 * scale;
            weight = weight * 1e20 < total ? zero : weight;
        }
    }
    Population<V> p;
    const V busy = total - idle, some = first > zero ? first : one;
    const auto mean = [&](V sum, double least) { return busy > zero ? sum / busy : splat<V>(least); };
    p.idle = idle / total;
    p.running = first / total;
    p.waits = last / total;
    p.ratio = ratio;
    p.waiting = p.waits * ratio / (one - ratio);
    p.step = mean(time, steps[1]);
    p.step2 = mean(time2, steps[1] * steps[1]);
    p.seen = first > zero ? seen / some : splat<V>(steps[1]);
    p.seen2 = first > zero ? seen2 / some : splat<V>(steps[1] * steps[1]);
    p.own = own / total;
    p.own2 = own2 / total;
    p.own3 = own3 / total;
    p.prompt = mean(prompt, prompts[1].mean);
    p.prompt2 = mean(prompt2, prompts[1].second);
    p.prompt3 = mean(prompt3, prompts[1].third);
    p.begin = mean(begin, prompts[1].begin);
    p.each = mean(each, prompts[1].each);
    p.each2 = mean(each2, prompts[1].each2);
    p.each3 = mean(each3, prompts[1].each3);
    p.along = first > zero ? along / some : splat<V>(prompts[1].mean);
    p.alone = splat<V>(alone);
    p.alone2 = splat<V>(alone2);
    return p;
}

// The share of time that prompts take; beside few it may be more than all that there is.
template <class V> TR_HD V open_loop_share(V load) { return load < splat<V>(0.99) ? load : splat<V>(0.99); }

template <class V> TR_HD V positive_part(V x) { return x > splat<V>(0.0) ? x : splat<V>(0.0); }

// Steps that a prompt and what is ahead of it take: the mean of ceil(x / budget), x normal, by the logistic curve.
template <class V> TR_HD V open_loop_steps(V tokens, V deviation, V budget) {
    V steps = splat<V>(1.0);
    const V width = deviation * 0.5513 + budget * 1e-9;
    for (int j = 1; j <= 5; ++j) {
        V y = (budget * double(j) - tokens) / width;
        y = y < splat<V>(700.0) ? y : splat<V>(700.0);
        y = y > splat<V>(-700.0) ? y : splat<V>(-700.0);
        steps += splat<V>(1.0) / (splat<V>(1.0) + exponential(y));
    }
    return steps;
}

// Steps that carry the prompts of the one before: their mean, and the share of them that have some.
template <class V> struct Carrying { V mean, share; };

template <class V> TR_HD Carrying<V> open_loop_carrying(const Population<V>& p, V rate, V load) {
    constexpr int turns = 12;
    const V one = splat<V>(1.0), most = splat<V>(700.0), left = one - load;
    const V bare = rate * p.step, begins = one - exponential(splat<V>(0.0) - (bare < most ? bare : most));
    V share = one, mean = (p.step + p.begin) / left;
    for (int turn = 0; turn < turns; ++turn) {
        const V come = rate * (p.step + p.begin + load * mean / share);
        const V stops = exponential(splat<V>(0.0) - (come < most ? come : most));
        share = max_nan(begins, splat<V>(1e-300)) / (stops + max_nan(begins, splat<V>(1e-300)));
        mean = (p.step + p.begin * share) / left;
    }
    return {mean, share};
}

// The first token: rest of a step, the others' prompts, the own step with its prompt, further ones.
// `later`: what a request's own step adds to those after it.
template <class V> TR_HD Moments<V> open_loop_first(const double* in, const Population<V>& p, V rate, V& later) {
    const V zero = splat<V>(0.0), one = splat<V>(1.0);
    const double spread = 1.0 + in[open_loop_input::input_cv2];
    const V w = p.each, w2 = p.each2, w3 = p.each3;
    const V w4 = w > zero ? w3 / w * w3 / w : zero; // as a lognormal's
    const V load = open_loop_share<V>(rate * w), busy = one - p.idle, pace = rate * w2;
    // a decode step and the prompts that came in the one before: its cumulants
    const V steps2 = positive_part(p.step2 - p.step * p.step);
    const Carrying<V> carrying = open_loop_carrying<V>(p, rate, load);
    const V mean = carrying.mean, none = one - carrying.share, without = p.begin * none;
    const V some = p.begin * carrying.share; // of two states: a deviation of either, and with the number of prompts
    const V variance = mean * pace / (one - load * load) + steps2 / ((one - load) * (one - load)) +
                       without * (some + rate * mean * w * 2.0);
    const V third = (rate * mean * w3 + pace * load * variance * 3.0) / (one - load * load * load) +
                    without * some * (without - some);
    const V fourth = (rate * mean * w4 + rate * load * variance * (w3 * 4.0) + pace * pace * variance * 3.0 +
                      pace * load * load * third * 6.0) /
                     (one - load * load * load * load);
    // the same, seen by an arrival
    const V tilt = variance / mean;
    // prompts that find nobody begin steps of their own, which the recurrence does not have: the squares of all
    // steps, so many a second, over the time that is busy
    const V begun = p.idle / max_nan(busy, splat<V>(1e-12));
    const V own = p.alone2 - p.step * p.alone;
    const V seen = mean + tilt + positive_part(rate * own) * begun / (one - load * load);
    const V seen_variance = positive_part(variance + third / mean - tilt * tilt);
    const V seen_third = positive_part(third + fourth / mean - tilt * (third / mean) * 3.0 + tilt * tilt * tilt * 2.0);
    // what is ahead in the budget of tokens
    const double input = in[open_loop_input::input];
    const double ranks = in[open_loop_input::ranks];
    const V budget = max_nan(splat<V>(in[open_loop_input::budget]) - p.running / ranks, one);
    const V ahead = busy * rate * seen * (0.5 / ranks);
    const V tokens2 = (ahead * spread + in[open_loop_input::input_cv2]) * (input * input);
    const V steps = open_loop_steps<V>((one + ahead) * input, square_root(tokens2), budget);
    const V more = steps - 1.0;
    const V more2 = steps < splat<V>(2.0) ? more * (one - more) : tokens2 / (budget * budget);
    const double lag = in[open_loop_input::lag];
    const V others = seen * 0.5 + load * seen + mean * lag;
    const V cross = steps > splat<V>(1.2)
                        ? p.step / budget * (w * (2.0 * input * in[open_loop_input::input_cv2])) : zero;
    later = positive_part(p.own + load * seen - mean) * load / (one - load);
    Moments<V> m;
    m.mean = busy * others + p.own + more * p.step;
    m.variance = busy * (seen_variance * (load + load * load + 0.25) + (seen * seen + seen_variance) * (1.0 / 12.0) +
                         pace * seen + variance * lag) +
                 busy * p.idle * (others * others) + positive_part(p.own2 - p.own * p.own) + p.step * p.step * more2 + cross;
    const V half = load + 0.5;
    m.third = busy * (third * lag + rate * seen * w3 + half * half * half * seen_third + half * seen_variance * pace * 3.0) +
              (p.own3 - p.own * p.own2 * 3.0 + p.own * p.own * p.own * 2.0);
    return m;
}

// Time per token after the first: n as a request sees it, whose variance `steady` is of answers of any length, and the
// prompts of its life.
template <class V> TR_HD Moments<V> open_loop_token(const double* in, const Population<V>& p, V rate, V& steady) {
    const V one = splat<V>(1.0);
    const double long_ = 1.0 + in[open_loop_input::output_cv2];
    const double short_ = long_ / in[open_loop_input::output]; // E[1 / output]
    const V left = one / (one - open_loop_share<V>(rate * p.along));
    Moments<V> m;
    m.mean = p.seen * left;
    const V varied = positive_part(p.seen2 - p.seen * p.seen) * life_share;
    steady = varied * left * left;
    m.variance = (varied + rate * m.mean * (p.prompt2 * short_)) * left * left;
    m.third = rate * m.mean * (p.prompt3 * (short_ * short_ * long_)) * left * left * left;
    return m;
}

// The part of `added` seconds of prompts that passes within an answer, whose steps each carry a budget at most: the mean
// of an exponential time up to `most` is added (1 - exp(-most / added)).
template <class V> TR_HD V open_loop_kept(const double* in, const Population<V>& p, V added) {
    const double after = in[open_loop_input::output] - 1.0;
    const double budget = in[open_loop_input::budget] * in[open_loop_input::ranks];
    const V most = p.along * (after * budget / in[open_loop_input::input]);
    const V filled = max_nan(added / max_nan(most, splat<V>(1e-300)), splat<V>(1.0 / 700.0));
    return splat<V>(1.0) - exponential(splat<V>(-1.0) / filled);
}

template <class V> TR_HD V ninth(V base, V mean, V tail) {
    const V apart = base - mean;
    return mean + square_root(apart * apart + tail * tail);
}

template <class V> TR_HD V open_loop_tail(V waits, double share, V pace) {
    const V odds = waits / share, two = odds * odds, four = two * two;
    return log1p_lanes(four * four) / (pace * 8.0);
}

// A wait over that of exponential services: between M/D/c and M/M/c by the variation of services, and of gaps.
template <class V> TR_HD V open_loop_wait(V ratio, long long places, double arrival_cv2, double service_cv2) {
    const double c = double(places);
    const V fixed = ((splat<V>(1.0) - ratio) * ((c - 1.0) * (square_root(4.0 + 5.0 * c) - 2.0)) / (ratio * (16.0 * c)) + 1.0) * 0.5;
    const V least = fixed < splat<V>(1.0) ? fixed : splat<V>(1.0);
    return least * (1.0 - service_cv2) + (service_cv2 + 0.5 * (arrival_cv2 - 1.0));
}

// Everything, of one plan at one rate, into f; NaN where the replica cannot keep up, but for `load`.
template <class V>
TR_HD void open_loop(const double* steps, const Added* added, const double* work, long long places, const double* in,
                     V rate, V* f) {
    const V one = splat<V>(1.0), nan = splat<V>(not_a_number()), zero = splat<V>(0.0);
    const V load = rate * work[places - 1];
    const V ok = rate > zero ? (load < one ? one : nan) : nan;
    const V at = ok == ok ? rate : splat<V>(0.5 / work[places - 1]);
    const Population<V> p = open_loop_population<V>(steps, added, work, places, at);
    V later;
    const Moments<V> first = open_loop_first<V>(in, p, at, later);
    V steady;
    Moments<V> token = open_loop_token<V>(in, p, at, steady);
    const double output = in[open_loop_input::output], after = output - 1.0, cv2 = in[open_loop_input::output_cv2];
    const V beside = positive_part(token.mean - p.seen), kept = open_loop_kept<V>(in, p, beside * after + later);
    const V plain = token.mean - beside * (one - kept);
    later = later * kept;
    steady = steady * kept * kept;
    token.variance = token.variance * kept * kept;
    token.third = token.third * kept * kept * kept;
    token.mean = plain + later * ((1.0 + in[open_loop_input::output_cv2]) / in[open_loop_input::output]);
    const Percentiles<V> of_first(first), of_token(token);
    const V wait_share = open_loop_wait<V>(p.ratio, places, in[open_loop_input::arrival_cv2], in[open_loop_input::output_cv2]);
    const V queue = p.waiting / at * wait_share;
    const V pace = (one - p.ratio) / (wait_share * work[places - 1]); // of a wait's exponential tail
    Moments<V> whole;
    whole.mean = first.mean + queue + plain * after + later;
    const V scaled = plain * output;
    const V queue2 = queue * (splat<V>(2.0) / pace - queue);
    whole.variance = first.variance + queue2 + token.variance * (after * after) + scaled * scaled * cv2;
    // long answers vary more, lognormal lengths: of all tokens alike by their square, of the prompts that pass by it
    const V passing = (token.variance - steady) * (output / (1.0 + cv2));
    const V apart = scaled * output * 3.0 * (steady * ((2.0 + 3.0 * cv2 + cv2 * cv2) * output) + passing) * cv2;
    whole.third = first.third + token.third * (after * after * after) + apart +
                  scaled * scaled * scaled * (3.0 * cv2 * cv2 + cv2 * cv2 * cv2);
    const Percentiles<V> of_whole(whole);
    f[open_loop_field::load] = rate >= zero ? load : nan;
    f[open_loop_field::running] = p.running * ok;
    f[open_loop_field::waiting] = p.waiting * ok;
    f[open_loop_field::waits] = p.waits * ok;
    f[open_loop_field::prompt_load] = at * p.prompt * ok;
    f[open_loop_field::queue] = queue * ok;
    f[open_loop_field::ttft] = (first.mean + queue) * ok;
    const V first50 = of_first.at(0.0) + open_loop_tail<V>(p.waits, 0.5, pace);
    const V first90 = ninth<V>(of_first.at(deviate_p90), first.mean, open_loop_tail<V>(p.waits, 0.1, pace));
    const V first99 = ninth<V>(of_first.at(deviate_p99), first.mean, open_loop_tail<V>(p.waits, 0.01, pace));
    f[open_loop_field::ttft_p50] = first50 * ok;
    f[open_loop_field::ttft_p90] = first90 * ok;
    f[open_loop_field::ttft_p99] = first99 * ok;
    f[open_loop_field::tpot] = token.mean * ok;
    f[open_loop_field::tpot_p50] = of_token.at(0.0) * ok;
    f[open_loop_field::tpot_p90] = of_token.at(deviate_p90) * ok;
    f[open_loop_field::tpot_p99] = of_token.at(deviate_p99) * ok;
    f[open_loop_field::e2e] = whole.mean * ok;
    // nobody has the last token before the first, whatever three moments make of a long queue
    f[open_loop_field::e2e_p50] = max_nan(of_whole.at(0.0), first50) * ok;
    f[open_loop_field::e2e_p90] = max_nan(of_whole.at(deviate_p90), first90) * ok;
    f[open_loop_field::e2e_p99] = max_nan(of_whole.at(deviate_p99), first99) * ok;
}

} // namespace TR_ISA
} // namespace tokenroof
