// Matrix product [m, k] @ [k, n] as libraries run it: the best of a few tiles and splits of k, in waves over
// the multiprocessors, overlapped with the traffic of its operands.
//
// Constants (TR_GEMM_CONSTANTS): t0 [s] per launch; compute, memory: shares of the peak and of the bandwidth;
// overlap: what of the shorter one is not hidden (`smooth_max`); wave: how much of a last, partial wave is
// paid; prologue: columns of k that filling the pipeline costs; tile_loss: elements that a tile's edge costs;
// stream: how many times its share of the bandwidth one multiprocessor can draw; latency [s]: what a column of
// k takes whatever the tile; split [s]: joining partial sums; quantise: share of the bandwidth at which
// activations are narrowed; quantise_step: columns that a block narrows at once; quantise_row: columns that a
// row costs besides; cached, resident: as in decode attention; tiles: 0, the fastest, or 1, fixed by the rows.
//   Tiles and waves: NVIDIA, Matrix Multiplication Background User's Guide (DU-09799-001), sections 3.3, 4.
//   Split-K: Osama et al., Stream-K, arXiv:2301.03598, section 3.
//   Tiles by rows: vLLM, csrc/quantization/w8a8/cutlass/c3x/scaled_mm_sm90_fp8_dispatch.cuh.
#pragma once
#include "tokenroof/core/maths.hpp"
#include "tokenroof/inference/cost.hpp"
#include "tokenroof/inference/elementwise.hpp"
#include "tokenroof/inference/l2.hpp"
#include "tokenroof/records/records.hpp"

namespace tokenroof {
inline namespace TR_ISA {

constexpr int gemm_tiles = 8, gemm_splits = 5; // splits: 1, 2, 4, 8, 16

// Rows and columns of the tiles, by number.
TR_HD double gemm_tile_rows(int tile) { return tile < 3 ? 64.0 : tile < 6 ? 128.0 : 256.0; }
TR_HD double gemm_tile_columns(int tile) {
    return tile == 0 ? 32.0 : tile == 1 || tile == 3 ? 64.0 : tile == 5 || tile == 7 ? 256.0 : 128.0;
}

// Kernels whose tile follows from the rows alone: up to so many rows, in groups of so many; rows and columns of
// a tile. Below 65 rows the operands change places, and narrow products take thinner tiles.
constexpr int row_tiles = 4;
constexpr double narrow_product = 1280.0;
TR_HD double row_tile_most(int tile) { return tile == 0 ? 16.0 : tile == 1 ? 64.0 : 128.0; }
TR_HD double row_tile_group(int tile) { return tile < 2 ? 1.0 : 2.0; }
TR_HD double row_tile_rows(int tile, double n) {
    return tile == 0 || (tile == 1 && n <= narrow_product) ? 16.0 : tile < 3 ? 64.0 : 128.0;
}
TR_HD double row_tile_columns(int tile) { return tile < 2 ? 64.0 : 128.0; }

// What does not depend on m.
struct Gemm {
    double t0, overlap, split;
    double k, wave, prologue;
    double down[gemm_tiles], across[gemm_tiles];  // rows of tiles per row of m; waves of a row of tiles
    double unit[gemm_tiles];                      // seconds per column of k
    double weights_s, row_s, split_s, quantise_s; // seconds: weights; per row of m
    double row_flops, weights, row_bytes;
    double inverse_resident, saved; // of warm operands
    bool by_rows;                   // the first tiles are those of `row_tile_rows`, in groups
};

// g: the block of constants. warm: the same operands again and again, as benchmarks of kernels run; a model's
// step reads cold.
TR_HD Gemm prepare_gemm(const double* d, const double* g, double n, double k, int weight, int activation,
                        bool warm = false) {
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
    const double latency = g[constant::gemm::latency];
    r.by_rows = g[constant::gemm::tiles] == 1.0;
    const auto add = [&](int t, double tm, double tn, double group) {
        // a block computes its tile, or waits for the operands that its multiprocessor can draw
        r.unit[t] = max_nan(max_nan((tm * tn + loss) * flop, tm * row_stream + tn * column_stream), latency);
        r.across[t] = ceil_lanes(n * (1.0 / tn)) * (group * inverse);
        r.down[t] = 1.0 / (tm * group);
    };
    if (r.by_rows)
        for (int t = 0; t < row_tiles; ++t) add(t, row_tile_rows(t, n), row_tile_columns(t), row_tile_group(t));
    else
        for (int t = 0; t < gemm_tiles; ++t) add(t, gemm_tile_rows(t), gemm_tile_columns(t), 1.0);
    r.row_flops = 2.0 * n * k;
    r.weights = n * k * dtype_bytes(weight);
    const double row = k * narrow + n * 2.0, quantised = narrow < 2.0 ? k * quantise_bytes(narrow) : 0.0;
    r.row_bytes = row + quantised;
    const double reached = bandwidth * g[constant::gemm::memory];
    r.weights_s = r.weights / reached;
    r.row_s = row / reached;
    r.split = g[constant::gemm::split];
    r.split_s = n * 8.0 / bandwidth; // 32-bit sums, written and read
    if (narrow < 2.0) {
        const double step = g[constant::gemm::quantise_step];
        const double columns = step * ceil_lanes(k / step) + g[constant::gemm::quantise_row];
        r.quantise_s = columns * quantise_bytes(narrow) / (bandwidth * g[constant::gemm::quantise]);
    } else
        r.quantise_s = 0.0;
    r.inverse_resident = r.saved = 0.0;
    if (warm) {
        r.inverse_resident = inverse_resident(d, g[constant::gemm::resident]);
        r.saved = saved_by_l2(d, g[constant::gemm::cached]);
    }
    return r;
}

// How the tiles are tried: one after the other for lanes of m, all at once for a single m.
template <class V> struct TileLanes {
    using Type = V;
    static constexpr int groups = gemm_tiles;
    static TR_HD V spread(V x) { return x; }
    static TR_HD double at(const double* tiles, int t) { return tiles[t]; }
    static TR_HD V least(const V* x) {
        V y[gemm_tiles / 2];
        for (int t = 0; t < gemm_tiles / 2; ++t) y[t] = x[t + gemm_tiles / 2] < x[t] ? x[t + gemm_tiles / 2] : x[t];
        for (int half = gemm_tiles / 4; half > 0; half /= 2)
            for (int t = 0; t < half; ++t) y[t] = y[t + half] < y[t] ? y[t + half] : y[t];
        return y[0];
    }
};
#if defined(__GNUC__) && !defined(__CUDACC__) && !defined(__CUDACC_RTC__)
template <> struct TileLanes<double> {
    using Type = double8;
    static constexpr int groups = 1;
    static TR_HD double8 spread(double x) { return splat<double8>(x); }
    static TR_HD double8 at(const double* tiles, int) {
        double8 x;
        __builtin_memcpy(&x, tiles, sizeof x);
        return x;
    }
    static TR_HD double least(const double8* x) {
        double8 y = *x;
        const double8 a = __builtin_shufflevector(y, y, 4, 5, 6, 7, 0, 1, 2, 3);
        y = a < y ? a : y;
        const double8 b = __builtin_shufflevector(y, y, 2, 3, 0, 1, 6, 7, 4, 5);
        y = b < y ? b : y;
        return y[1] < y[0] ? y[1] : y[0];
    }
};
#endif

// Seconds of a product whose tiles of one split (and one more per each of `sums` partial sums) are known.
template <class V> TR_HD V split_total(const Gemm& r, V compute, V memory, V rows, V sums) {
    const V none = splat<V>(0.0);
    const V joined = sums > none ? r.split + rows * (sums * r.split_s) : rows * 0.0;
    return smooth_max(compute, memory, r.overlap) + joined;
}

// The best of the splits, the first of equals: its seconds, and those of its tiles.
template <class V>
TR_HD void best_split(const Gemm& r, const V* compute, int splits, V memory, V rows, V& best, V& shortest) {
    for (int i = 0; i < splits; ++i) {
        const V total = split_total(r, compute[i], memory, rows, splat<V>(i > 0 ? double(1 << i) : 0.0));
        shortest = total < best ? compute[i] : shortest;
        best = total < best ? total : best;
    }
}
#if defined(__AVX512F__) && !defined(__CUDACC__) && !defined(__CUDACC_RTC__)
// A single product: all splits at once, for which of two is longer is hard to foresee.
template <>
TR_HD void best_split(const Gemm& r, const double* compute, int splits, double memory, double rows, double& best,
                      double& shortest) {
    const double8 sums = {0.0, 2.0, 4.0, 8.0, 16.0};
    double8 tiles = splat<double8>(infinite());
    for (int i = 0; i < splits; ++i) tiles[i] = compute[i];
    const double8 total = split_total(r, tiles, splat<double8>(memory), splat<double8>(rows), sums);
    for (int i = 0; i < gemm_splits; ++i) {
        shortest = total[i] < best ? compute[i] : shortest;
        best = total[i] < best ? total[i] : best;
    }
}
#endif

// Seconds of a tile's waves: part of a last, partial wave is paid.
template <class W> TR_HD W paid_waves(W waves, double share) {
    const W full = splat<W>(1.0), paid = waves + share * (ceil_lanes(waves) - waves);
    return waves <= full ? full : paid;
}

// Seconds of the one tile that so many rows have.
template <class V> TR_HD V ruled_tile(const Gemm& r, V rows) {
    const double depth = r.k + r.prologue;
    V seconds = splat<V>(0.0);
    for (int t = row_tiles - 1; t >= 0; --t) {
        const V own = paid_waves(ceil_lanes(rows * r.down[t]) * r.across[t], r.wave) * (depth * r.unit[t]);
        seconds = t == row_tiles - 1 || rows <= splat<V>(row_tile_most(t)) ? own : seconds;
    }
    return seconds;
}

// Seconds of the fastest tile, and of the whole, over splits.
template <class V> TR_HD void fastest_tile(const Gemm& r, V rows, V memory, V& best, V& shortest) {
    using Tiles = TileLanes<V>;
    using W = typename Tiles::Type;
    const W spread = Tiles::spread(rows);
    W waves[Tiles::groups], seconds[Tiles::groups];
    for (int t = 0; t < Tiles::groups; ++t)
        waves[t] = ceil_lanes(spread * Tiles::at(r.down, t)) * Tiles::at(r.across, t);
    V compute[gemm_splits];
    int splits = 0;
    for (; splits < gemm_splits && (splits == 0 || r.k >= 64.0 * double(1 << splits)); ++splits) {
        const double split = double(1 << splits), depth = r.k * (1.0 / split) + r.prologue;
        for (int t = 0; t < Tiles::groups; ++t)
            seconds[t] = paid_waves(waves[t] * split, r.wave) * (depth * Tiles::at(r.unit, t));
        compute[splits] = Tiles::least(seconds);
    }
    best_split(r, compute, splits, memory, rows, best, shortest);
}

template <class V> TR_HD Cost<V> gemm_cost(const Gemm& r, V m) {
    const V rows = ceil_lanes(m), none = splat<V>(0.0);
    const V cold = r.weights_s + rows * r.row_s, bytes = r.weights + rows * r.row_bytes;
    const V memory = r.saved > 0.0 ? cold - cold * resident(bytes, r.inverse_resident, r.saved) : cold;
    V best = splat<V>(infinite()), shortest = best;
    if (r.by_rows) {
        shortest = ruled_tile(r, rows);
        best = smooth_max(shortest, memory, r.overlap);
    } else {
        fastest_tile(r, rows, memory, best, shortest);
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
    out.bytes = bytes;
    return out;
}

} // namespace TR_ISA
} // namespace tokenroof
