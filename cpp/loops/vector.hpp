// The widest vector of doubles of the instruction set that a file is compiled for: a path, or a point, in each lane.
#pragma once
#include "tokenroof/core/lanes.hpp"
#include "tokenroof/core/maths.hpp"

namespace tokenroof {
inline namespace TR_ISA {

#if defined(__GNUC__)
#if TR_LANES >= 16
using Vector = double8;
#elif TR_LANES >= 8
using Vector = double4;
#else
using Vector = double2;
#endif
#else
using Vector = double;
#endif
using Words = bits_of<Vector>::type;
constexpr int lanes = sizeof(Vector) / sizeof(double);

} // namespace TR_ISA
} // namespace tokenroof
