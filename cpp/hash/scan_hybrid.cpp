// Eight hashes: schedules in registers of AVX-512VL, rounds by SHA-NI, merged in one pipeline (generator/
// hybrid.py). No std:: templates in here (see loops.cpp).
#include "scan_common.hpp"

#include <immintrin.h>

namespace tokenroof {
inline namespace TR_ISA {
namespace {

#include "hybrid.inc"

constexpr int lanes = 8, middle_words = hybrid_middle, most_groups = 16, block_words = hybrid_block;
using Words = u32 __attribute__((vector_size(32)));

// Slot of the rounds of a lane, and the other way round.
TR_HD int slot_of(int lane) { return 2 * (lane % 4) + lane / 4; }
TR_HD int lane_of(int slot) { return 4 * (slot % 2) + slot / 2; }

// Lanes whose last word, bytes swapped, is at most the limit. A slot's four words are F E B A, and e after
// round 60 is h after round 63.
TR_HD u32 candidates(const u32* block, u32 limit) {
    const __m512i swap = _mm512_set4_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203);
    const __m512i most = _mm512_set1_epi32(int(limit)), last = _mm512_set1_epi32(int(sha256_iv[7]));
    __mmask16 below[2];
    for (int k = 0; k < 2; ++k) {
        const __m512i words = _mm512_add_epi32(_mm512_load_si512(block + hybrid_done2 + 16 * k), last);
        below[k] = _mm512_mask_cmple_epu32_mask(0x2222, _mm512_shuffle_epi8(words, swap), most);
    }
    if (_mm512_kortestz(below[0], below[1])) return 0;
    u32 found = 0;
    for (int s = 0; s < lanes; ++s) found |= (u32(below[s / 4]) >> (4 * (s % 4) + 1) & 1) << lane_of(s);
    return found;
}

struct Blocks {
    alignas(64) u32 words[2][block_words];
};

TR_HD void clear(Blocks& blocks) {
    for (int b = 0; b < 2; ++b)
        for (int i = 0; i < block_words; ++i) blocks.words[b][i] = 0;
}

long long scan_nonces(const ScanJob* job, ScanHit* hits) {
    alignas(64) u32 prepared[hybrid_nonce_words], spill[hybrid_nonce_spill], nonces[lanes];
    u32 middle[8], early[8], tail[3];
    Blocks blocks;
    clear(blocks);
    prepare_lane(job, job->step, middle, early);
    header_tail(job, tail);
    hybrid_nonce_prepare(middle, tail, prepared);
    const u32 limit = limit_of(job);
    u32 *here = blocks.words[0], *next = blocks.words[1];
    long long found = 0;
    // batch k enters in turn k and leaves three turns later; it is looked at one turn after that, when its
    // last words have long been stored
    for (long long k = 0; k < job->count + 4 * lanes; k += lanes) {
        for (int l = 0; l < lanes; ++l) nonces[l] = swap_bytes(job->start + u32(k) + u32(l));
        hybrid_nonce(prepared, here + middle_words, next + middle_words, spill, nonces);
        const u32* const done = here;
        here = next, next = blocks.words[here == blocks.words[0]];
        if (k < 4 * lanes) continue;
        for (u32 left = candidates(done, limit); left; left &= left - 1) {
            const long long n = k - 4 * lanes + __builtin_ctz(left);
            const u32 nonce = job->start + u32(n);
            if (n < job->count && confirmed(job, job->step, nonce)) hits[found++] = {job->step, nonce};
        }
    }
    return found;
}

long long scan_versions(const ScanJob* job, ScanHit* hits) {
    alignas(64) u32 prepared[hybrid_roll_words], spill[hybrid_roll_spill], keyed[64 * lanes], nonces[4] = {};
    alignas(64) u32 starts[most_groups][8 * lanes], middles[most_groups][8 * lanes];
    u32 tail[3];
    Blocks blocks;
    header_tail(job, tail);
    hybrid_roll_prepare(nullptr, nullptr, prepared);
    const u32 limit = limit_of(job);
    long long found = 0;
    const int groups = job->versions / lanes;
    for (int from = 0; from < groups; from += most_groups) {
        const int some = groups - from < most_groups ? groups - from : most_groups;
        const u32 step = job->step + u32(from * lanes);
        for (int l = 0; l < some * lanes; ++l) {
            u32 middle[8], early[8];
            prepare_lane(job, step + u32(l), middle, early);
            const int group = l / lanes, lane = l % lanes, slot = slot_of(lane);
            u32 *s = starts[group] + 4 * slot, *m = middles[group];
            s[0] = early[5], s[1] = early[4], s[2] = early[1], s[3] = early[0];
            s += 4 * lanes;
            s[0] = early[7], s[1] = early[6], s[2] = early[3], s[3] = early[2];
            for (int i = 0; i < 8; ++i) m[i * lanes + lane] = middle[i];
        }
        clear(blocks);
        u32 *here = blocks.words[0], *next = blocks.words[1];
        // the batch of turn k has its second schedule in turn k + 1 and leaves with turn k + 2;
        // it is looked at in turn k + 3
        long long nonce[4] = {};
        int group[4] = {};
        const long long turns = job->count * some;
        for (long long k = 0; k < turns + 3; ++k) {
            nonce[3] = nonce[2], nonce[2] = nonce[1], nonce[1] = nonce[0];
            group[3] = group[2], group[2] = group[1], group[1] = group[0];
            if (k > 0 && k < turns && ++group[0] == some) group[0] = 0, ++nonce[0];
            const u32 value = job->start + u32(nonce[0]);
            if (group[0] == 0) {
                if (nonce[0] % lanes == 0) keyed_schedules<Words, lanes>(tail, value, keyed);
                nonces[1] = nonces[3] = swap_bytes(value);
            }
            hybrid_roll(prepared, here + middle_words, next + middle_words, spill, nonces,
                        keyed + 2 * (nonce[0] % lanes), starts[group[0]], middles[group[1]]);
            const u32* const done = here;
            here = next, next = blocks.words[here == blocks.words[0]];
            if (k < 3) continue;
            for (u32 left = candidates(done, limit); left; left &= left - 1) {
                const u32 own = step + u32(group[3] * lanes + __builtin_ctz(left));
                const u32 old = job->start + u32(nonce[3]);
                if (confirmed(job, own, old)) hits[found++] = {own, old};
            }
        }
    }
    return found;
}

} // namespace

extern const ScanTable scan_table;
const ScanTable scan_table = {lanes, lanes, scan_nonces, scan_versions};

} // namespace TR_ISA
} // namespace tokenroof
