// The structures of DLPack 1.0 (dmlc.github.io/dlpack), as far as arrays on CUDA devices need them.
#pragma once
#include <cstdint>

namespace tokenroof::dlpack {

enum : int { device_cpu = 1, device_cuda = 2, device_cuda_host = 3, device_cuda_managed = 13 };
enum : unsigned { code_int = 0, code_uint = 1, code_float = 2, code_bfloat = 4, code_complex = 5, code_bool = 6 };
constexpr std::uint64_t flag_read_only = 1;

struct Device { std::int32_t type, id; };
struct Type { std::uint8_t code, bits; std::uint16_t lanes; };
struct Tensor {
    void* data;
    Device device;
    std::int32_t ndim;
    Type dtype;
    std::int64_t* shape;
    std::int64_t* strides; // in elements; null: contiguous
    std::uint64_t byte_offset;
};
struct Managed { // capsule "dltensor"
    Tensor tensor;
    void* context;
    void (*deleter)(Managed*);
};
struct Version { std::uint32_t major, minor; };
struct ManagedVersioned { // capsule "dltensor_versioned"
    Version version;
    void* context;
    void (*deleter)(ManagedVersioned*);
    std::uint64_t flags;
    Tensor tensor;
};

} // namespace tokenroof::dlpack
