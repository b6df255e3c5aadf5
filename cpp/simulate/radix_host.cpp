// The tree's second layer: copies of nodes in the host's memory.
// [sglang/srt/mem_cache/unified_radix_cache.py, unified_cache/unified_tree_core.py, components/full.py]
//
// A node is on the device, on the host, or on both. The device gives up leaves of what it has: who has a copy stays in
// the tree without it. The host gives up leaves of the tree that it alone has.
#include "simulate/radix.hpp"

namespace tokenroof::simulate {

void RadixTree::use_host(i64 tokens, Write policy) {
    tiered_ = true;
    host_free_ = tokens;
    policy_ = policy;
    places_.assign(nodes_of_.size(), Place{});
}

// --- what is found there --------------------------------------------------------------------------------

i32 RadixTree::resident(i32 node, i64& hosted) const {
    for (hosted = 0; places_[node].gone; node = nodes_of_[node].parent) hosted += nodes_of_[node].length;
    return node;
}

void RadixTree::load(i32 node, i64 number) {
    for (; places_[node].gone; node = nodes_of_[node].parent) {
        places_[node].gone = false;
        if (policy_ == Write::back) places_[node].loading = number;
        locked_ += nodes_of_[node].length;
        ++places_[nodes_of_[node].parent].there;
    }
}

void RadixTree::finish_load(i32 node, i64 number) {
    for (i32 n = node; n != root && policy_ == Write::back; n = nodes_of_[n].parent) {
        if (places_[n].loading != number) continue;
        places_[n].loading = 0;
        list(n);
    }
    unlock(node);
}

// An insertion came by with tokens up to `length`: what the host alone had is on the device again.
void RadixTree::bring(i32 node, i64 length) {
    Place& p = places_[node];
    if (!p.gone) {
        on_device_ = length;
        return;
    }
    const Node& n = nodes_of_[node];
    leave(node);
    leave(n.parent);
    p.gone = false;
    ++places_[n.parent].there;
    (n.locks > 0 ? locked_ : evictable_) += n.length;
    stand(node);
    list(node);
}

void RadixTree::split_place(i32 above, i32 below) {
    Place& upper = places_[above];
    const Place& lower = places_[below];
    upper.gone = lower.gone;
    upper.copied = lower.copied;
    upper.loading = lower.loading;
    upper.there = !lower.gone;
    list(above);
}

// --- copies ---------------------------------------------------------------------------------------------

// A copy of a node and of what is above it and has none, from the top; up to where there is no room.
void RadixTree::copy_path(i32 node) {
    chain_.clear();
    for (; node != root && !places_[node].copied; node = nodes_of_[node].parent) chain_.push_back(node);
    for (std::size_t i = chain_.size(); i > 0; --i) {
        const i32 one = chain_[i - 1];
        const i64 tokens = nodes_of_[one].length;
        if (!has_room_on_host(tokens)) return;
        host_free_ -= tokens;
        places_[one].copied = true;
        lock(one);
        writes_.push_back(one);
        write_tokens_ += tokens;
    }
}

i64 RadixTree::take_writes(std::vector<i32>& to) {
    to.clear();
    to.swap(writes_);
    const i64 tokens = write_tokens_;
    write_tokens_ = 0;
    return tokens;
}

// A leaf of what the device has goes: for good where it has no copy, and gets none.
void RadixTree::give_up(i32 node) {
    const i64 tokens = nodes_of_[node].length;
    if (policy_ == Write::back && !places_[node].copied && has_room_on_host(tokens)) {
        host_free_ -= tokens;
        places_[node].copied = true;
        list(node);
        written_back_.push_back(tokens);
    }
    if (!places_[node].copied) return remove(node);
    const i32 parent = nodes_of_[node].parent;
    leave(node);
    places_[node].gone = true;
    --places_[parent].there;
    stand(node);
    stand(parent);
}

bool RadixTree::has_room_on_host(i64 tokens) {
    const i64 need = tokens - host_free_;
    return need <= 0 || evict_host(need) >= need;
}

// At least so many tokens of the host, or all that can go; how many went.
i64 RadixTree::evict_host(i64 tokens) {
    i64 given = policy_ == Write::back ? reclaim(tokens) : 0;
    while (given < tokens && !host_heap_.empty()) {
        const i32 node = host_heap_[0];
        given += nodes_of_[node].length;
        remove(node);
    }
    host_evicted_ += given;
    return given;
}

// Copies of what the device has too, the oldest first; before those of its leaves, which may soon need them.
i64 RadixTree::reclaim(i64 tokens) {
    i64 given = 0;
    for (const bool spare_leaves : {true, false}) {
        i32 next = -1;
        for (i32 node = first_both_; node >= 0 && given < tokens; node = next) {
            Place& p = places_[node];
            next = p.after;
            if (!p.gone && p.copied) {
                if ((spare_leaves && nodes_of_[node].heap >= 0) || p.loading > 0) continue;
                p.copied = false;
                host_free_ += nodes_of_[node].length;
                given += nodes_of_[node].length;
            }
            unlist(node);
        }
    }
    return given;
}

// At the end of those that are in both, if it is, and is not among them; else not among them.
void RadixTree::list(i32 node) {
    Place& p = places_[node];
    if (policy_ != Write::back) return;
    if (p.gone || !p.copied || p.loading > 0) return unlist(node);
    if (p.listed) return;
    p.listed = true;
    p.before = last_both_;
    p.after = -1;
    (last_both_ >= 0 ? places_[last_both_].after : first_both_) = node;
    last_both_ = node;
}

void RadixTree::unlist(i32 node) {
    Place& p = places_[node];
    if (!p.listed) return;
    (p.before >= 0 ? places_[p.before].after : first_both_) = p.after;
    (p.after >= 0 ? places_[p.after].before : last_both_) = p.before;
    p.listed = false;
}

} // namespace tokenroof::simulate
