// One path of a mining pool's or a miner's balance: blocks by a Poisson process, shares counted, fees
// lognormal, costs paid all the time. V is a double, or a vector of them: a path in each lane.
//   [R11] Rosenfeld, Analysis of Bitcoin Pooled Mining Reward Systems, arXiv:1112.4980.
#pragma once
#include "tokenroof/core/lanes.hpp"
#include "tokenroof/core/random.hpp"
#include "tokenroof/core/special.hpp"

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

// What is drawn: waits for blocks, counts of shares (normal; uniform where they are few), luck of fees.
// Each draw of a stream gives two numbers.
enum PoolStream : unsigned int { stream_blocks = 0, stream_shares = 1, stream_few_shares = 2, stream_fees = 3 };

// Number i of a stream, i = 0, 1, 2 ... in this order: every other one is kept from the call before.
template <class V, class I> struct Numbers {
    unsigned int stream, key0, key1;
    V kept;
    TR_HD V uniform(unsigned long long i, I path) {
        if (i & 1) return kept;
        V now;
        uniforms<V, I>(splat_word<I>(i >> 1), stream, path, key0, key1, now, kept);
        return now;
    }
    TR_HD V normal(unsigned long long i, I path) {
        if (i & 1) return kept;
        V u, v, now;
        uniforms<V, I>(splat_word<I>(i >> 1), stream, path, key0, key1, u, v);
        normals<V>(u, v, now, kept);
        return now;
    }
};

// Shares counted over the time between two events, number i.
template <class V, class I> TR_HD V count_shares(Numbers<V, I>& luck, unsigned long long i, I path, V mean) {
    return poisson_count<V>(luck.normal(i, path), mean, [&]() TR_INLINE {
        V u, v;
        uniforms<V, I>(splat_word<I>(i >> 1), stream_few_shares, path, luck.key0, luck.key1, u, v);
        return i & 1 ? v : u;
    });
}

// Room for the blocks that wait, their window begun: those of a window, or of the time that is played if that is
// shorter. More than the mean count, twelve standard deviations and 128 do not happen (below 1e-30).
TR_HD int pool_ring_size(const PoolModel& m) {
    const double waiting = m.block_rate * (m.window_s < m.horizon_s ? m.window_s : m.horizon_s);
    int size = 128;
    while (size < 1 << 28 && (size < waiting + 128.0 || (size - waiting - 128.0) * (size - waiting - 128.0) < 144.0 * waiting))
        size *= 2;
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
    if (!any(falls)) return;
    ruin_time = falls ? start + length * (before / (before - after)) : ruin_time;
}

template <class V> TR_HD V lognormal_fees(const PoolModel& m, V normal) {
    return exponential<V>(normal * m.fee_sigma) * m.fee_scale;
}

// Every block is paid out as it is found. Stop is what the host's threads look at, or a device's.
template <class V, class I, class Stop>
TR_HD PoolPath<V> pool_path(const PoolModel& m, I path, unsigned int key0, unsigned int key1, const Stop* stop) {
    const V zero = splat<V>(0.0), horizon = splat<V>(m.horizon_s);
    PoolPath<V> out{zero, splat<V>(infinite())};
    V t = zero, balance = splat<V>(m.reserve);
    Numbers<V, I> waits{stream_blocks, key0, key1, zero}, counts{stream_shares, key0, key1, zero},
        lucks{stream_fees, key0, key1, zero};
    const double mean_wait = 1.0 / m.block_rate;
    for (unsigned long long i = 0; any(t < horizon); ++i) {
        if (stop && (i & 1023) == 0 && *stop) break;
        const V next = t - log_positive<V>(waits.uniform(i, path)) * mean_wait;
        const auto found = next < horizon;
        const V end = found ? next : horizon, length = end - t;
        V paid = zero;
        if (m.share_rate > 0.0)
            paid = count_shares<V, I>(counts, i, path, length * m.share_rate) * m.share_gain;
        const V after = balance + (paid - length * m.cost_rate);
        pool_ruin<V>(out.ruin_time, t, length, balance, after);
        V gain = zero;
        if (m.fee_gain != 0.0)
            gain = (m.fee_sigma == 0.0 ? splat<V>(m.fee_scale) : lognormal_fees<V>(m, lucks.normal(i, path))) * m.fee_gain;
        gain = found ? gain + m.block_gain : zero;
        out.income = out.income + (paid + gain);
        balance = after + gain;
        t = end;
    }
    return out;
}

// Blocks of a PPLNS pool, lane by lane: those that are drawn wait in the ring until they are paid, a row of lanes
// each of their times, the counts at their windows' starts and the lucks of their fees.
template <class V> struct PplnsBlocks {
    static constexpr int lanes = sizeof(V) / sizeof(double);
    double *times, *starts, *fees;
    int ring_size;
    long long drawn[lanes] = {}, paid_for[lanes] = {}; // blocks whose window has begun; that were paid
    Lanes<V> next_time, next_start, next_fees, begun;  // of the next one to be paid
    TR_HD PplnsBlocks(double* ring, int size)
        : times(ring), starts(ring + size * lanes), fees(ring + 2 * size * lanes), ring_size(size) {
        for (int l = 0; l < lanes; ++l) next_time.x[l] = infinite(), next_start.x[l] = next_fees.x[l] = begun.x[l] = 0.0;
    }
    // At `end`: the block `ahead` is drawn where its window opens, and the next one is paid where it is due.
    TR_HD void advance(double horizon, V end, V ahead, V opens, V count, V worth, V& income) {
        const Lanes<V> now(end), when(ahead), first(opens), so_far(count), worths(worth);
        for (int l = 0; l < lanes; ++l) {
            // the same comparisons as the masks of pplns_path
            if (!(now.x[l] < horizon)) continue;
            const bool begin = first.x[l] <= now.x[l], pay = next_time.x[l] <= now.x[l];
            if (begin) {
                const int slot = int(drawn[l] & (ring_size - 1)) * lanes + l;
                times[slot] = when.x[l];
                starts[slot] = so_far.x[l];
                fees[slot] = worths.x[l];
                begun.x[l] = double(++drawn[l]);
                if (drawn[l] - paid_for[l] >= ring_size) put(income, l, not_a_number());
            }
            paid_for[l] += pay;
            if (pay || (begin && paid_for[l] + 1 == drawn[l])) { // another block is the next to be paid
                const bool waiting = paid_for[l] < drawn[l];
                const int slot = int(paid_for[l] & (ring_size - 1)) * lanes + l;
                next_time.x[l] = waiting ? times[slot] : infinite();
                next_start.x[l] = waiting ? starts[slot] : 0.0;
                next_fees.x[l] = waiting ? fees[slot] : 0.0;
            }
        }
    }
};

// Pay per last N shares [R11, section 3.3], its window counted in time: N shares at the pool's mean rate.
// Between window starts and blocks, in the order of time, the miner's shares are independent Poisson
// counts; a block pays for what was counted since its window began. Blocks are drawn a window ahead, those
// after the end not at all: a path costs two events a block, however long the window.
template <class V, class I, class Stop>
TR_HD PoolPath<V> pplns_path(const PoolModel& m, I path, unsigned int key0, unsigned int key1, double* ring,
                             int ring_size, const Stop* stop) {
    const V zero = splat<V>(0.0), horizon = splat<V>(m.horizon_s), never = splat<V>(infinite());
    PoolPath<V> out{zero, never};
    V t = splat<V>(m.window_filled != 0.0 ? -m.window_s : 0.0), balance = splat<V>(m.reserve), count = zero;
    PplnsBlocks<V> blocks(ring, ring_size);
    Numbers<V, I> counts{stream_shares, key0, key1, zero};
    const double mean_wait = 1.0 / m.block_rate;
    V wait, luck;
    I index = splat_word<I>(0); // of the block ahead
    uniforms<V, I>(index, stream_blocks, path, key0, key1, wait, luck);
    V ahead = zero - log_positive<V>(wait) * mean_wait; // the next block whose window has not begun
    for (unsigned long long i = 0; any(t < horizon); ++i) {
        if (stop && (i & 1023) == 0 && *stop) break;
        const V opens = ahead < horizon ? ahead - m.window_s : never, block = blocks.next_time.all();
        V end = min_nan(min_nan(opens, block), horizon);
        end = t < zero ? min_nan(end, zero) : end; // what came before the start earns nothing by itself
        end = max_nan(end, t);
        const V length = end - t;
        const V shares = count_shares<V, I>(counts, i, path, length * m.share_rate);
        count = count + shares;
        const V paid = t < zero ? zero : shares * m.share_gain;
        const V spent = t < zero ? zero : length * m.cost_rate;
        const V after = balance + (paid - spent);
        pool_ruin<V>(out.ruin_time, t, length, balance, after);
        const auto pays = (block <= end) & (end < horizon);
        const auto begins = (opens <= end) & (end < horizon);
        const V worth = blocks.next_fees.all() * m.fee_gain + m.block_gain;
        const V gain = pays ? worth * ((count - blocks.next_start.all()) / m.window_shares) : zero;
        out.income = out.income + (paid + gain);
        balance = after + gain;
        t = end;
        if (!any(pays | begins)) continue;
        V fees = splat<V>(m.fee_scale);
        if (m.fee_sigma != 0.0) {
            V normal, unused;
            uniforms<V, I>(index, stream_fees, path, key0, key1, wait, luck);
            normals<V>(wait, luck, normal, unused);
            fees = lognormal_fees<V>(m, normal);
        }
        blocks.advance(m.horizon_s, end, ahead, opens, count, fees, out.income);
        if (!any(begins)) continue;
        index = same_bits<I>(blocks.begun.all() + 4503599627370496.0) & 0xffffffffULL; // 2^52: to an integer
        uniforms<V, I>(index, stream_blocks, path, key0, key1, wait, luck);
        ahead = begins ? ahead - log_positive<V>(wait) * mean_wait : ahead;
    }
    return out;
}

} // namespace TR_ISA
} // namespace tokenroof
