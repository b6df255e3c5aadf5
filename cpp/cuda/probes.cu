// Loops of the probes in registers, memory, L2 and shared memory. Factors and shifts are arguments, so that no
// compiler knows what comes out.
#include "element_types.hpp"
#include "launch.hpp"
#include "probes.hpp"

namespace tokenroof {
namespace {

using u32 = unsigned;

// --- registers

struct Fma64 {
    using T = double;
    static __device__ __forceinline__ T start(u32 x) { return x; }
    static __device__ __forceinline__ T step(T x, T a, T b) { return fma(x, a, b); }
    static __device__ __forceinline__ double value(T x) { return x; }
};
struct Fma32 {
    using T = float;
    static __device__ __forceinline__ T start(u32 x) { return static_cast<float>(x); }
    static __device__ __forceinline__ T step(T x, T a, T b) { return fmaf(x, a, b); }
    static __device__ __forceinline__ double value(T x) { return static_cast<double>(x); }
};
struct Fma16 { // two halves a register
    using T = u32;
    static __device__ __forceinline__ T start(u32 x) { return to_half(x) * 0x10001u; }
    static __device__ __forceinline__ T step(T x, T a, T b) {
#ifdef TOKENROOF_CUDA_SHIM
        u32 out = 0;
        for (int k = 0; k < 32; k += 16)
            out |= u32(to_half(from_half((unsigned short)(x >> k)) * from_half((unsigned short)(a >> k)) +
                               from_half((unsigned short)(b >> k)))) << k;
        return out;
#else
        u32 out;
        asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(out) : "r"(x), "r"(a), "r"(b));
        return out;
#endif
    }
    static __device__ __forceinline__ double value(T x) {
        return from_half((unsigned short)(x & 0xffff)) + from_half((unsigned short)(x >> 16));
    }
};

// x <- a x + b, with b and then its opposite: each turn of the loop leaves a chain one higher.
template <class F> __global__ void __launch_bounds__(compute_threads)
    fma_kernel(typename F::T a, typename F::T up, typename F::T down, unsigned turns, double* out) {
    const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
    typename F::T x[compute_chains];
    for (int c = 0; c < compute_chains; ++c) x[c] = F::start(u32(c) + (thread & 7));
#pragma unroll 1
    for (unsigned t = 0; t < turns; ++t) {
#pragma unroll
        for (int s = 0; s < compute_steps; ++s)
            for (int c = 0; c < compute_chains; ++c) x[c] = F::step(x[c], a, s & 1 ? down : up);
    }
    double sum = 0;
    for (int c = 0; c < compute_chains; ++c) sum += F::value(x[c]);
    out[thread] = sum;
}

__host__ __device__ __forceinline__ u32 funnel(u32 low, u32 high, u32 n) {
#if defined(__CUDA_ARCH__) || defined(TOKENROOF_CUDA_SHIM)
    return __funnelshift_r(low, high, n);
#else
    return static_cast<u32>(((static_cast<unsigned long long>(high) << 32) | low) >> (n & 31));
#endif
}

// One instruction each: as plain operators, nvcc takes two steps together and needs a third more of them.
__host__ __device__ __forceinline__ u32 xor_and(u32 x, u32 y, u32 z) {
#ifdef __CUDA_ARCH__
    u32 out;
    asm("lop3.b32 %0, %1, %2, %3, 0x78;" : "=r"(out) : "r"(x), "r"(y), "r"(z));
    return out;
#else
    return x ^ (y & z);
#endif
}
__host__ __device__ __forceinline__ u32 xor_or(u32 x, u32 y, u32 z) {
#ifdef __CUDA_ARCH__
    u32 out;
    asm("lop3.b32 %0, %1, %2, %3, 0x1e;" : "=r"(out) : "r"(x), "r"(y), "r"(z));
    return out;
#else
    return x ^ (y | z);
#endif
}

// Chains of two or three words that feed each other: no sum, logic or shift of two steps is one of one step.
template <int kind> __host__ __device__ __forceinline__ void integer_step(u32 (&x)[12], int c, u32 n) {
    u32 &p = x[3 * (c / 2)], &q = x[3 * (c / 2) + 1], &r = x[3 * (c / 2) + 2];
    if (kind == probe_add32) {
        if (c & 1) q += p;
        else p += q;
    } else if (kind == probe_shift32) {
        if (c & 1) q = funnel(q, p, n);
        else p = funnel(p, q, n);
    } else {
        if (c & 1) q = xor_or(q, p, r);
        else p = xor_and(p, q, r);
    }
}
__host__ __device__ __forceinline__ void integer_start(u32 (&x)[12], u32 thread) {
    for (u32 i = 0; i < 12; ++i) x[i] = (i + 1) * 0x9e3779b9u + (thread & 7) * 0x85ebca6bu;
}
template <int kind> __global__ void __launch_bounds__(compute_threads) integer_kernel(u32 n, unsigned turns, double* out) {
    const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
    u32 x[12];
    integer_start(x, thread);
#pragma unroll 1
    for (unsigned t = 0; t < turns; ++t) {
#pragma unroll
        for (int s = 0; s < compute_steps; ++s)
            for (int c = 0; c < compute_chains; ++c) integer_step<kind>(x, c, n);
    }
    u32 sum = 0;
    for (int i = 0; i < 12; ++i) sum += x[i];
    out[thread] = sum;
}
template <int kind> double integer_expected(u32 thread, unsigned turns) {
    u32 x[12], sum = 0;
    integer_start(x, thread);
    for (unsigned t = 0; t < turns * unsigned(compute_steps); ++t)
        for (int c = 0; c < compute_chains; ++c) integer_step<kind>(x, c, 7);
    for (u32 one : x) sum += one;
    return sum;
}

// --- memory

__device__ __forceinline__ uint4 load_past_l1(const uint4* p) {
#ifdef TOKENROOF_CUDA_SHIM
    return *p;
#else
    uint4 v; // volatile: no pass is left out because the one before read the same
    asm volatile("ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
    return v;
#endif
}
__global__ void fill_kernel(u32* words, unsigned long long n, u32 even, u32 odd, u32 factor) {
    const unsigned long long stride = static_cast<unsigned long long>(gridDim.x) * blockDim.x;
    for (unsigned long long i = blockIdx.x * static_cast<unsigned long long>(blockDim.x) + threadIdx.x; i < n; i += stride)
        words[i] = (i & 1 ? odd : even) + factor * static_cast<u32>(i);
}
__global__ void __launch_bounds__(pass_threads) read_kernel(const uint4* from, unsigned long long n, unsigned passes, u32* sums) {
    const unsigned long long stride = static_cast<unsigned long long>(gridDim.x) * blockDim.x;
    const unsigned long long thread = blockIdx.x * static_cast<unsigned long long>(blockDim.x) + threadIdx.x;
    u32 sum = 0;
#pragma unroll 1
    for (unsigned p = 0; p < passes; ++p) {
#pragma unroll 8
        for (unsigned long long i = thread; i < n; i += stride) {
            const uint4 v = load_past_l1(from + i);
            sum += (v.x + v.y) + (v.z + v.w);
        }
    }
    sums[thread] = sum;
}
__global__ void __launch_bounds__(pass_threads) write_kernel(uint4* to, unsigned long long n, u32 value) {
    const unsigned long long stride = static_cast<unsigned long long>(gridDim.x) * blockDim.x;
    for (unsigned long long i = blockIdx.x * static_cast<unsigned long long>(blockDim.x) + threadIdx.x; i < n; i += stride)
        to[i] = make_uint4(value, value, value, value);
}
__global__ void __launch_bounds__(pass_threads) copy_words_kernel(const uint4* from, uint4* to, unsigned long long n) {
    const unsigned long long stride = static_cast<unsigned long long>(gridDim.x) * blockDim.x;
#pragma unroll 4
    for (unsigned long long i = blockIdx.x * static_cast<unsigned long long>(blockDim.x) + threadIdx.x; i < n; i += stride)
        to[i] = from[i];
}
__global__ void __launch_bounds__(pass_threads)
    triad_kernel(const double2* b, const double2* c, double2* a, unsigned long long n, double s) {
    const unsigned long long stride = static_cast<unsigned long long>(gridDim.x) * blockDim.x;
#pragma unroll 4
    for (unsigned long long i = blockIdx.x * static_cast<unsigned long long>(blockDim.x) + threadIdx.x; i < n; i += stride) {
        const double2 x = b[i], y = c[i];
        a[i] = double2{x.x + s * y.x, x.y + s * y.y};
    }
}

// Each thread reads what it wrote: no barrier is needed. Loads are volatile in PTX too: ptxas takes out others
// that read the same address again.
__global__ void __launch_bounds__(shared_threads) shared_kernel(unsigned turns, u32* sums) {
    __shared__ uint4 slots[shared_slots][shared_threads];
    const unsigned t = threadIdx.x;
    for (unsigned k = 0; k < shared_slots; ++k) slots[k][t] = make_uint4(t + k, 1, 2, 3);
    u32 sum = 0;
#pragma unroll 1
    for (unsigned i = 0; i < turns; ++i) {
#pragma unroll
        for (unsigned k = 0; k < 4 * shared_slots; ++k) {
            uint4 v;
#ifdef TOKENROOF_CUDA_SHIM
            v = slots[k % shared_slots][t];
#else
            const unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(&slots[k % shared_slots][t]));
            asm volatile("ld.volatile.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(at) : "memory");
#endif
            sum += v.x;
        }
    }
    sums[blockIdx.x * blockDim.x + t] = sum;
}

__global__ void nothing_kernel(u32* out) {
    if (out && threadIdx.x == 1) *out = 0; // a block has one thread
}

} // namespace

double launch_compute(ProbeKind kind, unsigned blocks, unsigned turns, double* out, cudaStream_t stream) {
    const Grid grid{blocks, compute_threads};
    const double steps = double(blocks) * compute_threads * turns * compute_steps * compute_chains;
    const u32 one = 0x3c003c00u, minus = 0xbc00bc00u;
    switch (kind) {
    case probe_fp64: launch(fma_kernel<Fma64>, grid, stream, 1.0, 1.0, -1.0, turns, out); return 2 * steps;
    case probe_fp32: launch(fma_kernel<Fma32>, grid, stream, 1.0f, 1.0f, -1.0f, turns, out); return 2 * steps;
    case probe_fp16: launch(fma_kernel<Fma16>, grid, stream, one, one, minus, turns, out); return 4 * steps;
    case probe_add32: launch(integer_kernel<probe_add32>, grid, stream, 7u, turns, out); return steps;
    case probe_logic32: launch(integer_kernel<probe_logic32>, grid, stream, 7u, turns, out); return steps;
    default: launch(integer_kernel<probe_shift32>, grid, stream, 7u, turns, out); return steps;
    }
}

double compute_expected(ProbeKind kind, unsigned thread, unsigned turns) {
    switch (kind) {
    case probe_add32: return integer_expected<probe_add32>(thread, turns);
    case probe_logic32: return integer_expected<probe_logic32>(thread, turns);
    case probe_shift32: return integer_expected<probe_shift32>(thread, turns);
    default: break;
    }
    const double one = compute_chains * (compute_chains - 1) / 2.0 + compute_chains * (double(thread & 7) + turns);
    return kind == probe_fp16 ? 2 * one : one;
}

void launch_fill(unsigned* words, unsigned long long n, unsigned even, unsigned odd, unsigned factor, unsigned blocks,
                 cudaStream_t stream) {
    launch(fill_kernel, Grid{blocks, pass_threads}, stream, words, n, even, odd, factor);
}
unsigned fill_sum(unsigned long long n, unsigned even, unsigned odd, unsigned factor) {
    const unsigned long long pairs = n & 1 ? n * ((n - 1) / 2) : (n / 2) * (n - 1); // n (n - 1) / 2 mod 2^64
    return static_cast<u32>((n + 1) / 2) * even + static_cast<u32>(n / 2) * odd + factor * static_cast<u32>(pairs);
}
void launch_read(const unsigned* words, unsigned long long n, unsigned* sums, unsigned blocks, cudaStream_t stream) {
    launch_l2(words, n, 1, sums, blocks, stream);
}
void launch_l2(const unsigned* words, unsigned long long n, unsigned passes, unsigned* sums, unsigned blocks,
               cudaStream_t stream) {
    launch(read_kernel, Grid{blocks, pass_threads}, stream, reinterpret_cast<const uint4*>(words), n / 4, passes, sums);
}
void launch_write(unsigned* words, unsigned long long n, unsigned value, unsigned blocks, cudaStream_t stream) {
    launch(write_kernel, Grid{blocks, pass_threads}, stream, reinterpret_cast<uint4*>(words), n / 4, value);
}
void launch_copy(const unsigned* from, unsigned* to, unsigned long long n, unsigned blocks, cudaStream_t stream) {
    launch(copy_words_kernel, Grid{blocks, pass_threads}, stream, reinterpret_cast<const uint4*>(from),
           reinterpret_cast<uint4*>(to), n / 4);
}
void launch_triad(const double* b, const double* c, double* a, unsigned long long n, double s, unsigned blocks,
                  cudaStream_t stream) {
    launch(triad_kernel, Grid{blocks, pass_threads}, stream, reinterpret_cast<const double2*>(b),
           reinterpret_cast<const double2*>(c), reinterpret_cast<double2*>(a), n / 2, s);
}
double launch_shared(unsigned turns, unsigned* sums, unsigned blocks, cudaStream_t stream) {
    launch(shared_kernel, Grid{blocks, shared_threads}, stream, turns, sums);
    return 16.0 * 4 * shared_slots * turns * double(blocks) * shared_threads;
}
unsigned shared_expected(unsigned thread, unsigned turns) {
    const u32 t = thread % shared_threads;
    return 4 * turns * (shared_slots * t + shared_slots * (shared_slots - 1) / 2);
}
void launch_nothing(unsigned* out, cudaStream_t stream) { launch(nothing_kernel, Grid{1, 1}, stream, out); }

} // namespace tokenroof
