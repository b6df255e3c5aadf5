// Shared by host, nvcc and NVRTC: no standard headers, no I/O, no state.
#pragma once

// Each instruction set compiles the same headers into its own inline namespace, so that the linker
// cannot merge a function built for a newer processor into the table of an older one.
#ifndef TR_ISA
#define TR_ISA generic
#endif

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define TR_HD __host__ __device__ __forceinline__
#elif defined(_MSC_VER)
#define TR_HD __forceinline
#else
#define TR_HD inline __attribute__((always_inline))
#endif

// What is called in many places, or once for many elements: a function of its own. Compilers' time grows faster than
// a function does. TR_HD_ONCE is one in device code as well, which it keeps small; TR_HOST_ONCE is in line there.
#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define TR_HD_ONCE __host__ __device__ __attribute__((noinline)) inline
#define TR_HOST_ONCE TR_HD
#elif defined(_MSC_VER)
#define TR_HD_ONCE static __declspec(noinline)
#define TR_HOST_ONCE TR_HD_ONCE
#else
#define TR_HD_ONCE static inline __attribute__((noinline))
#define TR_HOST_ONCE TR_HD_ONCE
#endif

// Lambdas need the same guard against the linker.
#if defined(__GNUC__) && !defined(__CUDACC__) && !defined(__CUDACC_RTC__)
#define TR_INLINE __attribute__((always_inline))
#else
#define TR_INLINE
#endif

// Around functions that hand on vectors wider than the registers compiled for: GCC warns that their ABI would be another
// with wider ones, where there is none, as they are in line.
#if defined(__GNUC__) && !defined(__CUDACC__) && !defined(__CUDACC_RTC__)
#define TR_VECTORS_BEGIN _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wpsabi\"")
#define TR_VECTORS_END _Pragma("GCC diagnostic pop")
#else
#define TR_VECTORS_BEGIN
#define TR_VECTORS_END
#endif

namespace tokenroof {
inline namespace TR_ISA {

// The smaller value; NaN if either is NaN (std::min loses it in one argument order).
// T is a float, a double, or a GCC vector of doubles: comparisons and ?: then work lane by lane.
template <class T> TR_HD constexpr T min_nan(T a, T b) { return a != a ? a : (a < b ? a : b); }

// The larger value; NaN if either is NaN. (One instruction, and a test that never branches either way by chance.)
template <class T> TR_HD constexpr T max_nan(T a, T b) { return a != a ? a : (a > b ? a : b); }

#if defined(__CUDA_ARCH__) || defined(__CUDACC_RTC__)
TR_HD double not_a_number() { return __longlong_as_double(0x7ff8000000000000LL); }
TR_HD double infinite() { return __longlong_as_double(0x7ff0000000000000LL); }
#else
TR_HD double not_a_number() { return __builtin_nan(""); }
TR_HD double infinite() { return __builtin_inf(); }
#endif

// Ranks, which are counted from one: NaN below, with the invalid flag by 0 / 0.
template <class T> TR_HD T count_or_nan(T n) {
    const T one = n >= T(1) ? T(1) : n - n;
    return n * (one / one);
}

// Nothing where all is well; else NaN, with the invalid flag where x is a number: infinity less itself, from the data so
// that no compiler folds it away. What is added to it is worked out of numbers that raise no flag of their own.
template <class T> TR_HD T nan_unless(bool well, T x) {
    const T outside = well ? T(0) : x - T(infinite());
    return outside - outside;
}

// The same number in every lane.
template <class V> TR_HD constexpr V splat(double x) { return V{} + x; }

} // namespace TR_ISA
} // namespace tokenroof
