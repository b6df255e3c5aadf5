// A piece of a call, as a kernel sees it: from the number of an element to where its operands are, in 32-bit
// arithmetic and without division.
#pragma once
#include "call.hpp"
#include "launch.hpp"

namespace tokenroof {

// Division of a number below 2^31 by a constant: Granlund, Montgomery, Division by Invariant Integers using
// Multiplication, PLDI 1994, figure 4.1.
struct Divisor {
    unsigned divisor = 1, multiplier = 1, shift = 0;
    Divisor() = default;
    explicit Divisor(unsigned d) : divisor(d) {
        while (shift < 32 && (1ULL << shift) < d) ++shift;
        multiplier = static_cast<unsigned>(((1ULL << 32) * ((1ULL << shift) - d)) / d + 1);
    }
    __host__ __device__ unsigned operator()(unsigned n) const {
#if defined(__CUDA_ARCH__) || defined(TOKENROOF_CUDA_SHIM)
        return (__umulhi(n, multiplier) + n) >> shift;
#else
        return n / divisor;
#endif
    }
};

template <class T, int N> struct Span {
    unsigned count, inner_size;
    int axes;
    Divisor size[most_axes], inner; // inner: elements with the same records
    char* data[N];
    Size stride[most_axes][N];
    T value[N];

    explicit Span(const Piece& p) : count(p.count), inner_size(p.inner), axes(int(p.axes.size())), inner(p.inner) {
        for (int i = 0; i < N; ++i) {
            data[i] = p.data[i];
            value[i] = static_cast<T>(p.call->value[i]);
        }
        if (axes == 0) { // a single element: one axis of length 1
            axes = 1;
            for (int i = 0; i < N; ++i) stride[0][i] = 0;
        }
        for (std::size_t k = 0; k < p.axes.size(); ++k) {
            size[k] = Divisor(static_cast<unsigned>(p.axes[k].size));
            for (int i = 0; i < N; ++i) stride[k][i] = p.axes[k].stride[i];
        }
    }

    // Bytes from each operand's data to element n.
    __device__ __forceinline__ void locate(unsigned n, Size (&offset)[N]) const {
        for (int i = 0; i < N; ++i) offset[i] = 0;
#ifdef __CUDA_ARCH__
#pragma unroll 1
#endif
        for (int k = axes - 1; k > 0; --k) {
            const unsigned above = size[k](n), here = n - above * size[k].divisor;
            for (int i = 0; i < N; ++i) offset[i] += Size(here) * stride[k][i];
            n = above;
        }
        for (int i = 0; i < N; ++i) offset[i] += Size(n) * stride[0][i];
    }
    __device__ __forceinline__ T load(int i, const Size (&offset)[N]) const {
        return data[i] ? *reinterpret_cast<const T*>(data[i] + offset[i]) : value[i];
    }
    __device__ __forceinline__ T& at(int i, const Size (&offset)[N]) const {
        return *reinterpret_cast<T*>(data[i] + offset[i]);
    }
};

#define TR_GRID_LOOP(n, count)                                                                  \
    for (unsigned n = blockIdx.x * blockDim.x + threadIdx.x; n < (count); n += gridDim.x * blockDim.x)

} // namespace tokenroof
