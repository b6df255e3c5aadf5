// Header scanners, one table per instruction set.
#pragma once

namespace tokenroof {

// A range of nonces of one header against a target (32 bytes, little-endian as Bitcoin reads hashes).
struct ScanJob {
    const unsigned char* header; // 80 bytes; its nonce is ignored
    const unsigned char* target;
    unsigned int start;
    long long count;             // start + count <= 2^32
};

struct HashTable {
    int lanes;
    // Double hashes of n headers, 80 contiguous bytes each, to digests of 32.
    void (*sha256d_headers)(const unsigned char* in, long in_stride, unsigned char* out, long out_stride,
                            long n);
    // Nonces that meet the target, in order, into hits (room for job.count); how many.
    long long (*scan)(const ScanJob* job, unsigned int* hits);
};

struct HashBackend {
    const char* name;
    const HashTable* table;
    bool (*supported)();
};

// For the host's files; those of an instruction set see the structs alone.
#ifndef TR_LANES
#ifdef TR_HAS_x86_64_v4
namespace x86_64_v4 { extern const HashTable hash_table; }
#endif
#ifdef TR_HAS_x86_64_v3
namespace x86_64_v3 { extern const HashTable hash_table; }
#endif
inline namespace generic { extern const HashTable hash_table; }

inline const HashBackend hash_backends[] = {
#ifdef TR_HAS_x86_64_v4
    {"x86_64_v4", &x86_64_v4::hash_table, [] { return bool(__builtin_cpu_supports("x86-64-v4")); }},
#endif
#ifdef TR_HAS_x86_64_v3
    {"x86_64_v3", &x86_64_v3::hash_table, [] { return bool(__builtin_cpu_supports("x86-64-v3")); }},
#endif
    {"generic", &generic::hash_table, [] { return true; }},
};
#endif

} // namespace tokenroof
