// Both grouped products of a layer's experts on the busiest of its ranks, as libraries run them: tiles of
// the tokens of one expert, in waves over the multiprocessors, overlapped with the traffic of the weights
// that are touched.
//
// Constants (TR_EXPERTS_CONSTANTS): t0 [s] per launch of the layer; compute, memory: shares of the peak and
// of the bandwidth; overlap: what of the shorter one is not hidden (`smooth_max`); stream: how many times its
// share of the bandwidth one multiprocessor can draw (a tile's own weights are not read faster); tile: most
// tokens of a tile; tile_loss: tokens that a tile costs beyond its own; touched, held: seconds per touched
// expert and per expert of the rank; local, routed, token: shares of the bandwidth at which pairs of this
// rank, pairs of all ranks and tokens are permuted, activated and summed; misaligned: how much longer widths
// that are no multiple of 16 take; reread: share of the bandwidth at which weights that no cache holds are
// read again by further tiles of their expert.
// parted [s]: more per launch where ranks hold some of the experts each (moe_ep > 1), whose own tokens a kernel of
// the library picks out first; cached, resident: as in decode attention, of weights.
//   Grouped products over tiles: Gale et al., MegaBlocks, arXiv:2211.15841, section 5.
//   A tile's tokens are the next power of two of all pairs over the experts of the rank: measured times of
//   TensorRT-LLM and FlashInfer step where this does, also where other ranks' tokens fill it on paper only. Where
//   tokens fall at random the number is not known beforehand: it is what such a power is on average, sqrt(2) of it.
#pragma once
#include "tokenroof/inference/cost.hpp"
#include "tokenroof/inference/l2.hpp"
#include "tokenroof/inference/routing.hpp"
#include "tokenroof/records/records.hpp"

namespace tokenroof {
inline namespace TR_ISA {

struct GroupedProduct {
    double columns, unit_s;                      // tiles across over multiprocessors; seconds per row of a tile
    double weight_s, pair_s, reread_s, latency_s; // seconds per touched expert, pair, further tile; of one tile
    double flops, weight, pair;                  // per pair, touched expert, pair
};

// What does not depend on the tokens.
struct Experts {
    Routing routing;
    GroupedProduct up, down;
    double t0, overlap, tile, tile_loss, touched, held, local, routed, token, stretch;
    double expert, inverse_resident, saved; // bytes of an expert; of warm weights, as a product has them
};

TR_HD double experts_launch(const double* g, double moe_ep) {
    return g[constant::experts::t0] + (moe_ep > 1.0 ? g[constant::experts::parted] : 0.0);
}

TR_HD GroupedProduct prepare_grouped(const double* d, const double* g, double n, double k, int weight) {
    const double bandwidth = d[device::memory_bandwidth], sms = d[device::sm_count];
    const double stored = dtype_bytes(weight), narrow = activation_bytes(weight);
    const double reached = bandwidth * g[constant::experts::memory];
    GroupedProduct r;
    r.columns = ceil_lanes(n * (1.0 / 128.0)) / sms;
    r.unit_s = 256.0 * k / (dtype_peak(d, weight) * g[constant::experts::compute] / sms);
    r.flops = 2.0 * n * k;
    r.weight = n * k * stored;
    r.pair = k * narrow + n * 2.0;
    r.weight_s = r.weight / reached;
    r.pair_s = r.pair / reached;
    const double cached = d[device::l2_bytes] == d[device::l2_bytes] ? d[device::l2_bytes] : 0.0;
    r.reread_s = max_nan(r.weight - cached, 0.0) / (bandwidth * g[constant::experts::reread]);
    r.latency_s = k * 128.0 * stored / (bandwidth * g[constant::experts::stream] / sms);
    return r;
}

// g: the block of constants. popular: as a model's tokens choose (routing.hpp). dispatched: an all-to-all brings a
// rank the tokens of its experts alone, where else it permutes those of all ranks. warm: the same experts again and
// again, as benchmarks of kernels run; a model's step reads cold.
TR_HD Experts prepare_experts(const double* d, const double* g, double hidden, double intermediate,
                              double experts, double topk, double matrices, double moe_tp, double moe_ep,
                              double skew, int weight, bool popular = false, bool dispatched = false,
                              bool warm = false) {
    const double width = intermediate / moe_tp, bandwidth = d[device::memory_bandwidth];
    Experts r;
    r.routing = prepare_routing(experts, topk, moe_ep, skew, popular);
    r.up = prepare_grouped(d, g, (matrices - 1.0) * width, hidden, weight);
    r.down = prepare_grouped(d, g, hidden, width, weight);
    r.t0 = experts_launch(g, moe_ep);
    r.expert = r.up.weight + r.down.weight;
    r.inverse_resident = r.saved = 0.0;
    if (warm) {
        r.inverse_resident = inverse_resident(d, g[constant::experts::resident]);
        r.saved = saved_by_l2(d, g[constant::experts::cached]);
    }
    r.overlap = g[constant::experts::overlap];
    r.tile = g[constant::experts::tile];
    r.tile_loss = g[constant::experts::tile_loss];
    r.touched = g[constant::experts::touched];
    r.held = g[constant::experts::held] * r.routing.local;
    // 16-bit elements that kernels around the products read and write
    r.local = (4.0 * hidden + 6.0 * width) / (bandwidth * g[constant::experts::local]);
    r.routed = (2.0 * hidden + 6.0 * width) * topk / (bandwidth * g[constant::experts::routed]);
    r.token = 4.0 * hidden / (bandwidth * g[constant::experts::token]);
    if (dispatched) {
        r.routed = r.routed / moe_ep;
        r.token = r.token * (min_nan(topk, moe_ep) / moe_ep);
    }
    const double sixteenths = width * (1.0 / 16.0);
    r.stretch = ceil_lanes(sixteenths) == sixteenths ? 1.0 : g[constant::experts::misaligned];
    return r;
}

// found: share of the time of reading the weights that the L2 saves.
template <class V>
TR_HD void add_grouped(Cost<V>& out, const GroupedProduct& p, const Routed<V>& load, V rows, double overlap, V found) {
    const V blocks = load.tiles * p.columns, one = splat<V>(1.0);
    const V compute = max_nan(blocks, one) * rows * p.unit_s;
    const V further = max_nan(load.tiles - load.touched, splat<V>(0.0));
    const V cold = load.touched * p.weight_s + p.latency_s, weights = cold - cold * found;
    const V memory = weights + load.pairs * p.pair_s + further * p.reread_s;
    out.seconds = out.seconds + smooth_max(compute, memory, overlap);
    out.compute = out.compute + compute;
    out.memory = out.memory + memory;
    out.flops = out.flops + load.pairs * p.flops;
    out.bytes = out.bytes + (load.touched * p.weight + load.pairs * p.pair);
}

// Rows of a tile for so many tokens of an expert: the next power of two from 8 on.
template <class V> TR_HD V tile_rows(V mean, double most) {
    V rows = splat<V>(8.0);
#define TR_ROWS(size) rows = mean > splat<V>(size) ? splat<V>(2.0 * size) : rows;
    TR_ROWS(8.0) TR_ROWS(16.0) TR_ROWS(32.0) TR_ROWS(64.0) TR_ROWS(128.0)
#undef TR_ROWS
    return min_nan(rows, splat<V>(most));
}

TR_HD bool dealt(const Routing& r) { return !(r.random || r.popular); }

// Of a routing: in steps where benchmarks deal the tokens out.
template <class V> TR_HD V tile_rows(const Routing& r, V tokens, double most) {
    const V mean = tokens * r.per_local;
    if (dealt(r)) return tile_rows(mean, most);
    return min_nan(max_nan(mean * 1.41421356237309514547, splat<V>(8.0)), splat<V>(most));
}

template <class V> TR_HOST_ONCE Cost<V> experts_cost(const Experts& r, V tokens) {
    const V none = splat<V>(0.0), nan = splat<V>(not_a_number());
    const V some = tokens > none ? tokens : splat<V>(1.0); // nothing is divided by no tokens
    const V rows = tile_rows(r.routing, some, r.tile);
    const Routed<V> load = routed_load(r.routing, some, rows);
    Cost<V> out = {none, none, none, none, none, none};
    const V found = r.saved > 0.0 ? resident(load.touched * r.expert, r.inverse_resident, r.saved) : none;
    add_grouped(out, r.up, load, rows + r.tile_loss, r.overlap, found);
    add_grouped(out, r.down, load, rows + r.tile_loss, r.overlap, found);
    const V around = load.pairs * r.local + tokens * (r.routed + r.token) + load.touched * r.touched + r.held;
    const V valid = tokens >= none ? none : nan;
    out.fixed = (tokens > none ? splat<V>(r.t0) : none) + valid;
    out.seconds = (tokens > none ? out.seconds * r.stretch + around : none) + valid;
    out.compute = tokens > none ? out.compute * r.stretch : none;
    out.memory = tokens > none ? out.memory * r.stretch + around : none;
    out.flops = (tokens > none ? out.flops : none) + valid;
    out.bytes = (tokens > none ? out.bytes : none) + valid;
    return out;
}

// One of the two products on its own: half the layer's launch, and nothing around it.
struct GroupedGemm {
    Routing routing;
    GroupedProduct product;
    double t0, overlap, tile, tile_loss, stretch;
};

TR_HD GroupedGemm prepare_grouped_gemm(const double* d, const double* g, double n, double k, double experts,
                                       double topk, double moe_ep, double skew, int weight) {
    GroupedGemm r;
    r.routing = prepare_routing(experts, topk, moe_ep, skew);
    r.product = prepare_grouped(d, g, n, k, weight);
    r.t0 = 0.5 * experts_launch(g, moe_ep);
    r.overlap = g[constant::experts::overlap];
    r.tile = g[constant::experts::tile];
    r.tile_loss = g[constant::experts::tile_loss];
    const double rows = n * (1.0 / 16.0), columns = k * (1.0 / 16.0);
    r.stretch = ceil_lanes(rows) == rows && ceil_lanes(columns) == columns ? 1.0 : g[constant::experts::misaligned];
    return r;
}

template <class V> TR_HD Cost<V> grouped_gemm_cost(const GroupedGemm& r, V tokens) {
    const V none = splat<V>(0.0), nan = splat<V>(not_a_number());
    const V some = tokens > none ? tokens : splat<V>(1.0);
    const V rows = tile_rows(r.routing, some, r.tile);
    Cost<V> out = {none, none, none, none, none, none};
    add_grouped(out, r.product, routed_load(r.routing, some, rows), rows + r.tile_loss, r.overlap, none);
    const V valid = tokens >= none ? none : nan;
    out.fixed = (tokens > none ? splat<V>(r.t0) : none) + valid;
    out.seconds = (tokens > none ? out.seconds * r.stretch : none) + valid;
    out.compute = tokens > none ? out.compute * r.stretch : none;
    out.memory = tokens > none ? out.memory * r.stretch : none;
    out.flops = (tokens > none ? out.flops : none) + valid;
    out.bytes = (tokens > none ? out.bytes : none) + valid;
    return out;
}

} // namespace TR_ISA
} // namespace tokenroof
