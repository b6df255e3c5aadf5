// Header hashing in plain lanes, compiled once per instruction set: the vectors are the compiler's, no
// intrinsics. No std:: templates in here (see loops.cpp).
#include "hash_table.hpp"
#include "tokenroof/sha256.hpp"

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

// A candidate by its last word is hashed again whole, by the scalar path, before it counts.
bool confirmed(const ScanJob* job, u32 nonce) {
    u8 header[80], digest[32];
    for (int i = 0; i < 76; ++i) header[i] = job->header[i];
    for (int i = 0; i < 4; ++i) header[76 + i] = u8(nonce >> (8 * i));
    digest_one(header, digest);
    return meets_target(digest, job->target);
}

long long scan(const ScanJob* job, unsigned int* hits) {
    ScanHeader prepared;
    prepare_scan(prepared, job->header);
    const u32 limit = u32(job->target[31]) << 24 | u32(job->target[30]) << 16 | u32(job->target[29]) << 8 |
                      u32(job->target[28]);
    long long found = 0;
    for (long long k = 0; k < job->count; k += lanes) {
        Words nonce = {};
        for (int l = 0; l < lanes; ++l) set_lane(nonce, l, swap_bytes(job->start + u32(k) + u32(l)));
        const Words last = last_word(prepared, nonce);
        // bytes swapped lane by lane; any at or below the limit?
        const Words top = last >> 24 | (last >> 8 & 0xff00u) | (last << 8 & 0xff0000u) | last << 24;
        u32 any = 0;
        for (int l = 0; l < lanes; ++l) any |= u32(get_lane(top, l) <= limit);
        if (!any) continue;
        for (int l = 0; l < lanes && k + l < job->count; ++l) {
            const u32 candidate = job->start + u32(k) + u32(l);
            if (get_lane(top, l) <= limit && confirmed(job, candidate)) hits[found++] = candidate;
        }
    }
    return found;
}

} // namespace

extern const HashTable hash_table;
const HashTable hash_table = {lanes, sha256d_headers, scan};

} // namespace TR_ISA
} // namespace tokenroof
