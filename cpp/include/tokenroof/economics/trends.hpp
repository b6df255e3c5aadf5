// A line through the logarithms of amounts over years, by least squares.
//   Draper and Smith, Applied Regression Analysis, third edition, 1998, chapter 1: slope and its standard error.
#pragma once
#include "tokenroof/core/pairs.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Slope of log(amount) [1/year] and its standard error.
struct LogLine {
    double slope, error;
};

TR_HD LogLine log_line(const double* year, const double* amount, long long n) {
    double mean = 0.0, level = 0.0;
    for (long long k = 0; k < n; ++k) {
        mean += year[k];
        level += log_positive(amount[k]);
    }
    mean /= double(n);
    level /= double(n);
    double spread = 0.0, both = 0.0, rest = 0.0;
    for (long long k = 0; k < n; ++k) {
        const double away = year[k] - mean;
        spread += away * away;
        both += away * (log_positive(amount[k]) - level);
    }
    const double slope = both / spread;
    for (long long k = 0; k < n; ++k) {
        const double off = log_positive(amount[k]) - level - slope * (year[k] - mean);
        rest += off * off;
    }
    return {slope, square_root(rest / double(n - 2) / spread)};
}

} // namespace TR_ISA
} // namespace tokenroof
