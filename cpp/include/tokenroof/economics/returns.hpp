// What flows are worth at a rate, and the rates at which they are worth nothing. With x = 1 / (1 + rate) = exp(t)
// the worth is a sum of flow * x^year.
#pragma once
#include "tokenroof/core/quick.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Worth now of n yearly flows, the first of them now (Horner).
template <class V> TR_HD V yearly_worth(V rate, const V* flow, long long n) {
    const V x = splat<V>(1.0) / (rate + 1.0);
    V worth = splat<V>(0.0);
    for (long long k = n - 1; k >= 0; --k) worth = worth * x + flow[k];
    return rate > splat<V>(-1.0) ? worth : splat<V>(not_a_number());
}

// The same of flows at any years.
template <class V> TR_HD V dated_worth(V rate, const V* flow, const V* year, long long n) {
    const V t = -log1p_lanes<V>(rate), zero = splat<V>(0.0);
    V worth = zero;
    for (long long k = 0; k < n; ++k) {
        const V part = flow[k] * exponential<V>(year[k] * t);
        worth = worth + (flow[k] == zero ? zero : part); // nothing is worth nothing at any rate
    }
    return rate > splat<V>(-1.0) ? worth : splat<V>(not_a_number());
}

// How often the sign of n flows changes, and the last flow that is not 0; changes are NaN where a flow is not finite.
template <class V> struct SignChanges {
    V count, last;
};
template <class V> TR_HD SignChanges<V> sign_changes(const V* flow, long long n) {
    const V zero = splat<V>(0.0), one = splat<V>(1.0);
    SignChanges<V> s{zero, zero};
    V finite = zero;
    for (long long k = 0; k < n; ++k) {
        const V c = flow[k];
        finite = finite + c * 0.0;
        s.count = s.count + (((c > zero) & (s.last < zero)) | ((c < zero) & (s.last > zero)) ? one : zero);
        s.last = c == zero ? s.last : c;
    }
    s.count = s.count + finite;
    return s;
}

// Flows that change sign once, turned so that the late ones are income: in some lane early ones go up to `early`, late
// ones begin at `late`.
struct OneChange {
    long long n, early, late;
};
template <class V> TR_HD OneChange one_change(V* flow, long long n, V last) {
    const V zero = splat<V>(0.0), turn = last > zero ? splat<V>(1.0) : splat<V>(-1.0);
    OneChange at{n, 0, n};
    for (long long k = 0; k < n; ++k) {
        flow[k] = flow[k] * turn;
        if (any(flow[k] < zero)) at.early = k + 1;
        if (at.late == n && any(flow[k] > zero)) at.late = k;
    }
    return at;
}

// Both sides of them, early and late, and their sums of year * side.
template <class V> struct Sides {
    V late, early, late_years, early_years;
};

template <bool yearly, class V> TR_HD Sides<V> sides(const V* flow, const V* year, OneChange at, V root) {
    const V zero = splat<V>(0.0), one = splat<V>(1.0);
    Sides<V> s{zero, zero, zero, zero};
    V power = one, count = zero; // x^k, k
    for (long long k = 0; k < at.n; ++k) {
        if constexpr (!yearly) {
            count = year[k];
            power = exponential_quick<V>(count * root);
        }
        const V part = flow[k] * power;
        if (k >= at.late) {
            const V late = greater_of<V>(part, zero);
            s.late = s.late + late;
            s.late_years = s.late_years + late * count;
        }
        if (k < at.early) {
            const V early = greater_of<V>(-part, zero);
            s.early = s.early + early;
            s.early_years = s.early_years + early * count;
        }
        if constexpr (yearly) {
            power = power * root;
            count = count + one;
        }
    }
    return s;
}

// Flows that change sign once have one rate (Descartes). Newton on log(late / early), which rises in t by the
// distance of their mean years: what a step is off is below span^2 / (8 distance) of its square. In x where flows
// are yearly, else in t. `open` says where it is looked for; `found` becomes 1 where it was.
// The flows are turned.
template <bool yearly, class V> TR_HD V only_root(V* flow, const V* year, long long n, V last, V open, V& found) {
    const V zero = splat<V>(0.0), one = splat<V>(1.0);
    const OneChange at = one_change<V>(flow, n, last);
    const V span = yearly ? splat<V>(double(n - 1)) : V(year[n - 1] - year[0]);
    V root = yearly ? one : zero;
    found = zero;
    for (int turns = 0; turns < 24 && any(open > zero); ++turns) {
        const Sides<V> s = sides<yearly, V>(flow, year, at, root);
        const V ratio = (s.late - s.early) / (s.late + s.early), z = ratio * ratio;
        V log = (ratio + ratio) * (z * (z * (z * (z * (1.0 / 9) + 1.0 / 7) + 1.0 / 5) + 1.0 / 3) + 1.0);
        const auto far = z > splat<V>(1.0 / 4096);
        if (any(far)) log = far ? log_positive<V>(s.late) - log_positive<V>(s.early) : log;
        const V distance = s.late_years / s.late - s.early_years / s.early;
        const V step = log / distance, wide = step * span;
        const V next = yearly ? V(root * exponential<V>(-step)) : V(root - step);
        const V least = splat<V>(1e-280), most = splat<V>(1e300);
        const V size = lesser_of<V>(lesser_of<V>(s.late, s.early), yearly ? next : one);
        const V large = greater_of<V>(greater_of<V>(s.late_years + s.late, s.early_years + s.early), next);
        const V fine = ((size > least) & (large < most) & (distance > zero)) ? open : zero;
        const V settled = wide * wide <= distance * 4.440892098500626e-16 ? fine : zero; // 2^-51
        root = fine > zero ? next : root;
        found = settled > zero ? one : found;
        open = settled > zero ? zero : fine;
    }
    return root;
}

// exp(-t) - 1.
TR_HD double rate_of(double t) {
    if (t > 30.0 || t < -1.0) return exponential(-t) - 1.0;
    if (t >= 0.0) return expm1_negative(-t);
    const double part = expm1_negative(t);
    return -part / (1.0 + part);
}

// All rates of any flows. Over a piece of t the worth is bounded by its value, its slope and its second moment in the
// middle (Moore, Kearfott and Cloud, Introduction to Interval Analysis, 2009, section 6.3): a piece without a root is
// left, one in which it rises or falls throughout has one root where its ends differ in sign, others are halved.

// Flows that are not zero: years, ascending, each as a fraction and the logarithm of a power of two.
struct FlowTerms {
    long long n;
    double *year, *fraction, *exponent; // three times n numbers of the caller's
    long long looked;                   // numbers looked at
};

TR_HD FlowTerms flow_terms(const double* flow, const double* year, long long n, double* room) {
    FlowTerms f{0, room, room + n, room + 2 * n, 0};
    for (long long k = 0; k < n; ++k) {
        if (flow[k] == 0.0) continue;
        double x = flow[k], shift = 0.0;
        if (x < 2.3e-308 && x > -2.3e-308) {
            x *= 18014398509481984.0; // 2^54
            shift = -54.0;
        }
        const unsigned long long bits = same_bits<unsigned long long>(x);
        const double exponent = double((long long)((bits >> 52) & 2047) - 1022) + shift;
        f.year[f.n] = year ? year[k] : double(k);
        f.fraction[f.n] = same_bits<double>((bits & 0x800fffffffffffffULL) | 0x3fe0000000000000ULL);
        f.exponent[f.n++] = exponent * 0.6931471805599453;
    }
    return f;
}

// Value, slope, most curvature within `half` and what rounding may add to the first two: over the sum of the flows'
// sizes, at the mean year, where the curvature is least; a factor exp(mean year * t) changes no root and no sign.
struct FlowLook {
    double value, slope, curve, noise, slope_noise;
};

TR_HD double size_of(double x) { return x < 0.0 ? -x : x; }

TR_HD_ONCE FlowLook flow_look(FlowTerms& f, double t, double half) {
    long long top = 0;
    double most = f.exponent[0] + f.year[0] * t, total = 0.0, moment = 0.0;
    for (long long k = 1; k < f.n; ++k) {
        const double power = f.exponent[k] + f.year[k] * t;
        top = power > most ? k : top;
        most = power > most ? power : most;
    }
    for (long long k = 0; k < f.n; ++k) {
        const double grown = (f.year[k] - f.year[top]) * t, scaled = f.exponent[k] - f.exponent[top];
        const double size = size_of(f.fraction[k]) * exponential(grown + scaled);
        total += size;
        moment += size * f.year[k];
    }
    const double mean = moment / total;
    const double roundings = 4.0 + log_positive(double(f.n)) * 1.4426950408889634;
    FlowLook s{0.0, 0.0, 0.0, 0.0, 0.0};
    double bend = 0.0, bend_noise = 0.0, third = 0.0;
    for (long long k = 0; k < f.n; ++k) {
        const double grown = (f.year[k] - f.year[top]) * t, scaled = f.exponent[k] - f.exponent[top];
        const double power = exponential(grown + scaled), lag = f.year[k] - mean, reach = size_of(lag);
        const double doubt = size_of(f.fraction[k]) * power * (size_of(grown) + size_of(scaled) + roundings);
        s.value += f.fraction[k] * power;
        s.slope += f.fraction[k] * power * lag;
        const double widest = half > 0.0 ? exponential(grown + scaled + reach * half) : power;
        const double most_curved = lag == 0.0 ? 0.0 : size_of(f.fraction[k]) * widest * lag * lag;
        s.curve += most_curved;
        third += most_curved * reach;
        bend += f.fraction[k] * power * lag * lag;
        s.noise += doubt;
        const double doubted = doubt * (reach + size_of(mean));
        s.slope_noise += doubted;
        bend_noise += 2.0 * doubted * (reach + size_of(mean));
    }
    f.looked += f.n;
    constexpr double rounding = 1.1102230246251565e-16; // 2^-53
    // what all flows could bend by together is far more than they do where rates lie close to one another
    const double bent = size_of(bend) + rounding * bend_noise + third * half;
    s.curve = bent < s.curve ? bent : s.curve;
    return {s.value / total, s.slope / total, s.curve / total, rounding * s.noise / total,
            rounding * s.slope_noise / total};
}

TR_HD bool worth_something(FlowTerms& f, double t) { return flow_look(f, t, 0.0).value >= 0.0; }
TR_HD bool worth_nothing(FlowTerms& f, double t) {
    const FlowLook s = flow_look(f, t, 0.0);
    return size_of(s.value) <= 4.0 * s.noise; // of flows that differ in a rounding
}

// All roots lie between (Fujiwara 1916, for years that need not be whole): beyond a margin what the other flows add
// up to is less than the one that they are compared with.
TR_HD double flow_margin(const FlowTerms& f, bool first) {
    const long long own = first ? 0 : f.n - 1;
    for (double margin = 1.0;; margin *= 2.0) {
        double sum = 0.0;
        for (long long k = 0; k < f.n; ++k)
            if (k != own) sum += exponential(-margin * size_of(f.year[k] - f.year[own]));
        if (!(sum >= 1.0)) return margin;
    }
}
TR_HD double flow_bound(const FlowTerms& f, bool first) {
    const long long own = first ? 0 : f.n - 1;
    const double size = log_positive(size_of(f.fraction[own])) + f.exponent[own];
    double most = -infinite();
    for (long long k = 0; k < f.n; ++k) {
        if (k == own) continue;
        const double other = log_positive(size_of(f.fraction[k])) + f.exponent[k];
        most = max_nan(most, (other - size) / size_of(f.year[k] - f.year[own]));
    }
    return first ? -most - flow_margin(f, true) : most + flow_margin(f, false);
}

// The root in a piece whose ends differ in sign: Newton's step where it stays inside, else the middle.
TR_HD double flow_crossing(FlowTerms& f, double low, double high) {
    const bool rising = worth_something(f, high);
    double t = 0.5 * (low + high);
    for (int turn = 0; turn < 200; ++turn) {
        const FlowLook s = flow_look(f, t, 0.0);
        if ((s.value >= 0.0) == rising)
            high = t;
        else
            low = t;
        const double step = s.slope == 0.0 ? infinite() : s.value / s.slope;
        constexpr double rounding = 1.1102230246251565e-16;
        if (size_of(s.value) <= 0.5 * rounding || size_of(step) <= rounding * size_of(t) || !(low < high)) break;
        const double after = t - step;
        t = low <= after && after <= high ? after : 0.5 * (low + high);
    }
    return t;
}

// Where the worth turns within a narrow piece; its middle if it does not.
TR_HD double flow_turn(FlowTerms& f, double low, double high) {
    double middle = 0.5 * (low + high);
    const bool falls = flow_look(f, low, 0.0).slope < 0.0;
    if ((flow_look(f, high, 0.0).slope >= 0.0) == !falls) return middle;
    while (low < middle && middle < high) {
        if ((flow_look(f, middle, 0.0).slope >= 0.0) != falls)
            low = middle;
        else
            high = middle;
        middle = 0.5 * (low + high);
    }
    return middle;
}

// Roots as they come, ascending in t: those between which flows are worth nothing but rounding are one, in the middle.
template <class F> struct FlowRoots {
    FlowTerms& f;
    F found;
    bool some = false;
    double first = 0.0, last = 0.0;
    bool flat = false;
    double low = 0.0, high = 0.0;

    TR_HD void give() {
        if (some) found(0.5 * (first + last));
        some = false;
    }
    TR_HD void add(double t) {
        bool alike = some;
        for (int k = 1; k < 6 && alike; ++k) alike = worth_nothing(f, last + (t - last) * (double(k) / 6.0));
        if (!alike) {
            give();
            first = t;
        }
        some = true;
        last = t;
    }
    // what a narrow piece, or several side by side, hold
    TR_HD void settle() {
        if (!flat) return;
        flat = false;
        const bool changes = worth_something(f, low) != worth_something(f, high);
        const double t = changes ? flow_crossing(f, low, high) : flow_turn(f, low, high);
        if (changes || worth_nothing(f, t)) add(t);
    }
    TR_HD void narrow(double from, double to) {
        if (!flat) low = from;
        flat = true;
        high = to;
    }
};

// Roots are looked for to a width in t that suits flows of some years to a century: of days or ages the years are
// counted in another unit, a power of two. How many of it a year has.
TR_HD double flow_unit(FlowTerms& f) {
    const double span = f.year[f.n - 1] - f.year[0];
    if ((span >= 0.25 && span <= 128.0) || !(span > 0.0) || span == infinite()) return 1.0;
    double unit = 1.0;
    while (span * unit < 16.0) unit *= 2.0;
    while (span * unit >= 32.0) unit *= 0.5;
    for (long long k = 0; k < f.n; ++k) f.year[k] *= unit;
    return unit;
}

// found(t) for all roots, ascending in t.
template <class F> TR_HD void flow_roots(FlowTerms& f, F told) {
    constexpr double narrowest = 4.76837158203125e-07; // 2^-21; below it a double root looks like two or none
    constexpr int deepest = 64, most = 4096;           // pieces of a size; more lie within the flows' own rounding
    if (f.n < 2) return;
    const double unit = flow_unit(f);
    // a rounding away from 0 may be a rate without end where a year is nearly all of the unit, or nothing of it
    const auto found = [&](double t) {
        const bool none = unit != 1.0 && size_of(t) < 1e-12 && worth_nothing(f, 0.0);
        told(none ? 0.0 : t * unit);
    };
    FlowRoots<decltype(found)> roots{f, found};
    double low[deepest], high[deepest];
    int level[deepest], pieces[deepest] = {}, held = 1;
    low[0] = flow_bound(f, true);
    high[0] = flow_bound(f, false);
    level[0] = 0;
    while (held > 0) {
        const double from = low[--held], to = high[held], middle = 0.5 * (from + to), half = 0.5 * (to - from);
        const int depth = level[held];
        const FlowLook s = flow_look(f, middle, half);
        const bool none = size_of(s.value) - s.noise > size_of(s.slope) * half + 0.5 * s.curve * half * half;
        const bool steep = size_of(s.slope) - s.slope_noise > s.curve * half;
        if (none || steep) {
            roots.settle();
            if (!none && worth_something(f, from) != worth_something(f, to)) roots.add(flow_crossing(f, from, to));
        } else if (half <= 0.5 * narrowest || depth + 2 >= deepest || ++pieces[depth] > most) {
            roots.narrow(from, to);
        } else {
            low[held] = middle;
            high[held] = to;
            level[held++] = depth + 1;
            low[held] = from;
            high[held] = middle;
            level[held++] = depth + 1;
        }
    }
    roots.settle();
    roots.give();
}

} // namespace TR_ISA
} // namespace tokenroof
