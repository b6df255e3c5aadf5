// NaN in, NaN out, without a spurious "invalid value": comparing a NaN raises FE_INVALID, also where a
// missing value only passed through. A loop notes the flag, and keeps it only for a NaN that was made.
#pragma once
#include <fenv.h>

namespace tokenroof {
inline namespace TR_ISA {

struct InvalidFlag {
    bool before = fetestexcept(FE_INVALID) != 0;
    bool raised() const { return !before && fetestexcept(FE_INVALID) != 0; }
    void settle(bool nan_was_made) const {
        if (before) return;
        feclearexcept(FE_INVALID);
        if (nan_was_made) feraiseexcept(FE_INVALID);
    }
};

} // namespace TR_ISA
} // namespace tokenroof
