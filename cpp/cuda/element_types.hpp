// Types of array elements that are read and written, and IEEE half precision without cuda_fp16.h.
#pragma once
#include "launch.hpp"
#include "tokenroof/core/maths.hpp"

namespace tokenroof {

// The order is that of ELEMENT_TYPES in _device_arrays.py.
enum ElementType : int {
    type_bool, type_int8, type_uint8, type_int16, type_uint16, type_int32, type_uint32, type_int64, type_uint64,
    type_float16, type_float32, type_float64, type_count
};

__host__ __device__ __forceinline__ double from_half(unsigned short h) {
    const unsigned exponent = h >> 10 & 31, mantissa = h & 1023;
    double x;
    if (exponent == 31) x = mantissa ? not_a_number() : infinite();
    else if (exponent == 0) x = mantissa * (1.0 / 16777216.0);
    else x = same_bits<double>((static_cast<unsigned long long>(exponent) + 1008) << 52 |
                               static_cast<unsigned long long>(mantissa) << 42);
    return h & 0x8000 ? -x : x;
}

// Rounded to nearest, ties to even.
__host__ __device__ __forceinline__ unsigned short to_half(double x) {
    const unsigned long long bits = same_bits<unsigned long long>(x), magnitude = bits & 0x7fffffffffffffffULL;
    const unsigned short sign = static_cast<unsigned short>(bits >> 48 & 0x8000);
    if (magnitude > 0x7ff0000000000000ULL) return static_cast<unsigned short>(sign | 0x7e00);
    if (magnitude >= 0x40effe0000000000ULL) return static_cast<unsigned short>(sign | 0x7c00); // 65520 rounds up
    const int exponent = static_cast<int>(magnitude >> 52) - 1023;
    if (exponent < -25) return sign;
    const unsigned long long mantissa = (magnitude & 0x000fffffffffffffULL) | 0x0010000000000000ULL;
    const int dropped = exponent < -14 ? 42 + (-14 - exponent) : 42;
    const unsigned long long half = 1ULL << (dropped - 1), kept = mantissa >> dropped;
    const unsigned long long rest = mantissa & ((half << 1) - 1);
    const unsigned rounded = static_cast<unsigned>(kept) + (rest > half || (rest == half && (kept & 1)));
    // a normal number's kept bits hold the leading one, which counts one exponent up
    return static_cast<unsigned short>(sign | (exponent < -14 ? rounded : ((exponent + 14) << 10) + rounded));
}

} // namespace tokenroof
