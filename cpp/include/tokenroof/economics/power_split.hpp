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

// Power of use i where a MW is worth `price`: with `full` whatever it takes at that very price, else the least.
TR_HD double split_at(const PowerSplit& s, int i, double price, bool full) {
    const double low = s.low[i], high = s.high[i];
    if (s.slope[i] == 0.0) return s.value[i] > price || (full && s.value[i] == price) ? high : low;
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
        const double flat = s.value[i], first = flat - s.slope[i] * s.low[i];
        const double last = s.slope[i] == 0.0 ? flat : flat - s.slope[i] * s.high[i];
        if (first < above && first > best) best = first;
        if (last < above && last > best) best = last;
    }
    return best;
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
    double spent = split_total(s, price, false), per = 0.0;
    if (spent > power && !first) { // between two prices: lines
        double sum = 0.0;
        const double inside = upper < infinite() ? price + 0.5 * (upper - price) : price;
        for (int i = 0; i < s.n; ++i) {
            const double at = split_at(s, i, inside, false);
            if (s.slope[i] != 0.0 && at > s.low[i] && at < s.high[i]) {
                sum += s.value[i] / s.slope[i];
                per += 1.0 / s.slope[i];
            } else
                sum += at;
        }
        // its rounding passes neither end: a flat worth that ends there is told by equality
        if (per > 0.0) price = max_nan(price, min_nan(upper, (sum - power) / per));
        spent = split_total(s, price, false);
    }
    // of a steep worth that hardly falls, the price leaves open what its roundings hide: shared out along the lines
    double left = power - spent;
    const double off = per > 0.0 ? left / per : 0.0;
    for (int i = 0; i < s.n; ++i) {
        x[i] = split_at(s, i, price, false);
        if (s.slope[i] != 0.0 && x[i] > s.low[i] && x[i] < s.high[i]) {
            const double moved = x[i] + off / s.slope[i];
            x[i] = moved < s.low[i] ? s.low[i] : (moved > s.high[i] ? s.high[i] : moved);
        }
        if (price <= 0.0 || s.slope[i] != 0.0 || s.value[i] != price) continue;
        const double room = s.high[i] - x[i];
        const double take = left > 0.0 ? min_nan(room, left) : 0.0;
        x[i] += take;
        left -= take;
    }
    return price;
}

} // namespace TR_ISA
} // namespace tokenroof
