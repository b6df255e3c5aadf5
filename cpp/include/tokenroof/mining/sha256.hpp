// SHA-256 and Bitcoin's double SHA-256 of block headers, FIPS 180-4.
// U is one 32-bit word, or a GCC vector of words: a message in each lane.
#pragma once
#include "tokenroof/core/config.hpp"

namespace tokenroof {
inline namespace TR_ISA {

using u32 = unsigned int;
using u8 = unsigned char;

// clang-format off
#define TR_SHA256_K \
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, \
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, \
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, \
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, \
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, \
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, \
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, \
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
#define TR_SHA256_IV \
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
// clang-format on

// Device code reads no array of the host's, also where all of it is known at compile time.
#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
TR_HD u32 sha256_constant(int t) {
    constexpr u32 k[64] = {TR_SHA256_K};
    return k[t];
}
TR_HD u32 sha256_initial(int i) {
    constexpr u32 iv[8] = {TR_SHA256_IV};
    return iv[i];
}
#else
constexpr u32 sha256_k[64] = {TR_SHA256_K};
constexpr u32 sha256_iv[8] = {TR_SHA256_IV};
TR_HD u32 sha256_constant(int t) { return sha256_k[t]; }
TR_HD u32 sha256_initial(int i) { return sha256_iv[i]; }
#endif
#undef TR_SHA256_K
#undef TR_SHA256_IV

template <class U> TR_HD U words(u32 x) { return U{} + x; }
template <class U> TR_HD U rotate_right(U x, int n) { return (x >> n) | (x << (32 - n)); }
template <class U> TR_HD U small_sigma0(U x) { return rotate_right(x, 7) ^ rotate_right(x, 18) ^ (x >> 3); }
template <class U> TR_HD U small_sigma1(U x) { return rotate_right(x, 17) ^ rotate_right(x, 19) ^ (x >> 10); }
template <class U> TR_HD U big_sigma0(U x) { return rotate_right(x, 2) ^ rotate_right(x, 13) ^ rotate_right(x, 22); }
template <class U> TR_HD U big_sigma1(U x) { return rotate_right(x, 6) ^ rotate_right(x, 11) ^ rotate_right(x, 25); }
template <class U> TR_HD U choose(U x, U y, U z) { return (x & y) ^ (~x & z); }
template <class U> TR_HD U majority(U x, U y, U z) { return (x & y) ^ (x & z) ^ (y & z); }

// Round `t` on a state that turns by one place each round: a is s[(64 - t) % 8].
template <class U> TR_HD void sha256_round(U* s, int t, U scheduled) {
    const int o = (64 - t) & 7;
    U& d = s[(o + 3) & 7];
    U& h = s[(o + 7) & 7];
    const U e = s[(o + 4) & 7];
    const U t1 = h + big_sigma1(e) + choose(e, s[(o + 5) & 7], s[(o + 6) & 7]) + sha256_constant(t) + scheduled;
    const U a = s[o];
    d += t1;
    h = t1 + big_sigma0(a) + majority(a, s[(o + 1) & 7], s[(o + 2) & 7]);
}

// Word t >= 16 of the schedule, in place in a window of 16.
template <class U> TR_HD U scheduled_word(U* w, int t) {
    U& x = w[t & 15];
    x += small_sigma1(w[(t + 14) & 15]) + w[(t + 9) & 15] + small_sigma0(w[(t + 1) & 15]);
    return x;
}

// The 64 rounds on state s with the schedule window w.
template <class U> TR_HD void sha256_rounds(U* s, U* w) {
#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#pragma unroll
#elif defined(__GNUC__)
#pragma GCC unroll 64
#endif
    for (int t = 0; t < 64; ++t) sha256_round(s, t, t < 16 ? w[t & 15] : scheduled_word(w, t));
}

// state += compression of the block w; w is used up.
template <class U> TR_HD_ONCE void sha256_compress(U* state, U* w) {
    U s[8];
    for (int i = 0; i < 8; ++i) s[i] = state[i];
    sha256_rounds(s, w);
    for (int i = 0; i < 8; ++i) state[i] += s[i];
}

TR_HD u32 load_big_endian(const u8* p) {
    return u32(p[0]) << 24 | u32(p[1]) << 16 | u32(p[2]) << 8 | u32(p[3]);
}
TR_HD void store_big_endian(u8* p, u32 x) {
    p[0] = u8(x >> 24), p[1] = u8(x >> 16), p[2] = u8(x >> 8), p[3] = u8(x);
}
TR_HD u32 swap_bytes(u32 x) {
    return x >> 24 | (x >> 8 & 0xff00u) | (x << 8 & 0xff0000u) | x << 24;
}

// The padded block of a 32-byte message: the second hash of a double one.
template <class U> TR_HD void pad_digest(U* w) {
    w[8] = words<U>(0x80000000u);
    for (int i = 9; i < 15; ++i) w[i] = words<U>(0);
    w[15] = words<U>(256);
}
// What follows the last 16 bytes of an 80-byte header.
template <class U> TR_HD void pad_header(U* w) {
    w[4] = words<U>(0x80000000u);
    for (int i = 5; i < 15; ++i) w[i] = words<U>(0);
    w[15] = words<U>(640);
}
template <class U> TR_HD void initial_state(U* s) {
    for (int i = 0; i < 8; ++i) s[i] = words<U>(sha256_initial(i));
}

// Double hash of a header given as 20 big-endian words; the digest as 8 words.
template <class U> TR_HD void sha256d_header(const U* header, U* digest) {
    U first[8], w[16];
    initial_state(first);
    for (int i = 0; i < 16; ++i) w[i] = header[i];
    sha256_compress(first, w);
    for (int i = 0; i < 4; ++i) w[i] = header[16 + i];
    pad_header(w);
    sha256_compress(first, w);
    for (int i = 0; i < 8; ++i) w[i] = first[i];
    pad_digest(w);
    initial_state(digest);
    sha256_compress(digest, w);
}

// Whether a digest, read as Bitcoin does (little-endian), is at most the target (32 bytes, the same).
TR_HD bool meets_target(const u8* digest, const u8* target) {
    for (int i = 31; i >= 0; --i) {
        if (digest[i] != target[i]) return digest[i] < target[i];
    }
    return true;
}

} // namespace TR_ISA
} // namespace tokenroof
