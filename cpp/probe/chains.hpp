// Chains of one operation in registers: the loop of every compute probe.
#pragma once
#include "tokenroof/core/config.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// What a compiler must take as changed, so that it neither folds steps together nor knows an operand.
#if defined(__AVX512F__)
#define TR_VECTOR_KEEP "v"
#elif defined(__aarch64__)
#define TR_VECTOR_KEEP "w"
#else
#define TR_VECTOR_KEEP "x"
#endif
#if defined(__GNUC__)
#define TR_OPAQUE(kind, x) __asm__ volatile("" : "+" kind(x))
#define TR_OPAQUE_STEP(kind, x) __asm__("" : "+" kind(x))
#else
#define TR_OPAQUE(kind, x) ((void)(x))
#define TR_OPAQUE_STEP(kind, x) ((void)(x))
#endif

// Twelve chains cover the latency of two fused units, and still leave room in 16 registers. Separate
// multipliers and adders are four units: 14 chains.
#if defined(__FMA__) || defined(__AVX512F__) || defined(__aarch64__)
constexpr int chains = 12, steps_per_round = 63;
#else
constexpr int chains = 14, steps_per_round = 63;
#endif

// Op: Value (a register), kept (its constraint), start(chain), operand(which), step(x, a, b, chain), and
// right(x, chain, steps): whether x is what so many steps make of the chain's start.
template <class Op> TR_HD bool run_chains(long long rounds) {
    using Value = typename Op::Value;
    Value x[chains], a = Op::operand(0), b = Op::operand(1);
    Op::hide(a);
    Op::hide(b);
    for (int i = 0; i < chains; ++i) x[i] = Op::start(i);
    for (long long r = 0; r < rounds; ++r)
#ifdef __GNUC__
#pragma GCC unroll 7
#endif
        for (int s = 0; s < steps_per_round; ++s) {
#ifdef __GNUC__
#pragma GCC unroll 14
#endif
            for (int i = 0; i < chains; ++i) x[i] = Op::step(x[i], a, b, i);
        }
    bool right = true;
    for (int i = 0; i < chains; ++i) right = right && Op::right(x[i], i, rounds * steps_per_round);
    return right;
}

} // namespace TR_ISA
} // namespace tokenroof
