// Sparse attention of DeepSeek-V3.2 and GLM-5: an indexer with a few small heads over one shared key scores
// all keys that a query may see, the best `topk` of them are chosen, and latent attention runs over these.
// Decode is absorbed. A prompt is the faster of two ways: absorbed over the chosen keys, or expanded to heads
// over all of them with the others masked, which short prompts run.
//   DeepSeek-V3.2, arXiv:2512.02556, section 2.1 (indexer, selection, multi-query form, masked short prompts).
//   The indexer's queries and keys are FP8, a key with a scale of 32 bits per 128 values; its scores have 32
//   bits and are written by one kernel and read by the next, which writes `topk` places of 32 bits: DeepGEMM's
//   mqa_logits, and flashinfer-bench's dsa_topk_indexer_fp8.
// Neighbouring queries of a prompt choose much alike: the keys they choose are read once (a lower bound).
#pragma once
#include "tokenroof/inference/mla.hpp"
#include "tokenroof/inference/operators.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Bytes of a cached key of the indexer, its scales included.
TR_HD double index_key_bytes(double width) { return width * (1.0 + 4.0 / 128.0); }

constexpr double index_score_bytes = 8.0; // of a pair: written, read

// Scores and choice, per pair, key and query; two kernels.
struct Indexer {
    Attention a;
    double score_s, score_bytes; // of a pair
};

TR_HD Indexer make_indexer(const double* d, const double* c, int shares, double heads, double width, double topk) {
    Indexer r;
    r.a = make_attention(d, c, shares, 2.0, dtype_peak(d, dtype::fp8), no_window, 2.0 * heads * width,
                         index_key_bytes(width), heads * (width + 4.0) + 4.0 * topk); // a query head and its weight
    r.score_bytes = index_score_bytes;
    r.score_s = r.score_bytes / (d[device::memory_bandwidth] * shares_of(c, shares).memory);
    return r;
}
TR_HD Indexer times(double n, const Indexer& x) {
    return {times(n, x.a), n * x.score_s, n * x.score_bytes};
}

// Seconds of computing and moving, FLOP and bytes of a roofline.
template <class V> struct Roof {
    V compute, memory, flops, bytes;
};
template <class V> TR_HD Roof<V> attention_roof(const Attention& a, V pairs, V keys, V queries) {
    return {pairs * a.compute, keys * a.key_s + queries * a.query_s, pairs * a.pair_flops,
            keys * a.key_bytes + queries * a.query_bytes};
}
template <class V> TR_HD Roof<V> index_roof(const Indexer& x, V pairs, V keys, V queries) {
    Roof<V> r = attention_roof(x.a, pairs, keys, queries);
    r.memory = r.memory + pairs * x.score_s;
    r.bytes = r.bytes + pairs * x.score_bytes;
    return r;
}

// The one of two ways that takes less time.
template <class V> TR_HD Roof<V> faster(const Roof<V>& x, const Roof<V>& y) {
    const V one = max_nan(x.compute, x.memory), other = max_nan(y.compute, y.memory);
    const auto second = other < one || other != other; // NaN stays
    return {second ? y.compute : x.compute, second ? y.memory : x.memory, second ? y.flops : x.flops,
            second ? y.bytes : x.bytes};
}
template <class V> TR_HD Cost<V> faster(const Cost<V>& x, const Cost<V>& y) {
    const auto second = y.seconds < x.seconds || y.seconds != y.seconds;
    return {second ? y.fixed : x.fixed, second ? y.seconds : x.seconds, second ? y.compute : x.compute,
            second ? y.memory : x.memory, second ? y.flops : x.flops, second ? y.bytes : x.bytes};
}

// The measured forms of latent attention over the chosen keys alone.
TR_HD AttentionDecode prepare_sparse_decode(const double* d, const double* g, double heads, double rank,
                                            double rope, double topk, int kv_type) {
    AttentionDecode r = prepare_mla_decode(d, g, heads, rank, rope, kv_type);
    r.window = r.counted = topk;
    return r;
}
TR_HD AttentionPrefill prepare_sparse_prefill(const double* d, const double* g, double heads, double nope,
                                              double rope, double v_head_dim, double rank, double topk,
                                              int kv_type) {
    AttentionPrefill r = prepare_mla_prefill(d, g, heads, nope, rope, v_head_dim, rank, true, kv_type);
    r.window = topk;
    return r;
}

} // namespace TR_ISA
} // namespace tokenroof
