// Copies of strided elements, from any of NumPy's real types to those that kernels take and give.
#include "element_types.hpp"
#include "span.hpp"

namespace tokenroof {
namespace {

__device__ __forceinline__ double read(const char* p, int code) {
    switch (code) {
    case type_bool: return *reinterpret_cast<const unsigned char*>(p) != 0 ? 1.0 : 0.0;
    case type_int8: return *reinterpret_cast<const signed char*>(p);
    case type_uint8: return *reinterpret_cast<const unsigned char*>(p);
    case type_int16: return *reinterpret_cast<const short*>(p);
    case type_uint16: return *reinterpret_cast<const unsigned short*>(p);
    case type_int32: return *reinterpret_cast<const int*>(p);
    case type_uint32: return *reinterpret_cast<const unsigned*>(p);
    case type_int64: return double(*reinterpret_cast<const long long*>(p));
    case type_uint64: return double(*reinterpret_cast<const unsigned long long*>(p));
    case type_float16: return from_half(*reinterpret_cast<const unsigned short*>(p));
    case type_float32: return *reinterpret_cast<const float*>(p);
    default: return *reinterpret_cast<const double*>(p);
    }
}

__device__ __forceinline__ void write(char* p, int code, double x) {
    switch (code) {
    case type_uint8: *reinterpret_cast<unsigned char*>(p) = static_cast<unsigned char>(x); break;
    case type_float16: *reinterpret_cast<unsigned short*>(p) = to_half(x); break;
    case type_float32: *reinterpret_cast<float*>(p) = static_cast<float>(x); break;
    default: *reinterpret_cast<double*>(p) = x;
    }
}

__global__ void convert_kernel(const __grid_constant__ Span<double, 2> s, int in_code, int out_code) {
    TR_GRID_LOOP(n, s.count) {
        Size offset[2];
        s.locate(n, offset);
        write(s.data[1] + offset[1], out_code, read(s.data[0] + offset[0], in_code));
    }
}

} // namespace

void convert(const Call& call) {
    for_each_piece(call, [&](const Piece& p) {
        launch(convert_kernel, grid_for(p.count), call.stream, Span<double, 2>(p), call.in_code, call.out_code);
    });
}

} // namespace tokenroof
