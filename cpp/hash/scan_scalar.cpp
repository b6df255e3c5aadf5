// One hash at a time, for any compiler and processor. No std:: templates in here (see loops.cpp).
#include "scan_vertical.hpp"

namespace tokenroof {
inline namespace TR_ISA {
namespace {

#include "scalar.inc"

struct Kernel {
    static constexpr int lanes = 1, roll_lanes = 1, nonces = 1, most_groups = 64, inputs = 1, roll_inputs = 16;
    static constexpr int nonce_words = scalar_nonce_words, nonce_scratch = 1;
    static constexpr int roll_words = scalar_roll_words, roll_scratch = 1;
    using Words = u32;

    TR_HD static void prepare_nonce(const u32* middle, const u32* tail, const u32*, u32* job, u32*) {
        scalar_nonce_prepare(middle, tail, job);
    }
    TR_HD static void nonce(const u32* job, u32*, u32 first, u32*, u32* last) {
        *last = scalar_nonce(job, swap_bytes(first));
    }
    TR_HD static void prepare_roll(u32* job) { scalar_roll_prepare(nullptr, nullptr, job); }
    TR_HD static void set_lane(u32* input, int, const u32* middle, const u32* early) {
        for (int i = 0; i < 8; ++i) input[i] = early[i], input[8 + i] = middle[i];
    }
    TR_HD static void roll(const u32* job, const u32* input, const u32* keyed, u32, u32*, u32* last) {
        *last = scalar_roll(job, input, keyed);
    }
};

} // namespace

extern const ScanTable scan_table;
const ScanTable scan_table = {1, 1, scan_nonces<Kernel>, scan_versions<Kernel>};

} // namespace TR_ISA
} // namespace tokenroof
