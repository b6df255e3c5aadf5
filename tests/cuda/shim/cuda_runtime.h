// CUDA for the CPU, as far as cpp/cuda needs it: with this header first, g++ compiles .cu files as C++, and a
// launch runs its threads one after another. With -D__CUDACC__ headers take the paths of device code. Device
// memory is host memory, streams are always finished; tests set what devices there are, how much memory they
// have, and which call fails next.
#pragma once
#include <math.h>

#include <barrier>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <cstdio>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#define TOKENROOF_CUDA_SHIM 1
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define CUDART_VERSION 13000

struct uint3 { unsigned x, y, z; };
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
struct uint2 { unsigned x, y; };
struct uint4 { unsigned x, y, z, w; };
struct float4 { float x, y, z, w; };
struct double2 { double x, y; };
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

inline thread_local uint3 threadIdx{}, blockIdx{};
inline thread_local dim3 blockDim, gridDim;
constexpr int warpSize = 32;

enum cudaError_t : int {
    cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorMemoryAllocation = 2, cudaErrorInitializationError = 3,
    cudaErrorInvalidConfiguration = 9, cudaErrorInsufficientDriver = 35, cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101, cudaErrorInvalidResourceHandle = 400, cudaErrorNotReady = 600,
    cudaErrorIllegalAddress = 700, cudaErrorLaunchOutOfResources = 701, cudaErrorLaunchFailure = 719,
    cudaErrorNotSupported = 801, cudaErrorUnknown = 999,
};
enum cudaMemcpyKind { cudaMemcpyHostToHost, cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice,
                      cudaMemcpyDefault };
enum cudaMemoryType { cudaMemoryTypeUnregistered, cudaMemoryTypeHost, cudaMemoryTypeDevice, cudaMemoryTypeManaged };
enum cudaDeviceAttr { cudaDevAttrClockRate = 13, cudaDevAttrMultiProcessorCount = 16, cudaDevAttrMemoryClockRate = 36,
                      cudaDevAttrGlobalMemoryBusWidth = 37,
                      cudaDevAttrComputeCapabilityMajor = 75, cudaDevAttrComputeCapabilityMinor = 76, cudaDevAttrMemoryPoolsSupported = 115 };
enum : unsigned { cudaEventDisableTiming = 2, cudaEventBlockingSync = 1, cudaEventDefault = 0, cudaStreamNonBlocking = 1, cudaStreamDefault = 0,
                  cudaHostAllocDefault = 0 };

enum cudaMemAllocationType { cudaMemAllocationTypePinned = 1 };
enum cudaMemLocationType { cudaMemLocationTypeDevice = 1 };
enum cudaMemPoolAttr { cudaMemPoolAttrReleaseThreshold = 4 };
struct cudaMemPoolProps {
    cudaMemAllocationType allocType;
    struct { cudaMemLocationType type; int id; } location;
};
using cudaMemPool_t = struct CUmemPool_st*;
struct CUmemPool_st { int device; };
struct cudaDeviceProp {
    char name[256];
    int major, minor, multiProcessorCount, l2CacheSize;
    std::size_t totalGlobalMem;
};
struct cudaPointerAttributes {
    cudaMemoryType type;
    int device;
    void* devicePointer;
    void* hostPointer;
};

namespace cuda_shim {

struct State {
    std::recursive_mutex mutex;
    int devices = 2, driver = 13000, capability = 90, pools = 1;
    std::size_t memory = std::size_t(1) << 30; // of each device
    std::map<int, std::size_t> used;
    cudaError_t last = cudaSuccess;
    bool skip = false; // launches do nothing
    std::map<std::string, std::pair<long, cudaError_t>> failures; // by call: after so many, with this
    std::map<std::string, long> calls;
    std::vector<std::pair<std::string, std::uintptr_t>> log; // launches, records and waits, by stream
    struct Range { std::size_t bytes; int device; bool owned; cudaMemoryType type; };
    std::map<std::uintptr_t, Range> ranges;
};
inline State& state() {
    static State* one = new State; // never destroyed: threads may outlive it
    return *one;
}
inline thread_local int current_device = 0;

inline cudaError_t set(cudaError_t code) {
    if (code != cudaSuccess) state().last = code;
    return code;
}
// What the call that is entered has to return: what a test asked for, or that there is no driver or device.
inline cudaError_t enter(const char* call, bool needs_device = true) {
    State& s = state();
    const std::lock_guard<std::recursive_mutex> lock(s.mutex);
    ++s.calls[call];
    const auto found = s.failures.find(call);
    if (found != s.failures.end() && found->second.first-- <= 0) {
        const cudaError_t code = found->second.second;
        s.failures.erase(found);
        return set(code);
    }
    if (needs_device && s.driver < CUDART_VERSION) return set(cudaErrorInsufficientDriver);
    if (needs_device && s.devices == 0) return set(cudaErrorNoDevice);
    return cudaSuccess;
}
inline void note(const char* what, const void* stream) {
    State& s = state();
    const std::lock_guard<std::recursive_mutex> lock(s.mutex);
    if (s.log.size() < 10000) s.log.emplace_back(what, reinterpret_cast<std::uintptr_t>(stream));
}
inline const State::Range* find(const void* p) {
    State& s = state();
    const auto at = reinterpret_cast<std::uintptr_t>(p);
    auto next = s.ranges.upper_bound(at);
    if (next == s.ranges.begin()) return nullptr;
    --next;
    return at < next->first + (next->second.bytes ? next->second.bytes : 1) ? &next->second : nullptr;
}

inline thread_local std::barrier<>* block_barrier = nullptr;

// The threads of a grid one after another; with barriers, those of a block as threads of the system.
template <class... P>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t, void* stream, P... arguments) {
    if (enter("launch") != cudaSuccess) return;
    note("launch", stream);
    if (state().skip) return;
    if (block.x * block.y * block.z > 1024 || block.x * block.y * block.z == 0 || grid.x * grid.y * grid.z == 0) {
        set(cudaErrorInvalidConfiguration);
        return;
    }
    gridDim = grid;
    blockDim = block;
    for (unsigned bz = 0; bz < grid.z; ++bz)
        for (unsigned by = 0; by < grid.y; ++by)
            for (unsigned bx = 0; bx < grid.x; ++bx)
                for (unsigned tz = 0; tz < block.z; ++tz)
                    for (unsigned ty = 0; ty < block.y; ++ty)
                        for (unsigned tx = 0; tx < block.x; ++tx) {
                            blockIdx = {bx, by, bz};
                            threadIdx = {tx, ty, tz};
                            kernel(arguments...);
                        }
}
template <class... P>
void launch_with_barriers(void (*kernel)(P...), dim3 grid, dim3 block, P... arguments) {
    if (enter("launch") != cudaSuccess) return;
    for (unsigned b = 0; b < grid.x; ++b) {
        std::barrier<> together(block.x);
        std::vector<std::thread> threads;
        for (unsigned t = 0; t < block.x; ++t)
            threads.emplace_back([&, t, b] {
                gridDim = grid;
                blockDim = block;
                blockIdx = {b, 0, 0};
                threadIdx = {t, 0, 0};
                block_barrier = &together;
                kernel(arguments...);
                block_barrier = nullptr;
            });
        for (std::thread& one : threads) one.join();
    }
}

} // namespace cuda_shim

inline void __syncthreads() {
    if (cuda_shim::block_barrier) cuda_shim::block_barrier->arrive_and_wait();
    else if (blockDim.x * blockDim.y * blockDim.z > 1)
        throw std::logic_error("a kernel with __syncthreads: run it by cuda_shim::launch_with_barriers");
}
inline void __syncwarp(unsigned = ~0u) { __syncthreads(); }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

#include "cuda_shim_device.h"
#include "cuda_shim_host.h"
