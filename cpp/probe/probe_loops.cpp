// Compiled once per instruction set: loops that reach the ceilings of one core.
#if defined(__FMA__) || defined(__AVX512F__)
#include <immintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "probe/probe_table.hpp"
#include "tokenroof/config.hpp"

namespace tokenroof {
inline namespace TR_ISA {

extern const ProbeTable probe_table;

namespace {

// The widest vectors of this instruction set, and one multiply-add on them. Fused where the machine has
// the instruction, whatever -ffp-contract says: this measures the hardware, not a formula.
#if defined(__AVX512F__)
using Doubles = __m512d;
using Floats = __m512;
TR_HD Doubles multiply_add(Doubles a, Doubles b, Doubles c) { return _mm512_fmadd_pd(a, b, c); }
TR_HD Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
#elif defined(__FMA__)
using Doubles = __m256d;
using Floats = __m256;
TR_HD Doubles multiply_add(Doubles a, Doubles b, Doubles c) { return _mm256_fmadd_pd(a, b, c); }
TR_HD Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
#elif defined(__ARM_NEON) && defined(__aarch64__)
using Doubles = float64x2_t;
using Floats = float32x4_t;
TR_HD Doubles multiply_add(Doubles a, Doubles b, Doubles c) { return vfmaq_f64(c, a, b); }
TR_HD Floats multiply_add(Floats a, Floats b, Floats c) { return vfmaq_f32(c, a, b); }
#elif defined(__GNUC__)
typedef double Doubles __attribute__((vector_size(16)));
typedef float Floats __attribute__((vector_size(16)));
TR_HD Doubles multiply_add(Doubles a, Doubles b, Doubles c) { return a * b + c; }
TR_HD Floats multiply_add(Floats a, Floats b, Floats c) { return a * b + c; }
#else
using Doubles = double;
using Floats = float;
TR_HD double multiply_add(double a, double b, double c) { return a * b + c; }
TR_HD float multiply_add(float a, float b, float c) { return a * b + c; }
#endif

// Twelve chains cover the latency of two units, and still leave room in 16 registers.
constexpr int chains = 12;
constexpr int steps_per_round = 64;

template <class V, class T> TR_HD double chains_of(long long rounds, T* sink) {
    V x[chains];
    // contracts towards 1: no overflow, no denormal, and nothing that a compiler may skip
    const V a = V{} + T(0.75), b = V{} + T(0.25);
    for (int i = 0; i < chains; ++i) x[i] = V{} + T(i + 2);
    for (long long r = 0; r < rounds; ++r)
        for (int s = 0; s < steps_per_round; ++s) {
#ifdef __GNUC__
#pragma GCC unroll 12
#endif
            for (int i = 0; i < chains; ++i) x[i] = multiply_add(x[i], a, b);
        }
    V sum = x[0];
    for (int i = 1; i < chains; ++i) sum = sum + x[i];
    const T* lanes = reinterpret_cast<const T*>(&sum);
    *sink += lanes[0];
    return 2.0 * double(sizeof(V) / sizeof(T)) * chains * steps_per_round * double(rounds);
}

double flops_float64(long long rounds, double* sink) { return chains_of<Doubles>(rounds, sink); }
double flops_float32(long long rounds, float* sink) { return chains_of<Floats>(rounds, sink); }

double read(const double* a, long long n) {
    constexpr long long width = sizeof(Doubles) / sizeof(double), streams = 8;
    Doubles sum[streams] = {};
    for (long long i = 0; i < n; i += streams * width)
#ifdef __GNUC__
#pragma GCC unroll 8
#endif
        for (long long k = 0; k < streams; ++k)
            sum[k] = sum[k] + *reinterpret_cast<const Doubles*>(a + i + k * width);
    for (long long k = 1; k < streams; ++k) sum[0] = sum[0] + sum[k];
    return *reinterpret_cast<const double*>(&sum[0]);
}

// Vectors rather than a scalar loop: the compiler would turn it into a call of memcpy.
void copy(double* a, const double* b, long long n) {
    constexpr long long width = sizeof(Doubles) / sizeof(double);
    for (long long i = 0; i < n; i += width)
        *reinterpret_cast<Doubles*>(a + i) = *reinterpret_cast<const Doubles*>(b + i);
}

void triad(double* a, const double* b, const double* c, double s, long long n) {
    constexpr long long width = sizeof(Doubles) / sizeof(double);
    const Doubles scale = Doubles{} + s;
    for (long long i = 0; i < n; i += width)
        *reinterpret_cast<Doubles*>(a + i) =
            multiply_add(scale, *reinterpret_cast<const Doubles*>(c + i),
                         *reinterpret_cast<const Doubles*>(b + i));
}

} // namespace

const ProbeTable probe_table = {flops_float64, flops_float32, read, copy, triad};

} // namespace TR_ISA
} // namespace tokenroof
