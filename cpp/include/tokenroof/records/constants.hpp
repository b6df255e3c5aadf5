// Constants of the measured operator forms: a block of each within the calibration record, in seconds,
// shares of datasheet values and pure numbers. An operator's header says what each one means.
#pragma once

// clang-format off
#define TR_GEMM_CONSTANTS(X) \
    X(t0) X(compute) X(joule) X(memory) X(overlap) X(wave) X(fill) X(issue) X(stream) X(latency) X(split) \
    X(quantise) X(quantise_row) X(quantise_step) X(cached) X(resident) X(tiles)
#define TR_ATTENTION_DECODE_CONSTANTS(X) \
    X(t0) X(memory) X(compute) X(overlap) X(cached) X(resident) X(block) X(width) X(group) X(key) X(splits) \
    X(keys) X(most) X(split) X(pad) X(reread) X(lone_t0) X(lone_block) X(lone_key) X(lone_splits) \
    X(grouped) X(lone_window) X(captured)
#define TR_ATTENTION_PREFILL_CONSTANTS(X) \
    X(t0) X(compute) X(narrow) X(wide) X(memory) X(overlap) X(block) X(path) X(write) X(queries) X(cached) \
    X(resident) X(sag) X(tile) X(packed) X(single)
#define TR_MLA_DECODE_CONSTANTS(X) \
    X(t0) X(memory) X(compute) X(overlap) X(cached) X(resident) X(block) X(group) X(key) X(splits) X(keys) \
    X(most) X(split) X(host) X(tile)
#define TR_MLA_PREFILL_CONSTANTS(X) \
    X(t0) X(compute) X(memory) X(overlap) X(block) X(path) X(write) X(queries) X(cached) X(resident) X(sag) \
    X(host) X(tile)
#define TR_EXPERTS_CONSTANTS(X) \
    X(t0) X(compute) X(memory) X(overlap) X(stream) X(tile) X(tile_loss) X(touched) X(held) X(local) X(routed) \
    X(token) X(misaligned) X(reread) X(parted) \
    X(cached) X(resident)
#define TR_ALL_REDUCE_CONSTANTS(X) \
    X(one_t0) X(one_rank) X(one_share) X(two_t0) X(two_rank) X(two_share) X(bulk_t0) X(bulk_rank) X(bulk_share) \
    X(switch_share) X(contention) X(node_t0) X(node_share)
#define TR_EXCHANGE_CONSTANTS(X) \
    X(low_t0) X(low_rank) X(low_share) X(bulk_t0) X(bulk_rank) X(bulk_share) X(contention) X(node_t0) X(node_share)
#define TR_ENGINE_CONSTANTS(X) \
    X(kernel_gap) X(collective_gap) X(sequence) X(elementwise) X(skew) \
    X(prefill_kernel) X(prompt) X(request) X(request_alone) X(request_users) X(burst) X(memory_share) X(memory_weights) X(memory_reserved) \
    X(memory_windows) X(together) X(max_batch) X(wait_steps) X(prompt_kernel) X(beside) X(locked) X(room) \
    X(fused_norms) X(folds_narrowed) X(whole)
#define TR_POWER_CONSTANTS(X) \
    X(idle) X(compute) X(memory) X(gemm) X(attention_decode) X(attention_prefill) X(experts) X(ceiling)

// B(block, operator, its list): the blocks of a record, in order. Products are of two types: those of the
// plan's weights, and those that stay in 16 bits.
#define TR_CONSTANT_BLOCKS(B) \
    B(gemm, gemm, GEMM) B(gemm16, gemm, GEMM) \
    B(attention_decode, attention_decode, ATTENTION_DECODE) \
    B(attention_prefill, attention_prefill, ATTENTION_PREFILL) \
    B(mla_decode, mla_decode, MLA_DECODE) B(mla_prefill, mla_prefill, MLA_PREFILL) \
    B(experts, experts, EXPERTS) B(all_reduce, all_reduce, ALL_REDUCE) \
    B(all_gather, exchange, EXCHANGE) B(reduce_scatter, exchange, EXCHANGE) B(all_to_all, exchange, EXCHANGE) \
    B(engine, engine, ENGINE) B(power, power, POWER)
// clang-format on
