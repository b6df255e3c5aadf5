// Paths of pools and miners, one table per instruction set.
#pragma once
#include "tokenroof/pools.hpp"

namespace tokenroof {

// Paths first to first + n - 1: income and time of ruin of each.
struct PoolJob {
    const double* model; // TR_POOL_FIELDS
    unsigned long long seed;
    unsigned long long first;
    long long n;
    double* income;
    double* ruin_time;
    double* ring; // 3 * ring_size * lanes numbers where there is a window
    int ring_size;
    const volatile bool* stop;
};

struct PoolTable {
    int lanes;
    void (*paths)(const PoolJob* job);
    // Philox words and quantiles as the paths draw them, for tests: n counters of four words.
    void (*philox_words)(const unsigned int* counters, const unsigned int* key, unsigned int* out, long long n);
    void (*quantiles)(const double* u, const double* mean, double* normal, double* poisson, long long n);
};

} // namespace tokenroof
