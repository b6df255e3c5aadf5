// The runtime's calls, for the CPU: memory with a limit, streams and events that are always finished.
#pragma once
#include <chrono>

using cudaStream_t = struct CUstream_st*;
using cudaEvent_t = struct CUevent_st*;
struct CUstream_st { int device; };
struct CUevent_st { std::chrono::steady_clock::time_point at; };
using cudaHostFn_t = void (*)(void*);

#define SHIM_ENTER(needs_device) \
    if (const cudaError_t code = cuda_shim::enter(__func__, needs_device); code != cudaSuccess) return code

inline const char* cudaGetErrorName(cudaError_t code) {
    switch (code) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver: return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorLaunchOutOfResources: return "cudaErrorLaunchOutOfResources";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    case cudaErrorNotReady: return "cudaErrorNotReady";
    default: return "cudaErrorUnknown";
    }
}
inline const char* cudaGetErrorString(cudaError_t code) {
    switch (code) {
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorLaunchFailure: return "unspecified launch failure";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    default: return cudaGetErrorName(code);
    }
}
inline cudaError_t cudaPeekAtLastError() { return cuda_shim::state().last; }
inline cudaError_t cudaGetLastError() { return std::exchange(cuda_shim::state().last, cudaSuccess); }

inline cudaError_t cudaDriverGetVersion(int* v) {
    SHIM_ENTER(false);
    *v = cuda_shim::state().driver;
    return cudaSuccess;
}
inline cudaError_t cudaRuntimeGetVersion(int* v) {
    SHIM_ENTER(false);
    *v = CUDART_VERSION;
    return cudaSuccess;
}
inline cudaError_t cudaGetDeviceCount(int* n) {
    *n = 0;
    SHIM_ENTER(true);
    *n = cuda_shim::state().devices;
    return cudaSuccess;
}
inline cudaError_t cudaGetDevice(int* d) {
    SHIM_ENTER(true);
    *d = cuda_shim::current_device;
    return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int d) {
    SHIM_ENTER(true);
    if (d < 0 || d >= cuda_shim::state().devices) return cuda_shim::set(cudaErrorInvalidDevice);
    cuda_shim::current_device = d;
    return cudaSuccess;
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int d) {
    SHIM_ENTER(true);
    *p = cudaDeviceProp{"shim", cuda_shim::state().capability / 10, cuda_shim::state().capability % 10, 4, 1 << 20,
                        cuda_shim::state().memory};
    p->name[4] = char('0' + d);
    p->name[5] = 0;
    return cudaSuccess;
}
inline cudaError_t cudaDeviceGetPCIBusId(char* to, int length, int d) {
    SHIM_ENTER(true);
    std::snprintf(to, std::size_t(length), "0000:%02x:00.0", d);
    return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int) {
    SHIM_ENTER(true);
    switch (which) {
    case cudaDevAttrMultiProcessorCount: *value = 4; break;
    case cudaDevAttrMemoryPoolsSupported: *value = cuda_shim::state().pools; break;
    case cudaDevAttrGlobalMemoryBusWidth: *value = 64; break;
    case cudaDevAttrComputeCapabilityMajor: *value = cuda_shim::state().capability / 10; break;
    case cudaDevAttrComputeCapabilityMinor: *value = cuda_shim::state().capability % 10; break;
    default: *value = 1000000;
    }
    return cudaSuccess;
}
inline cudaError_t cudaDeviceSynchronize() { SHIM_ENTER(true); return cudaSuccess; }

inline cudaError_t shim_allocate(void** p, std::size_t bytes, cudaMemoryType type) {
    auto& s = cuda_shim::state();
    const std::lock_guard<std::recursive_mutex> lock(s.mutex);
    *p = nullptr;
    std::size_t& used = s.used[type == cudaMemoryTypeHost ? -1 : cuda_shim::current_device];
    if (type != cudaMemoryTypeHost && used + bytes > s.memory) return cuda_shim::set(cudaErrorMemoryAllocation);
    *p = std::aligned_alloc(256, (bytes + 255) / 256 * 256 + 256);
    if (!*p) return cuda_shim::set(cudaErrorMemoryAllocation);
    std::memset(*p, 0xa5, bytes); // nobody may count on zeros
    used += bytes;
    s.ranges[reinterpret_cast<std::uintptr_t>(*p)] = {bytes, cuda_shim::current_device, true, type};
    return cudaSuccess;
}
inline cudaError_t shim_free(void* p) {
    if (!p) return cudaSuccess;
    auto& s = cuda_shim::state();
    const std::lock_guard<std::recursive_mutex> lock(s.mutex);
    const auto found = s.ranges.find(reinterpret_cast<std::uintptr_t>(p));
    if (found == s.ranges.end() || !found->second.owned) return cuda_shim::set(cudaErrorInvalidValue);
    s.used[found->second.type == cudaMemoryTypeHost ? -1 : found->second.device] -= found->second.bytes;
    s.ranges.erase(found);
    std::free(p);
    return cudaSuccess;
}
template <class T> cudaError_t cudaMalloc(T** p, std::size_t n) {
    SHIM_ENTER(true);
    return shim_allocate(reinterpret_cast<void**>(p), n, cudaMemoryTypeDevice);
}
template <class T> cudaError_t cudaMallocAsync(T** p, std::size_t n, cudaStream_t) {
    SHIM_ENTER(true);
    return shim_allocate(reinterpret_cast<void**>(p), n, cudaMemoryTypeDevice);
}
template <class T> cudaError_t cudaMallocFromPoolAsync(T** p, std::size_t n, cudaMemPool_t, cudaStream_t) {
    SHIM_ENTER(true);
    return shim_allocate(reinterpret_cast<void**>(p), n, cudaMemoryTypeDevice);
}
inline cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps* props) {
    SHIM_ENTER(true);
    *pool = new CUmemPool_st{props->location.id};
    return cudaSuccess;
}
inline cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) {
    SHIM_ENTER(true);
    return cudaSuccess;
}
template <class T> cudaError_t cudaHostAlloc(T** p, std::size_t n, unsigned) {
    SHIM_ENTER(true);
    return shim_allocate(reinterpret_cast<void**>(p), n, cudaMemoryTypeHost);
}
template <class T> cudaError_t cudaMallocHost(T** p, std::size_t n) { return cudaHostAlloc(p, n, 0); }
inline cudaError_t cudaFree(void* p) { SHIM_ENTER(false); return shim_free(p); }
inline cudaError_t cudaFreeAsync(void* p, cudaStream_t) { SHIM_ENTER(false); return shim_free(p); }
inline cudaError_t cudaFreeHost(void* p) { SHIM_ENTER(false); return shim_free(p); }
inline cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
    SHIM_ENTER(true);
    *total = cuda_shim::state().memory;
    *free = *total - cuda_shim::state().used[cuda_shim::current_device];
    return cudaSuccess;
}
inline cudaError_t cudaMemcpy(void* to, const void* from, std::size_t n, cudaMemcpyKind) {
    SHIM_ENTER(true);
    std::memmove(to, from, n);
    return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t n, cudaMemcpyKind, cudaStream_t = nullptr) {
    SHIM_ENTER(true);
    std::memmove(to, from, n);
    return cudaSuccess;
}
inline cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, std::size_t n, cudaStream_t) {
    SHIM_ENTER(true);
    std::memmove(to, from, n);
    return cudaSuccess;
}
template <class S>
cudaError_t cudaMemcpyToSymbolAsync(S& to, const void* from, std::size_t n, std::size_t offset, cudaMemcpyKind,
                                    cudaStream_t = nullptr) {
    SHIM_ENTER(true);
    std::memcpy(reinterpret_cast<char*>(const_cast<std::remove_cv_t<S>*>(&to)) + offset, from, n);
    return cudaSuccess;
}
inline cudaError_t cudaMemset(void* to, int value, std::size_t n) {
    SHIM_ENTER(true);
    std::memset(to, value, n);
    return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* to, int value, std::size_t n, cudaStream_t = nullptr) {
    SHIM_ENTER(true);
    std::memset(to, value, n);
    return cudaSuccess;
}
inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* a, const void* p) {
    SHIM_ENTER(true);
    const auto* range = cuda_shim::find(p);
    *a = range ? cudaPointerAttributes{range->type, range->device, const_cast<void*>(p), nullptr}
               : cudaPointerAttributes{cudaMemoryTypeUnregistered, -1, nullptr, const_cast<void*>(p)};
    return cudaSuccess;
}

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) {
    SHIM_ENTER(true);
    *s = new CUstream_st{cuda_shim::current_device};
    return cudaSuccess;
}
inline cudaError_t cudaStreamCreate(cudaStream_t* s) { return cudaStreamCreateWithFlags(s, 0); }
inline cudaError_t cudaStreamDestroy(cudaStream_t s) { SHIM_ENTER(false); delete s; return cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t s) {
    SHIM_ENTER(true);
    cuda_shim::note("synchronize", s);
    return cudaSuccess;
}
inline cudaError_t cudaStreamQuery(cudaStream_t) { SHIM_ENTER(true); return cudaSuccess; }
inline cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t, unsigned = 0) {
    SHIM_ENTER(true);
    cuda_shim::note("wait", s);
    return cudaSuccess;
}
inline cudaError_t cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t f, void* data) {
    SHIM_ENTER(true);
    f(data);
    return cudaSuccess;
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) {
    SHIM_ENTER(true);
    *e = new CUevent_st{std::chrono::steady_clock::now()};
    return cudaSuccess;
}
inline cudaError_t cudaEventCreate(cudaEvent_t* e) { return cudaEventCreateWithFlags(e, 0); }
inline cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s = nullptr) {
    SHIM_ENTER(true);
    cuda_shim::note("record", s);
    e->at = std::chrono::steady_clock::now();
    return cudaSuccess;
}
inline cudaError_t cudaEventQuery(cudaEvent_t) { SHIM_ENTER(true); return cudaSuccess; }
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { SHIM_ENTER(true); return cudaSuccess; }
inline cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t a, cudaEvent_t b) {
    SHIM_ENTER(true);
    *ms = std::chrono::duration<float, std::milli>(b->at - a->at).count();
    return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t e) { SHIM_ENTER(false); delete e; return cudaSuccess; }
#undef SHIM_ENTER
