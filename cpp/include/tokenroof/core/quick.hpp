// Random words, exponentials, logarithms and normal numbers for paths by the million, where some roundings more are
// nothing beside the error of a mean over the paths. Polynomials of least greatest error (Remez); from + - * / sqrt
// and bit operations alone, as in special.hpp: every instruction set gives the same bits.
#pragma once
#include "tokenroof/core/random.hpp"
#include "tokenroof/core/special.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// One of two by a comparison, lane by lane.
template <class M, class V> TR_HD V either(M mask, V x, V y) { return mask ? x : y; }

// The greater and the lesser; where either is NaN the second. One instruction, which GCC does not find by itself.
template <class V> TR_HD V greater_of(V x, V y) { return x > y ? x : y; }
template <class V> TR_HD V lesser_of(V x, V y) { return x < y ? x : y; }
#if defined(__SSE2__) && defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__) && !defined(__CUDACC_RTC__)
TR_HD double2 greater_of(double2 x, double2 y) { return __builtin_ia32_maxpd(x, y); }
TR_HD double2 lesser_of(double2 x, double2 y) { return __builtin_ia32_minpd(x, y); }
#ifdef __AVX__
TR_HD double4 greater_of(double4 x, double4 y) { return __builtin_ia32_maxpd256(x, y); }
TR_HD double4 lesser_of(double4 x, double4 y) { return __builtin_ia32_minpd256(x, y); }
#endif
#ifdef __AVX512F__
TR_HD double8 greater_of(double8 x, double8 y) { return __builtin_ia32_maxpd512_mask(x, y, x, (unsigned char)-1, 4); }
TR_HD double8 lesser_of(double8 x, double8 y) { return __builtin_ia32_minpd512_mask(x, y, x, (unsigned char)-1, 4); }
#endif
#endif

// (k + 1/2) 2^-32 of the 32 random bits in the low half of each lane.
template <class V, class I> TR_HD V uniform_of_word(I word) {
    // k 2^-32 after 2^20: one bit field and one exact difference
    return same_bits<V>((word & 0xffffffffULL) | 0x4130000000000000ULL) - (1048576.0 - 1.1641532182693481e-10);
}

// Four words of 32 random bits, in the low halves: draw `index` of `stream` of `path`.
template <class I>
TR_HD void random_words(I index, unsigned int stream, I path, unsigned int key0, unsigned int key1, I (&words)[4]) {
    words[0] = index;
    words[1] = splat_word<I>(stream);
    words[2] = path;
    words[3] = path >> 32;
    philox<I>(words, key0, key1);
}

// exp(x) within (5 + 1.2 |x|) 2^-53 of it (the product with log2(e) is rounded once), kept between exp(-708) and exp(708); NaN stays.
template <class V> TR_HD V exponential_quick(V x) {
    using I = typename bits_of<V>::type;
    const V high = splat<V>(708.0), low = splat<V>(-708.0);
    const V y = greater_of(low, lesser_of(high, x)) * 1.44269504088896338700e+00; // NaN comes through
    const V shifted = y + (round_shift + 1023.0); // the exponent of 2^k in its low bits
    const V f = y - (shifted - (round_shift + 1023.0));
    // 2^f = 1 + f q(f), |f| <= 1/2
    const V f2 = f * f, f4 = f2 * f2;
    const V a = (f * 2.40226506959091007e-01 + 6.93147180559949172e-01) +
                (f * 9.61812910798312201e-03 + 5.55041086644818132e-02) * f2;
    const V b = (f * 1.54035299942648584e-04 + 1.33335582258008894e-03) +
                (f * 1.32156535841666789e-06 + 1.52526594273470074e-05) * f2;
    const V c = f * 7.03818168862713999e-09 + 1.02083230636765795e-07;
    const V power = f * (a + (b + c * f4) * f4) + 1.0;
    return power * same_bits<V>(same_bits<I>(shifted) << 52);
}

// u = 2^k (1 + s) / (1 - s) with s = over / under.
template <class V> struct LogParts {
    V k, over, under;
};
template <class V> TR_HD LogParts<V> log_parts(V u) {
    using I = typename bits_of<V>::type;
    const I top = same_bits<I>(u) + (0x3ff0000000000000ULL - 0x3fe6a09e667f3bcdULL);
    const V m = same_bits<V>((top & 0x000fffffffffffffULL) + 0x3fe6a09e667f3bcdULL); // sqrt(1/2) to sqrt(2)
    return {same_bits<V>((top >> 52) | 0x4330000000000000ULL) - (4503599627370496.0 + 1023.0), m - 1.0, m + 1.0};
}

// `factor` times (k log(2) + log((1 + s) / (1 - s))).
template <class V> TR_HD V log_of_parts(V k, V s, double factor) {
    const V z = s * s, z2 = z * z;
    const V p = (z * (factor * 6.66666666796966956e-01) + factor * 1.99999999999994649e+00) +
                ((z * (factor * 2.85721691857671489e-01) + factor * 3.99999948598908306e-01) +
                 (z * (factor * 1.96097004976954509e-01) + factor * 2.21741318417839339e-01) * z2) * z2;
    return k * (factor * 6.93147180559945286e-01) + s * p;
}

// `factor` times the logarithms of u and v, normal numbers above 0 and below infinity, within 6e-14 of each of its
// terms. One division for both.
template <class V> TR_HD void logs_quick(V u, V v, double factor, V& log_u, V& log_v) {
    const LogParts<V> a = log_parts<V>(u), b = log_parts<V>(v);
    const V inverse = splat<V>(1.0) / (a.under * b.under);
    log_u = log_of_parts<V>(a.k, (a.over * b.under) * inverse, factor);
    log_v = log_of_parts<V>(b.k, (b.over * a.under) * inverse, factor);
}

// Two normal numbers of a radius and a word: its bits 1 to 30 are an angle from -45 to 45 degrees, bit 0 swaps the
// two numbers and bit 31 turns the signs of both (Box and Muller, turned by eighths).
template <class V, class I> TR_HD void around(V radius, I angle, V& first, V& second) {
    const V turned = same_bits<V>(same_bits<I>(radius) ^ ((angle << 32) & 0x8000000000000000ULL));
    // (k + 1/2) 2^-30 - 1/2 right angles
    const V f = same_bits<V>((angle & 0x7ffffffeULL) | 0x4140000000000001ULL) - 2097152.5;
    const V z = f * f, z2 = z * z;
    const V c = (z * -1.23370055012017810e+00 + 9.99999999999944489e-01) +
                ((z * -2.08634680090034781e-02 + 2.53669507154307305e-01) +
                 (z * -2.48510128523931065e-05 + 9.19161767872059277e-04) * z2) * z2;
    const V s = (z * -6.45964097504311052e-01 + 1.57079632679488990e+00) +
                ((z * -4.68175259216669151e-03 + 7.96926261558092291e-02) +
                 (z * -3.55639145004439560e-06 + 1.60429268286299038e-04) * z2) * z2;
    const V along = c * turned, across = (s * f) * turned;
    const auto swap = (angle & 1ULL) != 0ULL;
    first = either(swap, across, along);
    second = either(swap, along, across);
}

// Four independent normal numbers of four words of 32 random bits, within 1e-12 and up to 6.8: radii from the first
// and the third, angles from the second and the fourth.
template <class V, class I> TR_HD void normals_of_words(const I (&words)[4], V (&z)[4]) {
    V a, b;
    logs_quick<V>(uniform_of_word<V, I>(words[0]), uniform_of_word<V, I>(words[2]), -2.0, a, b);
    around<V, I>(square_root(a), words[1], z[0], z[1]);
    around<V, I>(square_root(b), words[3], z[2], z[3]);
}

} // namespace TR_ISA
} // namespace tokenroof
