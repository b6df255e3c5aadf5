// Matrix product [m, k] @ [k, n] as libraries run it: the best of a few tiles and splits of k, in waves over
// the multiprocessors, overlapped with the traffic of its operands.
//
// A tile's column of k takes as long as what limits it on a multiprocessor, each at its own rate, so that
// devices with less arithmetic carry the constants of their generation: the tensor cores, at the clock that the
// board's limit pays for; operands fed per clock; clocks in which nothing is issued. Few rows have kernels of
// their own: one row on the vector units, eight on tensor cores with the operands' places changed.
//
// Constants (TR_GEMM_CONSTANTS): t0 [s] per launch; compute: share of the peak that tensor cores reach where
// watts are no limit; joule [J]: of an operation at full clock; memory: share of the bandwidth; overlap: what
// of the shorter one is not hidden (`smooth_max`); wave: how much of a last, partial wave is paid; fill [clocks
// per element of a tile]: filling and draining the pipeline; issue [clocks]: of a column of k of a tile of 64
// rows or more, beside the tensor cores; stream [bytes per clock] that a multiprocessor can draw; latency
// [clocks per byte of a weight] of a column of k; split [s]: joining partial sums; quantise: share of the
// bandwidth at which activations are narrowed; quantise_step: columns that a block narrows at once;
// quantise_row: columns that a row costs besides; cached, resident: as in decode attention; tiles: 0, the
// fastest, or 1, fixed by the rows.
//   Tiles and waves: NVIDIA, Matrix Multiplication Background User's Guide (DU-09799-001), sections 3.3, 4.
//   Split-K: Osama et al., Stream-K, arXiv:2301.03598, section 3.
//   Tiles by rows: vLLM, csrc/quantization/w8a8/cutlass/c3x/scaled_mm_sm90_fp8_dispatch.cuh.
//   Few rows: Frantar et al., MARLIN, arXiv:2408.11743; mma.m16n8k16: NVIDIA, PTX ISA, section 9.7.
//   A limit in watts: Choi et al., IPDPS 2014; a rate that grows with the root of the watts: their product with
//   the clock's voltage, Horowitz, ISSCC 2014.
#pragma once
#include "tokenroof/core/maths.hpp"
#include "tokenroof/core/special.hpp"
#include "tokenroof/inference/cost.hpp"
#include "tokenroof/inference/elementwise.hpp"
#include "tokenroof/inference/l2.hpp"
#include "tokenroof/records/records.hpp"

namespace tokenroof {
inline namespace TR_ISA {

constexpr int gemm_tiles = 8, gemm_splits = 5; // splits: 1, 2, 4, 8, 16

// Rows and columns of the tiles, by number; the first is the vector units'.
TR_HD double gemm_tile_rows(int tile) {
    return tile == 0 ? 1.0 : tile == 1 ? 8.0 : tile < 5 ? 64.0 : tile < 7 ? 128.0 : 256.0;
}
TR_HD double gemm_tile_columns(int tile) {
    return tile == 2 ? 32.0 : tile < 4 ? 64.0 : tile < 6 ? 128.0 : 256.0;
}
constexpr double issued_rows = 64.0;  // rows of a tile from which on `issue` counts
constexpr double usual_clock = 1.9e9; // [Hz] of a device that does not say

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
    double k, wave;
    double down[gemm_tiles], across[gemm_tiles];  // rows of tiles per row of m; waves of a row of tiles
    double unit[gemm_tiles], fill[gemm_tiles];    // seconds per column of k; and of a tile besides
    double weights_s, row_s, split_s, quantise_s; // seconds: weights; per row of m
    double row_flops, weights, row_bytes;
    double inverse_resident, saved; // of warm operands
    bool by_rows;                   // the first tiles are those of `row_tile_rows`, in groups
};

// Share of a type's peak that tensor cores reach under the board's limit: the fourth powers of what either alone
// would take add up. A clock's watts grow with its square, so the limit leaves a root.
TR_HD double reached_share(const double* d, const double* g, double peak) {
    const double full = 1.0 / (g[constant::gemm::compute] * g[constant::gemm::compute]);
    const double limit = d[device::tdp_w], watts = g[constant::gemm::joule] * peak;
    const double over = limit > 0.0 && watts > 0.0 ? watts / limit : 0.0; // at full clock, of what there is
    return 1.0 / square_root(square_root(full * full + over * over));
}

// Seconds of a column of k of each tile, and of a tile besides.
TR_HD void prepare_tiles(Gemm& r, const double* d, const double* g, double n, int weight, double narrow) {
    const double sms = d[device::sm_count], inverse = 1.0 / sms, peak = dtype_peak(d, weight);
    const double known = d[device::boost_clock_hz], clock = known > 0.0 ? known : usual_clock;
    const double flop = 2.0 / (peak * reached_share(d, g, peak) / sms);
    // vector units convert an element in the slot of a multiplication
    const double vectors = d[device::peak_fp32] / sms, vector = vectors > 0.0 ? 4.0 / vectors : infinite();
    const double stream = g[constant::gemm::stream] * clock, stored = dtype_bytes(weight);
    const double row_stream = narrow / stream, column_stream = stored / stream;
    const double latency = g[constant::gemm::latency] * stored / clock, issue = g[constant::gemm::issue] / clock;
    const double element = g[constant::gemm::fill] / clock;
    const auto add = [&](int t, double tm, double tn, double group) {
        const double area = tm * tn;
        const double work = tm > 1.0 ? area * flop + (tm < issued_rows ? 0.0 : issue) : area * vector;
        // a block computes its tile, or waits for the operands that its multiprocessor can draw
        r.unit[t] = max_nan(max_nan(work, tm * row_stream + tn * column_stream), latency);
        r.fill[t] = area * element;
        r.across[t] = ceil_lanes(n * (1.0 / tn)) * (group * inverse);
        r.down[t] = 1.0 / (tm * group);
    };
    if (r.by_rows)
        for (int t = 0; t < row_tiles; ++t) add(t, row_tile_rows(t, n), row_tile_columns(t), row_tile_group(t));
    else
        for (int t = 0; t < gemm_tiles; ++t) add(t, gemm_tile_rows(t), gemm_tile_columns(t), 1.0);
}

// g: the block of constants. warm: the same operands again and again, as benchmarks of kernels run; a model's
// step reads cold. come_narrow: the kernel before has quantised the activations.
TR_HD Gemm prepare_gemm(const double* d, const double* g, double n, double k, int weight, int activation,
                        bool warm = false, bool come_narrow = false) {
    const double bandwidth = d[device::memory_bandwidth], narrow = activation_bytes(activation);
    Gemm r;
    r.t0 = g[constant::gemm::t0];
    r.overlap = g[constant::gemm::overlap];
    r.k = k;
    r.wave = g[constant::gemm::wave];
    r.by_rows = g[constant::gemm::tiles] == 1.0;
    prepare_tiles(r, d, g, n, weight, narrow);
    r.row_flops = 2.0 * n * k;
    r.weights = n * k * dtype_bytes(weight);
    const double row = k * narrow + n * 2.0, quantised = come_narrow ? 0.0 : k * quantise_bytes(narrow);
    r.row_bytes = row + quantised;
    const double reached = bandwidth * g[constant::gemm::memory];
    r.weights_s = r.weights / reached;
    r.row_s = row / reached;
    r.split = g[constant::gemm::split];
    r.split_s = n * 8.0 / bandwidth; // 32-bit sums, written and read
    if (narrow < 2.0 && !come_narrow) {
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
// As wide as the registers compiled for, no wider: GCC warns of vectors that are.
template <> struct TileLanes<double> {
#if defined(__AVX512F__)
    using Type = double8;
#elif defined(__AVX__)
    using Type = double4;
#else
    using Type = double2;
#endif
    static constexpr int lanes = int(sizeof(Type) / sizeof(double)), groups = gemm_tiles / lanes;
    static TR_HD Type spread(double x) { return splat<Type>(x); }
    static TR_HD Type at(const double* tiles, int group) {
        Type x;
        __builtin_memcpy(&x, tiles + group * lanes, sizeof x);
        return x;
    }
    static TR_HD double least(const Type* x) {
        Type y[groups];
        for (int t = 0; t < groups; ++t) y[t] = x[t];
        for (int half = groups / 2; half > 0; half /= 2)
            for (int t = 0; t < half; ++t) y[t] = y[t + half] < y[t] ? y[t + half] : y[t];
        Type z = y[0];
#if defined(__AVX512F__)
        const Type a = __builtin_shufflevector(z, z, 4, 5, 6, 7, 0, 1, 2, 3);
        z = a < z ? a : z;
        const Type b = __builtin_shufflevector(z, z, 2, 3, 0, 1, 6, 7, 4, 5);
        z = b < z ? b : z;
#elif defined(__AVX__)
        const Type b = __builtin_shufflevector(z, z, 2, 3, 0, 1);
        z = b < z ? b : z;
#endif
        return z[1] < z[0] ? z[1] : z[0];
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
    V seconds = splat<V>(0.0);
    for (int t = row_tiles - 1; t >= 0; --t) {
        const V own = paid_waves(ceil_lanes(rows * r.down[t]) * r.across[t], r.wave) * (r.k * r.unit[t] + r.fill[t]);
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
        const double split = double(1 << splits), depth = r.k * (1.0 / split);
        for (int t = 0; t < Tiles::groups; ++t)
            seconds[t] = paid_waves(waves[t] * split, r.wave) * (depth * Tiles::at(r.unit, t) + Tiles::at(r.fill, t));
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
