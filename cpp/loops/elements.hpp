// Elements of NumPy's loops over packed records: numbers, records, and the invalid flag at the end.
#pragma once
#include "flags.hpp"
#include "table.hpp"
#include "tokenroof/core/config.hpp"

namespace tokenroof {
inline namespace TR_ISA {

TR_HD double at(const char* p) { return *reinterpret_cast<const double*>(p); }

template <int N> TR_HD void read_record(double* to, const char* from, Size stride) {
    if (stride == Size(sizeof(double))) {
        const double* const row = reinterpret_cast<const double*>(from);
        for (int i = 0; i < N; ++i) to[i] = row[i];
        return;
    }
    for (int i = 0; i < N; ++i) to[i] = at(from + i * stride);
}

// A NaN that no NaN among the loads explains, from a load that is out of range, is an invalid operation.
// Underflow is none here: forms multiply high powers of ratios (`smooth_max`, `resident`), which fade to
// nothing beside the term that they are added to, while the sums themselves are seconds, watts and bytes.
// In element-wise loops, whose answer is the one number that underflows, the flag stays.
TR_HOST_ONCE void settle(const InvalidFlag& flag, bool some_nan, char** args, const Size* steps, Size n, int first,
                         int last) {
    bool made = false;
    if (some_nan) {
        for (Size k = 0; k < n && !made; ++k) {
            bool given = false, outside = false;
            for (int i = first; i < last; ++i) {
                const double x = at(args[i] + k * steps[i]);
                given = given || x != x;
                outside = outside || x < 0.0 || x > 1.7e308;
            }
            made = outside && !given;
        }
    }
    flag.settle(made);
    feclearexcept(FE_UNDERFLOW);
}

} // namespace TR_ISA
} // namespace tokenroof
