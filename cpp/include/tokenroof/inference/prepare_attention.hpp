// Softmax attention of a step: its kinds of layers, their indexers, and the products around them.
#pragma once
#include "tokenroof/inference/mla.hpp"
#include "tokenroof/inference/prepare_products.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Layers of one kind: heads on this device, a window or 0, and of sparse attention the chosen keys, or 0.
struct AttentionKind {
    double layers;
    Heads of;
    double window, topk;
};

// One kind of attention by its measured form; whether the record has one.
TR_HD_ONCE bool measure_attention(Prepared& r, const double* d, const double* c, const double* m,
                                  const AttentionKind& kind, int kv, bool prompt) {
    MeasuredAttention& all = r.attention;
    const bool latent = m[model::kv_lora_rank] > 0.0;
    const int block = latent ? (prompt ? int(calibration::block_mla_prefill) : int(calibration::block_mla_decode))
                             : (prompt ? int(calibration::block_attention_prefill)
                                       : int(calibration::block_attention_decode));
    if (!measured_form(c, block)) return false;
    const double* g = c + block;
    const double heads = kind.of.heads, kv_heads = kind.of.kv_heads, width = kind.of.width, v_width = kind.of.v_width;
    const double rank = m[model::kv_lora_rank], nope = m[model::nope_head_dim], rope = m[model::rope_head_dim];
    const double window = kind.window, topk = kind.topk, limit = topk > 0.0 ? topk : window;
    if (prompt) {
        all.prefill[all.prefills] =
            latent ? prepare_mla_prefill(d, g, heads, nope, rope, v_width, rank, false, kv)
                   : prepare_attention_prefill(d, g, heads, kv_heads, width, v_width, window, kv, dtype::bf16);
        if (latent && window > 0.0) all.prefill[all.prefills].window = window;
        all.one_kernel = !latent && heads_apart(g);
        all.prefill_layers[all.prefills++] = kind.layers;
        all.sparse = all.sparse || topk > 0.0;
        if (topk > 0.0)
            all.chosen = latent ? prepare_sparse_prefill(d, g, heads, nope, rope, v_width, rank, topk, kv)
                                : prepare_attention_prefill(d, g, heads, kv_heads, width, v_width, topk, kv, dtype::bf16);
    } else {
        all.decode[all.decodes] =
            latent ? prepare_sparse_decode(d, g, heads, rank, rope, limit > 0.0 ? limit : no_window, kv)
                   : prepare_attention_decode(d, g, heads, kv_heads, width, v_width, limit, kv);
        all.decode[all.decodes].counted /= r.cp; // of keys that the ranks share
        all.decode_layers[all.decodes++] = kind.layers;
    }
    return true;
}

// One kind of attention as a line. absorbed: whether latents are attended to themselves.
TR_HD Attention attention_line(const double* d, const double* c, const double* m, int shares, const Heads& of,
                               double window, int kv, bool absorbed) {
    const double peak = attention_peak(d, kv);
    if (!(m[model::kv_lora_rank] > 0.0))
        return gqa_attention(d, c, shares, peak, of.heads, of.kv_heads, of.width, of.v_width, window, kv);
    if (absorbed)
        return mla_attention(d, c, shares, peak, of.heads, m[model::kv_lora_rank], m[model::rope_head_dim], window, kv);
    return mla_expanded(d, c, shares, peak, of.heads, m[model::nope_head_dim], m[model::rope_head_dim],
                        m[model::v_head_dim], window);
}

// Layers that see all tokens or choose among them, and layers with windows.
TR_HOST_ONCE void prepare_plain_attention(Prepared& r, const double* d, const double* c, const double* m,
                                          const double* p) {
    const int kv = int(p[plan::kv_cache]);
    const double sparse = m[model::index_topk] > 0.0 ? m[model::sparse_layers] : 0.0, tp = p[plan::tp];
    const Heads own = full_heads(m, tp);
    // those that choose are the first: there is one other way for their prompts
    const AttentionKind kinds[3] = {{sparse, own, 0.0, m[model::index_topk]},
                                    {m[model::window_layers], window_heads(m, tp), m[model::window], 0.0},
                                    {m[model::full_layers] - sparse, own, 0.0, 0.0}};
    const int decode = calibration::attention_decode_t0, prefill = calibration::attention_prefill_t0;
    for (int i = 0; i < 3; ++i) {
        const AttentionKind& kind = kinds[i];
        if (!(kind.layers > 0.0)) continue;
        if (!measure_attention(r, d, c, m, kind, kv, false))
            r.decode_attention[r.attentions++] =
                times(kind.layers, attention_line(d, c, m, decode, kind.of,
                                                  kind.topk > 0.0 ? kind.topk : kind.window, kv, true));
        if (measure_attention(r, d, c, m, kind, kv, true)) continue;
        r.prefill_attention[r.prefill_attentions++] =
            times(kind.layers, attention_line(d, c, m, prefill, kind.of, kind.window, kv, false));
        if (!(kind.topk > 0.0)) continue;
        r.sparse.line = true;
        r.sparse.chosen = times(kind.layers, attention_line(d, c, m, prefill, kind.of, kind.topk, kv, true));
    }
    const double layers = m[model::index_layers], heads = m[model::index_heads], width = m[model::index_head_dim];
    if (!(sparse > 0.0)) return;
    r.sparse.layers = layers;
    r.sparse.decode = times(layers, make_indexer(d, c, decode, heads, width, m[model::index_topk]));
    r.sparse.prefill = times(layers, make_indexer(d, c, prefill, heads, width, m[model::index_topk]));
}

// Layers whose heads all read one key.
TR_HOST_ONCE void prepare_single_key(Prepared& r, const double* d, const double* c, const double* m,
                                     const double* p) {
    CompressedLayers& all = r.compressed;
    const int kv = int(p[plan::kv_cache]);
    const double heads = m[model::heads] / p[plan::tp], width = m[model::head_dim], peak = attention_peak(d, kv);
    const int decode = calibration::attention_decode_t0, prefill = calibration::attention_prefill_t0;
    const double* g = c + calibration::block_mla_decode;
    all.line = !measured_form(c, calibration::block_mla_decode);
    if (!all.line) all.measured = prepare_single_key_decode(d, g, heads, width, kv);
    const double window = m[model::window], topk = m[model::index_topk];
    const double layers[3] = {m[model::window_layers], m[model::compressed_layers], m[model::selected_layers]};
    const Compressed keys[3] = {make_compressed(window, 0.0, 0.0),
                                make_compressed(window, m[model::compress_ratio], 0.0),
                                make_compressed(window, m[model::select_ratio], topk)};
    for (int i = 0; i < 3; ++i) {
        if (!(layers[i] > 0.0)) continue;
        all.keys[all.n] = keys[i];
        all.layers[all.n] = layers[i];
        all.decode[all.n] = times(layers[i], single_key_attention(d, c, decode, peak, heads, width, kv));
        all.prefill[all.n++] = times(layers[i], single_key_attention(d, c, prefill, peak, heads, width, kv));
    }
    if (!(m[model::selected_layers] > 0.0)) return;
    const double index_heads = m[model::index_heads], index_width = m[model::index_head_dim];
    all.index_layers = m[model::index_layers];
    all.index_ratio = m[model::select_ratio];
    all.decode_index = times(all.index_layers, make_indexer(d, c, decode, index_heads, index_width, topk));
    all.prefill_index = times(all.index_layers, make_indexer(d, c, prefill, index_heads, index_width, topk));
}

TR_HOST_ONCE void prepare_attention(Prepared& r, const double* d, const double* c, const double* m,
                                    const double* p) {
    if (m[model::single_key] > 0.0)
        prepare_single_key(r, d, c, m, p);
    else
        prepare_plain_attention(r, d, c, m, p);
}

// The products around attention of one plan.
struct Projections {
    Prepared& r;
    const double *d, *c, *m, *p;
    TR_HD void gemm(double count, double n, double k) const {
        add_products_of(r, d, c, group_projection, count, n, k, mixer_types(m, p));
    }
    // rotation in place, and new keys and values into the cache
    TR_HD void cache(double layers, double rotated, double cached) const {
        const double moved = rotary_bytes(rotated, cached, dtype_bytes(int(p[plan::kv_cache])));
        r.common.add(group_elementwise, rank_tokens, times(layers, fresh_line(d, c, moved, rotary_fresh(rotated, cached))));
    }
};

TR_HD_ONCE void project_latent(const Projections& x, const double* m, double heads) {
    const double h = m[model::hidden], layers = softmax_layers(m), v = m[model::v_head_dim];
    const double q = m[model::q_lora_rank], rank = m[model::kv_lora_rank];
    const double rope = m[model::rope_head_dim], nope = m[model::nope_head_dim];
    const double gate = (m[model::q_multiplier] - 1.0) * heads * v; // of the output
    if (q > 0.0) {
        x.gemm(layers, q + rank + rope + gate, h);
        x.gemm(layers, heads * (nope + rope), q);
    } else {
        x.gemm(layers, heads * (nope + rope) + rank + rope + gate, h);
    }
    // the latent is unpacked per head, or queries and results are folded into it: the same work
    x.gemm(layers, heads * (nope + v), rank);
    x.gemm(layers, h, heads * v);
    x.cache(layers, (heads + 1.0) * rope, rank + rope);
}

TR_HD_ONCE void project_heads(const Projections& x, const double* m, double tp) {
    const double h = m[model::hidden];
    HeadGroup group[max_head_groups];
    const int n = head_groups(m, tp, group);
    for (int i = 0; i < n; ++i) {
        const HeadGroup& g = group[i];
        x.gemm(g.layers, head_columns(m, g), h);
        x.gemm(g.layers, h, g.of.heads * g.of.v_width);
        const double keys = g.keys * g.of.kv_heads;
        x.cache(g.layers, (g.of.heads + keys) * g.of.width, keys * (g.of.width + g.of.v_width));
    }
}

// One key for all heads; results through a low rank in groups; compressors, which every device has all of.
TR_HD_ONCE void project_single_key(const Projections& x, const double* m, double heads, double tp) {
    const double h = m[model::hidden], layers = softmax_layers(m), width = m[model::head_dim];
    const double q = m[model::q_lora_rank], queries = heads * width, low = m[model::o_lora_rank];
    if (q > 0.0) {
        x.gemm(layers, q + width, h);
        x.gemm(layers, queries, q);
    } else {
        x.gemm(layers, queries + width, h);
    }
    if (low > 0.0) { // a group's heads to `low` values: groups run beside one another
        x.gemm(layers, m[model::o_groups] * low / tp, m[model::heads] * width / m[model::o_groups]);
        x.gemm(layers, h, m[model::o_groups] * low / tp);
    } else {
        x.gemm(layers, h, queries);
    }
    x.cache(layers, 2.0 * m[model::rope_head_dim] * heads, width); // queries and results rotate in part
    const double heavy = m[model::compressed_layers], light = m[model::selected_layers];
    const double stored = dtype_bytes(int(x.p[plan::kv_cache])), index = m[model::index_head_dim];
    const double place = index_key_bytes(index);
    auto moved = [&](double count, double bytes) TR_INLINE {
        x.r.common.add(group_elementwise, rank_tokens, times(count, elementwise_line(x.d, x.c, 1.0, bytes)));
    };
    if (heavy > 0.0) {
        x.gemm(heavy, compressor_columns(width, false), h);
        moved(heavy, compressor_bytes(width, m[model::compress_ratio], false, width * stored));
    }
    if (!(light > 0.0)) return;
    const double ratio = m[model::select_ratio];
    x.gemm(light, compressor_columns(width, true), h);
    x.gemm(m[model::index_layers], compressor_columns(index, true), h);
    moved(light, compressor_bytes(width, ratio, true, width * stored));
    moved(m[model::index_layers], compressor_bytes(index, ratio, true, place));
}

TR_HOST_ONCE void prepare_projections(Prepared& r, const double* d, const double* c, const double* m,
                                      const double* p) {
    const double heads = m[model::heads] / p[plan::tp], layers = m[model::index_layers];
    if (!(softmax_layers(m) > 0.0)) return;
    const Projections x = {r, d, c, m, p};
    if (m[model::kv_lora_rank] > 0.0)
        project_latent(x, m, heads);
    else if (m[model::single_key] > 0.0)
        project_single_key(x, m, heads, p[plan::tp]);
    else
        project_heads(x, m, p[plan::tp]);
    if (!(m[model::index_topk] > 0.0 && layers > 0.0)) return;
    const double wide = m[model::index_heads] * m[model::index_head_dim];
    const double h = m[model::hidden], from = m[model::q_lora_rank] > 0.0 ? m[model::q_lora_rank] : h;
    const bool compressed = m[model::selected_layers] > 0.0; // its keys come from a compressor
    x.gemm(layers, wide, from);
    x.gemm(layers, (compressed ? 0.0 : m[model::index_head_dim]) + m[model::index_heads], h);
    if (compressed) return;
    const double moved = 2.0 * m[model::index_head_dim] + index_key_bytes(m[model::index_head_dim]);
    r.common.add(group_elementwise, rank_tokens, times(layers, elementwise_line(d, c, 0.0, moved)));
}

} // namespace TR_ISA
} // namespace tokenroof
