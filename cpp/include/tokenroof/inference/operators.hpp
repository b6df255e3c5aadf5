// The operators of a transformer on one device: work, traffic and seconds.
//
// An operator is a *line* in one amount x (tokens, sequences, messages):
//     work    = x * flops                          FLOP
//     traffic = (weights + x * bytes)              bytes
//     seconds = fixed + max(x * flops / rate, (weights + x * bytes) / bandwidth)
// which is the roofline of [W09] with a cost per launch. Rates are the device's datasheet values times
// the reached share that the calibration record gives; an all-ideal record has shares of one.
//   [W09] Williams et al., CACM 52(4) 2009.   [P22] Pope et al., arXiv:2211.05102.
//   [D22] Dao et al., FlashAttention, arXiv:2205.14135.   [K20] Kaplan et al., arXiv:2001.08361.
//   [T05] Thakur, Rabenseifner, Gropp, IJHPCA 19(1) 2005.  [PY09] Patarasuk, Yuan, JPDC 69(2) 2009.
//   [DS2] DeepSeek-V2, arXiv:2405.04434.  [H94] Hockney, Parallel Computing 20(3) 1994.
#pragma once
#include "tokenroof/core/config.hpp"
#include "tokenroof/core/maths.hpp"
#include "tokenroof/inference/elementwise.hpp"
#include "tokenroof/inference/l2.hpp"
#include "tokenroof/records/records.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// A window that no context reaches: full attention. Not infinity, which would make 0 * inf.
constexpr double no_window = 1e18;

// --- experts ---------------------------------------------------------------------------------------

// Distinct experts that a batch of tokens touches, each token choosing topk different ones uniformly:
// E (1 - (1 - k/E)^tokens) (occupancy; Feller, vol. 1, IV.2), exact in the mean.
template <class V> TR_HD V experts_touched_lanes(V tokens, V experts, V log_missed) {
    const V none = splat<V>(0.0);
    const V untouched = log_missed == log_missed ? none : log_missed;
    const V exponent = tokens == none ? untouched : tokens * log_missed; // not 0 * -inf where k = E
    return none - experts * expm1_negative(exponent);
}
template <class T> TR_HD T experts_touched(T tokens, T experts, T topk) {
    const double n = tokens, e = experts, k = topk;
    const bool outside = n < 0.0 || k < 0.0 || k > e;
    const double share = outside ? 0.0 : k / e;
    const double reached = experts_touched_lanes<double>(outside ? 0.0 : n, e, log1p_lanes<double>(-share));
    return T(reached + nan_unless(!outside, n + k));
}

// --- collectives, alpha-beta [H94]; nbytes: the full vector per rank --------------------------------

template <class T> TR_HD T send(T nbytes, T latency, T bandwidth) { return latency + nbytes / bandwidth; }

template <class T> TR_HD T all_gather(T nbytes, T ranks, T latency, T bandwidth) {
    const T n = count_or_nan(ranks), steps = n - T(1);
    return steps * latency + steps / n * nbytes / bandwidth; // ring [T05]
}
template <class T> TR_HD T reduce_scatter(T nbytes, T ranks, T latency, T bandwidth) {
    return all_gather(nbytes, ranks, latency, bandwidth);
}
// Each rank sends a different nbytes/ranks to each other one, all at once over its one link budget.
template <class T> TR_HD T all_to_all(T nbytes, T ranks, T latency, T bandwidth) {
    const T n = count_or_nan(ranks), others = n - T(1);
    return (others > T(0) ? latency : T(0)) + others / n * nbytes / bandwidth;
}
template <class T> TR_HD T all_reduce_ring(T nbytes, T ranks, T latency, T bandwidth) { // [PY09]
    const T n = count_or_nan(ranks), steps = n - T(1);
    return T(2) * steps * latency + T(2) * steps / n * nbytes / bandwidth;
}
// Every rank sends its whole vector to every other one.
template <class T> TR_HD T all_reduce_one_shot(T nbytes, T ranks, T latency, T bandwidth) {
    const T others = count_or_nan(ranks) - T(1);
    return (others > T(0) ? latency : T(0)) + others * nbytes / bandwidth;
}
// Direct reduce-scatter, then direct all-gather, on a full mesh or a switch.
template <class T> TR_HD T all_reduce_two_shot(T nbytes, T ranks, T latency, T bandwidth) {
    const T n = count_or_nan(ranks), others = n - T(1);
    return (others > T(0) ? T(2) * latency : T(0)) + T(2) * others / n * nbytes / bandwidth;
}
// The best of the three, as libraries choose by size.
template <class T> TR_HD T all_reduce(T nbytes, T ranks, T latency, T bandwidth) {
    return min_nan(all_reduce_ring(nbytes, ranks, latency, bandwidth),
                   min_nan(all_reduce_one_shot(nbytes, ranks, latency, bandwidth),
                           all_reduce_two_shot(nbytes, ranks, latency, bandwidth)));
}

// Whether a record has constants for an operator's measured form; without, it is a line with shares.
TR_HD bool measured_form(const double* c, int block) {
    return c[calibration::form] == 1.0 && c[block] == c[block];
}

// --- lines -----------------------------------------------------------------------------------------

enum Group : int {
    group_projection, group_attention, group_linear, group_mlp, group_experts, group_elementwise,
    group_head, group_collective
};

struct Line {
    double fixed;                        // seconds: launches
    double compute;                      // seconds per x of the tensor unit
    double weights_s, traffic;           // seconds of the fixed bytes; seconds per x
    double flops, weights, bytes;        // FLOP per x; bytes; bytes per x
    // bytes per x of one kernel; 1 / bytes that stay in the L2; share of the time that it saves where they do
    double each = 0.0, inverse_resident = 1.0, saved = 0.0;
};

struct Shares { // one class of operator in a calibration record
    double t0, compute, memory;
};
TR_HD Shares shares_of(const double* c, int first) { return {c[first], c[first + 1], c[first + 2]}; }

TR_HD Line make_line(const double* d, const double* c, int shares, double kernels, double peak,
                     double flops, double weights, double bytes) {
    const Shares s = shares_of(c, shares);
    const double bandwidth = d[device::memory_bandwidth] * s.memory;
    const double rate = peak * s.compute;
    return {kernels * (s.t0 + c[calibration::launch_s]),
            flops == 0.0 ? 0.0 : flops / rate, // a device without the unit still moves bytes
            weights / bandwidth, bytes / bandwidth, flops, weights, bytes};
}

// The same line `count` times over.
TR_HD Line times(double count, const Line& a) {
    return {count * a.fixed, count * a.compute, count * a.weights_s, count * a.traffic,
            count * a.flops, count * a.weights, count * a.bytes, a.each, a.inverse_resident, a.saved};
}

template <class V> TR_HD V line_compute(const Line& a, V x) { return x * a.compute; }
template <class V> TR_HD V line_memory(const Line& a, V x) {
    const V cold = a.weights_s + x * a.traffic;
    return a.saved > 0.0 ? cold - cold * resident(x * a.each, a.inverse_resident, a.saved) : cold;
}

// x[tokens, k] @ w[k, n]: weights once, activations in their type, the result in 16 bits.
// Activations narrower than 16 bits are quantised first, read wide, written narrow, unless they come narrow.
TR_HD Line gemm_line(const double* d, const double* c, double n, double k, int weight, int activation,
                     bool come_narrow = false) {
    const double narrow = activation_bytes(activation), quantised = come_narrow ? 0.0 : quantise_bytes(narrow);
    return make_line(d, c, calibration::gemm_t0, 1.0, dtype_peak(d, weight), 2.0 * n * k,
                     n * k * dtype_bytes(weight), k * (narrow + quantised) + n * 2.0);
}

// Both grouped GEMMs of the experts; weights are of *one touched expert*, x is tokens of the stage.
TR_HD Line experts_line(const double* d, const double* c, double hidden, double ffn, double topk,
                        double matrices, double moe_tp, double moe_ep, int weight) {
    const double width = ffn / moe_tp, up = matrices - 1.0;
    const double pairs = topk / moe_ep; // (token, expert) pairs on this device, per token
    return make_line(d, c, calibration::experts_t0, 2.0, dtype_peak(d, weight),
                     pairs * (2.0 * matrices * hidden * width),
                     matrices * hidden * width * dtype_bytes(weight),
                     pairs * (hidden * activation_bytes(weight) + up * width * 2.0 +
                              width * activation_bytes(weight) + hidden * 2.0));
}

// One of the grouped products; weights are of one touched expert, x is tokens of the stage.
TR_HD Line grouped_gemm_line(const double* d, const double* c, double n, double k, double topk, double moe_ep,
                             int weight) {
    const double pairs = topk / moe_ep;
    return make_line(d, c, calibration::experts_t0, 1.0, dtype_peak(d, weight), pairs * (2.0 * n * k),
                     n * k * dtype_bytes(weight), pairs * (k * activation_bytes(weight) + n * 2.0));
}

// Reads and writes of norms, rotations, activations: no tensor work.
TR_HD Line elementwise_line(const double* d, const double* c, double kernels, double bytes) {
    return make_line(d, c, calibration::elementwise_t0, kernels, 1.0, 0.0, 0.0, bytes);
}

// Such a kernel within a step: the `fresh` ones of its bytes, which the kernel in front wrote, it reads from the L2. All
// of its bytes have passed there before it reads the last of them, so that they must fit, where the keys of measured
// attention stay. What it writes goes to memory sooner or later, and counts as before.
TR_HD Line fresh_line(const double* d, const double* c, double bytes, double fresh) {
    Line line = elementwise_line(d, c, 1.0, bytes);
    if (!measured_form(c, calibration::block_attention_decode)) return line;
    const double* g = c + calibration::block_attention_decode;
    line.each = bytes;
    line.inverse_resident = inverse_resident(d, g[constant::attention_decode::resident]);
    line.saved = fresh / bytes * saved_by_l2(d, g[constant::attention_decode::cached]);
    return line;
}

// A collective as a line: `factor` of x * bytes crosses each rank's link.
TR_HD Line collective_line(const double* d, const double* c, double ranks, double bytes) {
    const Shares s = shares_of(c, calibration::collective_t0);
    // a host without a scale-up link joins up to eight devices over PCIe
    const double domain = d[device::link_domain_size] > 1.0 ? d[device::link_domain_size] : 8.0;
    const double link = ranks <= domain  ? d[device::link_bandwidth]
                        : ranks > domain ? d[device::node_link_bandwidth]
                                         : ranks; // NaN
    return {s.t0 + c[calibration::launch_s], 0.0, 0.0, bytes / (link * s.memory), 0.0, 0.0, bytes};
}
TR_HD double all_reduce_factor(double ranks) { return 2.0 * (ranks - 1.0) / ranks; }
TR_HD double all_gather_factor(double ranks) { return (ranks - 1.0) / ranks; }

// --- attention -------------------------------------------------------------------------------------

// Softmax attention: `pair` counts (query, key) pairs, `key` keys read, `query` queries.
struct Attention {
    double fixed;
    double window;
    double compute;                            // seconds per pair
    double key_s, query_s;                     // seconds of traffic per key, per query
    double pair_flops, key_bytes, query_bytes;
};

TR_HD Attention make_attention(const double* d, const double* c, int shares, double kernels, double peak,
                               double window, double pair_flops, double key_bytes, double query_bytes) {
    const Shares s = shares_of(c, shares);
    const double bandwidth = d[device::memory_bandwidth] * s.memory;
    return {kernels * (s.t0 + c[calibration::launch_s]), window, pair_flops / (peak * s.compute),
            key_bytes / bandwidth, query_bytes / bandwidth, pair_flops, key_bytes, query_bytes};
}
TR_HD Attention times(double n, const Attention& a) {
    return {n * a.fixed, a.window, n * a.compute, n * a.key_s, n * a.query_s,
            n * a.pair_flops, n * a.key_bytes, n * a.query_bytes};
}

// Multi-head, grouped-query and multi-query: QK^T and PV, 2 (d + dv) FLOP a pair and query head; the
// cache is read once per KV head [P22]; queries come and results go in 16 bits.
TR_HD Attention gqa_attention(const double* d, const double* c, int shares, double peak, double heads,
                              double kv_heads, double head_dim, double v_head_dim, double window,
                              int kv_type) {
    return make_attention(d, c, shares, 1.0, peak, window > 0.0 ? window : no_window,
                          2.0 * heads * (head_dim + v_head_dim),
                          kv_heads * (head_dim + v_head_dim) * dtype_bytes(kv_type),
                          heads * (head_dim + v_head_dim) * 2.0);
}
// Absorbed multi-head latent attention [DS2]: every head reads the same latent and rotary key.
TR_HD Attention mla_attention(const double* d, const double* c, int shares, double peak, double heads,
                              double rank, double rope, double window, int kv_type) {
    return make_attention(d, c, shares, 1.0, peak, window > 0.0 ? window : no_window,
                          2.0 * heads * (2.0 * rank + rope), (rank + rope) * dtype_bytes(kv_type),
                          heads * (2.0 * rank + rope) * 2.0);
}
// Multi-head latent attention of a prompt, expanded to heads: the latent is unpacked beforehand.
TR_HD Attention mla_expanded(const double* d, const double* c, int shares, double peak, double heads,
                             double nope, double rope, double v_head_dim, double window) {
    return make_attention(d, c, shares, 1.0, peak, window > 0.0 ? window : no_window,
                          2.0 * heads * (nope + rope + v_head_dim),
                          heads * (nope + rope + v_head_dim) * 2.0,
                          heads * (nope + rope + v_head_dim) * 2.0);
}

// Keys that a new token sees.
template <class V> TR_HD V visible(V context, double window) {
    return min_nan(context, splat<V>(window));
}
// (query, key) pairs of `tokens` new tokens behind `past` ones, causal, each seeing at most `window`
// keys; the sum of min(past + i, window) over i = 1..tokens, continued to real numbers.
template <class V> TR_HD V causal_pairs(V tokens, V past, double window) {
    const V zero = splat<V>(0.0), w = splat<V>(window);
    const V open = min_nan(max_nan(w - past, zero), tokens); // tokens that the window does not limit
    return open * past + 0.5 * (open * (open + 1.0)) + (tokens - open) * w;
}
// Keys that some of these tokens see.
template <class V> TR_HD V causal_keys(V tokens, V past, double window) {
    const V zero = splat<V>(0.0);
    return tokens > zero ? min_nan(past, splat<V>(window)) + tokens : zero * past;
}

} // namespace TR_ISA
} // namespace tokenroof
