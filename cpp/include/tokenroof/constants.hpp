// Constants of the measured operator forms: a block of each within the calibration record, in seconds,
// shares of datasheet values and pure numbers. An operator's header says what each one means.
#pragma once

// clang-format off
#define TR_GEMM_CONSTANTS(X) \
    X(t0) X(compute) X(memory) X(overlap) X(wave) X(prologue) X(tile_loss) X(stream) X(split) X(quantise)
#define TR_ATTENTION_DECODE_CONSTANTS(X) X(t0) X(compute) X(memory) X(overlap)
#define TR_ATTENTION_PREFILL_CONSTANTS(X) X(t0) X(compute) X(memory) X(overlap)
#define TR_MLA_DECODE_CONSTANTS(X) X(t0) X(compute) X(memory) X(overlap)
#define TR_MLA_PREFILL_CONSTANTS(X) X(t0) X(compute) X(memory) X(overlap)
#define TR_EXPERTS_CONSTANTS(X) X(t0) X(compute) X(memory) X(overlap)
#define TR_COLLECTIVE_CONSTANTS(X) X(t0) X(memory)
#define TR_ENGINE_CONSTANTS(X) \
    X(kernel_gap) X(collective_gap) X(sequence) X(elementwise) \
    X(prefill_kernel) X(prompt) X(request) X(burst) X(memory_share) X(memory_weights) X(memory_reserved)
#define TR_POWER_CONSTANTS(X) \
    X(idle) X(compute) X(memory) X(gemm) X(attention_decode) X(attention_prefill) X(experts) X(ceiling)

// B(block, operator, its list): the blocks of a record, in order. Products are of two types: those of the
// plan's weights, and those that stay in 16 bits.
#define TR_CONSTANT_BLOCKS(B) \
    B(gemm, gemm, GEMM) B(gemm16, gemm, GEMM) \
    B(attention_decode, attention_decode, ATTENTION_DECODE) \
    B(attention_prefill, attention_prefill, ATTENTION_PREFILL) \
    B(mla_decode, mla_decode, MLA_DECODE) B(mla_prefill, mla_prefill, MLA_PREFILL) \
    B(experts, experts, EXPERTS) B(collective, collective, COLLECTIVE) \
    B(engine, engine, ENGINE) B(power, power, POWER)
// clang-format on
