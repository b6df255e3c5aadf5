// Device memory in the order of a stream.
#include "scratch.hpp"

#include <map>
#include <mutex>

namespace tokenroof {
namespace scratch_part {
namespace {

constexpr unsigned long long kept_bytes = 256ULL << 20; // between calls

// never destroyed: arrays may outlive them
std::mutex& mutex = *new std::mutex;
auto& pools = *new std::map<int, cudaMemPool_t>; // null where the driver has none

cudaMemPool_t pool_of(int device) {
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = pools.find(device);
    if (found != pools.end()) return found->second;
    cudaMemPool_t pool = nullptr;
    int supported = 0;
    check(cudaDeviceGetAttribute(&supported, cudaDevAttrMemoryPoolsSupported, device), "reading a device's attributes");
    if (supported) {
        cudaMemPoolProps props = {};
        props.allocType = cudaMemAllocationTypePinned;
        props.location.type = cudaMemLocationTypeDevice;
        props.location.id = device;
        check(cudaMemPoolCreate(&pool, &props), "making a pool of device memory");
        unsigned long long keep = kept_bytes;
        cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep);
    }
    return pools[device] = pool;
}

} // namespace
} // namespace scratch_part

void* allocate(int device, std::size_t bytes, cudaStream_t stream) {
    const OnDevice here(device);
    cudaMemPool_t pool = scratch_part::pool_of(device);
    void* memory = nullptr;
    if (bytes == 0) bytes = 1;
    const std::string what = "allocating " + std::to_string(bytes) + " bytes on device " + std::to_string(device);
    check(pool ? cudaMallocFromPoolAsync(&memory, bytes, pool, stream) : cudaMalloc(&memory, bytes), what.c_str());
    return memory;
}

void release(int device, void* data, cudaStream_t stream) noexcept {
    try {
        const OnDevice here(device);
        bool pooled;
        {
            const std::lock_guard<std::mutex> lock(scratch_part::mutex);
            pooled = scratch_part::pools[device] != nullptr;
        }
        if (pooled) cudaFreeAsync(data, stream);
        else cudaFree(data); // waits for the device by itself
    } catch (const CudaError&) { // the process ends, or its context is lost: the memory went with it
        cudaGetLastError();
    }
}

} // namespace tokenroof
