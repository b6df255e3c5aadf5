// Digests of headers in plain lanes, compiled once per instruction set: the vectors are the compiler's, no
// intrinsics. No std:: templates in here (see loops.cpp).
#include "hash_table.hpp"
#include "tokenroof/mining/sha256.hpp"

namespace tokenroof {
inline namespace TR_ISA {
namespace {

#if defined(__GNUC__)
using Words = u32 __attribute__((vector_size(4 * TR_LANES)));
constexpr int lanes = TR_LANES;
TR_HD void set_lane(Words& v, int i, u32 x) { v[i] = x; }
TR_HD u32 get_lane(const Words& v, int i) { return v[i]; }
#else
using Words = u32;
constexpr int lanes = 1;
TR_HD void set_lane(Words& v, int, u32 x) { v = x; }
TR_HD u32 get_lane(const Words& v, int) { return v; }
#endif

void digest_one(const u8* header, u8* digest) {
    u32 in[20], out[8];
    for (int i = 0; i < 20; ++i) in[i] = load_big_endian(header + 4 * i);
    sha256d_header(in, out);
    for (int i = 0; i < 8; ++i) store_big_endian(digest + 4 * i, out[i]);
}

void sha256d_headers(const u8* in, long in_stride, u8* out, long out_stride, long n) {
    long k = 0;
    for (; k + lanes <= n; k += lanes) {
        Words header[20] = {}, digest[8];
        for (int l = 0; l < lanes; ++l)
            for (int i = 0; i < 20; ++i) set_lane(header[i], l, load_big_endian(in + (k + l) * in_stride + 4 * i));
        sha256d_header(header, digest);
        for (int l = 0; l < lanes; ++l)
            for (int i = 0; i < 8; ++i) store_big_endian(out + (k + l) * out_stride + 4 * i, get_lane(digest[i], l));
    }
    for (; k < n; ++k) digest_one(in + k * in_stride, out + k * out_stride);
}

// FIPS 180-4, section 6.2, of any number of bytes.
void sha256(const u8* in, long long n, u8* out) {
    u32 state[8], w[16];
    initial_state(state);
    u8 last[128] = {};
    const long long whole = n / 64, rest = n % 64, padded = rest < 56 ? 1 : 2;
    for (long long i = 0; i < rest; ++i) last[i] = in[64 * whole + i];
    last[rest] = 0x80;
    const unsigned long long bits = 8ULL * static_cast<unsigned long long>(n);
    for (int i = 0; i < 8; ++i) last[64 * padded - 1 - i] = u8(bits >> (8 * i));
    for (long long b = 0; b < whole + padded; ++b) {
        const u8* block = b < whole ? in + 64 * b : last + 64 * (b - whole);
        for (int i = 0; i < 16; ++i) w[i] = load_big_endian(block + 4 * i);
        sha256_compress(state, w);
    }
    for (int i = 0; i < 8; ++i) store_big_endian(out + 4 * i, state[i]);
}

} // namespace

extern const HashTable hash_table;
const HashTable hash_table = {sha256d_headers, sha256};

} // namespace TR_ISA
} // namespace tokenroof
