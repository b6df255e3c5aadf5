// How often enough replicas are up where each fails by itself.
#pragma once
#include "tokenroof/core/special.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Spares that are summed over at most.
constexpr double most_spares = 4096.0;

TR_HD bool is_fleet(double a, double needed, double spare) {
    return a >= 0.0 && a <= 1.0 && needed >= 1.0 && needed <= 1e9 && spare >= 0.0 && spare <= most_spares &&
           (needed + round_shift) - round_shift == needed && (spare + round_shift) - round_shift == spare;
}

// The upper tail of a binomial distribution: sum_j<=k C(N + k, j) (1 - a)^j a^(N + k - j) [Barlow, Proschan,
// Mathematical Theory of Reliability, 1965, k-out-of-n systems]. From its larger end on, so that terms fall; numbers
// that grow all the same are scaled.
TR_HD double fleet_availability_double(double a, double needed, double spare) {
    if (a != a || needed != needed || spare != spare) return a + needed + spare;
    if (!is_fleet(a, needed, spare)) return (a - a) / (a - a);
    const double n = needed + spare, q = 1.0 - a;
    if (a == 1.0) return 1.0;
    if (a < 1e-290) return needed == 1.0 ? n * a : 0.0;
    double term = 1.0, sum = 1.0, common = 0.0;
    if (a >= 0.5) {
        common = n * log_positive(a);
        for (double j = 1.0; j <= spare; j += 1.0) {
            sum += term *= (n - j + 1.0) / j * (q / a);
            if (term > 1e200) term *= 1e-200, sum *= 1e-200, common += 460.51701859880916;
        }
    } else {
        common = needed * log_positive(a) + spare * log_positive(q);
        for (double j = 1.0; j <= spare; j += 1.0) common += log_positive((needed + j) / j);
        for (double j = spare; j >= 1.0; j -= 1.0) {
            sum += term *= j / (n - j + 1.0) * (a / q);
            if (term > 1e200) term *= 1e-200, sum *= 1e-200, common += 460.51701859880916;
        }
    }
    const double found = sum * exponential(common);
    return found < 1.0 ? found : 1.0;
}

// Share of the time that at least `needed` of `needed + spare` replicas are up: of one replica, `availability`.
template <class T> TR_HD T fleet_availability(T availability, T needed, T spare) {
    return T(fleet_availability_double(availability, needed, spare));
}

} // namespace TR_ISA
} // namespace tokenroof
