// What stands around a layer's halves beyond norm and residual.
//   Hyper-connections: n residual streams; a product of all of them gives the weights by which they are gathered
//   into a half's input, spread again and mixed: Zhu et al., arXiv:2409.19606; Xie et al., arXiv:2512.24880.
//   AltUp (Gemma 3n), which predicts and corrects n streams, is counted as one of these: Baykal et al.,
//   arXiv:2301.13310.
//   Residuals over earlier results (Kimi K3): a half reads the sums of the blocks of layers before it, weighted by
//   a softmax of scores; on average half of them are there.
//   Embeddings of each layer (Gemma 3n, Gemma 4): looked up once for all layers and projected; a layer gates its
//   own with its hidden state and adds it.
#pragma once
#include "tokenroof/inference/operators.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Weights of a mix: to gather and to spread each stream, and from each to each.
TR_HD double stream_columns(double n) { return n + n + n * n; }

// Bytes per token beside the product: streams in, the half's input out; streams and its result in, streams out.
TR_HD double stream_bytes(double hidden, double n) {
    return (n + 1.0) * hidden * 2.0 + (2.0 * n + 1.0) * hidden * 2.0;
}

// One of `slots` earlier results and more in, on average, and their sum out.
TR_HD double residual_bytes(double hidden, double slots) { return (0.5 * (slots + 1.0) + 1.0) * hidden * 2.0; }

// Bytes per token of a layer between its two products: gate and embedding in, their product out.
TR_HD double layer_embedding_bytes(double width) { return 3.0 * width * 2.0; }

// The product of all streams with the weights, whose output is small, then what moves. Weights in 32 bits.
TR_HD Line stream_line(const double* d, const double* c, double hidden, double n) {
    const double k = n * hidden, columns = stream_columns(n);
    return make_line(d, c, calibration::gemm_t0, 2.0, d[device::peak_bf16], 2.0 * columns * k, columns * k * 4.0,
                     k * 2.0 + columns * 4.0 + stream_bytes(hidden, n));
}

// The model's own lookup for all its layers, beside the product that joins it.
TR_HD double layer_lookup_bytes(double layers, double width) { return layers * width * 2.0 * 4.0; }

} // namespace TR_ISA
} // namespace tokenroof
