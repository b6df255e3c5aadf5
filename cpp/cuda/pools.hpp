// Paths of pools on a device: what pools.cu gives to pools_module.cpp.
#pragma once
#include "runtime.hpp"
#include "tokenroof/mining/pools.hpp"

namespace tokenroof {

struct PoolLaunch {
    PoolModel model;
    unsigned key0, key1;
    unsigned long long first; // path
    unsigned n;               // paths
    double *income, *ruin_time;
    double* rings; // 3 * ring_size numbers a thread where there is a window
    int ring_size;
    const volatile bool* stop; // on the host
};

constexpr unsigned pool_threads = 64; // of a block: paths differ in length, and so do their threads
constexpr unsigned most_pool_threads = 1u << 20;

// Threads are the next multiple of a block's from `threads`, and at most as many as paths.
unsigned pool_threads_for(unsigned threads);
void launch_pools(const PoolLaunch& job, unsigned threads, cudaStream_t stream);

} // namespace tokenroof
