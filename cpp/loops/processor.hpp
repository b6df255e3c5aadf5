// What this processor can run, asked of it: not every compiler's own question is answered (Clang against an old C
// library says no to all), and not every compiler knows the levels of x86-64.
#pragma once

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>
#endif

namespace tokenroof {

struct Processor {
    bool level3 = false;      // x86-64-v3: AVX2, FMA, BMI and the registers kept by the system
    bool level4 = false;      // x86-64-v4: AVX-512 F, BW, CD, DQ, VL
    bool sha = false;         // SHA and SSE4.1
    bool avx512_vnni = false;
    bool avx512_bf16 = false;
    bool intel = false;
};

#if defined(__x86_64__) || defined(_M_X64)
// Intel's manual, volume 2, CPUID; the psABI's levels of x86-64, section 3.1.1.
inline Processor asked() {
    Processor out;
    unsigned a, b, c, d, deep_b, deep_c, deep_d, deep_a, long_c = 0;
    if (!__get_cpuid(0, &a, &b, &c, &d)) return out;
    out.intel = b == signature_INTEL_ebx && c == signature_INTEL_ecx && d == signature_INTEL_edx;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !__get_cpuid_count(7, 0, &deep_a, &deep_b, &deep_c, &deep_d)) return out;
    const auto bit = [](unsigned word, int i) { return (word >> i & 1u) != 0; };
    unsigned e, f, g;
    if (__get_cpuid(0x80000001u, &e, &f, &long_c, &g) == 0) return out;
    out.sha = bit(deep_b, 29) && bit(c, 19);
    if (!bit(c, 27)) return out; // the system keeps no wide registers
    unsigned kept, high;
    __asm__("xgetbv" : "=a"(kept), "=d"(high) : "c"(0));
    const bool fma = bit(c, 12), movbe = bit(c, 22), avx = bit(c, 28), f16c = bit(c, 29), popcnt = bit(c, 23);
    const bool bmi = bit(deep_b, 3) && bit(deep_b, 8), avx2 = bit(deep_b, 5), lzcnt = bit(long_c, 5);
    out.level3 = (kept & 0x6u) == 0x6u && fma && movbe && avx && f16c && popcnt && bmi && avx2 && lzcnt;
    const bool wide = bit(deep_b, 16) && bit(deep_b, 17) && bit(deep_b, 28) && bit(deep_b, 30) && bit(deep_b, 31);
    out.level4 = out.level3 && (kept & 0xe6u) == 0xe6u && wide;
    out.avx512_vnni = out.level4 && bit(deep_c, 11);
    if (deep_a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) out.avx512_bf16 = out.level4 && bit(a, 5);
    return out;
}
#else
inline Processor asked() { return {}; }
#endif

inline const Processor& processor() {
    static const Processor found = asked();
    return found;
}

} // namespace tokenroof
