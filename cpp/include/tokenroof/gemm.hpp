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

constexpr int gemm_tiles = 8, gemm_splits = 5; // splits: 1, 2, 4, 8, 16

// Rows and columns of the tiles, by number.
TR_HD double gemm_tile_rows(int tile) { return tile < 3 ? 64.0 : tile < 6 ? 128.0 : 256.0; }
TR_HD double gemm_tile_columns(int tile) {
    return tile == 0 ? 32.0 : tile == 1 || tile == 3 ? 64.0 : tile == 5 || tile == 7 ? 256.0 : 128.0;
}

// What does not depend on m.
struct Gemm {
    double t0, overlap, split;
    double k, wave, prologue;
    double across[gemm_tiles], unit[gemm_tiles];                 // waves of a row of tiles; seconds per column of k
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
    r.k = k;
    r.wave = g[constant::gemm::wave];
    r.prologue = g[constant::gemm::prologue];
    const double rate = dtype_peak(d, weight) * g[constant::gemm::compute] / sms; // of a multiprocessor
    const double stream = bandwidth * g[constant::gemm::stream] / sms;
    const double row_stream = narrow / stream, column_stream = dtype_bytes(weight) / stream;
    const double flop = 2.0 / rate, inverse = 1.0 / sms, loss = g[constant::gemm::tile_loss];
    for (int t = 0; t < gemm_tiles; ++t) {
        const double tm = gemm_tile_rows(t), tn = gemm_tile_columns(t);
        // a block computes its tile, or waits for the operands that its multiprocessor can draw
        r.unit[t] = max_nan((tm * tn + loss) * flop, tm * row_stream + tn * column_stream);
        r.across[t] = ceil_lanes(n * (1.0 / tn)) * inverse;
    }
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
    const V rows = ceil_lanes(m), one = splat<V>(1.0), none = splat<V>(0.0);
    const V memory = r.weights_s + rows * r.row_s;
    V waves[gemm_tiles];
    for (int t = 0; t < gemm_tiles; ++t) waves[t] = ceil_lanes(rows * (1.0 / gemm_tile_rows(t))) * r.across[t];
    V best = splat<V>(infinite()), shortest = best;
    for (int i = 0; i < gemm_splits; ++i) {
        const double split = double(1 << i);
        if (i > 0 && !(r.k >= 64.0 * split)) break;
        const double depth = r.k * (1.0 / split) + r.prologue;
        V seconds[gemm_tiles];
        for (int t = 0; t < gemm_tiles; ++t) {
            const V w = waves[t] * split;
            const V paid = w + r.wave * (ceil_lanes(w) - w);
            seconds[t] = (w <= one ? one : paid) * (depth * r.unit[t]);
        }
        for (int half = gemm_tiles / 2; half > 0; half /= 2)
            for (int t = 0; t < half; ++t) seconds[t] = seconds[t + half] < seconds[t] ? seconds[t + half] : seconds[t];
        const V compute = seconds[0];
        const V joined = i == 0 ? rows * 0.0 : r.split + rows * (split * r.split_s);
        const V total = smooth_max(compute, memory, r.overlap) + joined;
        shortest = total < best ? compute : shortest;
        best = total < best ? total : best;
    }
    const V nan = splat<V>(not_a_number());
    const V quantised = rows * r.quantise_s;
    const V valid = m >= none ? none : nan;
    // a product of no rows is not launched
    Cost<V> out;
    out.fixed = (m > none ? splat<V>(r.t0) : none) + valid;
    out.seconds = (m > none ? best + quantised : none) + valid;
    out.compute = (m > none ? shortest : none) + valid;
    out.memory = (m > none ? memory + quantised : none) + valid;
    out.flops = rows * r.row_flops;
    out.bytes = r.weights + rows * r.row_bytes;
    return out;
}

} // namespace TR_ISA
} // namespace tokenroof
