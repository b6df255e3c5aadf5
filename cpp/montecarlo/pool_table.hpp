// Paths of pools and miners, one table per instruction set.
#pragma once
#include "python/stop_flag.hpp"
#include "tokenroof/mining/pools.hpp"

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
    const StopFlag* stop;
};

struct PoolTable {
    int lanes;
    void (*paths)(const PoolJob* job);
    // Parts of a path, for tests: Philox over n counters of four words; normal numbers of pairs of uniform
    // ones, and the Poisson count of the first of them.
    void (*philox_words)(const unsigned int* counters, const unsigned int* key, unsigned int* out, long long n);
    void (*variates)(const double* u, const double* v, const double* mean, double* first, double* second,
                     double* poisson, long long n);
};

} // namespace tokenroof
