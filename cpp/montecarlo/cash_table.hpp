// Paths of a factory's cash, one table per instruction set.
#pragma once
#include "python/stop_flag.hpp"
#include "tokenroof/economics/cash_paths.hpp"

namespace tokenroof {

// Paths first to first + n - 1: present value and least sum of each; where they are wanted, the logarithms of
// price over supply, price of power and supply, and the cash of each year, a row of years for each path.
struct CashJob {
    const double* model; // TR_CASH_FIELDS
    const double* years_of[7]; // TR_CASH_COLUMNS
    int years;
    unsigned long long seed;
    unsigned long long first;
    long long n;
    double* worth;
    double* lowest;
    double* rows; // 4 * years numbers a path, or null
    const StopFlag* stop;
};

struct CashTable {
    int lanes;
    void (*paths)(const CashJob* job);
};

} // namespace tokenroof
