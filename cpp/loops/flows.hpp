// Kernels over rows of flows, a table per instruction set beside the list of kernels: they have no CUDA loops.
#pragma once
#include "isa.hpp"

namespace tokenroof {

#ifdef TR_HAS_x86_64_v4
namespace x86_64_v4 { extern const Table flow_table; }
#endif
#ifdef TR_HAS_x86_64_v3
namespace x86_64_v3 { extern const Table flow_table; }
#endif
inline namespace generic { extern const Table flow_table; }

} // namespace tokenroof
