// Digests of headers, one table per instruction set; header scanners, one table per backend.
#pragma once

namespace tokenroof {

struct HashTable {
    // Double hashes of n headers, 80 contiguous bytes each, to digests of 32.
    void (*sha256d_headers)(const unsigned char* in, long in_stride, unsigned char* out, long out_stride,
                            long n);
    // SHA-256 of n bytes to a digest of 32.
    void (*sha256)(const unsigned char* in, long long n, unsigned char* out);
};

// A range of nonces of one header in some of its rolled versions, against a target.
struct ScanJob {
    const unsigned char* header; // 80 bytes; its nonce is ignored
    const unsigned char* target; // 32 bytes, little-endian as Bitcoin reads hashes
    unsigned int start;
    long long count;   // start + count <= 2^32
    unsigned int step; // first version, counted from the header's own
    int versions;
    unsigned int mask = 0x1fffe000; // bits of the version that steps count in; those of BIP 320
};

struct ScanHit {
    unsigned int step, nonce;
};

// Each scan writes the hits of a job (room for all it tries) in any order and returns how many.
using Scan = long long (*)(const ScanJob* job, ScanHit* hits);

struct ScanTable {
    int lanes;      // nonces hashed at once
    int roll_lanes; // versions hashed at once; 0 if there is no such mode
    Scan nonce;     // one version
    Scan roll;      // a multiple of roll_lanes versions
};

struct ScanBackend {
    const char* name;
    const ScanTable* table; // null where this build lacks it
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
#endif

} // namespace tokenroof
