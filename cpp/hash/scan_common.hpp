// What every scanner does around its hashing: rolled versions, midstates, and hits confirmed whole.
#pragma once
#include "hash_table.hpp"
#include "rolled.hpp"
#include "tokenroof/mining/sha256.hpp"

namespace tokenroof {
inline namespace TR_ISA {

TR_HD u32 load_little_endian(const u8* p) {
    return u32(p[3]) << 24 | u32(p[2]) << 16 | u32(p[1]) << 8 | u32(p[0]);
}

// The words of a job's header with the version of a step.
TR_HD void header_words(const ScanJob* job, u32 step, u32* words) {
    for (int i = 0; i < 20; ++i) words[i] = load_big_endian(job->header + 4 * i);
    words[0] = swap_bytes(rolled_version(swap_bytes(words[0]), step, job->mask));
}

namespace {

// Out of line: their unrolled rounds are long.
#if defined(__GNUC__)
#define TR_ONCE [[maybe_unused]] __attribute__((noinline))
#else
#define TR_ONCE [[maybe_unused]]
#endif

// A candidate by its last word is hashed again whole, by the scalar path, before it counts.
TR_ONCE bool confirmed(const ScanJob* job, u32 step, u32 nonce) {
    u32 words[20], out[8];
    u8 digest[32];
    header_words(job, step, words);
    words[19] = swap_bytes(nonce);
    sha256d_header(words, out);
    for (int i = 0; i < 8; ++i) store_big_endian(digest + 4 * i, out[i]);
    return meets_target(digest, job->target);
}

// State after the first 64 bytes in `middle`; in `early` that after rounds 0..3 of the second block,
// less the nonce, which enters a and e alone.
TR_ONCE void prepare_lane(const ScanJob* job, u32 step, u32* middle, u32* early) {
    u32 w[20];
    header_words(job, step, w);
    u32 tail[4] = {w[16], w[17], w[18], 0};
    initial_state(middle);
    sha256_compress(middle, w);
    u32 s[8];
    for (int i = 0; i < 8; ++i) s[i] = middle[i];
    for (int t = 0; t < 4; ++t) sha256_round(s, t, tail[t]);
    for (int i = 0; i < 8; ++i) early[i] = s[(60 + i) & 7];
}

TR_HD void header_tail(const ScanJob* job, u32* tail) {
    for (int i = 0; i < 3; ++i) tail[i] = load_big_endian(job->header + 64 + 4 * i);
}

// The target's most significant word.
TR_HD u32 limit_of(const ScanJob* job) { return load_little_endian(job->target + 28); }

// Whether any of the hashes with these last words may meet the target.
template <int lanes> TR_HD bool any_candidate(const u32* last, u32 limit) {
    u32 any = 0;
    for (int l = 0; l < lanes; ++l) any |= u32(swap_bytes(last[l]) <= limit);
    return any != 0;
}

template <class Words> TR_HD void set_word(Words& v, int i, u32 x) {
    if constexpr (sizeof(Words) == sizeof(u32)) v = x;
    else v[i] = x;
}

// Two rows of words as pairs side by side.
template <class Words> TR_HD void store_pairs(u32* at, const Words& x, const Words& y) {
    if constexpr (sizeof(Words) == 4) {
        at[0] = x, at[1] = y;
    } else {
        Words *out = reinterpret_cast<Words*>(at);
        if constexpr (sizeof(Words) == 16) {
            out[0] = __builtin_shufflevector(x, y, 0, 4, 1, 5), out[1] = __builtin_shufflevector(x, y, 2, 6, 3, 7);
        } else if constexpr (sizeof(Words) == 32) {
            out[0] = __builtin_shufflevector(x, y, 0, 8, 1, 9, 2, 10, 3, 11);
            out[1] = __builtin_shufflevector(x, y, 4, 12, 5, 13, 6, 14, 7, 15);
        } else {
            out[0] = __builtin_shufflevector(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            out[1] = __builtin_shufflevector(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
    }
}

// Schedules of the second block for `nonces` nonces, plus constants, pair by pair: words t and t + 1 of
// nonce i stand side by side in row t / 2, place i. Word 3 is the nonce alone. `keyed` is aligned as Words.
template <class Words, int nonces> TR_HD void keyed_schedules(const u32* tail, u32 first, u32* keyed) {
    Words w[16];
    for (int i = 0; i < 3; ++i) w[i] = words<Words>(tail[i]);
    Words nonce = {};
    for (int i = 0; i < nonces; ++i) set_word(nonce, i, swap_bytes(first + u32(i)));
    w[3] = nonce;
    pad_header(w);
#if defined(__GNUC__)
#pragma GCC unroll 31
#endif
    for (int t = 2; t < 64; t += 2) {
        const Words even = t < 16 ? w[t] : scheduled_word(w, t);
        const Words odd = t < 16 ? w[t + 1] : scheduled_word(w, t + 1);
        store_pairs<Words>(keyed + nonces * t, even + sha256_k[t], t == 2 ? odd : Words(odd + sha256_k[t + 1]));
    }
}

} // namespace
} // namespace TR_ISA
} // namespace tokenroof
