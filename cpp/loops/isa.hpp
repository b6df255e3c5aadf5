// The instruction sets that were built, newest first, and which of them this processor can run.
#pragma once
#include "processor.hpp"
#include "table.hpp"

namespace tokenroof {

// inline in the files of its own loops, as everywhere; the host's files are generic
#ifdef TR_HAS_x86_64_v4
namespace x86_64_v4 { extern const Table table; }
#endif
#ifdef TR_HAS_x86_64_v3
namespace x86_64_v3 { extern const Table table; }
#endif
inline namespace generic { extern const Table table; }

struct Isa {
    const char* name;
    const Table* table;
    bool (*supported)();
};

inline const Isa isas[] = {
#ifdef TR_HAS_x86_64_v4
    {"x86_64_v4", &x86_64_v4::table, [] { return processor().level4; }},
#endif
#ifdef TR_HAS_x86_64_v3
    {"x86_64_v3", &x86_64_v3::table, [] { return processor().level3; }},
#endif
    {"generic", &generic::table, [] { return true; }},
};

} // namespace tokenroof
