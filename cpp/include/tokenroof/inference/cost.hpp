// What a measured form of an operator gives: seconds, and why.
#pragma once
#include "tokenroof/core/config.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Time is fixed + seconds; compute and memory are what was smoothly maximised: they name the bound.
template <class V> struct Cost {
    V fixed, seconds, compute, memory, flops, bytes;
};

} // namespace TR_ISA
} // namespace tokenroof
