// One call of a kernel over arrays, as the host sees it: axes from the outermost, the output last.
#pragma once
#include <cuda_runtime.h>

#include <functional>
#include <vector>

#include "table.hpp"

namespace tokenroof {

constexpr int most_operands = 16;
constexpr int most_axes = 8;                    // that a kernel takes; more are looped over on the host
constexpr Size most_elements = 1LL << 30;       // of a launch: 32-bit indices

struct Axis {
    Size size;
    Size stride[most_operands]; // bytes
};

struct Call {
    int operands = 0, records = 0; // the first `records` operands are packed records, contiguous
    std::vector<Axis> axes;
    char* data[most_operands] = {};     // null: the value
    double value[most_operands] = {};
    Size core = 0;                      // length of a record without a fixed one
    Size core_out = 0;                  // stride of the output's fields, in bytes
    int in_code = 0, out_code = 0;      // of copies: types
    int device = 0;
    cudaStream_t stream = nullptr;
};

// A part of a call that one launch takes: the first `record_axes` of the axes are those along which records
// change; the others hold `inner` elements.
struct Piece {
    const Call* call;
    std::vector<Axis> axes;
    int record_axes;
    char* data[most_operands];
    unsigned count, inner;
};

using Launch = void (*)(const Call&);

// Calls f for the pieces of a call: axes of length 1 dropped, those of records outermost, the rest by the
// output's strides, neighbours joined where memory allows.
void for_each_piece(const Call& call, const std::function<void(const Piece&)>& f);

#define ELEMENTWISE(name, inputs)            \
    void name##_float32(const Call& call);   \
    void name##_float64(const Call& call);
#define STEP(name, signature) void name##_float64(const Call& call);
#define OPERATOR(name, arguments) void name##_float64(const Call& call);
#include "kernels.def"
#undef ELEMENTWISE
#undef STEP
#undef OPERATOR

void sha256d_uint8(const Call& call);
void convert(const Call& call); // copies strided elements, from one type to another

} // namespace tokenroof
