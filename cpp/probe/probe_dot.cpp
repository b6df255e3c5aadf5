// Dot products that accumulate: AVX-512 VNNI (int8) and BF16. Compiled with flags of their own.
#include <immintrin.h>

// GCC's own headers start results from a register it calls undefined
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "probe/chains.hpp"
#include "probe/probe_table.hpp"

namespace tokenroof {
inline namespace TR_ISA {

extern const ComputeTable vnni_probes, bf16_probes;

namespace {

// Four products of 1 and 1 into each of 16 sums.
struct DotInt8 {
    using Value = __m512i;
    static TR_HD Value start(int chain) { return _mm512_set1_epi32(chain); }
    static TR_HD Value operand(int) { return _mm512_set1_epi8(1); }
    static TR_HD void hide(Value& x) { TR_OPAQUE("v", x); }
    static TR_HD Value step(Value x, const Value& a, const Value& b, int) {
        return _mm512_dpbusd_epi32(x, a, b);
    }
    static TR_HD bool right(const Value& x, int chain, long long steps) {
        return _mm512_cmpneq_epi32_mask(x, _mm512_set1_epi32(int(chain + 4 * steps))) == 0;
    }
};

// Two products of 1 and 1 into each of 16 sums, exact up to 2^24.
struct DotBf16 {
    using Value = __m512;
    static TR_HD Value start(int chain) { return _mm512_set1_ps(float(chain)); }
    static TR_HD Value operand(int) { return _mm512_castsi512_ps(_mm512_set1_epi32(0x3f803f80)); }
    static TR_HD void hide(Value& x) { TR_OPAQUE("v", x); }
    static TR_HD Value step(Value x, const Value& a, const Value& b, int) {
        return _mm512_dpbf16_ps(x, __m512bh(a), __m512bh(b));
    }
    static TR_HD bool right(const Value& x, int chain, long long steps) {
        return _mm512_cmp_ps_mask(x, _mm512_set1_ps(float(chain + 2 * steps)), _CMP_NEQ_UQ) == 0;
    }
};

bool dot_int8(long long rounds) { return run_chains<DotInt8>(rounds); }
bool dot_bf16(long long rounds) { return run_chains<DotBf16>(rounds); }

constexpr int steps = chains * steps_per_round;
constexpr ComputeProbe int8[] = {{"int8", 2.0 * 64 * steps, 512, steps, dot_int8}};
constexpr ComputeProbe bf16[] = {{"bf16", 2.0 * 32 * steps, 512, steps, dot_bf16}};

} // namespace

const ComputeTable vnni_probes = {int8, 1}, bf16_probes = {bf16, 1};

} // namespace TR_ISA
} // namespace tokenroof
