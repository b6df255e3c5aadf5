// The versions that a scan rolls through, in the bits of a mask.
#pragma once
#include "tokenroof/mining/sha256.hpp"

namespace tokenroof {
inline namespace TR_ISA {

constexpr u32 rolled_mask = 0x1fffe000;   // of BIP 320; that of BIP 323 is 0x1fffffe0
constexpr long long most_versions = 1 << 24; // of a scan

// How many versions a mask has room for, most_versions at most.
TR_HD long long versions_within(u32 mask) {
    long long n = 1;
    for (u32 m = mask; m; m &= m - 1) n = n < most_versions ? 2 * n : n;
    return n;
}

// The bits of the mask, read as one number, count on by so many steps, and begin again after the last.
TR_HD u32 rolled_version(u32 version, u32 step, u32 mask) {
    u32 spread = 0;
    for (u32 m = mask; m && step; m &= m - 1, step >>= 1)
        if (step & 1u) spread |= m & (~m + 1u);
    return (version & ~mask) | (((version | ~mask) + spread) & mask); // a carry passes through ones
}

} // namespace TR_ISA
} // namespace tokenroof
