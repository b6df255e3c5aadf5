// Serving in closed loop: so many requests in flight, each answered one followed by the next.
//
// The engine keeps B = min(concurrency, places) sequences in its batch. Slots are those whose prompt and answer fit the
// memory that weights and engine leave; a rank has as many places as it has whole slots, and one more for a part of the
// time: of n requests each is anywhere in its answer, so that they hold n (a + b)/2 with a variance of n (b - a)^2/12, a a
// prompt's bytes and b with the answer's, and n = slots + 1 of them run while that has room [C62]. An engine that sets
// `whole` answers aside begins none of which it has no room for all. While a request decodes its answer, the prompts of
// the B - 1 others pass through the same steps, so
//     TPOT = step(B) + (B - 1)/output * extra / lanes,
// extra being what a step that carries a prompt takes beyond one that does not: without a CUDA graph, as
// engines run it, at least the host's time for its kernels. Requests end independently of each other, so that the prompts
// that come to a step of a lane are Poisson's, (B - 1)/(output lanes) in the mean: of the steps that carry any, each has
// `prompts` in the mean, and extra is a part of them: work that hides beside one prompt is not hidden beside many.
// Attention ranks of a mixture wait for each other at
// the experts: a step lasts as the rank with the longest contexts takes (`longest_context`), and prompts go through on
// all ranks together, as engines balance them. And
//     TTFT = admission + own prefill + step(B) + bunched (B - 1) extra / lanes + (concurrency/B - 1) (output TPOT + own extra):
// admission, the prompt itself, the step that runs, prompts that start together and stay bunched, the queue
// for a slot. Of each other's prompt 1/output comes with the step of one's own, so that bunched is no less: all prompts
// of B requests pass in the life of one, and no loop is faster than B requests in B prompts and their steps [L61]. The host takes `prefill_kernel` per kernel of a step that carries a prompt, of which all others wait, and
// `prompt_kernel` on the prompt's own way to its first token: what it does beside a step that runs is not in the former.
// Of prompts' kernels, which the tables time alone, the others wait for `beside` times what they take, where they decode.
// A run begins with all of its users at once and ends with none to follow: of a share `together` of its
// requests (1 over the requests of a user, 0 for a load that goes on) the prompts wait for half of the others', and half
// of the others' are past; of the rest, a share `burst` stays bunched. Prompts of one step whose
// answers are as long begin and end together: of the `room` for others' in the step of one's own a share `locked` is taken,
// round after round, by prompts that interrupt none of its answer. Latency and throughput follow by Little's law. Admission is the engine's `request` from
// `request_users` requests in flight on, the fewest that it was fitted at; of that, a request without others
// to wait for takes `request_alone`, and one with fewer others a share in between. While the host is what a step waits
// for, the board draws what it does at rest between kernels, as in any step, not what it does idle; a step's work and
// its gaps together are held to the limit. An engine that
// gathers prompts (`wait_steps`) holds the first for so many steps, and those that come meanwhile, evenly, for half as
// long.
//   [L61] Little, Operations Research 9(3) 1961.   [A24] Agrawal et al., Sarathi-Serve, arXiv:2403.02310.
//   [K23] Kwon et al., PagedAttention, arXiv:2309.06180.  [C62] Cox, Renewal Theory, 1962, section 3.
#pragma once
#include "tokenroof/inference/transformer.hpp"

// clang-format off
// A load's terms: what device, model and plan give, without an engine's gaps.
#define TR_SERVING_TERMS(X) \
    X(batch) X(slots) X(decode_s) X(mixed_s) X(prefill_s) X(kernels) X(collectives) X(sequences) X(lanes) \
    X(decode_j) X(mixed_j) X(rest_w) X(waiting) X(prompts) X(beside_s)
#define TR_SERVING_FIELDS(X) \
    X(ttft) X(tpot) X(latency) X(output_rate) X(batch) X(slots) X(step_s) X(interference_s) \
    X(prefill_s) X(others_s) X(burst_s) X(queue_s) X(watts)
// clang-format on

namespace tokenroof {
inline namespace TR_ISA {

#define TR_NAME(name) name,
namespace term { enum Field : int { TR_SERVING_TERMS(TR_NAME) count }; }
namespace serving_field { enum Field : int { TR_SERVING_FIELDS(TR_NAME) count }; }
#undef TR_NAME

// Of two times that overlap but for a little: within 2 % of their 4-norm (see smooth_max).
constexpr double serving_overlap = 0.19;

// Requests that the replica holds at once: `slots` with prompt and answer, as many on each rank, none where a rank does
// not hold a whole one; `places` of those that run. Unlimited where the memory is unknown.
struct Held {
    double slots, places;
};
TR_HD Held serving_held(const double* d, const double* c, const double* m, const double* p, double input,
                        double output) {
    const double* e = c + calibration::block_engine;
    const double memory = d[device::memory_bytes];
    if (memory != memory) return {infinite(), infinite()};
    const double room = memory * e[constant::engine::memory_share] -
                        (weight_bytes(m, p) + workspace_bytes(m, p)) * e[constant::engine::memory_weights] -
                        e[constant::engine::memory_reserved];
    const bool windows = e[constant::engine::memory_windows] != 0.0;
    const double bytes = sequence_bytes(m, p, input + output, windows);
    // layers that all read the keys of others keep none
    const double each = bytes > 0.0 ? room / bytes : (room < 0.0 ? 0.0 : infinite());
    if (each < 1.0) return {0.0, 0.0};
    // of so many a part of one is nothing, and an infinite number has no next one
    if (!(each < 1e6)) return {each * p[plan::dp], each * p[plan::dp]};
    const double whole = 0.0 - ceil_lanes<double>(0.0 - each), more = whole + 1.0;
    const double answer = bytes - sequence_bytes(m, p, input, windows);
    const double over = room - more * (bytes - 0.5 * answer);
    const double deviation = answer * square_root(more * (1.0 / 12.0));
    const bool parts = deviation > 0.0 && e[constant::engine::whole] == 0.0;
    const double share = parts ? normal_below(over / deviation) : 0.0;
    return {each * p[plan::dp], (whole + share) * p[plan::dp]};
}

// Tokens of context per sequence of the rank that has most, of `ranks` that wait for each other: each of a rank's
// `sequences` is anywhere in its answer (an even distribution's variance is a twelfth of its square).
TR_HD double longest_context(double input, double output, double sequences, double ranks) {
    const double mean = input + 0.5 * output;
    if (!(ranks > 1.0)) return mean;
    return min_nan(mean + largest_normal(ranks) * output / square_root(12.0 * sequences), input + output);
}

// Seconds from a request's arrival to its prefill, among so many in flight.
TR_HD double serving_admission(const double* e, double concurrency) {
    const double full = e[constant::engine::request], alone = min_nan(e[constant::engine::request_alone], full);
    const double others = e[constant::engine::request_users] - 1.0;
    const double share = min_nan(max_nan(concurrency - 1.0, 0.0), others);
    return others > 0.0 ? alone + (full - alone) * (share / others) : full;
}

// Seconds that a prompt waits for company, while `arrivals` more come on average in `steps` of `step` seconds.
TR_HD double serving_company(double steps, double step, double arrivals) {
    return steps * step * ((1.0 + 0.5 * arrivals) / (1.0 + arrivals));
}

// Joules beyond those at rest of a step whose work takes `bare` of its `whole` seconds.
TR_HD double above_rest(const Prepared& r, const Uses& use, double busy, double bare, double whole) {
    return (replica_watts(r, spread_uses(use, bare / whole), busy) - resting_watts(r) * r.devices) * whole;
}

// Seconds that a step that carries prompts takes longer than their kernels alone and those of the others: nothing where
// answers have one token, so that nobody decodes.
TR_HD double serving_slower(const double* e, double batch, double output, double alone) {
    const double decoding = min_nan(max_nan(batch - 1.0, 0.0) * max_nan(output - 1.0, 0.0), 1.0);
    return (e[constant::engine::beside] - 1.0) * (alone * decoding);
}

// r: prepared without gaps; c: the whole record.
template <class P>
TR_HOST_ONCE void serving_terms(const P& r, const double* d, const double* c, const double* m, const double* p,
                                double concurrency, double input, double output, double* t) {
    const bool valid = concurrency > 0.0 && input > 0.0 && output > 0.0;
    const Held held = serving_held(d, c, m, p, input, output);
    // a device that cannot hold one request serves none
    const double* e = c + calibration::block_engine;
    const double most = e[constant::engine::max_batch];
    const double room = most > 0.0 ? min_nan(held.places, most) : held.places;
    const double batch = valid && held.slots >= 1.0 ? min_nan(concurrency, room) : not_a_number();
    const double ranks = p[plan::dp], waiting = m[model::moe_layers] > 0.0 ? ranks : 1.0;
    const double sequences = share(share(batch, p[plan::pp]), ranks);
    const double context = longest_context(input, output, sequences, waiting);
    const double lanes = p[plan::pp] * p[plan::dp];
    const double came = max_nan(batch - 1.0, 0.0) / (output * lanes);
    const double prompts = came > 0.0 ? came / (0.0 - expm1_negative<double>(0.0 - came)) : 1.0 + came;
    const Structure s = step_structure(c, m, p);
    double decode[step::count], mixed[step::count], prefill[step::count];
    const Uses decoding = evaluate_step<true, false>(r, batch, context, 0.0, 0.0, 0.0, decode);
    const Uses carrying = evaluate_step<true, true>(r, batch, context, ranks * prompts, input, 0.0, mixed);
    evaluate_step<false, true>(r, 0.0, 0.0, 1.0, input, 0.0, prefill);
    const double alone = prefill[step::time];
    if (prompts > 1.0) evaluate_step<false, true>(r, 0.0, 0.0, prompts, input, 0.0, prefill);
    const double bad = batch == batch ? 0.0 : batch;
    t[term::batch] = batch;
    t[term::slots] = held.slots;
    t[term::decode_s] = decode[step::time];
    t[term::mixed_s] = mixed[step::time];
    t[term::prefill_s] = alone + bad;
    t[term::kernels] = s.kernels;
    t[term::collectives] = s.collectives;
    t[term::waiting] = waiting_kernels(c, s);
    t[term::sequences] = sequences;
    t[term::lanes] = lanes;
    t[term::prompts] = prompts;
    t[term::beside_s] = prefill[step::time] + bad;
    t[term::rest_w] = resting_watts(r) * r.devices;
    // joules above rest of steps as long as this record's gaps make them: a board is held to its limit over these
    const double gaps = engine_gaps(c, t[term::waiting], t[term::collectives]);
    const double plain = decode[step::time] + gaps + e[constant::engine::sequence] * sequences;
    const double slower = serving_slower(e, batch, output, prefill[step::time]);
    const double fuller = mixed[step::time] + slower + gaps + e[constant::engine::sequence] * (sequences + prompts);
    const double longest = smooth_max(fuller, s.kernels * e[constant::engine::prefill_kernel], serving_overlap);
    const double turns = min_nan(max_nan(batch, 1.0), p[plan::pp]) / p[plan::pp];
    t[term::decode_j] = above_rest(r, decoding, turns, decode[step::time], plain);
    t[term::mixed_j] = above_rest(r, carrying, turns, mixed[step::time], longest);
}

// What users see, from the terms and an engine's constants.
TR_HD void serving_of_terms(const double* c, const double* t, double concurrency, double output, double* f) {
    const double* e = c + calibration::block_engine;
    const double gaps = engine_gaps(c, t[term::waiting], t[term::collectives]);
    const double sequence = e[constant::engine::sequence], batch = t[term::batch];
    const double floor = t[term::kernels] * e[constant::engine::prefill_kernel];
    const double step = t[term::decode_s] + gaps + sequence * t[term::sequences];
    const double slower = serving_slower(e, batch, output, t[term::beside_s]);
    const double mixed = t[term::mixed_s] + slower + gaps + sequence * (t[term::sequences] + t[term::prompts]);
    const double carrying = smooth_max(mixed, floor, serving_overlap);
    const double carried = t[term::lanes] * t[term::prompts];
    const double extra = (carrying - step) / carried;
    const double others = max_nan(batch - 1.0, 0.0);
    const double together = e[constant::engine::together], waits = e[constant::engine::wait_steps];
    const double apart = others - e[constant::engine::locked] * min_nan(others, e[constant::engine::room]);
    const double prompts = apart / output * (1.0 - 0.5 * together);
    const double interference = prompts * extra;
    const double tpot = step + interference;
    const double host = t[term::kernels] * e[constant::engine::prompt_kernel];
    const double prefill = smooth_max(t[term::prefill_s] * e[constant::engine::prompt], host, serving_overlap);
    const double stays = 0.5 * together + e[constant::engine::burst] * (1.0 - together);
    const double bunched = max_nan(stays, (batch == batch ? 1.0 : batch) / output);
    const double burst = bunched * others * extra;
    const double company = serving_company(waits, step, waits * others / output);
    // a place is held for one's own prompt too, which fewer requests than lanes do not share
    const double own = (carrying - step) / min_nan(carried, max_nan(batch, 1.0));
    const double queue = max_nan(concurrency / batch - 1.0, 0.0) * (output * tpot + own);
    const double ttft = serving_admission(e, concurrency) + company + prefill + step + burst + queue;
    const double latency = ttft + max_nan(output - 1.0, 0.0) * tpot;
    // joules of a decoded token's steps, and of the prompts that pass meanwhile
    const double joules = t[term::decode_j] + prompts / carried * (t[term::mixed_j] - t[term::decode_j]);
    f[serving_field::ttft] = ttft;
    f[serving_field::tpot] = tpot;
    f[serving_field::latency] = latency;
    f[serving_field::output_rate] = concurrency * output / latency;
    f[serving_field::batch] = batch;
    f[serving_field::slots] = t[term::slots];
    f[serving_field::step_s] = step;
    f[serving_field::interference_s] = interference;
    f[serving_field::prefill_s] = prefill;
    f[serving_field::others_s] = others * extra; // all of the others' prompts
    f[serving_field::burst_s] = burst;
    f[serving_field::queue_s] = queue;
    f[serving_field::watts] = t[term::rest_w] + joules / tpot;
}

template <class P>
TR_HD void serving(const P& r, const double* d, const double* c, const double* m, const double* p,
                   double concurrency, double input, double output, double* f) {
    double t[term::count];
    serving_terms(r, d, c, m, p, concurrency, input, output, t);
    serving_of_terms(c, t, concurrency, output, f);
}

} // namespace TR_ISA
} // namespace tokenroof
