// Attacks on a proof-of-work chain, as published.
//   [N08] Nakamoto, Bitcoin, 2008, section 11.   [R14] Rosenfeld, arXiv:1402.2009.
//   [GP17] Grunspan, Perez-Marco, Double spend races, arXiv:1702.02867.
//   [ES13] Eyal, Sirer, Majority is not enough, arXiv:1311.0243.
// Sums are rearranged into positive terms: no cancellation, however small the probability.
#pragma once
#include "tokenroof/core/special.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Confirmations that the sums are made for: 19 years of blocks. Their length grows with the root.
constexpr double most_confirmations = 1e6;

// NaN, with the invalid flag: 0/0 or inf - inf, which the compiler cannot fold.
TR_HD double invalid_result(double x) { return (x - x) / (x - x); }

TR_HD bool is_race(double q, double n) {
    return q >= 0.0 && q <= 1.0 && n >= 0.0 && n <= most_confirmations && (n + round_shift) - round_shift == n;
}

// [N08]: P(X > z) + sum_k<=z Poisson(k; z r) r^(z-k), r = q/p. Both halves share e^(-z r) r^z z^z / z!:
//   the first leaves B = sum_j>0 (z r)^j / ((z+1)...(z+j)), the second A = sum_j<=z z!/((z-j)! z^j).
TR_HD double double_spend_nakamoto_double(double q, double z) {
    if (q != q || z != z) return q + z;
    if (!is_race(q, z)) return invalid_result(q);
    if (z == 0.0 || q >= 0.5) return 1.0;
    if (q < 1e-290) return z == 1.0 ? 2.0 * q : 0.0;
    const double p = 1.0 - q, r = q / p, mean = z * r;
    double common, a = 1.0, b = 0.0, term = 1.0;
    if (z < 32.0) {
        common = exponential(-mean);
        for (double i = 1.0; i <= z; i += 1.0) common *= mean / i;
        for (double i = 0.0; i < z; i += 1.0) a += term *= (z - i) / z;
    } else {
        // z^z / (z! e^z) by Stirling; 1 - r + ln r without cancellation from d = 1 - r, which r would round
        // away: with e = 1 - r^(1/4), d = 4e - 6e^2 + 4e^3 - e^4 and ln r = 4 (log1p_minus(-e) - e)
        const double d = (1.0 - 2.0 * q) / p, delta = stirling_error(z);
        const double half = square_root(r), quarter = square_root(half), e = d / ((1.0 + quarter) * (1.0 + half));
        const double exponent = r < 0.25 ? log_positive(r) + d : 4.0 * log1p_minus(-e) - e * e * (6.0 - e * (4.0 - e));
        common = exponential(z * exponent - delta) / square_root(6.283185307179586 * z);
        // Ramanujan: sum_k<z z^k/k! = e^z/2 - theta z^z/z!
        const double m = 1.0 / z;
        const double theta = 1.0 / 3 + m * (4.0 / 135 - m * (8.0 / 2835 + m * (16.0 / 8505 -
            m * (8992.0 / 12629925 + m * (334144.0 / 492567075 - m * (698752.0 / 1477701225))))));
        a = square_root(1.5707963267948966 * z) * exponential(delta) + (1.0 - theta);
    }
    term = 1.0;
    for (double j = z + 1.0; term > 1e-17 * b; j += 1.0) b += term *= mean / j;
    return common * (a + b);
}

// [R14] eq. 1 is twice the regularised incomplete beta function I_q(n, n) [GP17], by its power series:
// C(2n, n) (p q)^n (1 + sum_j>0 prod_i<=j q (2n+i-1)/(n+i)).
TR_HD double double_spend_rosenfeld_double(double q, double n) {
    if (q != q || n != n) return q + n;
    if (!is_race(q, n)) return invalid_result(q);
    if (n == 0.0 || q >= 0.5) return 1.0;
    if (q < 1e-290) return n == 1.0 ? 2.0 * q : 0.0;
    const double pq = q * (1.0 - q);
    double common = 1.0;
    if (n < 32.0) {
        for (double i = 1.0; i <= n; i += 1.0) common *= (n + i) / i * pq;
    } else {
        const double d = 1.0 - 2.0 * q; // 4 p q = 1 - d^2
        const double log = q < 0.25 ? log_positive(4.0 * pq) : log1p_lanes<double>(-(d * d));
        const double delta = stirling_error(2.0 * n) - 2.0 * stirling_error(n);
        common = exponential(n * log + delta) / square_root(3.141592653589793 * n);
    }
    double sum = 1.0, term = 1.0;
    for (double i = 1.0; term > 1e-17 * sum; i += 1.0) sum += term *= q * (2.0 * n + i - 1.0) / (n + i);
    return common * sum;
}

// Probability that a payment is undone after so many confirmations: attacker's share of the hashrate,
// confirmations (whole, to most_confirmations).
template <class T> TR_HD T double_spend_nakamoto(T attacker_share, T confirmations) {
    return T(double_spend_nakamoto_double(attacker_share, confirmations));
}
template <class T> TR_HD T double_spend_rosenfeld(T attacker_share, T confirmations) {
    return T(double_spend_rosenfeld_double(attacker_share, confirmations));
}

// Share of the blocks that a selfish miner gets [ES13, eq. 8]; gamma: part of the others that mines on
// his block in a tie. From half of the hashrate on, every block.
template <class T> TR_HD T selfish_mining_revenue(T attacker_share, T gamma) {
    const double a = attacker_share, g = gamma;
    if (a != a || g != g) return T(a + g);
    if (!(a >= 0.0 && a <= 1.0 && g >= 0.0 && g <= 1.0)) return T(invalid_result(a));
    if (a >= 0.5) return T(1);
    const double rest = 1.0 - a;
    const double won = a * (rest * rest) * (4.0 * a + g * (1.0 - 2.0 * a)) - a * a * a;
    return T(won / (1.0 - a * (1.0 + (2.0 - a) * a)));
}

// Share from which selfish mining pays [ES13, observation 1].
template <class T> TR_HD T selfish_mining_threshold(T gamma) {
    const double g = gamma;
    if (g != g) return gamma;
    if (!(g >= 0.0 && g <= 1.0)) return T(invalid_result(g));
    return T((1.0 - g) / (3.0 - 2.0 * g));
}

} // namespace TR_ISA
} // namespace tokenroof
