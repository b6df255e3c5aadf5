// Measured ceilings of a device: what the probes' device code gives to probes_module.cpp. Each launch says how
// much work it is, and each result can be told from that of a loop which was left out.
#pragma once
#include "runtime.hpp"

namespace tokenroof {

enum ProbeKind : int { probe_fp64, probe_fp32, probe_fp16, probe_add32, probe_logic32, probe_shift32, probe_kinds };
enum TensorKind : int { tensor_bf16, tensor_fp16, tensor_fp8, tensor_int8, tensor_kinds };
enum PassKind : int { pass_read, pass_write, pass_copy, pass_triad, pass_l2, pass_shared, pass_kinds };

// Loops in registers: `out` is a double per thread, what all its chains add up to.
constexpr unsigned compute_threads = 256;
constexpr int compute_chains = 8;
constexpr int compute_steps = 65;         // of a turn of the loop; odd: one step up is left of each turn
constexpr unsigned compute_most_turns = 2000; // half precision counts to 2,048
double launch_compute(ProbeKind kind, unsigned blocks, unsigned turns, double* out, cudaStream_t stream); // operations
double compute_expected(ProbeKind kind, unsigned thread, unsigned turns);

// Products in tensor cores. `in`: words of A, of B and of -B; `out`: a double per thread and accumulator.
constexpr int tensor_steps = 65; // of a turn: B and -B in turns, so that one product is left of each
struct TensorShape {
    unsigned threads;         // of a block
    unsigned in_words;        // 32-bit
    unsigned accumulators;    // of a thread that are written
    unsigned blocks_per_sm, most_turns;
};
TensorShape tensor_shape(TensorKind kind, bool wgmma);
double launch_tensor(TensorKind kind, bool wgmma, unsigned blocks, unsigned turns, const unsigned* in, double* out,
                     cudaStream_t stream); // operations

// Memory. Words are filled with base[i % 2] + factor * i; a read adds them up, mod 2^32, a sum per thread.
constexpr unsigned pass_threads = 512;
void launch_fill(unsigned* words, unsigned long long n, unsigned even, unsigned odd, unsigned factor, unsigned blocks,
                 cudaStream_t stream);
unsigned fill_sum(unsigned long long n, unsigned even, unsigned odd, unsigned factor);
void launch_read(const unsigned* words, unsigned long long n, unsigned* sums, unsigned blocks, cudaStream_t stream);
void launch_write(unsigned* words, unsigned long long n, unsigned value, unsigned blocks, cudaStream_t stream);
void launch_copy(const unsigned* from, unsigned* to, unsigned long long n, unsigned blocks, cudaStream_t stream);
void launch_triad(const double* b, const double* c, double* a, unsigned long long n, double s, unsigned blocks,
                  cudaStream_t stream);
void launch_l2(const unsigned* words, unsigned long long n, unsigned passes, unsigned* sums, unsigned blocks,
               cudaStream_t stream);
constexpr unsigned shared_threads = 256, shared_slots = 4;
double launch_shared(unsigned turns, unsigned* sums, unsigned blocks, cudaStream_t stream); // bytes
unsigned shared_expected(unsigned thread, unsigned turns);
void launch_nothing(unsigned* out, cudaStream_t stream);

} // namespace tokenroof
