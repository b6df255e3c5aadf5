// What sessions leave in a prefix cache between their turns, evicted in the order of their last use.
//   [C02] Che, Tung, Wang, IEEE JSAC 20(7) 2002: in a cache that evicts what was used longest ago, a thing stays for
//         one time T, the same for all, at which what is held fills the cache.
#pragma once
#include "tokenroof/core/maths.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Share of gaps, exponential with this mean, that end within a time: of turns that find what was said before [C02].
template <class T> TR_HD T cache_reached(T gap_s, T reach_s) {
    const double gap = gap_s, reach = reach_s;
    const bool in_range = gap >= 0.0 && reach >= 0.0;
    const double away = expm1_negative<double>(0.0 - (in_range ? reach : 0.0) / (gap > 0.0 ? gap : 1.0));
    return T((gap > 0.0 ? 0.0 - away : 1.0) + nan_unless(in_range, gap + reach));
}

// Tokens that sessions hold which begin at a rate: after the turns that another follows, `kept` tokens in all, for the
// lesser of gap and reach, of mean gap (1 - exp(-reach / gap)); after their last turn, `left` tokens, for the reach.
// NaN of anything below zero.
template <class T> TR_HD T cache_held(T rate, T kept_tokens, T left_tokens, T gap_s, T reach_s) {
    const double gap = gap_s, reach = reach_s;
    const double stays = gap * cache_reached<double>(gap, reach);
    const double begun = rate, kept = kept_tokens, left = left_tokens;
    const double outside = nan_unless(begun >= 0.0 && kept >= 0.0 && left >= 0.0, begun + kept + left);
    return T(begun * (kept * stays + left * reach) + outside);
}

} // namespace TR_ISA
} // namespace tokenroof
