// Kernels that move data and do next to no work: bytes that each must move, per token or sequence.
// Between operators values have 16 bits. What engines fuse into one kernel (a norm with its residual, the
// gate with its activation, rotation with the cache's write) counts once here.
#pragma once
#include "tokenroof/records/records.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Reads x and writes its norm; with the residual both are read and written (Zhang, Sennrich, arXiv:1910.07467).
TR_HD double norm_bytes(double hidden, bool residual) { return (residual ? 8.0 : 4.0) * hidden; }

// Of the bytes that a kernel reads, those that a kernel in front of it has just written: without the residual, which is
// as old as the module before.
TR_HD double norm_fresh(double hidden) { return 2.0 * hidden; }
TR_HD double rotary_fresh(double rotated, double cached) { return 2.0 * (rotated + cached); }
TR_HD double activation_fresh(double width, double matrices) { return (matrices - 1.0) * width * 2.0; }

// Rotates `rotated` values in place (Su et al., arXiv:2104.09864) and puts `cached` ones into the cache, an
// element of which has `stored` bytes.
TR_HD double rotary_bytes(double rotated, double cached, double stored) {
    return 4.0 * rotated + cached * (2.0 + stored);
}

// Reads what the first matrices of an MLP gave (two with a gate), writes their product (Shazeer,
// arXiv:2002.05202).
TR_HD double activation_bytes_moved(double width, double matrices) { return matrices * width * 2.0; }

// A value is read in 16 bits and written in `narrow` bytes; wider types need none of it.
// Whether the kernel before writes activations narrow already. One scale of a whole matrix is known beforehand, so
// the norm, the activation and the attention of today's engines apply it; scales of blocks are taken from the
// values, by a kernel that reads them again.
//   TensorRT-LLM, AllReduceFusionOp.RESIDUAL_RMS_NORM_QUANT_FP8 and swiglu with a scale for its result; vLLM,
//   Fusion torch.compile passes (fuse_norm_quant, fuse_act_quant, fuse_attn_quant).
TR_HD bool narrowed_before(int activation) { return activation == dtype::fp8; }
TR_HD double quantise_bytes(double narrow) { return narrow < 2.0 ? 2.0 + narrow : 0.0; }

// Logits of a sequence, in 16 bits. Greedy: read once. Else widened to 32 bits, turned into probabilities in
// place, and read for the draw.
TR_HD double sampling_bytes(double vocab, bool greedy) { return (greedy ? 2.0 : 2.0 + 4.0 + 8.0 + 4.0) * vocab; }

} // namespace TR_ISA
} // namespace tokenroof
