// Random numbers without state: Philox4x32-10 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3,
// SC'11), a function of a counter and a key. A path's numbers are the same on any thread, lane or device.
#pragma once
#include "tokenroof/core/maths.hpp"

TR_VECTORS_BEGIN
namespace tokenroof {
inline namespace TR_ISA {

// Product of the low halves of the 64-bit lanes.
TR_HD unsigned long long low_product(unsigned long long a, unsigned long long b) {
    return (a & 0xffffffffULL) * (b & 0xffffffffULL);
}
#if defined(__GNUC__) && !defined(__CUDACC__) && !defined(__CUDACC_RTC__)
using ulong2 = bits_of<double2>::type;
using ulong4 = bits_of<double4>::type;
using ulong8 = bits_of<double8>::type;
// One instruction, which GCC does not find by itself.
#if defined(__SSE2__) && !defined(__clang__)
using int4 = int __attribute__((vector_size(16)));
TR_HD ulong2 low_product(ulong2 a, ulong2 b) { return (ulong2)__builtin_ia32_pmuludq128((int4)a, (int4)b); }
#else
TR_HD ulong2 low_product(ulong2 a, ulong2 b) { return (a & 0xffffffffULL) * (b & 0xffffffffULL); }
#endif
#if defined(__AVX2__) && !defined(__clang__)
using int8 = int __attribute__((vector_size(32)));
TR_HD ulong4 low_product(ulong4 a, ulong4 b) { return (ulong4)__builtin_ia32_pmuludq256((int8)a, (int8)b); }
#else
TR_HD ulong4 low_product(ulong4 a, ulong4 b) { return (a & 0xffffffffULL) * (b & 0xffffffffULL); }
#endif
#if defined(__AVX512F__) && !defined(__clang__)
using int16 = int __attribute__((vector_size(64)));
using long8 = long long __attribute__((vector_size(64)));
TR_HD ulong8 low_product(ulong8 a, ulong8 b) {
    const long8 none = {};
    return (ulong8)__builtin_ia32_pmuludq512_mask((int16)a, (int16)b, none, (unsigned char)-1);
}
#else
TR_HD ulong8 low_product(ulong8 a, ulong8 b) { return (a & 0xffffffffULL) * (b & 0xffffffffULL); }
#endif
#endif

// The same 64-bit word in every lane.
template <class I> TR_HD I splat_word(unsigned long long x) { return I{} + x; }

// Ten rounds over a counter of four 32-bit words, each in the low half of a 64-bit lane; what is in the
// high halves goes in unread and comes out as it may.
template <class I> TR_HD void philox(I (&c)[4], unsigned int key0, unsigned int key1) {
    const I m0 = splat_word<I>(0xD2511F53ULL), m1 = splat_word<I>(0xCD9E8D57ULL);
    for (int round = 0; round < 10; ++round) {
        const I p0 = low_product(m0, c[0]), p1 = low_product(m1, c[2]);
        c[0] = (p1 >> 32) ^ c[1] ^ splat_word<I>(key0);
        c[1] = p1;
        c[2] = (p0 >> 32) ^ c[3] ^ splat_word<I>(key1);
        c[3] = p0;
        key0 += 0x9E3779B9U;
        key1 += 0xBB67AE85U;
    }
}

// (k + 1/2) 2^-52 of 52 random bits k: inside (0, 1), both ends alike.
template <class V, class I> TR_HD V uniform(I high, I low) {
    const I k = ((high << 20) & 0x000fffffffffffffULL) | ((low & 0xffffffffULL) >> 12);
    return same_bits<V>(k | 0x3ff0000000000000ULL) - (1.0 - 1.1102230246251565e-16);
}

// Two uniform numbers: draw `index` of `stream` of `path`.
template <class V, class I>
TR_HD void uniforms(I index, unsigned int stream, I path, unsigned int key0, unsigned int key1, V& first, V& second) {
    I c[4] = {index, splat_word<I>(stream), path, path >> 32};
    philox<I>(c, key0, key1);
    first = uniform<V, I>(c[0], c[1]);
    second = uniform<V, I>(c[2], c[3]);
}

} // namespace TR_ISA
} // namespace tokenroof
TR_VECTORS_END
