// Layers with a state of fixed size in place of a cache: gated delta net (Qwen3-Next, Qwen3.5; Kimi Linear's
// delta attention has the same state and decays it by channel at the same cost) and Mamba-2. A decoded token
// reads, updates and writes its sequence's state. A prompt runs in chunks, whose inner part is matrix products.
//   [GDN] Yang, Kautz, Hatamizadeh, arXiv:2412.06464, sections 3.1 (recurrence) and 3.3 (chunks).
//   [WY]  Yang et al., arXiv:2406.06484, section 3.2: the chunk's products of (I - b k k^T) as W and U.
//   [SSD] Dao, Gu, arXiv:2405.21060, section 6: the four blocks of a chunk.
// Traffic of a prompt is what a fused kernel needs: chunks' factors and states stay on the chip.
#pragma once
#include "tokenroof/inference/operators.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Tokens of a chunk in today's kernels: flash-linear-attention; mamba_ssm.
constexpr double delta_chunk = 64.0, mamba_chunk = 256.0;

// A layer's mixer between its two projections.
struct Recurrent {
    double columns, channels, out; // of the first projection; convolved; rows of the second
    double gate_rank, gate_columns; // of a product in between, where gates have a low rank; 0: there is none
    double taps, cells;            // of the short convolution; of the state
    double step_flops;             // of a decoded token
    double chunk_flops, kernels;   // of a prompt's token in its chunk; kernels that chunks take
};

TR_HD Recurrent gated_delta_net(double key_heads, double key_dim, double value_heads, double value_dim,
                                double taps, double chunk) {
    const double k = key_heads * key_dim, v = value_heads * value_dim;
    Recurrent r;
    r.columns = 2.0 * k + 2.0 * v + 2.0 * value_heads; // q, k, v, output gate; decay and learning rate
    r.channels = 2.0 * k + v;
    r.out = v;
    r.gate_rank = r.gate_columns = 0.0;
    r.taps = taps;
    r.cells = v * key_dim;
    r.step_flops = 7.0 * r.cells; // decay, read-out by key, rank-one correction, read-out by query
    // within the chunk k k^T, W, U, q k^T and its values; the triangle's inverse; W S, q S and k^T v [WY]
    r.chunk_flops = value_heads * (2.0 * chunk * (3.0 * key_dim + 2.0 * value_dim) +
                                   chunk * chunk * (1.0 / 3.0) + 6.0 * key_dim * value_dim);
    r.kernels = 6.0; // decay's sum, k k^T, inverse, W and U, states, output
    return r;
}

TR_HD Recurrent mamba2(double heads, double head_dim, double groups, double state, double taps, double chunk) {
    const double inner = heads * head_dim, shared = groups * state;
    Recurrent r;
    r.columns = 2.0 * inner + 2.0 * shared + heads; // z, x, B, C, dt
    r.channels = inner + 2.0 * shared;
    r.out = inner;
    r.gate_rank = r.gate_columns = 0.0;
    r.taps = taps;
    r.cells = inner * state;
    r.step_flops = 5.0 * r.cells; // decay, rank-one input, read-out
    // C B^T of a group and its product with x; the chunk's state, what the one before gives, and their sum [SSD]
    r.chunk_flops = 2.0 * chunk * (shared + inner) + 4.0 * r.cells + 2.0 * r.cells / chunk;
    r.kernels = 5.0; // decay's sum, chunks' states, their recurrence, C B^T, output
    return r;
}

// A model's mixers, on one of tp devices.
TR_HD Recurrent linear_mixer(const double* m, double tp) {
    const double heads = m[model::linear_value_heads] / tp, rank = m[model::linear_gate_rank];
    Recurrent r = gated_delta_net(m[model::linear_key_heads] / tp, m[model::linear_key_dim], heads,
                                  m[model::linear_value_dim], m[model::linear_conv], delta_chunk);
    if (!(rank > 0.0)) return r;
    // q, k, v, learning rate; the inputs of both gates, which every device needs, then decays by channel and
    // the output gate (Kimi Linear, arXiv:2510.26692)
    const bool full = m[model::linear_full_gate] > 0.0; // the output gate is of the first product
    r.columns = r.channels + heads + (full ? rank + r.out : 2.0 * rank);
    r.gate_rank = rank;
    r.gate_columns = heads * m[model::linear_key_dim] + (full ? 0.0 : r.out);
    return r;
}
TR_HD Recurrent mamba_mixer(const double* m, double tp) {
    return mamba2(m[model::mamba_heads] / tp, m[model::mamba_head_dim], m[model::mamba_groups] / tp,
                  m[model::mamba_state], m[model::mamba_conv], mamba_chunk);
}

// What a sequence keeps: the state in 32 bits, the convolution's last inputs in 16.
TR_HD double recurrent_state_bytes(const Recurrent& r) { return 4.0 * r.cells + 2.0 * r.channels * r.taps; }

// Per token: short convolution in and out, gates, gated norm.
TR_HD Line recurrent_gates(const double* d, const double* c, const Recurrent& r) {
    return make_line(d, c, calibration::elementwise_t0, 3.0, 1.0, 0.0, 0.0, 4.0 * r.channels + 6.0 * r.out);
}
// Per decoded token: its state, inputs and result.
TR_HD Line recurrent_decode(const double* d, const double* c, const Recurrent& r) {
    return make_line(d, c, calibration::attention_decode_t0, 1.0, d[device::peak_bf16], r.step_flops, 0.0,
                     2.0 * recurrent_state_bytes(r) + 2.0 * r.channels + 2.0 * r.out);
}
// Per token of a prompt, and per prompt: its state comes and goes.
TR_HD Line recurrent_prompt(const double* d, const double* c, const Recurrent& r) {
    return make_line(d, c, calibration::attention_prefill_t0, r.kernels, d[device::peak_bf16], r.chunk_flops, 0.0,
                     2.0 * r.channels + 2.0 * r.out);
}
TR_HD Line recurrent_states(const double* d, const double* c, const Recurrent& r) {
    return make_line(d, c, calibration::attention_prefill_t0, 0.0, 1.0, 0.0, 0.0, 2.0 * recurrent_state_bytes(r));
}

} // namespace TR_ISA
} // namespace tokenroof
