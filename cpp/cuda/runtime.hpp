// What host code of the CUDA module shares: errors as exceptions, the current device.
// tests/cuda_shim has a cuda_runtime.h with which all of cpp/cuda compiles for the CPU.
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

} // namespace tokenroof
