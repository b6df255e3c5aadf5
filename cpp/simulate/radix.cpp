// The tree of prefixes: walks, cuts, locks, and what is given up first.
#include "simulate/radix.hpp"

namespace tokenroof::simulate {

RadixTree::RadixTree(const Requests& all, i64 page, Evict order, bool pairs)
    : all_(all), page_(page), ahead_(pairs), order_(order) {
    nodes_of_.emplace_back();
    nodes_of_[root].locks = 1;
    table_.assign(256, Slot{});
    mask_ = table_.size() - 1;
}

void RadixTree::clear() {
    nodes_of_.resize(1);
    nodes_of_[root].children = 0;
    spare_.clear();
    heap_.clear();
    std::fill(table_.begin(), table_.end(), Slot{});
    taken_ = 0;
    evictable_ = locked_ = nodes_ = 0;
}

// --- walks ----------------------------------------------------------------------------------------------

// Down the tree along so many tokens of a request, `at` at the first that is not there.
i32 RadixTree::walk(i32 request, i64 tokens, Pieces& at, i64& length, i64 counted, bool inserting) {
    const i64 stamp = ++stamp_;
    i32 node = root;
    at = Pieces(all_, request);
    length = on_device_ = 0;
    while (length < tokens) {
        at.seek(all_, token_at(length));
        i32 next = child(node, key_at(at, length));
        if (next < 0) break;
        touch(next, stamp);
        const Node& found = nodes_of_[next];
        Pieces other = found.at;
        const Pieces before = at; // a page that differs starts before the place where it does
        const i64 limit = std::min(tokens, length + found.length);
        const i64 same = same_until(at, other, length, limit);
        const bool inside = same < length + found.length;
        if (inside) {
            at = before;
            next = cut(next, same - length);
        }
        node = next;
        length = same;
        if (inserting && tiered()) bring(node, length);
        if (inserting && length > counted && counts_hits()) {
            ++nodes_of_[node].hits;
            touch(node, stamp); // its place among those that may go
            if (wants_copy(node)) copy_path(node);
        }
        if (inside) break;
    }
    return node;
}

i32 RadixTree::match(i32 request, i64 tokens, i64& length) {
    Pieces at;
    return walk(request, places(tokens), at, length, 0, false);
}

i64 RadixTree::cached(i32 request, i64 tokens) const {
    tokens = places(tokens);
    Pieces at(all_, request);
    i64 length = 0;
    for (i32 node = root; length < tokens;) {
        at.seek(all_, token_at(length));
        node = child(node, key_at(at, length));
        if (node < 0) break;
        Pieces other = nodes_of_[node].at;
        const i64 end = length + nodes_of_[node].length;
        length = same_until(at, other, length, std::min(tokens, end));
        if (length < end) break;
    }
    return length;
}

i32 RadixTree::insert(i32 request, i64 tokens, i64 prompt, i64 counted, i64& before) {
    tokens = places(tokens);
    prompt = places(prompt);
    Pieces at;
    i32 node = walk(request, tokens, at, before, counted, true);
    if (before < tokens) {
        const i32 leaf = fresh();
        Node& n = nodes_of_[leaf];
        at.seek(all_, token_at(before));
        n.at = at;
        n.start = before;
        n.length = tokens - before;
        n.used = stamp_;
        n.hits = tokens > counted && counts_hits();
        n.key = key_at(at, before);
        n.parent = node;
        leave(node);
        ++nodes_of_[node].children;
        put(node, n.key, leaf);
        evictable_ += n.length;
        if (tiered()) ++places_[node].there;
        stand(leaf);
        node = leaf;
        if (wants_copy(leaf)) copy_path(leaf);
    }
    if (tiered()) before = on_device_;
    if (prompt > 0 && prompt < tokens) {
        i32 holds = node;
        while (nodes_of_[holds].start >= prompt) holds = nodes_of_[holds].parent;
        const Node& n = nodes_of_[holds];
        if (prompt < n.start + n.length) cut(holds, prompt - n.start);
    }
    ++stamp_; // what was cut off on the way is older
    for (i32 n = node; n != root; n = nodes_of_[n].parent) touch(n, stamp_);
    return node;
}

// The first tokens of a node become its parent, which is given back.
i32 RadixTree::cut(i32 node, i64 length) {
    const i32 above = fresh();
    Node& lower = nodes_of_[node];
    Node& upper = nodes_of_[above];
    upper.at = lower.at;
    upper.start = lower.start;
    upper.length = length;
    upper.used = lower.used;
    upper.hits = lower.hits;
    upper.born = lower.born;
    upper.key = lower.key;
    upper.parent = lower.parent;
    upper.locks = lower.locks;
    upper.children = 1;
    table_[slot_of(lower.parent, lower.key)].node = above;
    lower.parent = above;
    lower.start += length;
    lower.length -= length;
    lower.at.seek(all_, token_at(lower.start));
    lower.key = key_at(lower.at, lower.start);
    put(above, lower.key, node);
    if (tiered()) split_place(above, node);
    return above;
}

// --- who is used, and who goes --------------------------------------------------------------------------

void RadixTree::lock(i32 node) {
    for (; node != root; node = nodes_of_[node].parent) {
        Node& n = nodes_of_[node];
        if (n.locks++ > 0) continue;
        leave(node);
        if (gone(node)) continue;
        evictable_ -= n.length;
        locked_ += n.length;
    }
}

void RadixTree::unlock(i32 node) {
    for (; node != root; node = nodes_of_[node].parent) {
        Node& n = nodes_of_[node];
        if (--n.locks > 0) continue;
        stand(node);
        if (gone(node)) continue;
        evictable_ += n.length;
        locked_ -= n.length;
    }
}

i64 RadixTree::unused_path(i32 node) const {
    i64 tokens = 0;
    for (; node != root && nodes_of_[node].locks == 0; node = nodes_of_[node].parent)
        tokens += nodes_of_[node].length;
    return tokens;
}

i64 RadixTree::evict(i64 tokens) {
    i64 given = 0;
    while (given < tokens && !heap_.empty()) {
        const i32 node = heap_[0];
        given += nodes_of_[node].length;
        tiered() ? give_up(node) : remove(node);
    }
    evictable_ -= given;
    return given;
}

void RadixTree::remove(i32 node) {
    leave(node);
    const Node& n = nodes_of_[node];
    const i32 parent = n.parent;
    drop(parent, n.key);
    if (tiered()) {
        Place& p = places_[node];
        places_[parent].there -= !p.gone;
        if (p.copied) host_free_ += n.length;
        unlist(node);
    }
    spare_.push_back(node);
    --nodes_;
    --nodes_of_[parent].children;
    stand(parent);
}

std::pair<i64, i64> RadixTree::rank(const Node& n) const {
    switch (order_) {
    case Evict::mru: return {-n.used, 0};
    case Evict::fifo: return {n.born, 0};
    case Evict::filo: return {-n.born, 0};
    case Evict::lfu: return {n.hits, n.used};
    case Evict::slru: return {n.hits >= 2, n.used};
    default: return {n.used, 0};
    }
}

void RadixTree::touch(i32 node, i64 stamp) {
    Node& n = nodes_of_[node];
    n.used = stamp;
    if (n.heap < 0) return;
    std::vector<i32>& heap = heap_of(node);
    down(heap, static_cast<std::size_t>(n.heap));
    up(heap, static_cast<std::size_t>(n.heap));
}

void RadixTree::stand(i32 node) {
    Node& n = nodes_of_[node];
    if (node == root || n.locks > 0 || n.heap >= 0 || has_children_there(node)) return;
    std::vector<i32>& heap = heap_of(node);
    n.heap = static_cast<i32>(heap.size());
    heap.push_back(node);
    up(heap, heap.size() - 1);
}

void RadixTree::leave(i32 node) {
    Node& n = nodes_of_[node];
    if (n.heap < 0) return;
    const auto at = static_cast<std::size_t>(n.heap);
    std::vector<i32>& heap = heap_of(node);
    n.heap = -1;
    const i32 last = heap.back();
    heap.pop_back();
    if (last == node) return;
    heap[at] = last;
    nodes_of_[last].heap = static_cast<i32>(at);
    down(heap, at);
    up(heap, static_cast<std::size_t>(nodes_of_[last].heap));
}

void RadixTree::up(std::vector<i32>& heap, std::size_t at) {
    const i32 node = heap[at];
    while (at > 0) {
        const std::size_t above = (at - 1) / 2;
        if (!earlier(node, heap[above])) break;
        heap[at] = heap[above];
        nodes_of_[heap[at]].heap = static_cast<i32>(at);
        at = above;
    }
    heap[at] = node;
    nodes_of_[node].heap = static_cast<i32>(at);
}

void RadixTree::down(std::vector<i32>& heap, std::size_t at) {
    const i32 node = heap[at];
    for (;;) {
        std::size_t below = 2 * at + 1;
        if (below >= heap.size()) break;
        if (below + 1 < heap.size() && earlier(heap[below + 1], heap[below])) ++below;
        if (!earlier(heap[below], node)) break;
        heap[at] = heap[below];
        nodes_of_[heap[at]].heap = static_cast<i32>(at);
        at = below;
    }
    heap[at] = node;
    nodes_of_[node].heap = static_cast<i32>(at);
}

// --- nodes, and children by the key of their first page --------------------------------------------------

i32 RadixTree::fresh() {
    if (spare_.empty()) {
        spare_.push_back(static_cast<i32>(nodes_of_.size()));
        nodes_of_.emplace_back();
    }
    const i32 node = spare_.back();
    spare_.pop_back();
    nodes_of_[node] = Node{};
    if (tiered()) {
        places_.resize(nodes_of_.size());
        places_[node] = Place{};
    }
    nodes_of_[node].born = ++born_;
    ++nodes_;
    return node;
}

std::size_t RadixTree::slot_of(i32 parent, u64 key) const {
    std::size_t slot = home(parent, key);
    while (table_[slot].node >= 0 && (table_[slot].key != key || table_[slot].parent != parent))
        slot = (slot + 1) & mask_;
    return slot;
}

i32 RadixTree::child(i32 parent, u64 key) const { return table_[slot_of(parent, key)].node; }

void RadixTree::put(i32 parent, u64 key, i32 node) {
    table_[slot_of(parent, key)] = {key, parent, node};
    if (2 * ++taken_ > table_.size()) widen();
}

void RadixTree::widen() {
    std::vector<Slot> old(2 * table_.size());
    old.swap(table_);
    mask_ = table_.size() - 1;
    for (const Slot& s : old)
        if (s.node >= 0) table_[slot_of(s.parent, s.key)] = s;
}

// Linear probing: what stands behind moves up, so that no search ends early.
void RadixTree::drop(i32 parent, u64 key) {
    std::size_t hole = slot_of(parent, key);
    for (std::size_t at = (hole + 1) & mask_; table_[at].node >= 0; at = (at + 1) & mask_) {
        const std::size_t own = home(table_[at].parent, table_[at].key);
        if (((at - own) & mask_) >= ((at - hole) & mask_)) {
            table_[hole] = table_[at];
            hole = at;
        }
    }
    table_[hole] = {};
    --taken_;
}

} // namespace tokenroof::simulate
