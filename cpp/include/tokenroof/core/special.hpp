// Special functions from + - * / sqrt and bit operations alone: every instruction set gives the same bits.
#pragma once
#include "tokenroof/core/maths.hpp"

TR_VECTORS_BEGIN
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
    const V small = expm1_series<V>(r) + 1.0;
    // 2^k as a product of two normal powers: k reaches from -1077 to 1025
    const V half = (k * 0.5 + round_shift) - round_shift, rest = k - half;
    const V one = same_bits<V>((same_bits<I>(half + round_shift) + 1023ULL) << 52);
    const V two = same_bits<V>((same_bits<I>(rest + round_shift) + 1023ULL) << 52);
    return y == y ? small * one * two : y;
}

// The standard normal distribution, within 7.5e-8 (Abramowitz and Stegun, 26.2.17).
TR_HD double normal_below(double z) {
    const double x = z < 0.0 ? 0.0 - z : z;
    const double t = 1.0 / (1.0 + 0.2316419 * x);
    const double series =
        t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
    const double above = 0.3989422804014327 * exponential<double>(x * x * -0.5) * series;
    return z < 0.0 ? above : 1.0 - above;
}

// True if it is in any lane.
TR_HD bool any(bool mask) { return mask; }
TR_HD bool any(int mask) { return mask != 0; }
#if defined(__GNUC__) && !defined(__CUDACC__) && !defined(__CUDACC_RTC__)
template <class M> TR_HD bool any(M mask) {
#if defined(__AVX512DQ__) && !defined(__clang__)
    if constexpr (sizeof(M) == 64) return __builtin_ia32_cvtq2mask512((long long __attribute__((vector_size(64))))mask) != 0;
#endif
#if defined(__AVX__) && !defined(__clang__)
    if constexpr (sizeof(M) == 32) return __builtin_ia32_movmskpd256((double4)mask) != 0;
#endif
#if defined(__SSE2__) && !defined(__clang__)
    if constexpr (sizeof(M) == 16) return __builtin_ia32_movmskpd((double2)mask) != 0;
#endif
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

// cos and sin of 2 pi u for 0 <= u < 1: quadrant by quadrant, with Taylor's series to 1e-17 on an eighth turn.
template <class V> TR_HD void cosine_sine(V u, V& cosine, V& sine) {
    constexpr double c[] = {1.0, -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600,
                            -1.0 / 87178291200.0};
    constexpr double s[] = {1.0, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800,
                            1.0 / 6227020800.0, -1.0 / 1307674368000.0};
    const V zero = splat<V>(0.0);
    const V quadrant = (u * 4.0 + round_shift) - round_shift; // 0 to 4
    const V x = (u - quadrant * 0.25) * 6.283185307179586;
    const V z = x * x, along = horner(c, z), across = x * horner(s, z);
    const auto odd = (quadrant == splat<V>(1.0)) | (quadrant == splat<V>(3.0));
    const auto left = (quadrant == splat<V>(1.0)) | (quadrant == splat<V>(2.0));
    const auto low = (quadrant == splat<V>(2.0)) | (quadrant == splat<V>(3.0));
    const V a = odd ? across : along, b = odd ? along : across;
    cosine = left ? zero - a : a;
    sine = low ? zero - b : b;
}

// Two independent normal numbers of two uniform ones (Box, Muller, Ann. Math. Statist. 29, 1958).
template <class V> TR_HD void normals(V u, V v, V& first, V& second) {
    const V radius = square_root(V(log_positive<V>(u) * -2.0));
    cosine_sine<V>(v, first, second);
    first = first * radius;
    second = second * radius;
}

// The greatest whole number that is not above x, |x| < 2^51.
template <class V> TR_HD V whole_below(V x) {
    const V near = (x + round_shift) - round_shift;
    return near > x ? near - 1.0 : near;
}

// A Poisson count. From a mean of 32 on it is the normal number w taken to the count of the same
// probability, by Cornish and Fisher's expansion to 1/mean (Giles, Algorithm 955, ACM TOMS 42(1), 2016):
// one off with a probability of 1e-4 at 32, 2e-5 at 100 and less above. Below 32 it is the quantile of the
// uniform number that uniform() then gives, by adding probabilities.
template <class V, class Uniform> TR_HD V poisson_count(V w, V mean, Uniform uniform) {
    const V zero = splat<V>(0.0), edge = splat<V>(32.0);
    const auto small = mean < edge;
    const V safe = small ? edge : mean, inverse = 1.0 / safe, square = w * w;
    const V root = square_root(safe);
    const V x = safe + root * w + (square + 2.0) * (1.0 / 6) - w * (square + 2.0) * (1.0 / 72) * (root * inverse) +
                (square * (square * 3.0 + 7.0) - 16.0) * (1.0 / 810) * inverse;
    V count = whole_below<V>(max_nan(x, zero));
    if (any(small)) {
        const V u = uniform();
        V found = zero, probability = exponential<V>(small ? zero - mean : zero), sum = probability;
        for (double k = 1.0; k < 256.0; k += 1.0) {
            probability = probability * (mean * (1.0 / k));
            const V next = sum + probability;
            const auto more = small & (u > sum) & (next > sum); // it may end below u by a rounding
            if (!any(more)) break;
            sum = next;
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
TR_VECTORS_END
