// Launches of the header scanner: what scan.cu gives to scan_module.cpp.
#pragma once
#include "runtime.hpp"
#include "tokenroof/mining/sha256.hpp"

namespace tokenroof {

// A header whose last word may meet the target: the version's step, and the nonce.
struct CudaHit {
    u32 step, nonce;
};

// Where a launch appends its hits; `found` counts on beyond the capacity.
struct CudaHits {
    CudaHit* hits;
    unsigned* found;
    unsigned capacity;
};

// The header apart from version and nonce.
struct CudaHeader {
    u32 middle[8]; // after the first 64 bytes with the version of `step`
    u32 tail[3];   // words 16 to 18
    u32 step;
    u32 limit; // the target's most significant word
};

constexpr unsigned most_hashes = 1u << 30;   // of a launch
constexpr int most_roll_nonces = 120;        // of a launch: their schedules are its arguments, up to 32,764 bytes
constexpr unsigned roll_lane_words = 16;     // of a version

// How sums are made: by the integer pipes, or by those that multiply and add.
enum CudaVariant : int { cuda_plain = 0, cuda_mad = 1, cuda_variants = 2 };

void launch_nonces(const CudaHeader& header, u32 first, unsigned count, const CudaHits& out, int variant,
                   cudaStream_t stream);

// Midstates of `versions` versions from `step` on in the bits of `mask`, by word; header: the 20 words of a header,
// big-endian.
void launch_roll_lanes(const u32* header, u32 step, u32 mask, unsigned versions, u32* lanes, cudaStream_t stream);

// Each of `versions` versions with every nonce, at most most_roll_nonces of them; header: tail, limit, and the
// step of the first, whose words lanes points to; a word of all versions is `stride` long.
void launch_roll(const CudaHeader& header, const u32* lanes, unsigned stride, unsigned versions, u32 first, int nonces,
                 const CudaHits& out, int variant, cudaStream_t stream);

} // namespace tokenroof
