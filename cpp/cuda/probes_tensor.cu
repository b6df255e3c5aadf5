// Products in tensor cores: mma.sync, and wgmma where the generation has it (compute capability 9.0). A turn is
// an odd number of products by B and -B alternately: one is left of it, and the sums stay exact.
#include "launch.hpp"
#include "probes.hpp"

namespace tokenroof {
namespace {

using u32 = unsigned;

constexpr unsigned mma_threads = 256, mma_sums = 8; // independent products of a warp
constexpr unsigned wgmma_threads = 128;

// --- a warp's product of 16 rows by 8 columns: 256 bits of a row and of a column

template <int kind> struct Sum { using T = float; };
template <> struct Sum<tensor_int8> { using T = int; };

template <int kind, class T> __device__ __forceinline__ void mma(T (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
#if defined(TOKENROOF_CUDA_SHIM)
    // What stands in for the instruction on a CPU: as many products, of this thread's words alone.
    for (int i = 0; i < 4; ++i)
        for (int r = 0; r < 4; ++r)
            d[i] += T(kind == tensor_int8 ? 8 * int((signed char)(a[r] & 0xff)) * int((signed char)(b[r & 1] & 0xff))
                                          : (kind == tensor_fp8 ? 8 : 4) * (a[r] >> 31 == b[r & 1] >> 31 ? 1 : -1));
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
#define TR_MMA(shape, types, c)                                                                                     \
    asm volatile("mma.sync.aligned." shape ".row.col." types                                                        \
                 " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                                 \
                 : c(d[0]), c(d[1]), c(d[2]), c(d[3])                                                               \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
    if constexpr (kind == tensor_bf16) TR_MMA("m16n8k16", "f32.bf16.bf16.f32", "+f");
    else if constexpr (kind == tensor_fp16) TR_MMA("m16n8k16", "f32.f16.f16.f32", "+f");
    else if constexpr (kind == tensor_int8) TR_MMA("m16n8k32", "s32.s8.s8.s32", "+r");
#if __CUDA_ARCH__ >= 890 && __CUDA_ARCH__ != 900 // Hopper has none: ptxas converts, and multiplies once for all turns
    else TR_MMA("m16n8k32", "f32.e4m3.e4m3.f32", "+f");
#endif
#endif
}

template <int kind> __global__ void __launch_bounds__(mma_threads) mma_kernel(const u32* in, unsigned turns, double* out) {
    using T = typename Sum<kind>::T;
    const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
    u32 a[4], b[2][2];
    for (int i = 0; i < 4; ++i) a[i] = in[threadIdx.x * 8 + i];
    for (int i = 0; i < 4; ++i) b[i / 2][i % 2] = in[threadIdx.x * 8 + 4 + i];
    T d[mma_sums][4] = {};
#pragma unroll 1
    for (unsigned t = 0; t < turns; ++t) {
#pragma unroll
        for (int s = 0; s < tensor_steps; ++s)
            for (unsigned k = 0; k < mma_sums; ++k) mma<kind>(d[k], a, b[s & 1]);
    }
    for (unsigned k = 0; k < mma_sums; ++k)
        for (int i = 0; i < 4; ++i) out[(thread * mma_sums + k) * 4 + i] = double(d[k][i]);
}

// --- a warp group's product of 64 rows by 256 columns, operands in shared memory

#define TR_REGISTERS_128 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, " \
    "%21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, " \
    "%40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, " \
    "%59, %60, %61, %62, %63, %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, " \
    "%78, %79, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, " \
    "%97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, " \
    "%113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define TR_4(c, i) c(d[i]), c(d[i + 1]), c(d[i + 2]), c(d[i + 3])
#define TR_16(c, i) TR_4(c, i), TR_4(c, i + 4), TR_4(c, i + 8), TR_4(c, i + 12)
#define TR_128(c) TR_16(c, 0), TR_16(c, 16), TR_16(c, 32), TR_16(c, 48), TR_16(c, 64), TR_16(c, 80), TR_16(c, 96), TR_16(c, 112)

constexpr unsigned rows = 64, columns = 256, row_bytes = 32;      // of a step's operands
constexpr unsigned wgmma_words = (rows + 2 * columns) * row_bytes / 4; // A, B, -B

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
// Rows of 32 bytes as core matrices of 8 rows by 16 bytes, without swizzle: the next 16 bytes of a row are 128
// bytes on, the next 8 rows 256 (PTX ISA, matrix descriptor).
__device__ __forceinline__ unsigned long long descriptor(const void* shared) {
    const unsigned long long at = __cvta_generic_to_shared(shared);
    return (at & 0x3ffff) >> 4 | 128ULL >> 4 << 16 | 256ULL >> 4 << 32;
}
template <int kind, class T> __device__ __forceinline__ void wgmma(T (&d)[128], unsigned long long a, unsigned long long b) {
#define TR_WGMMA(types, tail, c)                                                                                    \
    asm volatile("wgmma.mma_async.sync.aligned." types " {" TR_REGISTERS_128 "}, %128, %129, " tail ";"              \
                 : TR_128(c)                                                                                        \
                 : "l"(a), "l"(b))
    if constexpr (kind == tensor_bf16) TR_WGMMA("m64n256k16.f32.bf16.bf16", "1, 1, 1, 0, 0", "+f");
    else if constexpr (kind == tensor_fp16) TR_WGMMA("m64n256k16.f32.f16.f16", "1, 1, 1, 0, 0", "+f");
    else if constexpr (kind == tensor_int8) TR_WGMMA("m64n256k32.s32.s8.s8", "1", "+r");
    else TR_WGMMA("m64n256k32.f32.e4m3.e4m3", "1, 1, 1", "+f");
}
#endif

template <int kind> __global__ void __launch_bounds__(wgmma_threads) wgmma_kernel(const u32* in, unsigned turns, double* out) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    using T = typename Sum<kind>::T;
    __shared__ __align__(1024) u32 words[wgmma_words];
    for (unsigned i = threadIdx.x; i < wgmma_words; i += blockDim.x) words[i] = in[i];
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    const unsigned long long a = descriptor(words), up = descriptor(words + rows * row_bytes / 4),
                             down = descriptor(words + (rows + columns) * row_bytes / 4);
    T d[128];
#pragma unroll
    for (int i = 0; i < 128; ++i) d[i] = 0;
#pragma unroll 1
    for (unsigned t = 0; t < turns; ++t) {
        asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
        for (int s = 0; s < tensor_steps; ++s) wgmma<kind>(d, a, s & 1 ? down : up);
        asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
        asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    }
    const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
#pragma unroll
    for (int i = 0; i < 128; ++i) out[thread * 128 + i] = double(d[i]);
#else
    (void)in, (void)turns, (void)out; // zeros are left: not built for this device
#endif
}

} // namespace

TensorShape tensor_shape(TensorKind kind, bool wgmma) {
    // sums of fp8 keep 14 bits on Hopper: fewer turns
    const unsigned turns = kind == tensor_fp8 ? 128 : 2000;
    if (wgmma) return {wgmma_threads, wgmma_words, 128, 2, turns};
    return {mma_threads, mma_threads * 8, mma_sums * 4, 8, turns};
}

double launch_tensor(TensorKind kind, bool wgmma, unsigned blocks, unsigned turns, const unsigned* in, double* out,
                     cudaStream_t stream) {
    using Kernel = void (*)(const u32*, unsigned, double*);
    static const Kernel kernels[2][tensor_kinds] = {
        {mma_kernel<tensor_bf16>, mma_kernel<tensor_fp16>, mma_kernel<tensor_fp8>, mma_kernel<tensor_int8>},
        {wgmma_kernel<tensor_bf16>, wgmma_kernel<tensor_fp16>, wgmma_kernel<tensor_fp8>, wgmma_kernel<tensor_int8>}};
    const TensorShape shape = tensor_shape(kind, wgmma);
    launch(kernels[wgmma][kind], Grid{blocks, shape.threads}, stream, in, turns, out);
    const double depth = kind == tensor_bf16 || kind == tensor_fp16 ? 16 : 32;
    const double product = wgmma ? 64.0 * 256 * depth : 16.0 * 8 * depth * mma_sums * (shape.threads / 32);
    return 2 * product * tensor_steps * turns * blocks;
}

} // namespace tokenroof
