// Blocks of KV memory as TensorRT-LLM keeps them.
#include "simulate/trtllm_tree.hpp"

#include <algorithm>

namespace tokenroof::simulate {

constexpr u64 root = 1; // its serial number

void NumberTable::put(u64 hash, i32 number) {
    const std::size_t at = place(hash);
    if (!slots_[at].hash) ++used_;
    slots_[at] = {hash, number};
    if (2 * used_ <= slots_.size()) return;
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    for (const Slot& s : old)
        if (s.hash) slots_[place(s.hash)] = s;
}

// What stands behind moves up, so that no search ends early.
void NumberTable::erase(u64 hash) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t hole = place(hash);
    if (!slots_[hole].hash) return;
    for (std::size_t at = (hole + 1) & mask; slots_[at].hash; at = (at + 1) & mask) {
        const std::size_t home = slots_[at].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            slots_[hole] = slots_[at];
            hole = at;
        }
    }
    slots_[hole] = {};
    --used_;
}

void ReuseTree::reset(i64 blocks) {
    blocks_.assign(static_cast<std::size_t>(blocks + 1), Block{});
    const auto n = static_cast<i32>(blocks + 1);
    for (i32 b = 0; b < n; ++b) {
        blocks_[b].next = b + 1 == n ? 0 : b + 1;
        blocks_[b].previous = b == 0 ? n - 1 : b - 1;
    }
    free_ = blocks;
    stored_ = 0;
    serial_ = root;
    whole_.reset();
    beginnings_.reset();
}

Found ReuseTree::find(i32 request, i64 tokens, i64 limit, bool partly, bool copying,
                      std::vector<i32>& blocks) const {
    Found found;
    blocks.clear();
    u64 parent = root;
    Pieces at(all_, request);
    for (i64 start = 0; start + size_ <= tokens; start += size_) {
        at.seek(all_, start);
        const u64 hash = mix(parent, fold(all_, at, start, start + size_)) | 1;
        const i32 block = whole_.find(hash);
        if (block < 0) {
            found.next = hash;
            break;
        }
        ++found.whole;
        found.referenced += start + size_ <= limit && blocks_[block].references > 0;
        blocks.push_back(block);
        parent = blocks_[block].serial;
        if (start + size_ > limit) break; // whole, but not all of it may be taken
    }
    if (!partly) return found;
    const i64 taken = std::min(found.whole, limit / size_), start = taken * size_;
    const i64 until = std::min(start + size_, limit);
    if (start >= until) return found;
    parent = taken > 0 ? blocks_[blocks[static_cast<std::size_t>(taken - 1)]].serial : root;
    Pieces own(all_, request);
    own.seek(all_, start);
    for (i32 b = beginnings_.find(mix(parent, own.base()) | 1); b >= 0; b = blocks_[b].sibling_next) {
        if (!copying && !leaf(b)) continue;
        Pieces mine = own, theirs(all_, blocks_[b].request);
        theirs.seek(all_, start);
        const i64 same = agree(all_, mine, theirs, start, std::min(until, start + blocks_[b].tokens)) - start;
        if (same > found.part || (same == found.part && same > 0 && blocks_[b].serial < blocks_[found.partial].serial))
            found.part = same, found.partial = b;
    }
    return found;
}

void ReuseTree::pop(i64 count, std::vector<i32>& to) {
    for (; count > 0; --count) {
        const i32 b = blocks_[0].next;
        unlink(b);
        if (blocks_[b].hash) forget(b);
        blocks_[b].references = 1;
        to.push_back(b);
    }
    ++version_;
}

void ReuseTree::touch(i32 b) {
    if (blocks_[b].references++ == 0) unlink(b);
    ++version_;
}

void ReuseTree::claim(i32 b) {
    forget(b);
    touch(b);
}

void ReuseTree::release(const std::vector<i32>& list) {
    for (std::size_t left = list.size(); left > 0; --left) {
        const i32 b = list[left - 1];
        if (--blocks_[b].references > 0) continue;
        const i32 tail = blocks_[0].previous;
        blocks_[tail].next = blocks_[0].previous = b;
        blocks_[b].previous = tail;
        blocks_[b].next = 0;
        ++free_;
    }
    ++version_;
}

void ReuseTree::take_back(i64 count, std::vector<i32>& list) {
    for (; count > 0; --count) {
        const i32 b = list.back();
        list.pop_back();
        if (blocks_[b].hash) forget(b);
        blocks_[b].references = 0;
        const i32 first = blocks_[0].next;
        blocks_[first].previous = blocks_[0].next = b;
        blocks_[b].next = first;
        blocks_[b].previous = 0;
        ++free_;
        ++version_;
    }
}

void ReuseTree::store(i32 request, const std::vector<i32>& list, i64 tokens, bool partly) {
    i32 parent = 0;
    u64 serial = root;
    bool matching = true;
    Pieces at(all_, request);
    for (std::size_t i = 0; i < list.size(); ++i) {
        const i64 start = static_cast<i64>(i) * size_, until = std::min(start + size_, tokens);
        if (until <= start || (until < start + size_ && !partly)) break;
        at.seek(all_, start);
        const u64 hash = mix(serial, fold(all_, at, start, until)) | 1;
        const i32 there = matching ? whole_.find(hash) : -1;
        i32 block = there;
        if (there < 0) {
            matching = false;
            block = list[i];
            if (blocks_[block].hash) forget(block);
            insert(block, parent, serial, hash, mix(serial, at.base()) | 1, request, until - start);
        }
        parent = block;
        serial = blocks_[block].serial;
    }
}

void ReuseTree::insert(i32 b, i32 parent, u64 parent_serial, u64 hash, u64 beginning, i32 request, i64 tokens) {
    Block& block = blocks_[b];
    block.hash = hash;
    if (block.serial == 0) block.serial = ++serial_;
    block.parent = parent;
    block.parent_serial = parent_serial;
    block.request = request;
    block.tokens = tokens;
    block.beginning = beginning;
    block.sibling_previous = -1;
    block.sibling_next = beginnings_.find(beginning);
    if (block.sibling_next >= 0) blocks_[block.sibling_next].sibling_previous = b;
    beginnings_.put(beginning, b);
    whole_.put(hash, b);
    if (parent > 0) ++blocks_[parent].children;
    ++stored_;
    ++version_;
}

// A block leaves the tree; what follows it keeps its hash, under a number that nothing leads to.
void ReuseTree::forget(i32 b) {
    Block& block = blocks_[b];
    if (whole_.find(block.hash) == b) whole_.erase(block.hash);
    if (block.sibling_next >= 0) blocks_[block.sibling_next].sibling_previous = block.sibling_previous;
    if (block.sibling_previous >= 0)
        blocks_[block.sibling_previous].sibling_next = block.sibling_next;
    else if (block.sibling_next >= 0)
        beginnings_.put(block.beginning, block.sibling_next);
    else
        beginnings_.erase(block.beginning);
    if (block.parent > 0 && blocks_[block.parent].serial == block.parent_serial)
        --blocks_[block.parent].children;
    block.hash = block.serial = 0;
    block.children = 0;
    --stored_;
    ++version_;
}

void ReuseTree::unlink(i32 b) {
    blocks_[blocks_[b].previous].next = blocks_[b].next;
    blocks_[blocks_[b].next].previous = blocks_[b].previous;
    --free_;
}

} // namespace tokenroof::simulate
