// Data that an operator reads again and again and finds in the L2, as benchmarks of kernels do.
#pragma once
#include "tokenroof/core/maths.hpp"
#include "tokenroof/records/records.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// 1 / bytes of the L2 that count; a device without a known L2 keeps nothing.
TR_HD double inverse_resident(const double* d, double share) {
    const double bytes = share * d[device::l2_bytes];
    return bytes > 0.0 ? 1.0 / bytes : 1.0;
}
// Share of the time that the L2 saves on data which is read again and again; falls off beyond its size.
template <class V> TR_HD V resident(V bytes, double inverse, double saved) {
    const V x = min_nan(bytes * inverse, splat<V>(1e6)), square = x * x;
    return saved / (1.0 + square * square * square);
}
// What an L2 that is so many times faster than memory saves.
TR_HD double saved_by_l2(const double* d, double cached) { return d[device::l2_bytes] > 0.0 ? 1.0 - 1.0 / cached : 0.0; }

} // namespace TR_ISA
} // namespace tokenroof
