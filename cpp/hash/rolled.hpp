// The versions that a scan rolls through, BIP 320.
#pragma once
#include "tokenroof/mining/sha256.hpp"

namespace tokenroof {
inline namespace TR_ISA {

constexpr u32 rolled_mask = 0x1fffe000;
constexpr int rolled_shift = 13;
constexpr int rolled_versions = 1 << 16;

TR_HD u32 rolled_version(u32 version, u32 step) {
    const u32 bits = ((version & rolled_mask) >> rolled_shift) + step;
    return (version & ~rolled_mask) | ((bits << rolled_shift) & rolled_mask);
}

} // namespace TR_ISA
} // namespace tokenroof
