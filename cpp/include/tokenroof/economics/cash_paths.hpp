// One path of a factory's cash: the price of what it sells and that of electricity wander about their means, year
// by year. V is a double, or a vector of them: a path in each lane.
//   [Kou] Kou, A Jump-Diffusion Model for Option Pricing, Management Science 48(8), 2002: sizes of jumps.
#pragma once
#include "tokenroof/core/lanes.hpp"
#include "tokenroof/core/quick.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Logarithms of both prices over their expected course. Year 0 is now: its prices are known, *_start. Each year after
// it keeps the part *_keep of the last one's and adds *_noise times a normal number, so that a year's cash, at its end,
// is of prices that have wandered for as many years as it has in its number; `correlation` of the two. A year has a jump of the price with the chance
// jump_chance, upwards in the part jump_up_share, of exponential size with the mean jump_up or jump_down.
// Supply follows the price: each year it makes up the part supply_follow of what the price was ahead of it a year
// before, and income goes with the price over it (a network's hashrate: difficulty follows profit). What a MW makes
// and what it costs are drawn once a path, with the standard deviations *_noise of their logarithms; the cost goes
// with year 1's price by capital_correlation. can_stop: a year that earns less than its electricity is not
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

// Draws of a path: `index` is a group of four years, 1 to 4 the first, whose numbers come from one draw of each stream
// that counts.
enum CashStream : unsigned int { stream_prices = 0, stream_power = 1, stream_jumps = 2, stream_levels = 3 };
constexpr int cash_group = 4;

// What a path comes to.
template <class V> struct CashPath {
    V worth;  // present value
    V lowest; // the least sum of the years so far
};

// Jumps of the price's logarithm: a year's uniform number w is below the chance where there is one, in its lower
// part upwards; what it is of that part is uniform in turn, and gives the size.
struct CashJumps {
    double chance, ups, per_up, per_down, up, down;
};

// The model, and what follows from it for all paths: which numbers no path asks for are not drawn.
struct CashPlan {
    CashModel model;
    CashJumps jumps;
    double common_noise, other_noise, other_capital; // of power with the price, and what the correlations leave
    bool prices, powers, levels, price_moves, power_moves;
};
TR_HD CashPlan cash_plan(const CashModel& m) {
    const double ups = m.jump_chance * m.jump_up_share, downs = m.jump_chance - ups;
    const double other = square_root(1.0 - m.correlation * m.correlation);
    const bool levels = m.output_noise != 0.0 || m.capital_noise != 0.0, jumps = m.jump_chance != 0.0;
    const bool prices = m.price_noise != 0.0 || (m.power_noise != 0.0 && m.correlation != 0.0) ||
                        (m.capital_noise != 0.0 && m.capital_correlation != 0.0);
    return {m,
            {m.jump_chance, ups, ups > 0.0 ? 1.0 / ups : 0.0, downs > 0.0 ? 1.0 / downs : 0.0, -m.jump_up, m.jump_down},
            m.correlation * m.power_noise,
            other * m.power_noise,
            square_root(1.0 - m.capital_correlation * m.capital_correlation),
            prices,
            m.power_noise != 0.0 && other != 0.0,
            levels,
            m.price_noise != 0.0 || m.price_start != 0.0 || jumps,
            m.power_noise != 0.0 || m.power_start != 0.0};
}

// Normal numbers of the four years of a group: pairs of Box and Muller of the words (0, 1) and (2, 3).
template <class V, class I>
TR_HD void cash_normals(I group, unsigned int stream, I path, unsigned int key0, unsigned int key1, V (&z)[cash_group]) {
    I words[4];
    random_words<I>(group, stream, path, key0, key1, words);
    normals_of_words<V, I>(words, z);
}

// What a uniform number is of its part.
template <class V> TR_HD V cash_part(const CashJumps& j, V w) {
    const auto up = w <= splat<V>(j.ups);
    return (w - either(up, splat<V>(0.0), splat<V>(j.ups))) * either(up, splat<V>(j.per_up), splat<V>(j.per_down));
}
template <class V> TR_HD V cash_jump(const CashJumps& j, V w, V log) {
    const V size = log * either(w <= splat<V>(j.ups), splat<V>(j.up), splat<V>(j.down));
    return either(w < splat<V>(j.chance), size, splat<V>(0.0));
}

// The normal numbers of a group's prices, those of power without what they have in common, and the jumps.
template <class V> struct CashDraws {
    V price[cash_group], power[cash_group], jump[cash_group];
};
template <class V, class I>
TR_HD void cash_draw(const CashPlan& p, I group, I path, unsigned int key0, unsigned int key1, CashDraws<V>& d) {
    for (int k = 0; k < cash_group; ++k) d.price[k] = d.power[k] = d.jump[k] = splat<V>(0.0);
    if (p.prices) cash_normals<V, I>(group, stream_prices, path, key0, key1, d.price);
    if (p.powers) cash_normals<V, I>(group, stream_power, path, key0, key1, d.power);
    if (p.jumps.chance == 0.0) return;
    I words[4];
    random_words<I>(group, stream_jumps, path, key0, key1, words);
    for (int k = 0; k < cash_group; k += 2) {
        const V w = uniform_of_word<V, I>(words[k]), x = uniform_of_word<V, I>(words[k + 1]);
        V log_w, log_x;
        logs_quick<V>(cash_part<V>(p.jumps, w), cash_part<V>(p.jumps, x), 1.0, log_w, log_x);
        d.jump[k] = cash_jump<V>(p.jumps, w, log_w), d.jump[k + 1] = cash_jump<V>(p.jumps, x, log_x);
    }
}

// What a MW makes and what it costs, over what is expected: lognormal about 1.
template <class V, class I>
TR_HD void cash_levels(const CashPlan& p, I path, unsigned int key0, unsigned int key1, V first, V& output, V& capital) {
    const CashModel& m = p.model;
    V z[cash_group];
    cash_normals<V, I>(splat_word<I>(0ULL), stream_levels, path, key0, key1, z);
    output = exponential_quick<V>(z[0] * m.output_noise - 0.5 * m.output_noise * m.output_noise);
    capital = exponential_quick<V>((first * m.capital_correlation + z[1] * p.other_capital) * m.capital_noise -
                                   0.5 * m.capital_noise * m.capital_noise);
}

// Where a path stands after some years.
template <class V> struct CashState {
    V price, power, supply, output, capital, income, taxed, sum;
};

// One year's cash. Losses are carried forward. A NaN stays in the sums, the second of each two that are compared.
template <class V>
TR_HD void cash_year(const CashModel& m, const CashYears& y, int t, V sold, V bought, CashState<V>& at, CashPath<V>& out, V& cash) {
    V earned = sold * at.output * y.revenue[t] - bought * y.power[t];
    if (m.can_stop != 0.0) earned = greater_of(splat<V>(0.0), earned);
    cash = earned - y.costs[t];
    if (m.tax_rate != 0.0) {
        at.income = at.income + (cash - at.capital * y.deductions[t]);
        const V most = greater_of(at.taxed, at.income);
        cash = cash - (most - at.taxed) * m.tax_rate;
        at.taxed = most;
    }
    cash = cash - at.capital * y.capital[t] + y.other[t];
    out.worth = out.worth + cash * y.discount[t];
    at.sum = at.sum + cash;
    out.lowest = lesser_of(out.lowest, at.sum);
}

// `seen` is told of each year: (year, price over supply, power, supply, cash).
template <class V, class I, class Seen>
TR_HD CashPath<V> cash_path(const CashPlan& p, const CashYears& y, I path, unsigned int key0, unsigned int key1, Seen seen) {
    const CashModel& m = p.model;
    const V zero = splat<V>(0.0), one = splat<V>(1.0);
    CashState<V> at{splat<V>(m.price_start), splat<V>(m.power_start), zero, one, one, zero, zero, zero};
    CashPath<V> out{zero, splat<V>(infinite())};
    CashDraws<V> d;
    cash_draw<V, I>(p, splat_word<I>(0ULL), path, key0, key1, d);
    if (p.levels) cash_levels<V, I>(p, path, key0, key1, d.price[0], at.output, at.capital);
    V cash;
    cash_year<V>(m, y, 0, p.price_moves ? exponential_quick<V>(at.price) : one,
                 p.power_moves ? exponential_quick<V>(at.power) : one, at, out, cash);
    seen(0, at.price, at.power, zero, cash);
    for (int start = 1; start < y.years; start += cash_group) {
        if (start > 1) cash_draw<V, I>(p, splat_word<I>((unsigned long long)(start / cash_group)), path, key0, key1, d);
        V ahead[cash_group], power[cash_group], supply[cash_group], sold[cash_group], bought[cash_group];
        for (int k = 0; k < cash_group; ++k) {
            at.supply = at.supply + (at.price - at.supply) * m.supply_follow;
            at.price = at.price * m.price_keep + d.price[k] * m.price_noise + d.jump[k];
            at.power = at.power * m.power_keep + (d.price[k] * p.common_noise + d.power[k] * p.other_noise);
            ahead[k] = at.price - at.supply, power[k] = at.power, supply[k] = at.supply;
            sold[k] = p.price_moves ? exponential_quick<V>(ahead[k]) : one;
            bought[k] = p.power_moves ? exponential_quick<V>(power[k]) : one;
        }
        const int rest = y.years - start < cash_group ? y.years - start : cash_group;
        for (int k = 0; k < rest; ++k) {
            cash_year<V>(m, y, start + k, sold[k], bought[k], at, out, cash);
            seen(start + k, ahead[k], power[k], supply[k], cash);
        }
    }
    return out;
}

} // namespace TR_ISA
} // namespace tokenroof
