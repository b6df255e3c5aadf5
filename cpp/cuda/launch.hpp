// Launches, for .cu files: by nvcc, or by tests/cuda_shim one thread after another.
#pragma once
#include "runtime.hpp"

namespace tokenroof {

struct Grid {
    unsigned blocks, threads;
    std::size_t shared = 0;
    unsigned rows = 1; // of blocks
};

// One block of 256 threads per 256 elements, up to so many that a grid-stride loop keeps them busy.
inline Grid grid_for(unsigned long long elements, unsigned threads = 256, unsigned most = 1u << 16) {
    const unsigned long long blocks = (elements + threads - 1) / threads;
    return {blocks < most ? static_cast<unsigned>(blocks) : most, threads};
}

// kernel<<<grid>>>(arguments...) on a stream; a launch that fails throws.
template <class... P, class... A>
void launch(void (*kernel)(P...), const Grid& grid, cudaStream_t stream, A&&... arguments) {
#ifndef TOKENROOF_CUDA_SHIM
    kernel<<<dim3(grid.blocks, grid.rows), grid.threads, grid.shared, stream>>>(static_cast<P>(arguments)...);
#else
    cuda_shim::launch(kernel, dim3(grid.blocks, grid.rows), grid.threads, grid.shared, stream, static_cast<P>(arguments)...);
#endif
    check(cudaGetLastError(), "launching a kernel");
}

} // namespace tokenroof
