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
