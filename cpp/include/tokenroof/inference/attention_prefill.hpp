// Causal attention of prompts, as flash kernels run it [D22]: a thread block per head and tile of query rows,
// which walks over the keys that its rows see; the busy multiprocessors, or the longest block, or the traffic
// of queries, keys and results bind. Writing (and narrowing) the cache is a kernel of its own.
//
// Constants (TR_ATTENTION_PREFILL_CONSTANTS): t0 [s] per launch; compute, memory: shares of the peak and of
// the bandwidth; narrow, wide: of heads of 64 and less, and of 256 and more, against those of 128; overlap:
// what is not hidden (`partial_max`); block [s]: a multiprocessor's time per thread block; path: how much slower a block
// alone is than its share of a full multiprocessor; write: share of the bandwidth at which the cache is
// written; queries: share of the queries that this pass reads and writes too; cached, resident: as in
// attention_decode.hpp, for what the kernels before have just written; sag: slowdown of kernels beyond a
// millisecond, which draw the board to its power limit; tile: rows of a thread block; packed: 1 where the
// query heads of a group share a tile; single: 1 where a prompt of one token is run as a decode.
#pragma once
#include "tokenroof/inference/attention_decode.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Rows by which the tensor units are filled, and keys of which half a step is wasted at the diagonal.
constexpr double prefill_rows = 64.0, prefill_keys = 64.0;
// Time after which a kernel is slowed down by half of what it will be [s].
constexpr double prefill_sag_s = 1e-3;

struct AttentionPrefill {
    double t0, host, overlap, sag, window;
    double rows, inverse_tile, span, tile_span;  // rows per token; tokens of a granule of rows, and of a tile
    double pair_s, path_s, block_s, block_path;  // per key and granule: of all, of a block; per tile; of a block
    double token_s, past_s, write_s;             // seconds of traffic
    double inverse_resident, saved;
    double pair_flops, token_bytes, past_bytes, write_bytes;
    double empty_s; // of one empty block per tile of all heads
};

// A multiprocessor's time for a thread block that finds nothing to do and ends [s]: what each block of 128 threads adds
// beyond 32 a multiprocessor on an RTX 3090 (0.100 us; 0.108 on a CMP 90HX; arabel1a/gpu-micro-bench, BLOCK_COST). There
// twelve fit beside one another, of FlashAttention 2 one, so that this is the least that it takes.
constexpr double empty_block_s = 1e-7;

// Rate of a head's width against that of 128.
TR_HD double prefill_width(double width, double narrow, double wide) {
    const double below = min_nan(1.0, max_nan(0.0, (128.0 - width) * (1.0 / 64.0)));
    const double above = min_nan(1.0, max_nan(0.0, (width - 128.0) * (1.0 / 128.0)));
    return 1.0 + (narrow - 1.0) * below + (wide - 1.0) * above;
}

// FlashAttention 2 puts the query heads of a group side by side into a tile of 64 rows where no sequence has more than
// one token, as in a decode step: its table runs a prompt of one token so. Beside a prompt each head of each sequence
// has a tile of its own, with the one row (vllm-project/flash-attention, csrc/flash_attn/flash_api.cpp:
// seqlenq_ngroups_swapped; flash_fwd_launch_template.h: run_mha_fwd_splitkv_dispatch, kBlockM). vLLM gives it all rows
// of a step in one call (v1/attention/backends/flash_attn.py). Other kernels pack heads always, or come in two calls.
// The call has as many tiles of each sequence as the longest has; those behind a decoded token are empty
// (vllm-project/vllm, pull request 58013).
TR_HD bool heads_apart(const double* g) {
    namespace c = constant::attention_prefill;
    return g[c::single] == 1.0 && !(g[c::packed] > 0.0) && g[c::tile] <= prefill_rows;
}

// heads: rows of blocks; packed: query heads in a tile; both: widths of keys and of values together; peak
// [FLOP/s] with what the width leaves of it; bytes per token, per cached token and of the cache's writing.
TR_HD AttentionPrefill prefill_of(const double* d, const double* g, double heads, double packed, double tile,
                                  double both, double peak, double path, double block, double window) {
    const double sms = d[device::sm_count], rate = peak / sms;
    AttentionPrefill r;
    r.window = window > 0.0 ? window : no_window;
    r.rows = packed;
    r.inverse_tile = 1.0 / tile;
    r.span = prefill_rows / packed;
    r.tile_span = tile / packed;
    const double columns = heads / packed; // of tiles
    r.pair_s = columns * (2.0 * both * prefill_rows / rate) / sms;
    r.path_s = 2.0 * both * tile / rate * path;
    r.block_s = columns * block / sms;
    r.block_path = block;
    r.empty_s = columns * empty_block_s / sms;
    r.pair_flops = 2.0 * heads * both;
    r.host = 0.0;
    (void)g;
    return r;
}
TR_HD void prefill_traffic(AttentionPrefill& r, const double* d, double memory, double write, double share,
                           double cached) {
    const double bandwidth = d[device::memory_bandwidth];
    r.token_s = r.token_bytes / (bandwidth * memory);
    r.past_s = r.past_bytes / (bandwidth * memory);
    r.write_s = r.write_bytes / (bandwidth * write);
    r.inverse_resident = inverse_resident(d, share);
    r.saved = saved_by_l2(d, cached);
}

TR_HD AttentionPrefill prepare_attention_prefill(const double* d, const double* g, double heads,
                                                 double kv_heads, double head_dim, double v_head_dim,
                                                 double window, int kv_type, int maths) {
    using namespace constant::attention_prefill;
    const double both = head_dim + v_head_dim, stored = dtype_bytes(kv_type), input = activation_bytes(maths);
    const double peak = dtype_peak(d, maths) * g[compute] * prefill_width(both * 0.5, g[narrow], g[wide]);
    const double group = heads / kv_heads;
    AttentionPrefill r = prefill_of(d, g, heads, g[packed] > 0.0 ? group : 1.0, g[tile], both, peak, g[path],
                                    g[block], window);
    r.t0 = g[t0];
    r.overlap = g[overlap];
    r.sag = g[sag];
    r.token_bytes = (heads * head_dim + kv_heads * both) * input + heads * v_head_dim * 2.0;
    r.past_bytes = kv_heads * both * stored;
    r.write_bytes = kv_heads * both * (2.0 + stored) + g[queries] * heads * head_dim * (2.0 + input);
    prefill_traffic(r, d, g[memory], g[write], g[constant::attention_prefill::resident], g[cached]);
    return r;
}

// Seconds of the empty tiles of so many sequences of one token beside a prompt of so many.
template <class V> TR_HD V empty_tiles_s(const AttentionPrefill& r, V sequences, V tokens) {
    return sequences * (max_nan(ceil_lanes(tokens * r.inverse_tile), splat<V>(1.0)) - splat<V>(1.0)) * r.empty_s;
}

template <class V> TR_HOST_ONCE Cost<V> attention_prefill_cost(const AttentionPrefill& r, V batch, V tokens, V past) {
    const V none = splat<V>(0.0);
    const V rows = tokens * r.rows, granules = ceil_lanes(rows * (1.0 / prefill_rows));
    // keys that the granules of rows see together: those before the window's edge see all
    const V seen = splat<V>(r.window + r.span);
    const V open = min_nan(max_nan((seen - past) * (1.0 / r.span), none), granules);
    const V keys = open * past + r.span * 0.5 * (open * (open + 1.0)) + (granules - open) * seen +
                   granules * prefill_keys;
    const V last = min_nan(past + granules * r.span, splat<V>(r.window + r.tile_span)) + prefill_keys;
    const V work = batch * (keys * r.pair_s + ceil_lanes(rows * r.inverse_tile) * r.block_s);
    const V path = last * r.path_s + r.block_path;
    const V old = visible(past, r.window);
    const V bytes = batch * (tokens * r.token_bytes + old * r.past_bytes);
    const V cold = batch * (tokens * r.token_s + old * r.past_s);
    const V memory = cold - cold * resident(bytes, r.inverse_resident, r.saved);
    const V written = batch * tokens * r.write_bytes, write = batch * tokens * r.write_s;
    const V after = write - write * resident(written, r.inverse_resident, r.saved);
    const V busy = partial_max(partial_max(work, path, r.overlap), memory, r.overlap);
    const V seconds = busy + r.sag * (busy * (busy / (busy + prefill_sag_s))) + after;
    const V nan = splat<V>(not_a_number());
    const V valid = batch >= none ? (tokens >= none ? (past >= none ? none : nan) : nan) : nan;
    const V some = batch * tokens; // no tokens are no launch
    Cost<V> out;
    out.seconds = (some > none ? seconds : none) + valid;
    out.fixed = (some > none ? max_nan(splat<V>(r.t0), r.host - seconds) : none) + valid;
    out.compute = (some > none ? max_nan(work, path) : none) + valid;
    out.memory = (some > none ? memory + after : none) + valid;
    out.flops = batch * (causal_pairs(tokens, past, r.window) * r.pair_flops) + valid;
    out.bytes = bytes + written + valid;
    return out;
}

} // namespace TR_ISA
} // namespace tokenroof
