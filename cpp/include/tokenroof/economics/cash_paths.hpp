// One path of a factory's cash: the price of what it sells and that of electricity wander about their means, year
// by year. V is a double, or a vector of them: a path in each lane.
//   [Kou] Kou, A Jump-Diffusion Model for Option Pricing, Management Science 48(8), 2002: sizes of jumps.
#pragma once
#include "tokenroof/core/lanes.hpp"
#include "tokenroof/core/random.hpp"
#include "tokenroof/core/special.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Logarithms of both prices over their expected course: a year keeps the part *_keep of the last one's and adds
// *_noise times a normal number; `correlation` of the two. A year has a jump of the price with the chance
// jump_chance, upwards in the part jump_up_share, of exponential size with the mean jump_up or jump_down.
// can_stop: a year that earns less than its electricity is not run. Without reserve nobody is ruined.
#define TR_CASH_FIELDS(X)                                                                                        \
    X(price_start) X(price_keep) X(price_noise) X(power_start) X(power_keep) X(power_noise) X(correlation)      \
    X(jump_chance) X(jump_up_share) X(jump_up) X(jump_down) X(can_stop) X(tax_rate)
struct CashModel {
#define TR_FIELD(name) double name;
    TR_CASH_FIELDS(TR_FIELD)
#undef TR_FIELD
};

// Money of each year at expected prices; costs and deductions lower what is taxed, deductions and other do not
// pass through tax as cash does: cash = earned - costs - tax + other, taxed = earned - costs - deductions.
#define TR_CASH_COLUMNS(X) X(revenue) X(power) X(costs) X(deductions) X(other) X(discount)
struct CashYears {
    int years;
#define TR_FIELD(name) const double* name;
    TR_CASH_COLUMNS(TR_FIELD)
#undef TR_FIELD
};

enum CashStream : unsigned int { stream_prices = 0, stream_jumps = 1 };

// What a path comes to.
template <class V> struct CashPath {
    V worth;  // present value
    V lowest; // the least sum of the years so far
};

// Both logarithms, a year later.
template <class V, class I>
TR_HD void cash_prices(const CashModel& m, I year, I path, unsigned int key0, unsigned int key1, double other_noise,
                       V& price, V& power) {
    V u, v, first, second;
    uniforms<V, I>(year, stream_prices, path, key0, key1, u, v);
    normals<V>(u, v, first, second);
    price = price * m.price_keep + first * m.price_noise;
    power = power * m.power_keep + (first * m.correlation + second * other_noise) * m.power_noise;
    if (m.jump_chance == 0.0) return;
    uniforms<V, I>(year, stream_jumps, path, key0, key1, u, v);
    const auto jumps = u < splat<V>(m.jump_chance);
    if (!any(jumps)) return;
    const auto up = u < splat<V>(m.jump_chance * m.jump_up_share);
    const V size = log_positive<V>(v) * (up ? splat<V>(-m.jump_up) : splat<V>(m.jump_down));
    price = jumps ? price + size : price;
}

// `seen`, where it is given, is told of each year: (year, price, power, cash).
template <class V, class I, class Seen>
TR_HD CashPath<V> cash_path(const CashModel& m, const CashYears& y, I path, unsigned int key0, unsigned int key1, Seen seen) {
    const V zero = splat<V>(0.0);
    V price = splat<V>(m.price_start), power = splat<V>(m.power_start);
    CashPath<V> out{zero, splat<V>(infinite())};
    V sum = zero, income = zero, taxed = zero;
    const double other_noise = square_root(1.0 - m.correlation * m.correlation);
    for (int t = 0; t < y.years; ++t) {
        cash_prices<V, I>(m, splat_word<I>((unsigned long long)t), path, key0, key1, other_noise, price, power);
        V earned = exponential<V>(price) * y.revenue[t] - exponential<V>(power) * y.power[t];
        if (m.can_stop != 0.0) earned = max_nan(earned, zero);
        V cash = earned - y.costs[t];
        income = income + (cash - y.deductions[t]);
        const V most = max_nan(taxed, income); // losses are carried forward
        cash = cash - (most - taxed) * m.tax_rate + y.other[t];
        taxed = most;
        out.worth = out.worth + cash * y.discount[t];
        sum = sum + cash;
        out.lowest = min_nan(out.lowest, sum);
        seen(t, price, power, cash);
    }
    return out;
}

} // namespace TR_ISA
} // namespace tokenroof
