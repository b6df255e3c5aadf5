// Paths of mining pools, one a thread: the functions and the random numbers of the CPU's loops.
#include "launch.hpp"
#include "pools.hpp"

namespace tokenroof {
namespace {

__global__ void __launch_bounds__(pool_threads) pools_kernel(const __grid_constant__ PoolLaunch job) {
    const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x, stride = gridDim.x * blockDim.x;
    double* const ring = job.rings + static_cast<unsigned long long>(thread) * 3 * static_cast<unsigned>(job.ring_size);
    for (unsigned i = thread; i < job.n; i += stride) {
        const unsigned long long path = job.first + i;
        const PoolPath<double> got =
            job.model.window_s > 0.0
                ? pplns_path<double, unsigned long long>(job.model, path, job.key0, job.key1, ring, job.ring_size, job.stop)
                : pool_path<double, unsigned long long>(job.model, path, job.key0, job.key1, job.stop);
        job.income[i] = got.income;
        job.ruin_time[i] = got.ruin_time;
    }
}

} // namespace

unsigned pool_threads_for(unsigned threads) { return (threads + pool_threads - 1) / pool_threads * pool_threads; }

void launch_pools(const PoolLaunch& job, unsigned threads, cudaStream_t stream) {
    launch(pools_kernel, Grid{pool_threads_for(threads) / pool_threads, pool_threads}, stream, job);
}

} // namespace tokenroof
