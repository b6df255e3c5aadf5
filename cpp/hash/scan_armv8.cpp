// Four hashes interleaved on the SHA extensions of ARMv8. No std:: templates in here (see loops.cpp).
#include "scan_vertical.hpp"

#include <arm_neon.h>

namespace tokenroof {
inline namespace TR_ISA {
namespace {

#include "armv8.inc"

// The words of four hashes; registers hold A B C D and E F G H, words of the schedule four by four.
constexpr int lanes = 4;

struct State {
    uint32x4_t abcd, efgh;
};

TR_HD void four_rounds(State& s, uint32x4_t keyed) {
    const uint32x4_t before = s.abcd;
    s.abcd = vsha256hq_u32(before, s.efgh, keyed);
    s.efgh = vsha256h2q_u32(s.efgh, before, keyed);
}

TR_HD uint32x4_t quad(const u32* p) { return vld1q_u32(p); }

// Rounds 0..63 of the second hash of a digest; its last word.
TR_HD void second_hash(const State* first, u32* last) {
    uint32x4_t w[lanes][4];
    State s[lanes];
    for (int l = 0; l < lanes; ++l) {
        w[l][0] = first[l].abcd, w[l][1] = first[l].efgh;
        w[l][2] = quad(armv8_padding), w[l][3] = quad(armv8_padding + 4);
        s[l] = {quad(sha256_iv), quad(sha256_iv + 4)};
    }
#pragma GCC unroll 16
    for (int q = 0; q < 16; ++q)
        for (int l = 0; l < lanes; ++l) {
            if (q == 2 || q == 3) {
                four_rounds(s[l], quad(armv8_keyed_padding + 4 * (q - 2)));
                continue;
            }
            uint32x4_t& x = w[l][q & 3];
            if (q >= 4)
                x = vsha256su1q_u32(vsha256su0q_u32(x, w[l][(q + 1) & 3]), w[l][(q + 2) & 3], w[l][(q + 3) & 3]);
            four_rounds(s[l], vaddq_u32(x, quad(sha256_k + 4 * q)));
        }
    for (int l = 0; l < lanes; ++l) last[l] = vgetq_lane_u32(s[l].efgh, 3) + sha256_iv[7];
}

struct Kernel {
    static constexpr int lanes = tokenroof::lanes, roll_lanes = lanes, nonces = 4, most_groups = 16, inputs = 4, roll_inputs = 16 * lanes;
    // rounds 0..3 less the nonce; sums of words and constants; what the schedule starts from
    static constexpr int nonce_words = armv8_nonce_words + 16, roll_words = 1, nonce_scratch = 1, roll_scratch = 1;
    using Words = u32 __attribute__((vector_size(16)));

    TR_HD static void prepare_nonce(const u32* middle, const u32* tail, const u32* early, u32* job, u32*) {
        armv8_nonce_prepare(middle, tail, job);
        for (int i = 0; i < 8; ++i) job[armv8_nonce_words + i] = early[i], job[armv8_nonce_words + 8 + i] = middle[i];
    }
    TR_HD static void nonce(const u32* job, u32*, u32 first, u32*, u32* last) {
        uint32x4_t w[lanes][4];
        State s[lanes];
        const u32 *early = job + armv8_nonce_words, *middle = early + 8;
        for (int l = 0; l < lanes; ++l) {
            const u32 value = swap_bytes(first + u32(l));
            const uint32x4_t into_a = vsetq_lane_u32(value, vdupq_n_u32(0), 0);
            const uint32x4_t word = vsetq_lane_u32(value, vdupq_n_u32(0), 3);
            s[l] = {vaddq_u32(quad(early), into_a), vaddq_u32(quad(early + 4), into_a)};
            // su0 of the nonce alone gives s0(nonce) and the nonce where they belong in quad 4
            w[l][0] = vaddq_u32(vsha256su0q_u32(word, vdupq_n_u32(0)), quad(job + armv8_quad4));
            w[l][1] = quad(armv8_header_padding), w[l][2] = vdupq_n_u32(0), w[l][3] = quad(armv8_header_padding + 8);
        }
        for (int q = 1; q < 4; ++q)
            for (int l = 0; l < lanes; ++l) four_rounds(s[l], quad(armv8_keyed_header + 4 * (q - 1)));
#pragma GCC unroll 12
        for (int q = 4; q < 16; ++q)
            for (int l = 0; l < lanes; ++l) {
                uint32x4_t& x = w[l][q & 3];
                if (q > 4)
                    x = vsha256su1q_u32(vsha256su0q_u32(x, w[l][(q + 1) & 3]), w[l][(q + 2) & 3], w[l][(q + 3) & 3]);
                four_rounds(s[l], vaddq_u32(x, quad(sha256_k + 4 * q)));
            }
        for (int l = 0; l < lanes; ++l)
            s[l] = {vaddq_u32(s[l].abcd, quad(middle)), vaddq_u32(s[l].efgh, quad(middle + 4))};
        second_hash(s, last);
    }
    TR_HD static void prepare_roll(u32*) {}
    TR_HD static void set_lane(u32* input, int l, const u32* middle, const u32* early) {
        for (int i = 0; i < 8; ++i) input[16 * l + i] = early[i], input[16 * l + 8 + i] = middle[i];
    }
    TR_HD static void roll(const u32*, const u32* input, const u32* keyed, u32 nonce, u32*, u32* last) {
        State s[lanes];
        const uint32x4_t into_a = vsetq_lane_u32(swap_bytes(nonce), vdupq_n_u32(0), 0);
        for (int l = 0; l < lanes; ++l)
            s[l] = {vaddq_u32(quad(input + 16 * l), into_a), vaddq_u32(quad(input + 16 * l + 4), into_a)};
#pragma GCC unroll 15
        for (int q = 1; q < 16; ++q) {
            const u32* row = keyed + 4 * nonces * q;
            const uint32x4_t words = vcombine_u32(vld1_u32(row), vld1_u32(row + 2 * nonces));
            for (int l = 0; l < lanes; ++l) four_rounds(s[l], words);
        }
        for (int l = 0; l < lanes; ++l)
            s[l] = {vaddq_u32(s[l].abcd, quad(input + 16 * l + 8)), vaddq_u32(s[l].efgh, quad(input + 16 * l + 12))};
        second_hash(s, last);
    }
};

} // namespace

extern const ScanTable scan_table;
const ScanTable scan_table = {lanes, lanes, scan_nonces<Kernel>, scan_versions<Kernel>};

} // namespace TR_ISA
} // namespace tokenroof
