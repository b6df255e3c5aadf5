// Compiled once per instruction set: loops that reach the ceilings of one core.
#if defined(__FMA__) || defined(__AVX512F__) || defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

// GCC's own headers start results from a register it calls undefined
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "probe/chains.hpp"
#include "probe/probe_table.hpp"
#include "tokenroof/core/config.hpp"

namespace tokenroof {
inline namespace TR_ISA {

extern const ComputeTable compute_probes;
extern const MemoryTable memory_probes;

namespace {

// The widest vectors of this instruction set, and one multiply-add on them. Fused where the machine has
// the instruction, whatever -ffp-contract says: this measures the hardware, not a formula.
#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif
#ifdef __GNUC__
typedef double Doubles __attribute__((vector_size(vector_bytes)));
typedef float Floats __attribute__((vector_size(vector_bytes)));
typedef unsigned int Words __attribute__((vector_size(vector_bytes)));
typedef unsigned long long LongWords __attribute__((vector_size(vector_bytes)));
template <class V> TR_HD auto lane(const V& x, int i) { return x[i]; }
#define TR_VECTOR_LOOP _Pragma("GCC unroll 8")
#else
using Doubles = double;
using Floats = float;
using Words = unsigned int;
using LongWords = unsigned long long;
template <class V> TR_HD V lane(V x, int) { return x; }
#define TR_VECTOR_LOOP
#endif
template <class V, class T> constexpr int lanes_of = int(sizeof(V) / sizeof(T));

#if defined(__AVX512F__)
TR_HD Doubles multiply_add(Doubles a, Doubles b, Doubles c) { return _mm512_fmadd_pd(a, b, c); }
TR_HD Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
#elif defined(__FMA__)
TR_HD Doubles multiply_add(Doubles a, Doubles b, Doubles c) { return _mm256_fmadd_pd(a, b, c); }
TR_HD Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
#elif defined(__ARM_NEON) && defined(__aarch64__)
TR_HD Doubles multiply_add(Doubles a, Doubles b, Doubles c) {
    return Doubles(vfmaq_f64(float64x2_t(c), float64x2_t(a), float64x2_t(b)));
}
TR_HD Floats multiply_add(Floats a, Floats b, Floats c) {
    return Floats(vfmaq_f32(float32x4_t(c), float32x4_t(a), float32x4_t(b)));
}
#else
TR_HD Doubles multiply_add(Doubles a, Doubles b, Doubles c) { return a * b + c; }
TR_HD Floats multiply_add(Floats a, Floats b, Floats c) { return a * b + c; }
#endif
#if defined(__FMA__) || defined(__AVX512F__) || (defined(__ARM_NEON) && defined(__aarch64__))
constexpr int flops_of_step = 2;
#else
constexpr int flops_of_step = 1; // one chain multiplies, the next one adds
#endif

// x = x * 1 + 1 counts its own steps exactly, up to 2^24 in float32.
template <class V, class T> struct MultiplyAdd {
    using Value = V;
    static TR_HD V start(int chain) { return V{} + T(chain); }
    static TR_HD V operand(int) { return V{} + T(1); }
    static TR_HD void hide(V& x) { TR_OPAQUE(TR_VECTOR_KEEP, x); }
    static TR_HD V step(V x, const V& a, const V& b, int chain) {
        if constexpr (flops_of_step == 2)
            return multiply_add(x, a, b);
        else
            return chain % 2 ? x + b : x * a;
    }
    static TR_HD bool right(const V& x, int chain, long long steps) {
        const long long added = flops_of_step == 2 || chain % 2 ? steps : 0;
        bool all = true;
        for (int i = 0; i < lanes_of<V, T>; ++i) all = all && lane(x, i) == T(chain + added);
        return all;
    }
};

template <class V, class Self> struct Integers {
    using Value = V;
    static TR_HD V start(int chain) { return V{} + unsigned(chain + 1); }
    static TR_HD V operand(int which) { return V{} + (which == 0 ? 0x9e3779b9u : 0x7f4a7c15u); }
    static TR_HD void hide(V& x) { TR_OPAQUE(TR_VECTOR_KEEP, x); }
    static TR_HD bool right(const V& x, int chain, long long steps) {
        const unsigned want = Self::after(unsigned(chain + 1), steps);
        bool all = true;
        for (int i = 0; i < lanes_of<V, unsigned>; ++i) all = all && lane(x, i) == want;
        return all;
    }
};
template <class V> struct Add : Integers<V, Add<V>> {
    static TR_HD V step(V x, const V& a, const V&, int) {
        x = x + a;
        TR_OPAQUE_STEP(TR_VECTOR_KEEP, x);
        return x;
    }
    static TR_HD unsigned after(unsigned x, long long steps) { return x + 0x9e3779b9u * unsigned(steps); }
};
template <class V> struct Logic : Integers<V, Logic<V>> {
    static TR_HD V step(V x, const V& a, const V&, int) {
        x = x ^ a;
        TR_OPAQUE_STEP(TR_VECTOR_KEEP, x);
        return x;
    }
    static TR_HD unsigned after(unsigned x, long long steps) { return steps % 2 ? x ^ 0x9e3779b9u : x; }
};
// A rotation by one: an instruction of AVX-512, else two shifts that a logical operation joins.
template <class V> struct Rotate : Integers<V, Rotate<V>> {
    static TR_HD V step(V x, const V&, const V&, int) {
#if defined(__AVX512F__)
        x = V(_mm512_rol_epi32(__m512i(x), 1));
#else
        x = (x << 1) | (x >> 31);
#endif
        TR_OPAQUE_STEP(TR_VECTOR_KEEP, x);
        return x;
    }
    static TR_HD unsigned after(unsigned x, long long steps) {
        const int by = int(steps % 32);
        return by ? (x << by) | (x >> (32 - by)) : x;
    }
};
#if defined(__AVX512F__)
constexpr int shifts_of_rotate = 1;
#else
constexpr int shifts_of_rotate = 2;
#endif

bool fp64(long long rounds) { return run_chains<MultiplyAdd<Doubles, double>>(rounds); }
bool fp32(long long rounds) { return run_chains<MultiplyAdd<Floats, float>>(rounds); }
bool add(long long rounds) { return run_chains<Add<Words>>(rounds); }
bool logic(long long rounds) { return run_chains<Logic<Words>>(rounds); }
bool rotate(long long rounds) { return run_chains<Rotate<Words>>(rounds); }

constexpr int steps = chains * steps_per_round, bits = 8 * vector_bytes;
constexpr ComputeProbe probes[] = {
    {"fp64", flops_of_step * double(vector_bytes / 8) * steps, bits, steps, fp64},
    {"fp32", flops_of_step * double(vector_bytes / 4) * steps, bits, steps, fp32},
    {"add32", double(vector_bytes / 4) * steps, bits, steps, add},
    {"logic32", double(vector_bytes / 4) * steps, bits, steps, logic},
    {"shift32", double(shifts_of_rotate) * (vector_bytes / 4) * steps, bits,
     (shifts_of_rotate == 1 ? 1 : 3) * steps, rotate},
};

// --- memory ----------------------------------------------------------------------------------------

constexpr long long width = sizeof(Doubles) / sizeof(double);
#ifdef __GNUC__ // vectors that may alias the doubles they are read from
typedef LongWords LongWordsAt __attribute__((may_alias));
typedef Doubles DoublesAt __attribute__((may_alias));
#else
using LongWordsAt = LongWords;
using DoublesAt = Doubles;
#endif
TR_HD Doubles load(const double* p) { return *reinterpret_cast<const DoublesAt*>(p); }
TR_HD void store(double* p, Doubles x) { *reinterpret_cast<DoublesAt*>(p) = x; }

unsigned long long read(const double* a, long long n, long long passes) {
    constexpr long long streams = 8;
    LongWords sum[streams] = {};
    for (long long p = 0; p < passes; ++p)
        for (long long i = 0; i < n; i += streams * width)
            TR_VECTOR_LOOP for (long long k = 0; k < streams; ++k) sum[k] =
                sum[k] + *reinterpret_cast<const LongWordsAt*>(a + i + k * width);
    for (long long k = 1; k < streams; ++k) sum[0] = sum[0] + sum[k];
    unsigned long long all = 0;
    for (int i = 0; i < int(width); ++i) all += lane(sum[0], i);
    return all;
}

// Vectors rather than scalar loops: the compiler would turn those into calls of memset and memcpy.
template <class Store> TR_HD void write_with(double* a, double s, long long n, Store put) {
    const Doubles x = Doubles{} + s;
    for (long long i = 0; i < n; i += 8 * width)
        TR_VECTOR_LOOP for (long long k = 0; k < 8; ++k) put(a + i + k * width, x);
}
template <class Store> TR_HD void copy_with(double* a, const double* b, long long n, Store put) {
    for (long long i = 0; i < n; i += 8 * width)
        TR_VECTOR_LOOP for (long long k = 0; k < 8; ++k) put(a + i + k * width, load(b + i + k * width));
}
template <class Store>
TR_HD void triad_with(double* a, const double* b, const double* c, double s, long long n, Store put) {
    const Doubles scale = Doubles{} + s;
    for (long long i = 0; i < n; i += 8 * width)
        TR_VECTOR_LOOP for (long long k = 0; k < 8; ++k)
            put(a + i + k * width, multiply_add(scale, load(c + i + k * width), load(b + i + k * width)));
}

void write(double* a, double s, long long n) {
    write_with(a, s, n, [](double* p, Doubles x) TR_INLINE { store(p, x); });
}
void copy(double* a, const double* b, long long n) {
    copy_with(a, b, n, [](double* p, Doubles x) TR_INLINE { store(p, x); });
}
void triad(double* a, const double* b, const double* c, double s, long long n) {
    triad_with(a, b, c, s, n, [](double* p, Doubles x) TR_INLINE { store(p, x); });
}

#if defined(__SSE2__)
TR_HD void stream(double* p, Doubles x) {
#if defined(__AVX512F__)
    _mm512_stream_pd(p, x);
#elif defined(__AVX__)
    _mm256_stream_pd(p, x);
#else
    _mm_stream_pd(p, x);
#endif
}
void write_nt(double* a, double s, long long n) {
    write_with(a, s, n, [](double* p, Doubles x) TR_INLINE { stream(p, x); });
    _mm_sfence();
}
void copy_nt(double* a, const double* b, long long n) {
    copy_with(a, b, n, [](double* p, Doubles x) TR_INLINE { stream(p, x); });
    _mm_sfence();
}
void triad_nt(double* a, const double* b, const double* c, double s, long long n) {
    triad_with(a, b, c, s, n, [](double* p, Doubles x) TR_INLINE { stream(p, x); });
    _mm_sfence();
}
#else
constexpr decltype(MemoryTable::write_nt) write_nt = nullptr;
constexpr decltype(MemoryTable::copy_nt) copy_nt = nullptr;
constexpr decltype(MemoryTable::triad_nt) triad_nt = nullptr;
#endif

} // namespace

const ComputeTable compute_probes = {probes, int(sizeof probes / sizeof *probes)};
const MemoryTable memory_probes = {read, write, copy, triad, write_nt, copy_nt, triad_nt};

} // namespace TR_ISA
} // namespace tokenroof
