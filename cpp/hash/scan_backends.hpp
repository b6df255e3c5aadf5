// The header scanners that were built, and which of them this processor can run.
#pragma once
#include "hash_table.hpp"
#include "loops/processor.hpp"

#if defined(TR_HAS_SCAN_armv8) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace tokenroof {

namespace scalar { extern const ScanTable scan_table; }
#ifdef TR_HAS_SCAN_avx2
namespace avx2 { extern const ScanTable scan_table; }
#endif
#ifdef TR_HAS_SCAN_sha_ni
namespace sha_ni { extern const ScanTable scan_table, scan_table2, scan_table4; }
#endif
#ifdef TR_HAS_SCAN_avx512
namespace avx512 { extern const ScanTable scan_table; }
#endif
#ifdef TR_HAS_SCAN_hybrid
namespace hybrid { extern const ScanTable scan_table; }
#endif
#ifdef TR_HAS_SCAN_armv8
namespace armv8 { extern const ScanTable scan_table; }
#endif

#ifdef TR_HAS_SCAN_avx2
inline bool has_level3() { return processor().level3; }
#define TR_SCAN_AVX2 {"avx2", &avx2::scan_table, has_level3}
#else
#define TR_SCAN_AVX2 {"avx2", nullptr, nullptr}
#endif
#ifdef TR_HAS_SCAN_sha_ni
inline bool has_sha() { return processor().sha; }
#define TR_SCAN_SHA_NI(suffix, table) {"sha_ni" suffix, &sha_ni::table, has_sha}
#else
#define TR_SCAN_SHA_NI(suffix, table) {"sha_ni" suffix, nullptr, nullptr}
#endif
#ifdef TR_HAS_SCAN_avx512
inline bool has_level4() { return processor().level4; }
#define TR_SCAN_AVX512 {"avx512", &avx512::scan_table, has_level4}
#else
#define TR_SCAN_AVX512 {"avx512", nullptr, nullptr}
#endif
#ifdef TR_HAS_SCAN_hybrid
// Not on Intel's: there SHA instructions, which are legacy ones, pay each time for the upper halves that the
// vector lanes leave in use: 225 times slower than the vector lanes alone (Sapphire Rapids, measured).
inline bool has_both() {
    return processor().level4 && processor().sha && !processor().intel;
}
#define TR_SCAN_HYBRID {"hybrid", &hybrid::scan_table, has_both}
#else
#define TR_SCAN_HYBRID {"hybrid", nullptr, nullptr}
#endif
#ifdef TR_HAS_SCAN_armv8
inline bool has_arm_sha() {
#ifdef __linux__
    return (getauxval(AT_HWCAP) & 64u) != 0; // HWCAP_SHA2
#else
    return true; // every 64-bit Apple processor
#endif
}
#define TR_SCAN_ARMV8 {"armv8", &armv8::scan_table, has_arm_sha}
#else
#define TR_SCAN_ARMV8 {"armv8", nullptr, nullptr}
#endif

inline const ScanBackend scan_backends[] = {
    TR_SCAN_HYBRID,
    TR_SCAN_AVX512,
    TR_SCAN_SHA_NI("", scan_table),
    TR_SCAN_SHA_NI("_4", scan_table4),
    TR_SCAN_SHA_NI("_2", scan_table2),
    TR_SCAN_AVX2,
    TR_SCAN_ARMV8,
    {"scalar", &scalar::scan_table, [] { return true; }},
};

} // namespace tokenroof
