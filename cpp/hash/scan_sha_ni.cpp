// Two, four and six hashes interleaved on the SHA extensions of x86. No std:: templates in here.
#include "scan_vertical.hpp"

namespace tokenroof {
inline namespace TR_ISA {
namespace {

#include "sha_ni.inc"

// Rows of the input for rolling, four words of each lane: the state after round 3 less the nonce, then the
// midstate, either as F E B A and H G D C. For nonces: a word a lane.
template <int L> struct Base {
    static constexpr int lanes = L, roll_lanes = L, nonces = 4, most_groups = 96 / L, inputs = L, roll_inputs = 16 * L;
    static constexpr int nonce_scratch = 16 * L, roll_scratch = 16 * L;
    using Words = u32 __attribute__((vector_size(16)));

    TR_HD static void put(u32* at, const u32* s) {
        at[0] = s[5], at[1] = s[4], at[2] = s[1], at[3] = s[0];
        at += 4 * L;
        at[0] = s[7], at[1] = s[6], at[2] = s[3], at[3] = s[2];
    }
    TR_HD static void set_lane(u32* input, int l, const u32* middle, const u32* early) {
        put(input + 4 * l, early);
        put(input + 4 * (2 * L + l), middle);
    }
};

#define TR_SHA_NI(L)                                                                                        \
    struct Kernel##L : Base<L> {                                                                            \
        static constexpr int nonce_words = sha_ni##L##_nonce_words, roll_words = sha_ni##L##_roll_words;    \
        TR_HD static void prepare_nonce(const u32* middle, const u32* tail, const u32*, u32* job, u32*) {   \
            sha_ni##L##_nonce_prepare(middle, tail, job);                                                   \
        }                                                                                                   \
        TR_HD static void nonce(const u32* job, u32* input, u32 first, u32* scratch, u32* last) {           \
            for (int l = 0; l < L; ++l) input[l] = swap_bytes(first + u32(l));                              \
            sha_ni##L##_nonce(job, input, nullptr, scratch, last);                                          \
        }                                                                                                   \
        TR_HD static void prepare_roll(u32* job) { sha_ni##L##_roll_prepare(nullptr, nullptr, job); }       \
        TR_HD static void roll(const u32* job, const u32* input, const u32* keyed, u32, u32* scratch,       \
                               u32* last) {                                                                 \
            sha_ni##L##_roll(job, input, keyed, scratch, last);                                             \
        }                                                                                                   \
    }
TR_SHA_NI(2);
TR_SHA_NI(4);
TR_SHA_NI(6);

} // namespace

extern const ScanTable scan_table, scan_table2, scan_table4;
const ScanTable scan_table = {6, 6, scan_nonces<Kernel6>, scan_versions<Kernel6>};
const ScanTable scan_table2 = {2, 2, scan_nonces<Kernel2>, scan_versions<Kernel2>};
const ScanTable scan_table4 = {4, 4, scan_nonces<Kernel4>, scan_versions<Kernel4>};

} // namespace TR_ISA
} // namespace tokenroof
