// Eight hashes to an AVX2 register. No std:: templates in here (see loops.cpp).
#include "scan_vertical.hpp"

namespace tokenroof {
inline namespace TR_ISA {
namespace {

#include "avx2.inc"

struct Kernel : VectorKernel<8, avx2_nonce_batches, avx2_roll_batches> {
    using Words = u32 __attribute__((vector_size(32)));
    static constexpr int nonce_words = avx2_nonce_words, nonce_scratch = avx2_nonce_spill;
    static constexpr int roll_words = avx2_roll_words, roll_scratch = avx2_roll_spill;

    TR_HD static void prepare_nonce(const u32* middle, const u32* tail, const u32*, u32* job, u32*) {
        avx2_nonce_prepare(middle, tail, job);
    }
    TR_HD static void nonce(const u32* job, u32* input, u32 first, u32* scratch, u32* last) {
        set_nonces(input, first);
        avx2_nonce(job, input, nullptr, scratch, last);
    }
    TR_HD static void prepare_roll(u32* job) { avx2_roll_prepare(nullptr, nullptr, job); }
    TR_HD static void roll(const u32* job, const u32* input, const u32* keyed, u32, u32* scratch, u32* last) {
        avx2_roll(job, input, keyed, scratch, last);
    }
};

} // namespace

extern const ScanTable scan_table;
const ScanTable scan_table = {Kernel::lanes, Kernel::roll_lanes, scan_nonces<Kernel>, scan_versions<Kernel>};

} // namespace TR_ISA
} // namespace tokenroof
