// One path of a mining pool's or a miner's balance: blocks by a Poisson process, shares counted, fees
// lognormal, costs paid all the time. V is a double, or a vector of them: a path in each lane.
//   [R11] Rosenfeld, Analysis of Bitcoin Pooled Mining Reward Systems, arXiv:1112.4980.
#pragma once
#include "random.hpp"
#include "special.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Coins are in BTC, times in seconds. A block brings block_gain + fee_gain * its fees, a share share_gain.
// Under a window (pay per last N shares) what a block brings is multiplied by the miner's shares of the
// last window_s over window_shares. fee_sigma 0: every block has the fees fee_scale; else they are
// fee_scale * exp(fee_sigma * normal).
#define TR_POOL_FIELDS(X)                                                                                \
    X(horizon_s) X(block_rate) X(share_rate) X(block_gain) X(fee_gain) X(share_gain) X(fee_scale)        \
    X(fee_sigma) X(reserve) X(cost_rate) X(window_s) X(window_shares) X(window_filled)
struct PoolModel {
#define TR_FIELD(name) double name;
    TR_POOL_FIELDS(TR_FIELD)
#undef TR_FIELD
};

enum PoolStream : unsigned int { stream_blocks = 0, stream_shares = 1 };

// Room for the blocks whose window has begun: more than that in one window does not happen (a Poisson
// count four times its mean and 64 over it: below 1e-30).
TR_HD int pool_ring_size(double window_blocks) {
    int size = 128;
    while (size < 4.0 * window_blocks + 64.0) size *= 2;
    return size;
}

template <class V> struct PoolPath {
    V income;    // over the horizon, before costs [BTC]
    V ruin_time; // when the balance first fell below zero, infinite if never [s]
};

// What it fell by in between is taken as evenly spread: exact without shares, and for a payer of shares
// up to their noise.
template <class V> TR_HD void pool_ruin(V& ruin_time, V start, V length, V before, V after) {
    const V zero = splat<V>(0.0);
    const auto falls = (after < zero) & (ruin_time == splat<V>(infinite()));
    ruin_time = falls ? start + length * (before / (before - after)) : ruin_time;
}

template <class V> TR_HD V block_fees(const PoolModel& m, V u) {
    if (m.fee_sigma == 0.0) return splat<V>(m.fee_scale);
    return exponential<V>(normal_quantile<V>(u) * m.fee_sigma) * m.fee_scale;
}

// Every block is paid out as it is found.
template <class V, class I>
TR_HD PoolPath<V> pool_path(const PoolModel& m, I path, unsigned int key0, unsigned int key1, const volatile bool* stop) {
    const V zero = splat<V>(0.0), horizon = splat<V>(m.horizon_s);
    PoolPath<V> out{zero, splat<V>(infinite())};
    V t = zero, balance = splat<V>(m.reserve);
    for (unsigned long long i = 0; any(t < horizon); ++i) {
        if (stop && (i & 1023) == 0 && *stop) break;
        V wait, luck;
        uniforms<V, I>(splat_word<I>(i), stream_blocks, path, key0, key1, wait, luck);
        const V next = t - log_positive<V>(wait) / m.block_rate;
        const auto found = next < horizon;
        const V end = found ? next : horizon, length = end - t;
        V paid = zero;
        if (m.share_rate > 0.0) {
            V count, unused;
            uniforms<V, I>(splat_word<I>(i), stream_shares, path, key0, key1, count, unused);
            paid = poisson_quantile<V>(count, length * m.share_rate) * m.share_gain;
        }
        const V after = balance + (paid - length * m.cost_rate);
        pool_ruin<V>(out.ruin_time, t, length, balance, after);
        V gain = zero;
        if (m.fee_gain != 0.0) gain = block_fees<V>(m, luck) * m.fee_gain;
        gain = found ? gain + m.block_gain : zero;
        out.income = out.income + (paid + gain);
        balance = after + gain;
        t = end;
    }
    return out;
}

TR_HD double lane(double v, int) { return v; }
TR_HD unsigned long long word(unsigned long long v, int) { return v; }
TR_HD void put(double& v, int, double x) { v = x; }
TR_HD void put(unsigned long long& v, int, unsigned long long x) { v = x; }
#if defined(__GNUC__) && !defined(__CUDACC__) && !defined(__CUDACC_RTC__)
template <class V> TR_HD double lane(V v, int l) { return v[l]; }
template <class I> TR_HD unsigned long long word(I v, int l) { return v[l]; }
template <class V, class X> TR_HD void put(V& v, int l, X x) { v[l] = x; }
#endif

// Pay per last N shares [R11, section 3.3], its window counted in time: N shares at the pool's mean rate.
// Between window starts and blocks, in the order of time, the miner's shares are independent Poisson
// counts; a block pays for what was counted since its window began. Blocks are drawn a window ahead and
// wait in the ring: time, count at the window's start, luck of the fees; a row of lanes each.
template <class V, class I>
TR_HD PoolPath<V> pplns_path(const PoolModel& m, I path, unsigned int key0, unsigned int key1, double* ring,
                             int ring_size, const volatile bool* stop) {
    constexpr int lanes = sizeof(V) / sizeof(double);
    const V zero = splat<V>(0.0), horizon = splat<V>(m.horizon_s), never = splat<V>(infinite());
    PoolPath<V> out{zero, never};
    double *const times = ring, *const counts = ring + ring_size * lanes, *const lucks = ring + 2 * ring_size * lanes;
    V t = splat<V>(m.window_filled != 0.0 ? -m.window_s : 0.0), balance = splat<V>(m.reserve), count = zero;
    long long drawn[lanes] = {}, paid_for[lanes] = {}; // blocks whose window has begun; that were paid
    V wait, ahead_luck, block_time = never, block_count = zero, block_luck = splat<V>(0.5);
    uniforms<V, I>(splat_word<I>(0), stream_blocks, path, key0, key1, wait, ahead_luck);
    V ahead = zero - log_positive<V>(wait) / m.block_rate; // the next block whose window has not begun
    for (unsigned long long i = 0; any(t < horizon); ++i) {
        if (stop && (i & 1023) == 0 && *stop) break;
        const V opens = ahead - m.window_s;
        V end = min_nan(min_nan(opens, block_time), horizon);
        end = t < zero ? min_nan(end, zero) : end; // what came before the start earns nothing by itself
        end = max_nan(end, t);
        const V length = end - t;
        V u, unused;
        uniforms<V, I>(splat_word<I>(i), stream_shares, path, key0, key1, u, unused);
        const V shares = poisson_quantile<V>(u, length * m.share_rate);
        count = count + shares;
        const V paid = t < zero ? zero : shares * m.share_gain;
        const V spent = t < zero ? zero : length * m.cost_rate;
        const V after = balance + (paid - spent);
        pool_ruin<V>(out.ruin_time, t, length, balance, after);
        const auto pays = (block_time <= end) & (end < horizon);
        const auto begins = (opens <= end) & (end < horizon);
        const V worth = block_fees<V>(m, block_luck) * m.fee_gain + m.block_gain;
        const V gain = pays ? worth * ((count - block_count) / m.window_shares) : zero;
        out.income = out.income + (paid + gain);
        balance = after + gain;
        t = end;
        if (!any(pays | begins)) continue;
        I index = splat_word<I>(0);
        for (int l = 0; l < lanes; ++l) {
            // the same comparisons as the masks above
            const double now = lane(end, l);
            if (!(now < m.horizon_s)) continue;
            if (lane(block_time, l) <= now) ++paid_for[l];
            if (lane(opens, l) <= now) {
                const int slot = int(drawn[l] & (ring_size - 1)) * lanes + l;
                times[slot] = lane(ahead, l);
                counts[slot] = lane(count, l);
                lucks[slot] = lane(ahead_luck, l);
                ++drawn[l];
                if (drawn[l] - paid_for[l] >= ring_size) put(out.income, l, not_a_number());
            }
            const bool waiting = paid_for[l] < drawn[l];
            const int slot = int(paid_for[l] & (ring_size - 1)) * lanes + l;
            put(block_time, l, waiting ? times[slot] : infinite());
            put(block_count, l, waiting ? counts[slot] : 0.0);
            put(block_luck, l, waiting ? lucks[slot] : 0.5);
            put(index, l, (unsigned long long)drawn[l]);
        }
        if (!any(begins)) continue;
        V luck;
        uniforms<V, I>(index, stream_blocks, path, key0, key1, wait, luck);
        ahead = begins ? ahead - log_positive<V>(wait) / m.block_rate : ahead;
        ahead_luck = begins ? luck : ahead_luck;
    }
    return out;
}

} // namespace TR_ISA
} // namespace tokenroof
