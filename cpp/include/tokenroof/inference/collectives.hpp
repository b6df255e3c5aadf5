// Collectives by protocol: each a latency that grows with the ranks, and its traffic over the link at the
// share that it reaches; libraries take the fastest. A group that spans domains goes through each domain's
// link and, with a domain's share of the vector per device, through the network between nodes.
//
// Constants (TR_ALL_REDUCE_CONSTANTS, TR_EXCHANGE_CONSTANTS): *_t0 [s] for two ranks, *_rank [s] per further
// rank, *_share: of the link's bandwidth. one: everything to everyone; two: reduce-scatter and all-gather in
// one kernel; bulk: the library's bandwidth-bound protocol, or low and bulk where nothing is reduced;
// switch: added up inside the switch. contention: what devices on one host's PCIe get falls as
// (ranks / 2)^-contention. node_t0 [s] per doubling of the nodes, node_share of the network's bandwidth.
//   Thakur, Rabenseifner, Gropp, IJHPCA 19(1) 2005 (one- and two-shot, rings, hierarchies).
//   Klenk et al., ISCA 2020, An In-Network Architecture for Accelerating Shared-Memory Multiprocessor Collectives.
//   Chan et al., Collective communication, CCPE 19(13) 2007 (meshes and tori).
#pragma once
#include "tokenroof/inference/cost.hpp"
#include "tokenroof/inference/routing.hpp"
#include "tokenroof/records/records.hpp"

namespace tokenroof {
inline namespace TR_ISA {

TR_HD double log2_of(double x) { return log_positive(max_nan(x, 1.0)) * (1.0 / natural_log_of_2); }

// Whole doublings from 1 up to x or more.
TR_HD double doublings(double x) {
    double steps = 0.0;
    for (double reach = 1.0; reach < x && steps < 64.0; reach = reach * 2.0) steps = steps + 1.0;
    return steps;
}

TR_HD double torus_dimensions(int form) { return form == topology::torus2 ? 2.0 : 3.0; }
TR_HD bool is_torus(int form) { return form == topology::torus2 || form == topology::torus3; }

// Bandwidth that each of n devices of one domain has towards the others [B/s]: each-to-each links serve one
// peer each; a torus has 2 links per dimension, of which 2^j devices in a block use j.
TR_HD double group_bandwidth(const double* d, double n) {
    const int form = int(d[device::link_topology]);
    const double link = d[device::link_bandwidth], others = max_nan(d[device::link_domain_size] - 1.0, 1.0);
    if (form == topology::mesh) return link * min_nan(max_nan(n - 1.0, 1.0) / others, 1.0);
    if (is_torus(form)) return link * min_nan(max_nan(log2_of(n), 1.0) / (2.0 * torus_dimensions(form)), 1.0);
    return link;
}

// Mean hops of an exchange over those of a neighbour: a torus of n^(1/k) a side passes messages on.
TR_HD double mean_hops(const double* d, double n) {
    const int form = int(d[device::link_topology]);
    if (!is_torus(form)) return 1.0;
    const double k = torus_dimensions(form);
    const double side = expm1_any(log_positive(max_nan(n, 1.0)) * (1.0 / k)) + 1.0;
    return max_nan(side * k * 0.25, 1.0);
}

// How n ranks lie over domains.
struct RankGroup {
    double n, inside, nodes, bandwidth, network, hops; // inside: ranks per domain; bandwidths of a rank [B/s]
    bool reducing, host;
};

TR_HD RankGroup make_group(const double* d, double ranks) {
    RankGroup r;
    const double size = d[device::link_domain_size];
    const double domain = size > 1.0 ? size : 8.0; // cards of a host without a link of their own
    r.n = count_or_nan(ranks);
    r.inside = r.n > domain ? domain : r.n;
    r.nodes = r.n > domain ? ceil_lanes(r.n / domain) : 1.0;
    r.bandwidth = group_bandwidth(d, r.inside);
    r.network = d[device::node_link_bandwidth];
    r.hops = mean_hops(d, r.inside);
    r.reducing = int(d[device::link_topology]) == topology::reducing;
    r.host = int(d[device::link_topology]) == topology::host;
    return r;
}

struct Protocol { // seconds = fixed + nbytes * per_byte
    double fixed, per_byte;
};

// Those that a library has; what comes first wins where two take the same.
struct Protocols {
    Protocol each[4];
    int n = 0;
    double network = 0.0; // what of the fixed seconds is the way between nodes
    TR_HD void add(double fixed, double per_byte) { each[n++] = {fixed, per_byte}; }
    // The same further seconds for each of them.
    TR_HD void add_to_each(const Protocol& more) {
        for (int i = 0; i < n; ++i) each[i] = {each[i].fixed + more.fixed, each[i].per_byte + more.per_byte};
    }
};

TR_HD Protocol fastest(const Protocols& all, double nbytes) {
    Protocol best = {infinite(), 0.0};
    for (int i = 0; i < all.n; ++i) {
        const Protocol& p = all.each[i];
        const double was = best.fixed + nbytes * best.per_byte, now = p.fixed + nbytes * p.per_byte;
        if (now < was || now != now) best = p;
    }
    return best;
}

// Seconds of an empty message inside a node.
TR_HD double empty_message(const Protocols& all) {
    double least = all.each[0].fixed;
    for (int i = 1; i < all.n; ++i) least = min_nan(least, all.each[i].fixed);
    return least - all.network;
}

TR_HD double shared_bandwidth(const RankGroup& r, double contention) {
    if (!r.host || !(r.inside > 2.0)) return r.bandwidth;
    return r.bandwidth * (1.0 + expm1_negative(-contention * log_positive(r.inside * 0.5)));
}

// Through the network: `passes` times the share of the other nodes of a domain's part of the vector.
TR_HD Protocol across_nodes(const RankGroup& r, double passes, double t0, double share) {
    if (!(r.nodes > 1.0)) return {0.0, 0.0};
    const double others = (r.nodes - 1.0) / r.nodes;
    return {passes * doublings(r.nodes) * t0, passes * others / r.inside / (r.network * share)};
}

// What crosses each rank's link, per byte of the vector; switches that add leave one way of it.
TR_HD double all_reduce_share(const RankGroup& r) {
    const double both = 2.0 * (r.inside - 1.0) / r.inside;
    return r.reducing ? min_nan(both, 1.0) : both;
}
TR_HD double exchange_share(const RankGroup& r) { return (r.inside - 1.0) / r.inside; }

// nbytes: the vector of each rank; g: the block of constants.
TR_HD Protocols all_reduce_protocols(const RankGroup& r, const double* g) {
    namespace c = constant::all_reduce;
    const Protocol network = across_nodes(r, 2.0, g[c::node_t0], g[c::node_share]);
    Protocols all;
    all.network = network.fixed;
    if (!(r.inside > 1.0)) {
        all.add(network.fixed + (r.inside - r.inside), network.per_byte);
        return all;
    }
    const double n = r.inside, further = max_nan(n - 2.0, 0.0), link = shared_bandwidth(r, g[c::contention]);
    const double ring = 2.0 * (n - 1.0) / n / link;
    all.add(g[c::one_t0] + further * g[c::one_rank], (n - 1.0) / (link * g[c::one_share]));
    all.add(g[c::two_t0] + further * g[c::two_rank], ring / g[c::two_share]);
    all.add(g[c::bulk_t0] + further * g[c::bulk_rank], ring / g[c::bulk_share]);
    if (r.reducing && n > 2.0)
        all.add(g[c::bulk_t0] + further * g[c::bulk_rank], 1.0 / (link * g[c::switch_share]));
    all.add_to_each(network);
    return all;
}

// All-gather, reduce-scatter, all-to-all: nbytes is the full vector per rank. `hops`: of an all-to-all.
TR_HD Protocols exchange_protocols(const RankGroup& r, const double* g, double hops) {
    namespace c = constant::exchange;
    const Protocol network = across_nodes(r, 1.0, g[c::node_t0], g[c::node_share]);
    Protocols all;
    all.network = network.fixed;
    if (!(r.inside > 1.0)) {
        all.add(network.fixed + (r.inside - r.inside), network.per_byte);
        return all;
    }
    const double n = r.inside, further = max_nan(n - 2.0, 0.0);
    const double traffic = exchange_share(r) * hops / shared_bandwidth(r, g[c::contention]);
    all.add(g[c::low_t0] + further * g[c::low_rank], traffic / g[c::low_share]);
    all.add(g[c::bulk_t0] + further * g[c::bulk_rank], traffic / g[c::bulk_share]);
    all.add_to_each(network);
    return all;
}

// An all-to-all sends n / inside times as much through the network as a gather: each device its own.
TR_HD Protocols all_to_all_protocols(const RankGroup& r, const double* g) {
    namespace c = constant::exchange;
    Protocols all = exchange_protocols(r, g, r.hops);
    if (r.nodes > 1.0) {
        const Protocol gathered = across_nodes(r, 1.0, g[c::node_t0], g[c::node_share]);
        all.add_to_each({0.0, gathered.per_byte * (r.inside - 1.0)});
    }
    return all;
}

// One message between two devices of a group of n: over one link of a mesh or torus, or through the network.
TR_HD Protocols send_protocols(const double* d, const RankGroup& r, const double* g) {
    namespace c = constant::exchange;
    Protocols all;
    if (r.nodes > 1.0) {
        all.network = g[c::node_t0];
        all.add(g[c::low_t0] + g[c::node_t0], 1.0 / (r.network * g[c::node_share]));
        return all;
    }
    const double link = group_bandwidth(d, 2.0);
    all.add(g[c::low_t0], 1.0 / (link * g[c::low_share]));
    all.add(g[c::bulk_t0], 1.0 / (link * g[c::bulk_share]));
    all.add_to_each({r.n - r.n, 0.0});
    return all;
}

// The datasheet's: no latency, all of the bandwidth, a switch that adds where there is one.
TR_HD double all_reduce_bound(const RankGroup& r) {
    const double between = r.nodes > 1.0 ? 2.0 * ((r.nodes - 1.0) / r.nodes) / r.inside / r.network : 0.0;
    return (r.inside > 1.0 ? all_reduce_share(r) / r.bandwidth : r.inside - r.inside) + between;
}
TR_HD double exchange_bound(const RankGroup& r, double hops, double parts) {
    const double between = r.nodes > 1.0 ? (r.nodes - 1.0) / r.nodes * (parts / r.inside) / r.network : 0.0;
    return (r.inside > 1.0 ? exchange_share(r) * hops / r.bandwidth : r.inside - r.inside) + between;
}

} // namespace TR_ISA
} // namespace tokenroof
