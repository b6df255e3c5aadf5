// log1p and expm1 from + - * / and bit operations alone, so that every instruction set, one lane or
// eight, gives the same bits. After fdlibm (e_log.c, s_expm1.c; Sun Microsystems 1993).
#pragma once
#include "tokenroof/core/config.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// The integer that is as wide as the lanes of V.
template <class V> struct bits_of { using type = unsigned long long; };
#if defined(__GNUC__) && !defined(__CUDACC__) && !defined(__CUDACC_RTC__)
using double2 = double __attribute__((vector_size(16)));
using double4 = double __attribute__((vector_size(32)));
using double8 = double __attribute__((vector_size(64)));
template <> struct bits_of<double2> { using type = unsigned long long __attribute__((vector_size(16))); };
template <> struct bits_of<double4> { using type = unsigned long long __attribute__((vector_size(32))); };
template <> struct bits_of<double8> { using type = unsigned long long __attribute__((vector_size(64))); };
#endif

template <class To, class From> TR_HD To same_bits(From x) {
    static_assert(sizeof(To) == sizeof(From), "same_bits: sizes differ");
#if defined(__CUDACC_RTC__) || defined(__CUDACC__)
    To y;
    memcpy(&y, &x, sizeof y);
    return y;
#else
    return __builtin_bit_cast(To, x);
#endif
}

// The whole number nearest to x for |x| < 2^51, found in the low bits of x + 1.5 * 2^52.
constexpr double round_shift = 6755399441055744.0;

constexpr double ln2_high = 6.93147180369123816490e-01;
constexpr double ln2_low = 1.90821492927058770002e-10;

// The least whole number that is not below x.
template <class V> TR_HD V ceil_lanes(V x) {
    const V nearest = (x + round_shift) - round_shift;
    const V up = nearest < x ? nearest + 1.0 : nearest;
    return x < 2251799813685248.0 ? up : x; // from 2^51 on the shift would round; NaN stays
}

// The larger of two times that overlap but for a part: with r = smaller / larger, `overlap` of the smaller
// is not hidden where they are equal, and that falls with r^3. At 0.19 it is within 2 % of the 4-norm.
template <class V> TR_HD V smooth_max(V x, V y, double overlap) {
    const V most = max_nan(x, y), least = min_nan(x, y);
    const V r = least / (most > splat<V>(0.0) ? most : splat<V>(1.0));
    return most + overlap * (least * (r * r * r));
}

// The larger of two times that overlap less: as `smooth_max` with r in place of r^3. At 0.41 it is within 2 %
// of the 2-norm, at 1 of two equal times their sum; up to 1 it never falls where x or y grows.
template <class V> TR_HD V partial_max(V x, V y, double overlap) {
    const V most = max_nan(x, y), least = min_nan(x, y);
    return most + overlap * (least * (least / (most > splat<V>(0.0) ? most : splat<V>(1.0))));
}

// s (f^2/2 + R(s)), s = f / (2 + f): with it log(1 + f) = f - (f^2/2 - it) for f in [sqrt(1/2) - 1, sqrt(2) - 1].
template <class V> TR_HD V log_series(V f, V half_square) {
    const V s = f / (f + 2.0);
    const V z = s * s, w = z * z;
    const V even = w * (w * (w * 1.531383769920937332e-01 + 2.222219843214978396e-01) + 3.999999999940941908e-01);
    const V odd = z * (w * (w * (w * 1.479819860511658591e-01 + 1.818357216161805012e-01) +
                            2.857142874366239149e-01) + 6.666666666666735130e-01);
    return s * (half_square + (even + odd));
}

// Natural logarithm of a positive normal number; NaN below zero, -inf at zero.
template <class V> TR_HD V log_positive(V x) {
    using I = typename bits_of<V>::type;
    // exponent and a mantissa in [sqrt(1/2), sqrt(2))
    const I raw = same_bits<I>(x);
    const I top = raw + (0x3ff0000000000000ULL - 0x3fe6a09e667f3bcdULL);
    const I exponent = (top >> 52) - 1023ULL;
    const V mantissa = same_bits<V>(raw - (exponent << 52));
    // exponent to double without a conversion instruction
    const V k = same_bits<V>(exponent + 0x4338000000000000ULL) - round_shift;
    const V f = mantissa - 1.0;
    const V half_square = f * f * 0.5;
    const V log = k * ln2_high - ((half_square - (log_series<V>(f, half_square) + k * ln2_low)) - f);
    const V zero = splat<V>(0.0), infinity = splat<V>(infinite());
    const V special = x == zero ? -infinity : splat<V>(not_a_number());
    return x > zero ? (x == infinity ? infinity : log) : special;
}

// log(1 + x) for x >= -1, without losing the small x: log(u) * x / (u - 1), u = 1 + x rounded
// (Kahan; in the HP-15C Advanced Functions Handbook, 1982).
template <class V> TR_HD V log1p_lanes(V x) {
    const V u = x + 1.0;
    const V d = u - 1.0;
    const V zero = splat<V>(0.0), one = splat<V>(1.0);
    const V safe = d == zero ? one : d;
    const V corrected = log_positive(u) * (x / safe);
    return d == zero ? x : (x == -one ? splat<V>(-infinite()) : corrected);
}

// exp(r) - 1 for |r| <= ln(2)/2, by Taylor's series.
template <class V> TR_HD V expm1_series(V r) {
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
    return r + r * r * p;
}

// exp(y) - 1 for y <= 0.
template <class V> TR_HD V expm1_negative(V y) {
    using I = typename bits_of<V>::type;
    // from -60 on the answer is -1; the bound keeps 2^k normal
    const V x = max_nan(y, splat<V>(-60.0));
    const V shifted = x * 1.44269504088896338700e+00 + round_shift;
    const V k = shifted - round_shift;
    const V r = (x - k * ln2_high) - k * ln2_low;
    const V small = expm1_series<V>(r);
    const V power = same_bits<V>((same_bits<I>(shifted) + 1023ULL) << 52);
    const V answer = power * small + (power - 1.0);
    return y == y ? answer : y;
}

} // namespace TR_ISA
} // namespace tokenroof
