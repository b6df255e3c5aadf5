// Board power under load: idle, work, traffic and busy multiprocessors, up to where the limit holds it.
//
//     P = cap(idle + compute u_c + memory u_m + sum over classes of active_k a_k)       shares of the limit
//
// u_c: FLOP/s over the type's dense peak, u_m: bytes/s over the bandwidth (both datasheet), a_k: share of
// the time in which multiprocessors run a class of kernels, times the share of them that have a tile. The
// form is that of Choi et al. (IPDPS 2013 and 2014, capped) with utilisation for rates; the classes differ
// by what a busy multiprocessor spends beside tensor work and DRAM: caches, shared memory, instructions.
#pragma once
#include "tokenroof/core/maths.hpp"
#include "tokenroof/records/records.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// The lesser of two powers with a rounded corner, where a regulator holds back before the limit:
// at the corner 0.944 of it, as (p^-12 + c^-12)^(-1/12), which it follows within 0.6 %, without a power.
template <class T> TR_HD T capped_power(T watts, T ceiling_w) {
    const T least = min_nan(watts, ceiling_w), most = max_nan(watts, ceiling_w);
    const T r = most == T(0) ? most : least / most; // nothing under nothing
    const T r3 = r * r * r;
    const T r6 = r3 * r3;
    return least * (T(1) - T(0.05612568731830647) * (r6 * r6)); // 1 - 2^(-1/12)
}

// Mean share of the multiprocessors that have a tile, over all waves of a kernel's tiles.
template <class T> TR_HD T wave_fill(T tiles, T sm_count) {
    const double waves = double(tiles) / double(sm_count);
    const double whole = waves > -2251799813685248.0 ? ceil_lanes<double>(waves) : waves;
    return T(waves / (whole == 0.0 ? 1.0 : whole));
}

// Shares of time in which each class of kernels keeps multiprocessors busy.
struct Activity {
    double gemm, attention_decode, attention_prefill, experts;
};

// Share of the limit that busy multiprocessors draw beside work and traffic, from fitted constants g.
TR_HD double active_share(const double* g, const Activity& a) {
    return (g[constant::power::gemm] * a.gemm + g[constant::power::attention_decode] * a.attention_decode) +
           (g[constant::power::attention_prefill] * a.attention_prefill + g[constant::power::experts] * a.experts);
}

// Share of the limit. cap: the share of it that the board may draw.
TR_HD double power_share(const double* g, double compute_use, double memory_use, const Activity& a, double cap = 1.0) {
    const double active = active_share(g, a);
    const double load = ((g[constant::power::idle] + g[constant::power::compute] * compute_use) +
                         g[constant::power::memory] * memory_use) + active;
    return capped_power(load, g[constant::power::ceiling] * cap);
}

// Watts without fitted constants: idle, and shares of the rest by use, up to the limit.
TR_HD double linear_watts(double limit, double idle, double compute_watts, double memory_watts,
                          double compute_use, double memory_use, double cap = 1.0) {
    return min_nan(limit * cap, idle + (limit - idle) * (compute_watts * compute_use + memory_watts * memory_use));
}

// Watts of one board.
TR_HD double board_watts(const double* d, const double* c, double compute_use, double memory_use,
                         const Activity& a) {
    const double limit = d[device::tdp_w];
    const double* g = c + calibration::block_power;
    if (g[constant::power::idle] == g[constant::power::idle])
        return limit * power_share(g, compute_use, memory_use, a);
    const double own = d[device::idle_w];
    const double idle = own == own ? own : limit * c[calibration::idle_fraction];
    return linear_watts(limit, idle, c[calibration::compute_watts], c[calibration::memory_watts], compute_use,
                        memory_use);
}

} // namespace TR_ISA
} // namespace tokenroof
