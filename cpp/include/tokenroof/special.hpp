// Special functions from + - * / sqrt and bit operations alone: every instruction set gives the same bits.
#pragma once
#include "maths.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Correctly rounded on every target (IEEE 754).
TR_HD double square_root(double x) {
#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
    return sqrt(x);
#else
    return __builtin_sqrt(x);
#endif
}
#if defined(__GNUC__) && !defined(__CUDACC__) && !defined(__CUDACC_RTC__)
// lane by lane in the source; one instruction once compiled
template <class V, int N> TR_HD V square_root_lanes(V x) {
    V y = {};
    for (int l = 0; l < N; ++l) y[l] = __builtin_sqrt(x[l]);
    return y;
}
TR_HD double2 square_root(double2 x) { return square_root_lanes<double2, 2>(x); }
TR_HD double4 square_root(double4 x) { return square_root_lanes<double4, 4>(x); }
TR_HD double8 square_root(double8 x) { return square_root_lanes<double8, 8>(x); }
#endif

// exp(y), to zero below the least subnormal and to infinity above the largest number.
template <class V> TR_HD V exponential(V y) {
    using I = typename bits_of<V>::type;
    const V high = splat<V>(710.0), low = splat<V>(-746.0);
    const V x = max_nan(min_nan(y, high), low);
    const V shifted = x * 1.44269504088896338700e+00 + round_shift;
    const V k = shifted - round_shift;
    const V r = (x - k * ln2_high) - k * ln2_low;
    V p = splat<V>(1.0 / 6227020800.0);
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    const V small = (r + r * r * p) + 1.0;
    // 2^k as a product of two normal powers: k reaches from -1077 to 1025
    const V half = (k * 0.5 + round_shift) - round_shift, rest = k - half;
    const V one = same_bits<V>((same_bits<I>(half + round_shift) + 1023ULL) << 52);
    const V two = same_bits<V>((same_bits<I>(rest + round_shift) + 1023ULL) << 52);
    return y == y ? small * one * two : y;
}

// True if it is in any lane.
TR_HD bool any(bool mask) { return mask; }
TR_HD bool any(int mask) { return mask != 0; }
#if defined(__GNUC__) && !defined(__CUDACC__) && !defined(__CUDACC_RTC__)
template <class M> TR_HD bool any(M mask) {
    decltype(mask[0] | mask[0]) all = 0;
    for (unsigned l = 0; l < sizeof mask / sizeof mask[0]; ++l) all |= mask[l];
    return all != 0;
}
#endif

template <class V, int N> TR_HD V horner(const double (&coefficients)[N], V x) {
    V y = splat<V>(coefficients[N - 1]);
    for (int i = N - 2; i >= 0; --i) y = y * x + coefficients[i];
    return y;
}

// Quantile of the normal distribution, 0 < u < 1, to 1e-16 (Wichura, AS 241, Applied Statistics 37, 1988).
template <class V> TR_HD V normal_quantile(V u) {
    constexpr double a[] = {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
                            1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
                            3.3430575583588128105e4, 2.5090809287301226727e3};
    constexpr double b[] = {1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
                            2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
                            5.2264952788528545610e3};
    constexpr double c[] = {1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
                            3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
                            2.27238449892691845833e-2, 7.74545014278341407640e-4};
    constexpr double d[] = {1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
                            1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
                            1.05075007164441684324e-9};
    constexpr double e[] = {6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
                            2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                            2.71155556874348757815e-5, 2.01033439929228813265e-7};
    constexpr double f[] = {1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
                            7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
                            2.04426310338993978564e-15};
    const V zero = splat<V>(0.0), q = u - 0.5, size = q < zero ? -q : q;
    const V inner = splat<V>(0.180625) - q * q;
    const V middle = q * horner(a, inner) / horner(b, inner);
    const auto outside = size > splat<V>(0.425);
    if (!any(outside)) return middle;
    const V less = q < zero ? u : splat<V>(1.0) - u;
    const V r = square_root(V(zero - log_positive<V>(less)));
    V tail = horner(c, V(r - 1.6)) / horner(d, V(r - 1.6));
    const auto far = (r > splat<V>(5.0)) & outside;
    if (any(far)) tail = far ? horner(e, V(r - 5.0)) / horner(f, V(r - 5.0)) : tail;
    return outside ? (q < zero ? -tail : tail) : middle;
}

// The greatest whole number that is not above x, |x| < 2^51.
template <class V> TR_HD V whole_below(V x) {
    const V near = (x + round_shift) - round_shift;
    return near > x ? near - 1.0 : near;
}

// Quantile of the Poisson distribution. Below a mean of 32 by adding probabilities; from there by Cornish
// and Fisher's expansion to 1/mean (Giles, Algorithm 955, ACM TOMS 42(1), 2016), which is one off with a
// probability of 1e-4 at 32, 2e-5 at 100 and less above.
template <class V> TR_HD V poisson_quantile(V u, V mean) {
    const V zero = splat<V>(0.0);
    const auto small = mean < splat<V>(32.0);
    V count = zero;
    if (any(!small)) {
        const V w = normal_quantile<V>(u), square = w * w;
        const V root = square_root(mean), safe = small ? splat<V>(32.0) : mean;
        const V x = mean + root * w + (square + 2.0) * (1.0 / 6) - w * (square + 2.0) * (1.0 / 72) / square_root(safe) +
                    (square * (square * 3.0 + 7.0) - 16.0) * (1.0 / 810) / safe;
        count = whole_below<V>(max_nan(x, zero));
    }
    if (any(small)) {
        V found = zero, probability = exponential<V>(small ? zero - mean : zero), sum = probability;
        for (double k = 1.0; k < 256.0; k += 1.0) { // the sum may end below u by a rounding
            const auto more = small & (u > sum);
            if (!any(more)) break;
            probability = probability * mean / k;
            sum = sum + probability;
            found = more ? splat<V>(k) : found;
        }
        count = small ? found : count;
    }
    return count;
}

// log(1 + f) - f without cancellation, f in [sqrt(1/2) - 1, sqrt(2) - 1].
template <class V> TR_HD V log1p_minus(V f) {
    const V half_square = f * f * 0.5;
    return log_series<V>(f, half_square) - half_square;
}

// What Stirling's formula lacks: ln n! - (ln(2 pi n)/2 + n ln n - n), n >= 32 (Abramowitz and Stegun 6.1.41).
template <class V> TR_HD V stirling_error(V n) {
    const V m = 1.0 / (n * n);
    return (1.0 / 12 - m * (1.0 / 360 - m * (1.0 / 1260 - m * (1.0 / 1680 - m * (1.0 / 1188))))) / n;
}

} // namespace TR_ISA
} // namespace tokenroof
