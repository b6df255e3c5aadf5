// Multi-head latent attention [DS2]: decode, absorbed, where all heads read one latent and rotary key per
// token; prompts, expanded to heads or absorbed. The forms are those of attention_decode.hpp and
// attention_prefill.hpp, and so are the constants; beyond them, tile: query heads (decode) or rows (prefill)
// of a thread block; host [s]: what a step takes at least where the host launches it, hidden by CUDA graphs.
#pragma once
#include "tokenroof/inference/attention_prefill.hpp"

namespace tokenroof {
inline namespace TR_ISA {

TR_HD AttentionDecode prepare_mla_decode(const double* d, const double* g, double heads, double rank,
                                         double rope, int kv_type) {
    using namespace constant::mla_decode;
    const double bandwidth = d[device::memory_bandwidth], sms = d[device::sm_count];
    const double stored = rank + rope, both = stored + rank; // widths of a key, and of key and value
    const double blocks = ceil_lanes(heads / g[tile]), rows = heads / blocks;
    const double longer = 1.0 + g[group] * rows;
    AttentionDecode r;
    r.t0 = g[t0];
    r.host = g[host];
    r.overlap = g[overlap];
    r.window = r.counted = no_window;
    r.inverse_keys = 1.0 / g[keys];
    r.most = g[most];
    r.fill = g[splits] * sms / blocks;
    r.split = g[split];
    r.key_bytes = stored * dtype_bytes(kv_type);
    r.query_bytes = heads * both * 2.0;
    r.key_s = r.key_bytes / (bandwidth * g[memory]);
    r.query_s = r.query_bytes / (bandwidth * g[memory]);
    r.again_s = 0.0;
    r.pair_s = 2.0 * both * blocks * g[tile] / (d[device::peak_bf16] * g[compute]);
    r.path_s = g[key] * longer * (stored * (1.0 / 576.0));
    r.block_s = g[block] * longer * blocks / sms;
    r.inverse_captured = r.lone_path_s = 0.0;
    r.inverse_resident = inverse_resident(d, g[constant::mla_decode::resident]);
    r.saved = saved_by_l2(d, g[cached]);
    r.pair_flops = 2.0 * heads * both;
    return r;
}

// absorbed: whether heads attend to the latent; else it is expanded to heads beforehand. Constants are against
// the 16-bit peak, whatever type the maths has: they were fitted by the cache's type.
TR_HD AttentionPrefill prepare_mla_prefill(const double* d, const double* g, double heads, double nope,
                                           double rope, double v_head_dim, double rank, bool absorbed,
                                           int kv_type) {
    using namespace constant::mla_prefill;
    const double stored = dtype_bytes(kv_type);
    const double key = absorbed ? rank + rope : nope + rope, value = absorbed ? rank : v_head_dim;
    const double both = key + value, peak = d[device::peak_bf16] * g[compute];
    AttentionPrefill r = prefill_of(d, g, heads, absorbed ? heads : 1.0, g[tile], both, peak, g[path], g[block], 0.0);
    r.t0 = g[t0];
    r.host = g[host];
    r.overlap = g[overlap];
    r.sag = g[sag];
    const double columns = absorbed ? 1.0 : heads; // heads that have keys of their own
    const double keys = absorbed ? key : both;     // an absorbed value is the key's latent part
    r.token_bytes = (heads * both + columns * keys) * 2.0;
    r.past_bytes = columns * keys * (absorbed ? stored : 2.0);
    r.write_bytes = (rank + rope + g[queries] * (heads * key + columns * keys)) * (2.0 + stored);
    prefill_traffic(r, d, g[memory], g[write], g[constant::mla_prefill::resident], g[cached]);
    return r;
}

} // namespace TR_ISA
} // namespace tokenroof
