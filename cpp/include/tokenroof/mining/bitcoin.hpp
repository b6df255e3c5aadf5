// A miner against the network: waits, difficulty, and the prices at which a machine stops. A PH/s is
// 1e15 hash/s, hashprice is in $/(PH/s day), and dollars stand for any currency.
#pragma once
#include "tokenroof/core/config.hpp"
#include "tokenroof/core/maths.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// --- network -----------------------------------------------------------------------------------------

// Hashes that a block takes in the mean; 2^256 / (target + 1) is larger by 1.5e-5.
template <class T> TR_HD T hashes_per_block(T difficulty) { return difficulty * T(4294967296.0); }

// [s] Mean wait for a block at a hashrate; or, as the two change places, the hashrate at a wait. NaN below zero.
template <class T> TR_HD T time_to_block(T hashrate, T difficulty) {
    const T rate = hashrate + nan_unless(!(hashrate < T(0) || difficulty < T(0)), hashrate);
    return hashes_per_block(difficulty) / rate;
}

// Probability of at least one block within a time: 1 - exp(-expected blocks) [Poisson].
template <class T> TR_HD T block_probability(T hashrate, T difficulty, T seconds) {
    const double expected = double(seconds) * double(hashrate) / hashes_per_block(double(difficulty));
    return T(0.0 - expm1_negative(-(expected + nan_unless(!(expected < 0.0), expected))));
}

// Difficulty after a period that took `span` instead of `target_span`, at most four times either way
// [Bitcoin Core, CalculateNextWorkRequired, without its rounding].
template <class T> TR_HD T next_difficulty(T difficulty, T span, T target_span) {
    const T held = max_nan(target_span / T(4), min_nan(target_span * T(4), span));
    return difficulty * (target_span / held);
}

// Blocks that a PH/s over a day finds in the mean.
template <class T> TR_HD T blocks_per_phs_day(T difficulty) {
    return T(86400) * T(1e15) / hashes_per_block(difficulty);
}

// [$] Price of a bitcoin, and difficulty, at which a PH/s earns `hashprice` a day.
template <class T> TR_HD T price_at_hashprice(T difficulty, T reward_btc, T hashprice) {
    return hashprice / (blocks_per_phs_day(difficulty) * reward_btc);
}
template <class T> TR_HD T difficulty_at_hashprice(T reward_btc, T price_usd, T hashprice) {
    return blocks_per_phs_day(T(1)) * reward_btc * price_usd / hashprice;
}

// --- one machine -------------------------------------------------------------------------------------

// [$/day] What a machine earns, and [kWh/day] what it uses at the meter.
template <class T> TR_HD T miner_revenue(T hashrate, T hashprice, T fee) {
    return hashprice * (hashrate / T(1e15)) * (T(1) - fee);
}
template <class T> TR_HD T miner_kwh(T watts, T pue) { return watts * pue * T(86400) / T(3.6e6); }

// [$/day] Revenue less power.
template <class T>
TR_HD T miner_margin(T hashrate, T watts, T hashprice, T price_per_kwh, T fee, T pue) {
    return miner_revenue(hashrate, hashprice, fee) - miner_kwh(watts, pue) * price_per_kwh;
}

// [$/kWh] Price of power at which the margin is zero.
template <class T>
TR_HD T break_even_power_price(T hashrate, T watts, T hashprice, T fee, T pue) {
    return miner_revenue(hashrate, hashprice, fee) / miner_kwh(watts, pue);
}

// [$/(PH/s day)] Hashprice at which the margin is zero.
template <class T>
TR_HD T shutdown_hashprice(T hashrate, T watts, T price_per_kwh, T fee, T pue) {
    return miner_kwh(watts, pue) * price_per_kwh / (hashrate / T(1e15) * (T(1) - fee));
}

} // namespace TR_ISA
} // namespace tokenroof
