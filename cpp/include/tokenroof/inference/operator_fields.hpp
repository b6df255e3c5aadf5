// OPERATOR_FIELDS of an operator on its own, from a line, from attention's amounts or from a measured form.
#pragma once
#include "tokenroof/inference/cost.hpp"
#include "tokenroof/inference/operators.hpp"

namespace tokenroof {
inline namespace TR_ISA {

TR_HD void put_operator(double* out, double fixed, double compute, double memory, double flops,
                        double bytes) {
    const double longer = max_nan(compute, memory);
    const double bad = longer == longer ? 0.0 : longer;
    out[op::time] = fixed + longer;
    out[op::flops] = flops + bad;
    out[op::bytes] = bytes + bad;
    out[op::memory_s] = (compute >= memory ? 0.0 : longer) + bad;
    out[op::compute_s] = (compute >= memory ? longer : 0.0) + bad;
    out[op::launch_s] = fixed + bad;
    out[op::communication_s] = bad;
}

// Amounts below zero have no meaning: NaN.
TR_HD double amount_or_nan(double x) { return x >= 0.0 ? x : not_a_number(); }

// Share of bytes that memory has to give when so many are read from the L2, whose bandwidth no datasheet has.
TR_HD double left_to_memory(double bytes, double resident) {
    return resident > 0.0 ? (bytes > resident ? 1.0 - resident / bytes : bytes * 0.0) : 1.0;
}

// resident: bytes that are read from the L2.
TR_HD void put_line(double* out, const Line& a, double x, double weights, double resident = 0.0) {
    const double amount = amount_or_nan(x), bytes = weights * a.weights + amount * a.bytes;
    const double memory = weights * a.weights_s + amount * a.traffic;
    put_operator(out, a.fixed, line_compute(a, amount), memory * left_to_memory(bytes, resident), amount * a.flops,
                 bytes);
}

TR_HD void put_attention(double* out, const Attention& a, double batch, double pairs, double keys,
                         double queries, double resident) {
    const double b = amount_or_nan(batch);
    const double p = b * pairs, k = b * keys, q = b * queries;
    const double bytes = k * a.key_bytes + q * a.query_bytes, memory = k * a.key_s + q * a.query_s;
    put_operator(out, a.fixed, p * a.compute, memory * left_to_memory(bytes, resident), p * a.pair_flops, bytes);
}

TR_HD void put_cost(double* out, const Cost<double>& x) {
    const double bad = x.seconds == x.seconds ? 0.0 : x.seconds;
    out[op::time] = x.fixed + x.seconds;
    out[op::flops] = x.flops + bad;
    out[op::bytes] = x.bytes + bad;
    out[op::memory_s] = (x.compute >= x.memory ? 0.0 : x.seconds) + bad;
    out[op::compute_s] = (x.compute >= x.memory ? x.seconds : 0.0) + bad;
    out[op::launch_s] = x.fixed + bad;
    out[op::communication_s] = bad;
}

// Two kernels after one another.
TR_HD void put_sum(double* out, const double* x, const double* y) {
    for (int i = 0; i < op::count; ++i) out[i] = x[i] + y[i];
}

} // namespace TR_ISA
} // namespace tokenroof
