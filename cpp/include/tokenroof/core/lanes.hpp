// One number of a vector, read and written by its place; a double is a vector of one.
#pragma once
#include "tokenroof/core/config.hpp"

namespace tokenroof {
inline namespace TR_ISA {

TR_HD double lane(double v, int) { return v; }
TR_HD unsigned long long word(unsigned long long v, int) { return v; }
TR_HD void put(double& v, int, double x) { v = x; }
TR_HD void put(unsigned long long& v, int, unsigned long long x) { v = x; }
#if defined(__GNUC__) && !defined(__CUDACC__) && !defined(__CUDACC_RTC__)
template <class V> TR_HD double lane(V v, int l) { return v[l]; }
template <class I> TR_HD unsigned long long word(I v, int l) { return v[l]; }
template <class V, class X> TR_HD void put(V& v, int l, X x) { v[l] = x; }
#endif

// A vector in memory, for what is done lane by lane.
template <class V> struct Lanes {
    alignas(V) double x[sizeof(V) / sizeof(double)];
    TR_HD Lanes() {}
    TR_HD explicit Lanes(V v) { *reinterpret_cast<V*>(x) = v; }
    TR_HD V all() const { return *reinterpret_cast<const V*>(x); }
};

} // namespace TR_ISA
} // namespace tokenroof
