// Speculative decoding: a cheap draft proposes tokens, one step of the target verifies them all.
//   [L23] Leviathan, Kalman, Matias, ICML 2023, arXiv:2211.17192.
// Acceptance is the chance that a drafted token survives, given that those before it did. A round yields the
// accepted ones and one token of the target's own.
#pragma once
#include "tokenroof/core/maths.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Expected tokens of a round: (1 - a^(k+1)) / (1 - a), and k + 1 where all are accepted [L23, eq. 1].
template <class T> TR_HD T expected_tokens(T acceptance, T length) {
    const bool in_range = double(acceptance) >= 0.0 && double(acceptance) <= 1.0 && double(length) >= 0.0;
    const double a = in_range ? double(acceptance) : 0.0, k = in_range ? double(length) : 0.0;
    const double rejected = 1.0 - a;
    const double exponent = (k + 1.0) * log_positive<double>(a);
    const double some = (0.0 - expm1_negative<double>(exponent)) / (rejected == 0.0 ? 1.0 : rejected);
    const double outside = nan_unless(in_range, double(acceptance) + double(length));
    return T((rejected == 0.0 ? k + 1.0 : some) + outside);
}

// Speed-up over plain decoding where verifying costs one step of the target and a drafted token
// `cost_ratio` of one: E / (k c + 1) [L23, theorem 3.8].
template <class T> TR_HD T speculative_speedup(T acceptance, T length, T cost_ratio) {
    const double k = length, c = cost_ratio;
    return T(expected_tokens<double>(acceptance, k) / (k * c + 1.0));
}

// Work over that of plain decoding: (k c + k + 1) / E, c the draft's share of the target's work per token
// [L23, theorem 3.11].
template <class T> TR_HD T speculative_operations(T acceptance, T length, T work_ratio) {
    const double k = length, c = work_ratio;
    return T((k * c + k + 1.0) / expected_tokens<double>(acceptance, k));
}

// The draft length of the largest speed-up, at most `most` (and 4,096). One token more pays while
// a^(k+1) (k c + 1) > c E(k); the left side less the right one only falls with k, by
// a^(k+1) (1 - a) (k c + c + 1), so that the first length which does not pay more is the best.
template <class T> TR_HD T best_draft_length(T acceptance, T cost_ratio, T most) {
    const double a = acceptance, c = cost_ratio, last = double(most) < 4096.0 ? double(most) : 4096.0;
    const bool in_range = a >= 0.0 && a <= 1.0 && c >= 0.0 && most >= T(0);
    double k = 0.0, power = a, expected = 1.0; // a^(k+1), E(k)
    while (in_range && k + 1.0 <= last && power * (k * c + 1.0) > c * expected) {
        expected += power;
        power *= a;
        k += 1.0;
    }
    return T(k + nan_unless(in_range, a + c + double(most)));
}

// Expected tokens of a round where each position has its own acceptance, as heads that predict several
// tokens have: 1 + a1 + a1 a2 + ..., from `expected` and `survived` of 1 on, a position at a time.
TR_HD void expected_tokens_add(double& expected, double& survived, double acceptance) {
    survived *= acceptance + nan_unless(acceptance >= 0.0 && acceptance <= 1.0, acceptance);
    expected += survived;
}

} // namespace TR_ISA
} // namespace tokenroof
