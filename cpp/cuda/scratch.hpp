// Device memory for the length of a call, in the order of its stream.
#pragma once
#include "runtime.hpp"

namespace tokenroof {

// Memory of a device, from a pool of this module's own that keeps some for the next call. Throws CudaError.
void* allocate(int device, std::size_t bytes, cudaStream_t stream);
void release(int device, void* data, cudaStream_t stream) noexcept;

class Scratch {
    int device;
    cudaStream_t stream;
    void* memory;

public:
    Scratch(int d, std::size_t bytes, cudaStream_t s) : device(d), stream(s), memory(allocate(d, bytes, s)) {}
    ~Scratch() { release(device, memory, stream); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    void* data() const { return memory; }
};

} // namespace tokenroof
