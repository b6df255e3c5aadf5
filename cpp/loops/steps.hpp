// Loops over packed records, defined in steps.cpp.
#pragma once
#include "table.hpp"
#include "tokenroof/core/config.hpp"

namespace tokenroof {
inline namespace TR_ISA {

#define ELEMENTWISE(name, inputs)
#define STEP(name, signature) void name##_loop(char** args, const Size* dims, const Size* steps, void*);
#define OPERATOR(name, arguments) STEP(name, "")
#include "kernels.def"
#undef ELEMENTWISE
#undef STEP
#undef OPERATOR

} // namespace TR_ISA
} // namespace tokenroof
