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
// prefill between a step with one prompt and a full one by the pool's load, waits those of a station of fixed service
// time s in a closed network of N requests, r its load: half of a service in progress, and whole ones of the queue that
// an arrival sees with itself removed, by Schweitzer's estimate [S79, RL80]:
//     wait = f (wait r + r s / 2), f = (N - 1) / N;
// or, where that is longer, of requests that started together and stay bunched, an engine's share of N - 1 services.
//   [L61] Little, Operations Research 9(3) 1961.   [S79] Schweitzer, Int. Conf. Stochastic Control and Optimization 1979.
//   [RL80] Reiser, Lavenberg, Journal of the ACM 27(2) 1980.
#pragma once
#include "tokenroof/core/maths.hpp"

// clang-format off
// Seconds, watts, bytes; of one replica where not said otherwise. No prefill pool: prefill_s 0.
#define TR_SYSTEM_TERMS(X) \
    X(replicas) X(batch) X(round_s) X(tokens) X(interference_s) X(watts) X(idle_w) X(devices) X(provisioned_w) \
    X(prefill_replicas) X(prefill_batch) X(prefill_s) X(alone_s) X(prefill_w) X(prefill_idle_w) X(prefill_devices) \
    X(prefill_provisioned_w) X(first_s) X(cache_bytes) X(link_bandwidth) X(hop_s) X(burst) \
    X(all_devices)
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

TR_HD void serving_system(const double* t, double output, double* f) {
    namespace term = system_term;
    namespace field = system_field;
    const SystemRates r = system_rates(t, output);
    const double load = r.apart ? r.rate / r.most : 0.0, link_load = r.rate * r.crossing;
    const double fuller = max_nan(t[term::prefill_s] - t[term::alone_s], 0.0);
    const double prefill = r.apart ? t[term::alone_s] + load * fuller : 0.0;
    const double pair = t[term::link_bandwidth] * min_nan(t[term::prefill_devices], t[term::devices]);
    const double transfer = r.apart ? t[term::hop_s] + t[term::cache_bytes] / pair : 0.0;
    const double bare = t[term::first_s] + prefill + transfer + t[term::round_s];
    const double inside = max_nan(r.rate * (bare + r.decoding), 1.0), others = (inside - 1.0) / inside;
    const double service = 1.0 / r.most;
    const double bunched = t[term::burst] * (inside - 1.0) * service;
    const double queued = r.apart ? max_nan(closed_wait(service, load, others), bunched) : 0.0;
    const double waits = queued + (r.apart ? closed_wait(r.crossing, link_load, others) : 0.0);
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
