// Kernels of one engine step: seconds, or all fields, of a load.
#pragma once
#include "kinds.hpp"
#include "prepared.hpp"

namespace tokenroof {
namespace {

template <int K> __global__ void step_seconds(const __grid_constant__ Span<double, 5 + loads_of<K>> s, Part part,
                                              unsigned combination, const Prepared* prepared) {
    constexpr int loads = loads_of<K>, out = 4 + loads;
    TR_GRID_LOOP(k, part.count) {
        const unsigned n = part.first + k;
        Size offset[out + 1];
        s.locate(n, offset);
        double x[loads];
        for (int i = 0; i < loads; ++i) x[i] = s.load(4 + i, offset);
        s.at(out, offset) = seconds_of_one<K>(prepared[s.inner(n) - combination], x);
    }
}

template <int K> __global__ void step_fields(const __grid_constant__ Span<double, 5 + loads_of<K>> s, Part part,
                                             unsigned combination, const Prepared* prepared, Size core_out) {
    constexpr int loads = loads_of<K>, out = 4 + loads;
    TR_GRID_LOOP(k, part.count) {
        const unsigned n = part.first + k;
        Size offset[out + 1];
        s.locate(n, offset);
        double x[loads], y[step::count];
        for (int i = 0; i < loads; ++i) x[i] = s.load(4 + i, offset);
        fields<K>(prepared[s.inner(n) - combination], x, y);
        char* to = s.data[out] + offset[out];
        for (int i = 0; i < step::count; ++i) *reinterpret_cast<double*>(to + i * core_out) = y[i];
    }
}

template <int K> void run_seconds(const Call& call) {
    for_each_piece(call, [&](const Piece& p) {
        const Span<double, 5 + loads_of<K>> span(p);
        for_prepared(p, false, 0, [&](unsigned first, unsigned count, const Prepared* prepared, void*) {
            const Part part(p, first, count);
            launch(step_seconds<K>, grid_for(part.count, 128), call.stream, span, part, first, prepared);
        });
    });
}

template <int K> void run_fields(const Call& call) {
    for_each_piece(call, [&](const Piece& p) {
        const Span<double, 5 + loads_of<K>> span(p);
        for_prepared(p, false, 0, [&](unsigned first, unsigned count, const Prepared* prepared, void*) {
            const Part part(p, first, count);
            launch(step_fields<K>, grid_for(part.count, 128), call.stream, span, part, first, prepared,
                   call.core_out);
        });
    });
}

// One prompt is a number of prompts: the same call with a 1 before operand `at`.
[[maybe_unused]] Call with_one_prompt(const Call& call, int at) {
    Call out = call;
    ++out.operands;
    for (int i = out.operands - 1; i > at; --i) {
        out.data[i] = call.data[i - 1];
        out.value[i] = call.value[i - 1];
        for (Axis& axis : out.axes) axis.stride[i] = axis.stride[i - 1];
    }
    out.data[at] = nullptr;
    out.value[at] = 1.0;
    for (Axis& axis : out.axes) axis.stride[at] = 0;
    return out;
}

} // namespace
} // namespace tokenroof
