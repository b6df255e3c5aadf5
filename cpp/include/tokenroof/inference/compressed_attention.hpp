// Attention of DeepSeek-V4: all heads read one vector per key, as key and as value. A query sees its window of
// tokens and, beside it, keys that stand for `ratio` tokens each: all of them (heavily compressed), or the `topk`
// that an indexer chooses (compressed sparse). Layers with the window alone are the case without such keys.
//   DeepSeek-V4, technical report, section 2.3; the architecture's public class in Transformers.
// A compressed key is a mean of its tokens' projections, weighted by a softmax of others; light compression makes
// two series of them, of stretches that overlap. What is not yet compressed waits in 32 bits.
// The number of compressed keys is continued to real numbers: context / ratio.
#pragma once
#include "tokenroof/inference/sparse_attention.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Keys of one layer: its window, and 1 / ratio of the tokens up to `reach`. Without: inverse_ratio 0.
struct Compressed {
    double window, reach, inverse_ratio;
};
// topk: chosen compressed keys; 0: all.
TR_HD Compressed make_compressed(double window, double ratio, double topk) {
    const double near = window > 0.0 ? window : no_window + (window - window); // NaN stays
    if (!(ratio > 0.0)) return {near, 0.0, ratio - ratio};
    return {near, topk > 0.0 ? topk * ratio : no_window + (topk - topk), 1.0 / ratio};
}

template <class V> TR_HD V compressed_visible(const Compressed& x, V context) {
    return visible(context, x.window) + visible(context, x.reach) * x.inverse_ratio;
}
template <class V> TR_HD V compressed_pairs(const Compressed& x, V tokens, V past) {
    return causal_pairs(tokens, past, x.window) + causal_pairs(tokens, past, x.reach) * x.inverse_ratio;
}
// Those that some of a prompt's tokens see: neighbours choose much alike.
template <class V> TR_HD V compressed_keys(const Compressed& x, V tokens, V past) {
    const V far = x.inverse_ratio > 0.0 ? causal_keys(tokens, past, x.reach) : splat<V>(0.0) * tokens;
    return causal_keys(tokens, past, x.window) + far * x.inverse_ratio;
}

// A key of `width` values is its own value: 4 width FLOP a pair and head; queries come and results go in 16 bits.
TR_HD Attention single_key_attention(const double* d, const double* c, int shares, double peak, double heads,
                                     double width, int kv_type) {
    return make_attention(d, c, shares, 1.0, peak, no_window, 4.0 * heads * width, width * dtype_bytes(kv_type),
                          4.0 * heads * width);
}
// By the measured form of latent attention: a latent as wide as the key, without a rotary part of its own.
TR_HD AttentionDecode prepare_single_key_decode(const double* d, const double* g, double heads, double width,
                                                int kv_type) {
    return prepare_mla_decode(d, g, heads, width, 0.0, kv_type);
}

// Values and weights that a token has in the compressor: light compression has two series of each.
TR_HD double compressor_columns(double width, bool overlap) { return 2.0 * width * (overlap ? 2.0 : 1.0); }

// Bytes per token: its columns come in 16 bits, wait and are read again in 32; 1 / ratio of a key is written.
TR_HD double compressor_bytes(double width, double ratio, bool overlap, double key_bytes) {
    return compressor_columns(width, overlap) * 10.0 + key_bytes / ratio;
}
// Bytes that wait per sequence.
TR_HD double compressor_state_bytes(double width, double ratio, bool overlap) {
    return compressor_columns(width, overlap) * ratio * (overlap ? 8.0 : 4.0);
}

} // namespace TR_ISA
} // namespace tokenroof
