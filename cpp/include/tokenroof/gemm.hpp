// Matrix product [m, k] @ [k, n] as libraries run it: the best of a few tiles and splits of k, in waves over
// the multiprocessors, overlapped with the traffic of its operands.
//
// Constants (TR_GEMM_CONSTANTS): t0 [s] per launch; compute, memory: shares of the peak and of the bandwidth;
// overlap: what of the shorter one is not hidden (`smooth_max`); wave: how much of a last, partial wave is
// paid; prologue: columns of k that filling the pipeline costs; tile_loss: elements that a tile's edge costs;
// split: share of the bandwidth at which partial sums meet; quantise: the same for narrowing activations.
//   Tiles and waves: NVIDIA, Matrix Multiplication Background User's Guide (DU-09799-001), sections 3.3, 4.
//   Split-K: Osama et al., Stream-K, arXiv:2301.03598, section 3.
#pragma once
#include "cost.hpp"
#include "maths.hpp"
#include "records.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// clang-format off
#define TR_GEMM_TILES(X) \
    X(64, 32) X(64, 64) X(64, 128) X(64, 256) X(128, 64) X(128, 128) X(128, 256) X(256, 128) X(256, 256)
#define TR_GEMM_SPLITS(X) X(1) X(2) X(4) X(8) X(16)
// clang-format on

// What does not depend on m.
struct Gemm {
    double t0, overlap, split;
    double n, k, rate_sm, inverse_sm, wave, prologue, tile_loss, row_stream, column_stream; // rate_sm: FLOP/s of a multiprocessor
    double weights_s, row_s, split_s, quantise_s;                // seconds: weights; per row of m
    double row_flops, weights, row_bytes;
};

// g: the block of constants.
TR_HD Gemm prepare_gemm(const double* d, const double* g, double n, double k, int weight, int activation) {
    const double bandwidth = d[device::memory_bandwidth], narrow = activation_bytes(activation);
    const double sms = d[device::sm_count];
    Gemm r;
    r.t0 = g[constant::gemm::t0];
    r.overlap = g[constant::gemm::overlap];
    r.n = n;
    r.k = k;
    r.rate_sm = dtype_peak(d, weight) * g[constant::gemm::compute] / sms;
    r.inverse_sm = 1.0 / sms;
    r.wave = g[constant::gemm::wave];
    r.prologue = g[constant::gemm::prologue];
    r.tile_loss = g[constant::gemm::tile_loss];
    const double stream = bandwidth * g[constant::gemm::stream] / sms;
    r.row_stream = narrow / stream;
    r.column_stream = dtype_bytes(weight) / stream;
    r.row_flops = 2.0 * n * k;
    r.weights = n * k * dtype_bytes(weight);
    const double row = k * narrow + n * 2.0, quantised = narrow < 2.0 ? k * (2.0 + narrow) : 0.0;
    r.row_bytes = row + quantised;
    const double reached = bandwidth * g[constant::gemm::memory];
    r.weights_s = r.weights / reached;
    r.row_s = row / reached;
    r.split = g[constant::gemm::split];
    r.split_s = n * 8.0 / bandwidth; // 32-bit sums, written and read
    r.quantise_s = quantised / (bandwidth * g[constant::gemm::quantise]);
    return r;
}

template <class V> TR_HD Cost<V> gemm_cost(const Gemm& r, V m) {
    const V rows = ceil_lanes(m), one = splat<V>(1.0);
    const V memory = r.weights_s + rows * r.row_s;
    V best = splat<V>(infinite()), shortest = best;
#define TR_TILE(tm, tn)                                                                           \
    {                                                                                             \
        const double across = ceil_lanes(r.n * (1.0 / tn)) * split * r.inverse_sm;                \
        const double unit = depth * max_nan(2.0 * (tm * tn + r.tile_loss) / r.rate_sm, tm * r.row_stream + tn * r.column_stream);  \
        const V waves = ceil_lanes(rows * (1.0 / tm)) * across;                                   \
        const V paid = waves + r.wave * (ceil_lanes(waves) - waves);                              \
        const V seconds = (waves <= one ? one : paid) * unit;                                     \
        compute = seconds < compute ? seconds : compute;                                          \
    }
#define TR_SPLIT(s)                                                                               \
    if (s == 1 || r.k >= 64.0 * s) {                                                              \
        const double split = s, depth = r.k * (1.0 / s) + r.prologue;               \
        V compute = splat<V>(infinite());                                                         \
        TR_GEMM_TILES(TR_TILE)                                                                    \
        const V joined = s == 1 ? rows * 0.0 : r.split + rows * (split * r.split_s);                     \
        const V seconds = smooth_max(compute, memory, r.overlap) + joined;                        \
        shortest = seconds < best ? compute : shortest;                                           \
        best = seconds < best ? seconds : best;                                                   \
    }
    TR_GEMM_SPLITS(TR_SPLIT)
#undef TR_SPLIT
#undef TR_TILE
    const V none = splat<V>(0.0), nan = splat<V>(not_a_number());
    const V quantised = rows * r.quantise_s;
    // a product of no rows is not launched
    Cost<V> out;
    const V valid = m >= none ? none : nan;
    out.fixed = (m > none ? splat<V>(r.t0) : none) + valid;
    out.seconds = (m > none ? best + quantised : none) + valid;
    out.compute = m > none ? shortest : none;
    out.memory = m > none ? memory + quantised : none;
    out.flops = rows * r.row_flops;
    out.bytes = r.weights + rows * r.row_bytes;
    return out;
}

} // namespace TR_ISA
} // namespace tokenroof
