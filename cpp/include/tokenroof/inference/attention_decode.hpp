// Attention of one new token per sequence over its cache, as paged kernels run it: a thread block per sequence
// and KV head, which reads the cache once for the query heads of its group; long caches are split over
// further blocks until the multiprocessors are busy, and the parts joined.
//
// Constants (TR_ATTENTION_DECODE_CONSTANTS): t0 [s] per launch; memory, compute: shares of the bandwidth and
// of the peak; overlap: what is not hidden (`partial_max`); cached: how much faster than memory the L2 is;
// resident: share of the L2 that repeated data can stay in; block [s]: a multiprocessor's time per thread
// block, of head width 0, and by how much width (per 128) and group (per query head) lengthen it; key [s]: a
// block's time per key of width 128; splits: thread blocks per multiprocessor that splitting aims at; keys,
// most: fewest keys of a split, most splits; split [s]: joining; pad: keys that a window reads beyond its own, which
// bytes count and FLOPs, those of the keys that are seen, do not;
// reread: share of the bandwidth at which heads without a group read the cache again; lone_*: the same for
// blocks of one query head alone, which is what kernels fall back to beyond `grouped` query heads per KV
// head, or, where lone_window is 1, with a window. captured: keys of the longest sequence for which a graph was
// captured, where the parts of grouped heads are cut when it is: each as long as that sequence needs, so that a
// shorter one lies in the first, whose one thread block takes as long per key as one of a single query head, which
// is never split; joining finds the others empty. None: each batch is cut by its own keys.
//   FlashAttention 2, csrc/flash_attn: set_params_splitkv (at most 128 parts) and n_blocks_per_split, by seqlen_k;
//   vLLM, v1/worker/gpu_model_runner.py: for_cudagraph_capture, max_seq_len = max_model_len.
//   Splits: Flash-Decoding, Dao et al. 2023; Hong et al., FlashDecoding++, arXiv:2311.01282.
//   Groups: Ainslie et al., arXiv:2305.13245. A learned sink is one more logit: no traffic, no time.
#pragma once
#include "tokenroof/core/maths.hpp"
#include "tokenroof/inference/cost.hpp"
#include "tokenroof/inference/l2.hpp"
#include "tokenroof/inference/operators.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// A batch below this splits as this one does: nothing overflows.
constexpr double fewest_sequences = 1e-9;
// Of a captured graph [FlashAttention 2, set_params_splitkv].
constexpr double most_parts = 128.0;

// What does not depend on batch and context: everything is per sequence of the batch.
struct AttentionDecode {
    double t0, host, overlap, window;        // window: with what is read beyond it
    double counted;                          // keys that a query sees at most: those of its FLOPs
    double inverse_keys, most, fill, split;  // fill: splits times sequences that busy all multiprocessors
    double key_s, query_s, again_s;          // seconds of traffic per key and per query; per key, once more
    double pair_s, path_s, block_s;          // per key: of all, of one block alone; per split
    double inverse_captured, lone_path_s;    // 1 / keys; per key of a block that no other shares a sequence with
    double inverse_resident, saved;          // 1 / bytes that can stay in the L2; share of time that saves
    double pair_flops, key_bytes, query_bytes;
};

TR_HD AttentionDecode prepare_attention_decode(const double* d, const double* g, double heads,
                                               double kv_heads, double head_dim, double v_head_dim,
                                               double window, int kv_type) {
    using namespace constant::attention_decode;
    const double bandwidth = d[device::memory_bandwidth], sms = d[device::sm_count];
    const double queries = heads / kv_heads, both = head_dim + v_head_dim, width = both * (1.0 / 256.0);
    const bool lone = queries <= 1.0 || queries > g[grouped] || (window > 0.0 && g[lone_window] > 0.0);
    const double blocks = lone ? heads : kv_heads, rows = lone ? 1.0 : queries;
    const double longer = 1.0 + g[group] * rows;
    AttentionDecode r;
    r.t0 = lone ? g[lone_t0] : g[t0];
    r.host = 0.0;
    r.overlap = g[overlap];
    r.window = window > 0.0 ? window + g[pad] : no_window;
    r.counted = window > 0.0 ? window : no_window;
    r.inverse_keys = 1.0 / g[keys];
    r.most = g[most];
    r.fill = (lone ? g[lone_splits] : g[splits]) * sms / blocks;
    r.split = g[split];
    r.key_bytes = kv_heads * both * dtype_bytes(kv_type);
    r.query_bytes = heads * both * 2.0;
    r.key_s = r.key_bytes / (bandwidth * g[memory]);
    r.query_s = r.query_bytes / (bandwidth * g[memory]);
    r.again_s = (blocks - kv_heads) * both * dtype_bytes(kv_type) / (bandwidth * g[reread]);
    r.pair_s = 2.0 * blocks * (16.0 * ceil_lanes(rows * (1.0 / 16.0))) * both /
               (d[device::peak_bf16] * g[compute]);
    r.path_s = (lone ? g[lone_key] : g[key]) * width * longer;
    r.block_s = (lone ? g[lone_block] : g[block]) *
                (1.0 + g[constant::attention_decode::width] * width + (lone ? 0.0 : g[group] * rows)) *
                blocks / sms;
    r.inverse_captured = !lone && g[captured] > 0.0 ? 1.0 / g[captured] : 0.0;
    r.lone_path_s = g[lone_key] * width * longer;
    r.inverse_resident = inverse_resident(d, g[constant::attention_decode::resident]);
    r.saved = saved_by_l2(d, g[cached]);
    r.pair_flops = 2.0 * heads * both;
    return r;
}

// warm: the same caches again and again, as benchmarks of kernels run; a model's step reads cold.
template <class V>
TR_HD Cost<V> attention_decode_cost(const AttentionDecode& r, V batch, V context, bool warm) {
    const V none = splat<V>(0.0), one = splat<V>(1.0);
    const V keys = visible(context, r.window), all_keys = batch * keys;
    const V bytes = all_keys * r.key_bytes + batch * r.query_bytes;
    const V cold = all_keys * r.key_s + batch * r.query_s;
    const V first = warm ? cold - cold * resident(bytes, r.inverse_resident, r.saved) : cold;
    const V memory = first + all_keys * r.again_s;
    const V room = r.fill / max_nan(batch, splat<V>(fewest_sequences));
    const bool graph = r.inverse_captured > 0.0;
    const V most = graph ? splat<V>(most_parts) : min_nan(keys * r.inverse_keys, splat<V>(r.most));
    const V laid = max_nan(one, min_nan(most, room)), joined = one - one / laid; // parts, whatever is in them
    const V splits = graph ? max_nan(one, laid * keys * r.inverse_captured) : laid, share = one / splits;
    const V per_key = graph ? splat<V>(r.path_s) + (r.lone_path_s - r.path_s) * joined : splat<V>(r.path_s);
    const V compute = all_keys * r.pair_s, path = keys * share * per_key;
    const V blocks = batch * splits * r.block_s;
    const V busy = partial_max(partial_max(memory, compute, r.overlap), partial_max(blocks, path, r.overlap),
                              r.overlap);
    const V seconds = busy + r.split * joined;
    const V nan = splat<V>(not_a_number());
    const V valid = batch >= none ? (context >= none ? none : nan) : nan;
    Cost<V> out; // no sequences are no launch
    out.seconds = (batch > none ? seconds : none) + valid;
    out.fixed = (batch > none ? max_nan(splat<V>(r.t0), r.host - seconds) : none) + valid;
    out.compute = (batch > none ? max_nan(compute, max_nan(blocks, path)) : none) + valid;
    out.memory = (batch > none ? memory : none) + valid;
    out.flops = batch * visible(context, r.counted) * r.pair_flops + valid;
    out.bytes = bytes + valid;
    return out;
}

} // namespace TR_ISA
} // namespace tokenroof
