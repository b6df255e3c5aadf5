// What host code of the CUDA module shares: errors as exceptions, the current device, launches.
// tests/cuda_shim has a cuda_runtime.h with which all of it compiles for the CPU.
#pragma once
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace tokenroof {

struct CudaError : std::runtime_error {
    cudaError_t code;
    CudaError(cudaError_t c, const std::string& what)
        : std::runtime_error(what + ": " + cudaGetErrorString(c) + " (" + cudaGetErrorName(c) + ")"), code(c) {}
};

// Throws with the driver's text. What is not sticky is cleared, so that the next call starts afresh.
inline void check(cudaError_t code, const char* what) {
    if (code == cudaSuccess) return;
    cudaGetLastError();
    throw CudaError(code, what);
}

// Makes a device current, and the one before it again at the end.
class OnDevice {
    int before = 0;
    bool changed = false;

public:
    explicit OnDevice(int device) {
        check(cudaGetDevice(&before), "asking for the current device");
        if (device == before) return;
        check(cudaSetDevice(device), "choosing a device");
        changed = true;
    }
    ~OnDevice() {
        if (changed) cudaSetDevice(before);
    }
    OnDevice(const OnDevice&) = delete;
    OnDevice& operator=(const OnDevice&) = delete;
};

struct Grid {
    unsigned blocks, threads;
    std::size_t shared = 0;
};

// One block of 256 threads per 256 elements, up to so many that a grid-stride loop keeps them busy.
inline Grid grid_for(unsigned long long elements, unsigned threads = 256, unsigned most = 1u << 16) {
    const unsigned long long blocks = (elements + threads - 1) / threads;
    return {blocks < most ? static_cast<unsigned>(blocks) : most, threads, 0};
}

// kernel<<<grid>>>(arguments...) on a stream; a launch that fails throws.
template <class... P, class... A>
void launch(void (*kernel)(P...), const Grid& grid, cudaStream_t stream, A&&... arguments) {
#ifdef __CUDACC__
    kernel<<<grid.blocks, grid.threads, grid.shared, stream>>>(static_cast<P>(arguments)...);
#else
    cuda_shim::launch(kernel, grid.blocks, grid.threads, grid.shared, stream, static_cast<P>(arguments)...);
#endif
    check(cudaGetLastError(), "launching a kernel");
}

} // namespace tokenroof
