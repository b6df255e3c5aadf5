// A system of pools in steady state: decode replicas that hold so many sequences each, the prefill replicas that keep
// up with them, and the link that caches cross.
//
// A decode replica with B sequences yields a token of each in
//     TPOT = round / tokens + interference,
// round being a step or, with drafts, drafting and verifying, of which so many tokens are kept; interference is what
// others' prompts add where one pool does both. A request stays for (output - 1) TPOT, so that by Little's law [L61] the
// pool asks for
//     rate = replicas B / ((output - 1) TPOT)
// prompts a second (where it computes them itself, the time to the first token is part of the stay). Prefill replicas
// give batch / step each, the link its bandwidth over the bytes of a cache: the least of the three is the rate of the
// system. Without a number of prefill replicas it is the least whole one that keeps up. Of a fixed number of devices as
// many whole systems as fit are built; the rest is idle.
//     TTFT = first + prefill + wait + transfer + wait + round,
// waits for the link those of a station of fixed service time s in a closed network of N requests, r its load: half of a
// service in progress, and whole ones of the queue that an arrival sees with itself removed, by Schweitzer's estimate
// [S79, RL80]:
//     wait = f (wait r + r s / 2), f = (N - 1) / N.
// Prefill replicas serve in batches: a step takes the prompts that came while the one before it ran, and its time grows
// in a line with them, s(n) = a + d (n - 1) from one prompt to a full step of B. With f of the rate l at each of c
// replicas, a share p = l s / n of the time busy, and the least loaded of them chosen, a prompt finds all busy with a
// chance of about p^t, t = sqrt(2 (c + 1)) - 1 [S77]; q = p h, h = p / (p + (t - 1)(1 - p)) is that to first order in
// 1 - p, exact for t = 1 and 2. A busy replica gets x = l h s others a step, so that the one after it, if any, holds
//     m = x / (1 - e^-x)  of one replica (Poisson),   max(1, x)  of many, which share evenly;
// between them by 1 / c. Of all steps 1 / n = 1 - q + q / m, and s = a + d (n - 1) closes the circle: three turns of it.
// A prompt that finds a replica idle takes a; another waits for half of the step that it sees, E s^2 / E s = s + Var n
// d^2 / s with Var n = x / (1 - (l h d)^2) of an autoregression, and takes a + d y, y what comes in that step. Where
// steps are full a queue stays behind them: Schweitzer's beyond the service in progress, by (n / B)^3, which is M/D/1
// for B = 1 and the heavy traffic of any B. Or, where that is longer, requests that started together stay bunched: of
// b = 1 + 2 w, w an engine's share of the N - 1 others over c replicas, the mean one is through with its step after
//     a + d (b - 1)  up to b = B,   s(B) (b + B) / (2 B)  beyond,
// as they are served in one step, or in full ones one after the other.
//   [L61] Little, Operations Research 9(3) 1961.   [S79] Schweitzer, Int. Conf. Stochastic Control and Optimization 1979.
//   [RL80] Reiser, Lavenberg, Journal of the ACM 27(2) 1980.   [S77] Sakasegawa, Ann. Inst. Stat. Math. 29 1977.
#pragma once
#include "tokenroof/core/maths.hpp"
#include "tokenroof/core/special.hpp"

// clang-format off
// Seconds, watts, bytes; of one replica where not said otherwise. No prefill pool: prefill_s 0.
#define TR_SYSTEM_TERMS(X) \
    X(replicas) X(batch) X(round_s) X(tokens) X(interference_s) X(watts) X(idle_w) X(devices) X(provisioned_w) \
    X(prefill_replicas) X(prefill_batch) X(prefill_s) X(alone_s) X(prefill_w) X(prefill_idle_w) X(prefill_devices) \
    X(prefill_provisioned_w) X(first_s) X(cache_bytes) X(link_bandwidth) X(hop_s) X(burst) \
    X(all_devices) X(prefill_stages)
#define TR_SYSTEM_FIELDS(X) \
    X(rate) X(ttft) X(tpot) X(latency) X(concurrency) X(output_rate) X(prefill_replicas) X(prefill_load) X(link_load) \
    X(wait_s) X(transfer_s) X(devices) X(idle_devices) X(watts) X(provisioned_w) X(short_of)
// clang-format on

namespace tokenroof {
inline namespace TR_ISA {

#define TR_NAME(name) name,
namespace system_term { enum Field : int { TR_SYSTEM_TERMS(TR_NAME) count }; }
namespace system_field { enum Field : int { TR_SYSTEM_FIELDS(TR_NAME) count }; }
#undef TR_NAME

// Mean wait at a station whose service takes `service` seconds and that is busy for a share `load` of the time, among
// `others` over all requests of a closed network.
TR_HD double closed_wait(double service, double load, double others) {
    const double busy = others * min_nan(load, 1.0);
    return busy >= 1.0 ? infinite() : 0.5 * service * busy / (1.0 - busy);
}

// What the two pools and the link between them give, of one system.
struct SystemRates {
    bool apart;
    double asked, most, rate; // prompts a second: decode replicas, prefill replicas, the least of all
    double prefills, crossing, near, far, tpot, decoding;
};

TR_HD SystemRates system_rates(const double* t, double output) {
    namespace term = system_term;
    SystemRates r;
    r.apart = t[term::prefill_s] > 0.0;
    r.tpot = t[term::round_s] / t[term::tokens] + t[term::interference_s];
    r.decoding = max_nan(output - 1.0, 1.0) * r.tpot;
    const double own = r.apart ? 0.0 : t[term::first_s] + t[term::round_s];
    r.asked = t[term::replicas] * t[term::batch] / (r.decoding + own);
    const double each = r.apart ? t[term::prefill_batch] / t[term::prefill_s] : 1.0;
    const double matched = max_nan(ceil_lanes<double>(r.asked / each), 1.0), given = t[term::prefill_replicas];
    r.prefills = r.apart ? (given > 0.0 ? given : matched) : 0.0;
    r.most = r.apart ? r.prefills * each : infinite();
    // the pool with fewer devices bounds what the two send each other at once
    r.near = r.prefills * t[term::prefill_devices];
    r.far = t[term::replicas] * t[term::devices];
    r.crossing = r.apart ? t[term::cache_bytes] / (t[term::link_bandwidth] * min_nan(r.near, r.far)) : 0.0;
    const double carried = r.crossing > 0.0 ? 1.0 / r.crossing : infinite();
    r.rate = min_nan(r.asked, min_nan(r.most, carried));
    return r;
}

// A prompt's step and its wait for it where replicas take what has come in one step.
struct PromptTimes {
    double step, wait;
};

// 1 - 1 / (1 + y) in place of 1 - e^-x, y the first three terms of e^x - 1: x over it, which is 1 at 0.
TR_HD double batch_after(double x) {
    const double over = 1.0 + x * (0.5 + x * (1.0 / 6.0));
    return (1.0 + x * over) / over;
}

// `alone` to `full` seconds of a step with 1 to `many` prompts, `rate` prompts a second at each of so many replicas.
TR_HD PromptTimes prompt_times(double alone, double full, double many, double rate, double replicas) {
    constexpr int turns = 3;
    const double share = 1.0 / replicas, skew = square_root(2.0 * (replicas + 1.0)) - 2.0;
    const double each = many > 1.0 ? max_nan(full - alone, 0.0) / (many - 1.0) : 0.0;
    const double grown = min_nan(rate * each, 1.0 - 0x1p-20);
    double step = min_nan(full, max_nan(alone, (alone - each) / (1.0 - grown)));
    double busy = min_nan(rate * step, 1.0), held = 1.0, filled = 1.0;
    for (int turn = 0; turn <= turns; ++turn) {
        held = busy > 0.0 ? busy / (busy + skew * (1.0 - busy)) : 0.0;
        if (turn == turns)
            break;
        const double x = rate * step * held, finds = busy * held;
        const double after = share * batch_after(x) + (1.0 - share) * max_nan(x, 1.0);
        filled = min_nan(1.0 / ((1.0 - finds) + finds / after), many);
        step = min_nan(full, alone + each * (filled - 1.0));
        busy = min_nan(rate * step / filled, 1.0);
    }
    const double finds = busy * held, slope = grown * held;
    const double varied = share * each * slope * busy / (1.0 - slope * slope);
    const double seen = min_nan(full, step + varied), others = rate * held * seen;
    const double more = share * others + (1.0 - share) * (max_nan(others, 1.0) - 1.0);
    const double shared = (1.0 - finds) * alone + finds * min_nan(full, alone + each * more);
    const double filling = filled / many, load = rate * full / many;
    const double behind = load >= 1.0 ? infinite() : 0.5 * full / many * share * load * load / (1.0 - load);
    return {shared, 0.5 * finds * seen + behind * (filling * filling * filling)};
}

// Mean time until a step is over that one of `bunch` prompts which came together is in.
TR_HD double bunch_time(double alone, double full, double many, double bunch) {
    const double each = many > 1.0 ? max_nan(full - alone, 0.0) / (many - 1.0) : 0.0;
    return bunch > many ? full * (bunch + many) / (2.0 * many) : alone + each * (bunch - 1.0);
}

// The same of a system's prefill pool, of whose load an arrival sees all but itself; a pipeline's stages take turns.
// `around` are the other seconds of a request's stay.
TR_HD PromptTimes pool_prompts(const double* t, const SystemRates& r, double around) {
    namespace term = system_term;
    const double stages = max_nan(t[term::prefill_stages], 1.0), replicas = max_nan(r.prefills, 1.0);
    const double alone = t[term::alone_s] / stages, full = t[term::prefill_s] / stages;
    const double many = t[term::prefill_batch] / stages;
    const double least = max_nan(r.rate * (around + t[term::alone_s]), 1.0), others = (least - 1.0) / least;
    const PromptTimes found = prompt_times(alone, full, many, others * r.rate / replicas, replicas);
    const double step = found.step * stages, inside = max_nan(r.rate * (around + step), 1.0);
    const double bunch = 1.0 + 2.0 * (t[term::burst] * (inside - 1.0) / replicas);
    const double together = bunch > 1.0 ? bunch_time(alone, full, many, bunch) - found.step : 0.0;
    return {step, max_nan(found.wait, together)};
}

TR_HD void serving_system(const double* t, double output, double* f) {
    namespace term = system_term;
    namespace field = system_field;
    const SystemRates r = system_rates(t, output);
    const double load = r.apart ? r.rate / r.most : 0.0, link_load = r.rate * r.crossing;
    const double pair = t[term::link_bandwidth] * min_nan(t[term::prefill_devices], t[term::devices]);
    const double transfer = r.apart ? t[term::hop_s] + t[term::cache_bytes] / pair : 0.0;
    const double around = t[term::first_s] + transfer + t[term::round_s];
    const PromptTimes prompt = r.apart ? pool_prompts(t, r, around + r.decoding) : PromptTimes{0.0, 0.0};
    const double bare = around + prompt.step;
    const double inside = max_nan(r.rate * (bare + r.decoding), 1.0), others = (inside - 1.0) / inside;
    const double waits = prompt.wait + (r.apart ? closed_wait(r.crossing, link_load, others) : 0.0);
    const double ttft = bare + waits, latency = ttft + max_nan(output - 1.0, 0.0) * r.tpot;
    const double used = r.near + r.far, all = t[term::all_devices];
    // whole systems of a fixed number of devices
    const double systems = all > 0.0 ? 0.0 - ceil_lanes<double>(0.0 - all / used) : 1.0;
    const double idle = all > 0.0 ? all - systems * used : 0.0;
    const double at_work = t[term::idle_w] + (r.rate / r.asked) * (t[term::watts] - t[term::idle_w]);
    const double at_prompts = t[term::prefill_idle_w] + load * (t[term::prefill_w] - t[term::prefill_idle_w]);
    const double watts = t[term::replicas] * at_work + (r.apart ? r.prefills * at_prompts : 0.0);
    const double set_aside = t[term::replicas] * t[term::provisioned_w] +
                             (r.apart ? r.prefills * t[term::prefill_provisioned_w] : 0.0);
    const double bad = t[term::batch] > 0.0 && output > 0.0 && systems >= 1.0 ? 0.0 : not_a_number();
    f[field::rate] = systems * r.rate + bad;
    f[field::ttft] = ttft + bad;
    f[field::tpot] = r.tpot + bad;
    f[field::latency] = latency + bad;
    f[field::concurrency] = systems * r.rate * latency + bad;
    f[field::output_rate] = systems * r.rate * output + bad;
    f[field::prefill_replicas] = systems * r.prefills + bad;
    f[field::prefill_load] = load + bad;
    f[field::link_load] = link_load + bad;
    f[field::wait_s] = waits + bad;
    f[field::transfer_s] = transfer + bad;
    f[field::devices] = systems * used + idle + bad;
    f[field::idle_devices] = idle + bad;
    f[field::watts] = systems * watts + idle * (t[term::idle_w] / t[term::devices]) + bad;
    f[field::provisioned_w] = systems * set_aside + idle * (t[term::provisioned_w] / t[term::devices]) + bad;
    f[field::short_of] = (r.rate < r.asked ? (r.rate < r.most ? 2.0 : 1.0) : 0.0) + bad;
}

} // namespace TR_ISA
} // namespace tokenroof
