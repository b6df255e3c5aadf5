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
// Supply follows the price: each year it makes up the part supply_follow of what the price was ahead of it a year
// before, and income goes with the price over it (a network's hashrate: difficulty follows profit). What a MW makes
// and what it costs are drawn once a path, with the standard deviations *_noise of their logarithms; the cost goes
// with the first year's price by capital_correlation. can_stop: a year that earns less than its electricity is not
// run.
#define TR_CASH_FIELDS(X)                                                                                        \
    X(price_start) X(price_keep) X(price_noise) X(power_start) X(power_keep) X(power_noise) X(correlation)      \
    X(jump_chance) X(jump_up_share) X(jump_up) X(jump_down) X(supply_follow) X(output_noise) X(capital_noise)    \
    X(capital_correlation) X(can_stop) X(tax_rate)
struct CashModel {
#define TR_FIELD(name) double name;
    TR_CASH_FIELDS(TR_FIELD)
#undef TR_FIELD
};

// Money of each year at expected prices; costs and deductions lower what is taxed: cash = earned - costs - tax -
// capital + other, taxed = earned - costs - deductions. Deductions are of the capital, and go with its cost.
#define TR_CASH_COLUMNS(X) X(revenue) X(power) X(costs) X(deductions) X(capital) X(other) X(discount)
struct CashYears {
    int years;
#define TR_FIELD(name) const double* name;
    TR_CASH_COLUMNS(TR_FIELD)
#undef TR_FIELD
};

enum CashStream : unsigned int { stream_prices = 0, stream_jumps = 1, stream_levels = 2 };

// What a path comes to.
template <class V> struct CashPath {
    V worth;  // present value
    V lowest; // the least sum of the years so far
};

// Both logarithms, a year later; the first of the year's normal numbers.
template <class V, class I>
TR_HD V cash_prices(const CashModel& m, I year, I path, unsigned int key0, unsigned int key1, double other_noise,
                    V& price, V& power) {
    V u, v, first, second;
    uniforms<V, I>(year, stream_prices, path, key0, key1, u, v);
    normals<V>(u, v, first, second);
    price = price * m.price_keep + first * m.price_noise;
    power = power * m.power_keep + (first * m.correlation + second * other_noise) * m.power_noise;
    if (m.jump_chance == 0.0) return first;
    uniforms<V, I>(year, stream_jumps, path, key0, key1, u, v);
    const auto jumps = u < splat<V>(m.jump_chance);
    if (!any(jumps)) return first;
    const auto up = u < splat<V>(m.jump_chance * m.jump_up_share);
    const V size = log_positive<V>(v) * (up ? splat<V>(-m.jump_up) : splat<V>(m.jump_down));
    price = jumps ? price + size : price;
    return first;
}

// What a MW makes and what it costs, over what is expected: lognormal about 1.
template <class V, class I>
TR_HD void cash_levels(const CashModel& m, I path, unsigned int key0, unsigned int key1, V first, V& output, V& capital) {
    V u, v, one, two;
    uniforms<V, I>(splat_word<I>(0ULL), stream_levels, path, key0, key1, u, v);
    normals<V>(u, v, one, two);
    const double rest = square_root(1.0 - m.capital_correlation * m.capital_correlation);
    output = exponential<V>(one * m.output_noise - 0.5 * m.output_noise * m.output_noise);
    capital = exponential<V>((first * m.capital_correlation + two * rest) * m.capital_noise -
                             0.5 * m.capital_noise * m.capital_noise);
}

// `seen` is told of each year: (year, price over supply, power, supply, cash).
template <class V, class I, class Seen>
TR_HD CashPath<V> cash_path(const CashModel& m, const CashYears& y, I path, unsigned int key0, unsigned int key1, Seen seen) {
    const V zero = splat<V>(0.0);
    V price = splat<V>(m.price_start), power = splat<V>(m.power_start);
    CashPath<V> out{zero, splat<V>(infinite())};
    V sum = zero, income = zero, taxed = zero, supply = zero, output = splat<V>(1.0), capital = output;
    const bool levels = m.output_noise != 0.0 || m.capital_noise != 0.0;
    const double other_noise = square_root(1.0 - m.correlation * m.correlation);
    for (int t = 0; t < y.years; ++t) {
        supply = supply + (price - supply) * m.supply_follow;
        const V first = cash_prices<V, I>(m, splat_word<I>((unsigned long long)t), path, key0, key1, other_noise, price, power);
        if (levels && t == 0) cash_levels<V, I>(m, path, key0, key1, first, output, capital);
        const V ahead = price - supply;
        V earned = exponential<V>(ahead) * output * y.revenue[t] - exponential<V>(power) * y.power[t];
        if (m.can_stop != 0.0) earned = max_nan(earned, zero);
        V cash = earned - y.costs[t];
        income = income + (cash - capital * y.deductions[t]);
        const V most = max_nan(taxed, income); // losses are carried forward
        cash = cash - (most - taxed) * m.tax_rate - capital * y.capital[t] + y.other[t];
        taxed = most;
        out.worth = out.worth + cash * y.discount[t];
        sum = sum + cash;
        out.lowest = min_nan(out.lowest, sum);
        seen(t, ahead, power, supply, cash);
    }
    return out;
}

} // namespace TR_ISA
} // namespace tokenroof
