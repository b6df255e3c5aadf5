// A site's power over uses whose next MW earns less the more they have: the split that earns most.
//   max sum v_i x_i - s_i x_i^2 / 2, low_i <= x_i <= high_i, sum x_i <= power.
// With s = 0 it is the fractional knapsack [Dantzig, Discrete-Variable Extremum Problems, Operations Research 5(2),
// 1957]; else power flows until what the next MW earns is the same everywhere [Karush, Kuhn and Tucker].
#pragma once
#include "tokenroof/core/config.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// One row of n uses; high may be infinite. Where the lows alone are as much as the power they stay.
struct PowerSplit {
    int n;
    const double *value, *slope, *low, *high;
};

// What the first MW of use i earns, and its last; alike, also where a worth falls by less than its rounding.
TR_HD double first_worth(const PowerSplit& s, int i) { return s.value[i] - s.slope[i] * s.low[i]; }
TR_HD double last_worth(const PowerSplit& s, int i) {
    return s.slope[i] == 0.0 ? s.value[i] : s.value[i] - s.slope[i] * s.high[i];
}

// Power of use i where a MW is worth `price`: with `full` whatever it takes at that very price, else the least.
TR_HD double split_at(const PowerSplit& s, int i, double price, bool full) {
    const double low = s.low[i], high = s.high[i], first = first_worth(s, i), last = last_worth(s, i);
    if (first == last) return first > price || (full && first == price) ? high : low;
    // at its ends exactly its ends: a quotient of large worths would miss them by its rounding
    if (price >= first) return low;
    if (price <= last) return high;
    const double x = (s.value[i] - price) / s.slope[i];
    return x < low ? low : (x > high ? high : x);
}

TR_HD double split_total(const PowerSplit& s, double price, bool full) {
    double sum = 0.0;
    for (int i = 0; i < s.n; ++i) sum += split_at(s, i, price, full);
    return sum;
}

// The highest price below `above` at which a use starts to take power or has all it takes; 0 where there is none.
TR_HD double next_price(const PowerSplit& s, double above) {
    double best = 0.0;
    for (int i = 0; i < s.n; ++i) {
        const double first = first_worth(s, i), last = last_worth(s, i);
        if (first < above && first > best) best = first;
        if (last < above && last > best) best = last;
    }
    return best;
}

// Whether use i takes more and more as the price falls from `upper` to `lower`, two that follow each other.
TR_HD bool on_line(const PowerSplit& s, int i, double lower, double upper) {
    return first_worth(s, i) >= upper && last_worth(s, i) <= lower;
}

// Fills x; returns what one more MW would earn.
TR_HD double power_split(const PowerSplit& s, double power, double* x) {
    double upper = infinite(), price = upper;
    bool first = true;
    do {
        upper = price;
        price = next_price(s, upper);
        if (split_total(s, price, true) > power) break;
        first = false;
    } while (price > 0.0);
    if (!first && split_total(s, price, false) > power) {
        // between two prices: each use on its line gains 1 / slope as the price falls by 1
        double per = 0.0;
        for (int i = 0; i < s.n; ++i) per += on_line(s, i, price, upper) ? 1.0 / s.slope[i] : 0.0;
        const double fall = (power - split_total(s, upper, true)) / per;
        for (int i = 0; i < s.n; ++i) {
            x[i] = split_at(s, i, upper, true);
            if (on_line(s, i, price, upper)) x[i] = min_nan(s.high[i], x[i] + fall / s.slope[i]);
        }
        return max_nan(price, upper - fall);
    }
    double left = power - split_total(s, price, false);
    for (int i = 0; i < s.n; ++i) {
        x[i] = split_at(s, i, price, false);
        if (price <= 0.0 || first_worth(s, i) != price || last_worth(s, i) != price) continue;
        const double room = s.high[i] - x[i];
        const double take = left > 0.0 ? min_nan(room, left) : 0.0;
        x[i] += take;
        left -= take;
    }
    return price;
}

} // namespace TR_ISA
} // namespace tokenroof
