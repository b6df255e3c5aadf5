// Double SHA-256 of block headers, a hash a thread. The job is in the kernel's arguments: they are in the
// constant bank, and each launch has its own.
#include "hash/rolled.hpp"
#include "launch.hpp"
#include "scan.hpp"

namespace tokenroof {
inline namespace TR_ISA {
namespace {

#ifdef __CUDACC__
#define TR_DEVICE __device__ __forceinline__
#else
#define TR_DEVICE inline
#endif

template <bool mad> TR_DEVICE u32 sum(u32 x, u32 y, [[maybe_unused]] u32 one) { return mad ? x * one + y : x + y; }

#include "gpu.inc"

constexpr unsigned block = 256;
constexpr int keyed_words = 61; // of a nonce's schedule plus constants: words 3 to 63, word 3 the nonce alone

TR_DEVICE void append(const CudaHits& out, u32 step, u32 nonce) {
    const unsigned at = atomicAdd(out.found, 1u);
    if (at < out.capacity) out.hits[at] = {step, nonce};
}

struct NonceJob {
    u32 word[gpu_nonce_words];
    u32 first, step, limit, one;
    unsigned count;
    CudaHits out;
};

template <bool mad> __global__ void __launch_bounds__(block) nonce_kernel(const __grid_constant__ NonceJob job) {
    const unsigned stride = gridDim.x * blockDim.x;
#pragma unroll 1
    for (unsigned n = blockIdx.x * blockDim.x + threadIdx.x; n < job.count; n += stride) {
        const u32 last = gpu_nonce<mad>(job.word, swap_bytes(job.first + n), job.one);
        if (swap_bytes(last) <= job.limit) append(job.out, job.step, job.first + n);
    }
}

struct RollJob {
    u32 keyed[most_roll_nonces][keyed_words];
    const u32* lanes; // word w of version v at w * stride + v
    unsigned stride, versions;
    int nonces, per; // in all, and in a block
    u32 first, step, limit, one;
    CudaHits out;
};
static_assert(sizeof(RollJob) <= 32764, "what a kernel's arguments may take");

template <bool mad> __global__ void __launch_bounds__(block) roll_kernel(const __grid_constant__ RollJob job) {
    const unsigned v = blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= job.versions) return;
    u32 lanes[roll_lane_words];
    for (unsigned w = 0; w < roll_lane_words; ++w) lanes[w] = job.lanes[w * job.stride + v];
    const int begin = int(blockIdx.y) * job.per, end = begin + job.per < job.nonces ? begin + job.per : job.nonces;
#pragma unroll 1
    for (int k = begin; k < end; ++k) {
        const u32 last = gpu_roll<mad>(lanes, job.keyed[k], job.one);
        if (swap_bytes(last) <= job.limit) append(job.out, job.step + v, job.first + u32(k));
    }
}

struct HeaderWords {
    u32 word[20];
};

// A version's state after round 3 of the second block less the nonce, which enters a and e alone; its midstate.
__global__ void __launch_bounds__(block)
    roll_lanes_kernel(const __grid_constant__ HeaderWords header, u32 step, u32 mask, unsigned versions, u32* lanes) {
    const unsigned v = blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= versions) return;
    u32 w[16], middle[8], s[8];
    for (int i = 0; i < 16; ++i) w[i] = header.word[i];
    w[0] = swap_bytes(rolled_version(swap_bytes(w[0]), step + v, mask));
    initial_state(middle);
    sha256_compress(middle, w);
    for (int i = 0; i < 8; ++i) s[i] = middle[i];
    for (int t = 0; t < 4; ++t) sha256_round(s, t, t < 3 ? header.word[16 + t] : 0u);
    for (int i = 0; i < 8; ++i) {
        lanes[unsigned(i) * versions + v] = s[(60 + i) & 7];
        lanes[unsigned(8 + i) * versions + v] = middle[i];
    }
}

} // namespace
} // namespace TR_ISA

void launch_nonces(const CudaHeader& header, u32 first, unsigned count, const CudaHits& out, int variant,
                   cudaStream_t stream) {
    NonceJob job;
    gpu_nonce_prepare(header.middle, header.tail, job.word);
    job.first = first, job.step = header.step, job.limit = header.limit, job.one = 1, job.count = count;
    job.out = out;
    // a thread hashes up to eight times: a block is over soon, and its start costs little
    const unsigned blocks = (count + 8 * block - 1) / (8 * block), least = (count + block - 1) / block;
    const Grid grid{least < 4096 ? least : blocks < 4096 ? 4096 : blocks, block};
    launch(variant == cuda_mad ? nonce_kernel<true> : nonce_kernel<false>, grid, stream, job);
}

void launch_roll_lanes(const u32* header, u32 step, u32 mask, unsigned versions, u32* lanes, cudaStream_t stream) {
    HeaderWords words;
    for (int i = 0; i < 20; ++i) words.word[i] = header[i];
    launch(roll_lanes_kernel, Grid{(versions + block - 1) / block, block}, stream, words, step, mask, versions,
           lanes);
}

void launch_roll(const CudaHeader& header, const u32* lanes, unsigned stride, unsigned versions, u32 first, int nonces,
                 const CudaHits& out, int variant, cudaStream_t stream) {
    RollJob job;
    for (int k = 0; k < nonces; ++k) {
        u32 w[16] = {header.tail[0], header.tail[1], header.tail[2], swap_bytes(first + u32(k))};
        pad_header(w);
        job.keyed[k][0] = w[3];
        for (int t = 4; t < 64; ++t)
            job.keyed[k][t - 3] = (t < 16 ? w[t] : scheduled_word(w, t)) + sha256_constant(t);
    }
    job.lanes = lanes, job.stride = stride, job.versions = versions, job.nonces = nonces;
    job.first = first, job.step = header.step, job.limit = header.limit, job.one = 1, job.out = out;
    // enough blocks for the device, and as many nonces as may be to a version's words
    const unsigned columns = (versions + block - 1) / block;
    job.per = 1;
    while (job.per < 8 && columns * unsigned(nonces / job.per) > 4096) job.per *= 2;
    Grid grid{columns, block};
    grid.rows = unsigned((nonces + job.per - 1) / job.per);
    launch(variant == cuda_mad ? roll_kernel<true> : roll_kernel<false>, grid, stream, job);
}

} // namespace tokenroof
