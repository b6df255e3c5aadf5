// Blocks of KV memory: the free list, references, and the table of hashes, in vLLM's own order.
#pragma once
#include <algorithm>
#include <bit>
#include <vector>

#include "simulate/records.hpp"

namespace tokenroof::simulate {

// Two words into one, all bits of each in all bits of it: the high and the low half of a product.
inline u64 mix(u64 a, u64 b) {
    __extension__ using wide = unsigned __int128;
    const wide product = static_cast<wide>(a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xd6e8feb86659fd93u);
    u64 x = static_cast<u64>(product) ^ static_cast<u64>(product >> 64);
    x = (x ^ (x >> 32)) * 0xe7037ed1a0b428dbu;
    return x ^ (x >> 29);
}

// Where a block's hash is found: its unit, which of the unit's blocks it is, and how many more of the unit
// follow it, itself among them.
struct Key {
    u64 unit;
    i32 part;
    i64 span;
};

inline void prefetch(const void* at) {
#if defined(__GNUC__)
    __builtin_prefetch(at, 1);
#else
    static_cast<void>(at);
#endif
}

// Block 0 is the null block, which is never used. The free list is a ring of blocks in their order: whoever takes
// some reads ahead in it. One that is taken from its middle leaves a 0. The table finds *units* of several blocks, as
// a trace hashes them: a look-up, a hash for all of a unit, whose blocks come and go one by one all the same. Those
// that are taken leave their heads behind: a head counts while its block says that it stands there.
class BlockPool {
  public:
    void reset(i64 num_blocks, bool all_to_the_tail, i64 unit_blocks) {
        all_to_the_tail_ = all_to_the_tail;
        width_ = static_cast<std::size_t>(unit_blocks);
        blocks_.assign(static_cast<std::size_t>(num_blocks), Block{});
        ring_.assign(std::bit_ceil(static_cast<u64>(2 * num_blocks)), 0);
        head_ = tail_ = 0;
        for (i32 b = 1; b < static_cast<i32>(num_blocks); ++b) put(tail_++, b);
        free_ = num_blocks - 1;
        distinct_ = 0;
        twins_.clear();
        units_.assign(1, Unit{}); // unit 0 is none
        heads_.assign(width_, 0);
        spare_.clear();
        last_ = 0;
        resize_table(1024);
    }

    i64 free() const { return free_; }
    i64 distinct() const { return distinct_; }
    bool unreferenced(i32 b) const { return blocks_[b].references == 0; }

    // Blocks from the head of the free list, which lose their hash.
    void pop(i64 count, std::vector<i32>& to) {
        const std::size_t had = to.size();
        to.resize(had + static_cast<std::size_t>(count));
        i32* out = to.data() + had;
        const i32* ring = ring_.data();
        Block* blocks = blocks_.data();
        const u64 mask = ring_.size() - 1;
        u64 head = head_;
        i32 unit = 0, gone = 0; // parts of a unit that are given up one after the other
        free_ -= count;
        while (count > 0) {
            const i32 b = ring[head & mask];
            prefetch(blocks + ring[(head++ + reach) & mask]);
            if (b == 0) continue;
            --count;
            *out++ = b;
            Block& block = blocks[b];
            block.references = 1;
            const i32 own = block.unit;
            if (own == 0) continue;
            if (own != unit) {
                const i32 of = own & unit_of;
                if (of != unit) {
                    give_up(unit, gone);
                    unit = of;
                    gone = 0;
                }
                if (own < 0 && leave_twins(b)) --gone;
            }
            ++gone;
            block.unit = 0;
        }
        head_ = head;
        give_up(unit, gone);
    }

    // One reference more to a block that was hit; the free list loses it if there was none.
    void touch(i32 b) {
        if (blocks_[b].references++ > 0) return;
        ring_[blocks_[b].at] = 0;
        --free_;
    }

    // One reference less to each, the last first. [vllm/v1/core/block_pool.py: free_blocks]
    void release(const std::vector<i32>& list) {
        if (tail_ - head_ + list.size() > ring_.size()) close_gaps();
        i32* ring = ring_.data();
        Block* blocks = blocks_.data();
        const u64 mask = ring_.size() - 1;
        u64 head = head_, tail = tail_;
        i64 free = free_;
        for (std::size_t left = list.size(); left > 0; --left) {
            const i32 b = list[left - 1];
            prefetch(blocks + list[left > reach ? left - 1 - reach : 0]);
            Block& block = blocks[b];
            if (--block.references > 0) continue;
            ++free;
            const u64 at = (all_to_the_tail_ || block.unit ? tail++ : --head) & mask;
            block.at = static_cast<std::uint32_t>(at);
            ring[at] = b;
        }
        head_ = head;
        tail_ = tail;
        free_ = free;
    }

    // Full blocks get their hash, parts of one unit one after the other; of those with equal hashes the one
    // entered first is found.
    void enter(const i32* list, const Key& key, i64 count) {
        const i32 unit = unit_for(key.unit);
        i32* heads = heads_.data() + unit * width_ + key.part;
        Block* blocks = blocks_.data();
        i64 fresh = count;
        for (i64 i = 0; i < count; ++i) {
            const i32 b = list[i], first = heads[i], part = key.part + static_cast<i32>(i);
            const bool others = stands(first, unit, part);
            blocks[b].unit = unit;
            blocks[b].part = part;
            if (!others) {
                heads[i] = b;
                continue;
            }
            join_twins(first, b);
            --fresh;
        }
        units_[unit].parts += static_cast<i32>(fresh);
        distinct_ += fresh;
    }

    // Blocks with these hashes, up to the first that is not there; whether all were.
    bool find(const Key& key, i64 count, std::vector<i32>& to) {
        if (units_[last_].hash != key.unit || units_[last_].parts == 0)
            last_ = table_[slot_of(key.unit)].unit;
        if (last_ == 0) return false;
        const i32* head = heads_.data() + last_ * width_ + key.part;
        for (i64 i = 0; i < count; ++i) {
            if (!stands(head[i], last_, key.part + static_cast<i32>(i))) return false;
            to.push_back(head[i]);
        }
        return true;
    }

  private:
    static constexpr std::size_t reach = 16; // blocks that are fetched ahead
    static constexpr i32 unit_of = 0x7fffffff, others_too = ~unit_of; // bits of a block's unit
    struct alignas(16) Block {
        std::uint32_t at = 0; // in the ring, of one that is free
        i32 references = 0;
        i32 unit = 0, part = 0; // unit 0: it has no hash; with `others_too` where others may have the same
    };
    // Of blocks that have the same hash, in a circle in the order in which they were entered.
    struct Twins {
        i32 next = 0, previous = 0;
    };
    struct Unit {
        u64 hash = 0;
        i32 parts = 0; // of them there
    };
    struct Slot {
        std::uint32_t tag = 0; // the hash's lower half, its place among it
        i32 unit = 0;
    };

    std::size_t place(u64 turn) const { return turn & (ring_.size() - 1); }
    void put(u64 turn, i32 b) {
        ring_[place(turn)] = b;
        blocks_[b].at = static_cast<std::uint32_t>(place(turn));
    }

    // The ring is full of what was taken from its middle: of as many places again as there are blocks.
    void close_gaps() {
        u64 to = head_;
        for (u64 from = head_; from != tail_; ++from)
            if (const i32 b = ring_[place(from)]) put(to++, b);
        tail_ = to;
    }

    // Whether a head is that of a block which is there.
    bool stands(i32 head, i32 unit, i32 part) const {
        return head != 0 && (blocks_[head].unit & unit_of) == unit && blocks_[head].part == part;
    }

    i32 unit_for(u64 hash) {
        if (units_[last_].hash == hash && units_[last_].parts > 0) return last_;
        const std::size_t slot = slot_of(hash);
        last_ = table_[slot].unit;
        if (last_) return last_;
        if (spare_.empty()) {
            spare_.push_back(static_cast<i32>(units_.size()));
            units_.push_back({});
            heads_.resize(units_.size() * width_, 0);
        }
        last_ = spare_.back();
        spare_.pop_back();
        std::fill_n(heads_.data() + last_ * width_, width_, 0); // of whom it had before
        units_[last_].hash = hash;
        table_[slot] = {static_cast<std::uint32_t>(hash), last_};
        if (2 * ++used_ > table_.size()) resize_table(2 * table_.size());
        return last_;
    }

    void resize_table(std::size_t size) {
        std::vector<Slot> old(size);
        old.swap(table_);
        mask_ = size - 1;
        used_ = 0;
        for (const Slot& s : old) {
            if (!s.unit) continue;
            table_[slot_of(units_[s.unit].hash)] = s;
            ++used_;
        }
    }

    std::size_t slot_of(u64 hash) const {
        const auto tag = static_cast<std::uint32_t>(hash);
        std::size_t slot = tag & mask_;
        while (table_[slot].unit != 0 && (table_[slot].tag != tag || units_[table_[slot].unit].hash != hash))
            slot = (slot + 1) & mask_;
        return slot;
    }

    void join_twins(i32 first, i32 b) {
        if (twins_.empty()) twins_.resize(blocks_.size());
        if (blocks_[first].unit > 0) twins_[first] = {first, first};
        const i32 tail = twins_[first].previous;
        twins_[b] = {first, tail};
        twins_[tail].next = twins_[first].previous = b;
        blocks_[first].unit |= others_too;
        blocks_[b].unit |= others_too;
    }

    // Whether others have the same hash, which is found at one of them then.
    bool leave_twins(i32 b) {
        const Twins own = twins_[b];
        if (own.next == b) return false;
        const Block& block = blocks_[b];
        i32& head = heads_[static_cast<std::size_t>(block.unit & unit_of) * width_ + static_cast<std::size_t>(block.part)];
        if (head == b) head = own.next;
        twins_[own.previous].next = own.next;
        twins_[own.next].previous = own.previous;
        return true;
    }

    // So many parts of a unit are found no more.
    void give_up(i32 unit, i32 parts) {
        if (parts == 0) return;
        distinct_ -= parts;
        if ((units_[unit].parts -= parts) > 0) return;
        empty_slot(slot_of(units_[unit].hash));
        spare_.push_back(unit);
    }

    // Linear probing: what stands behind moves up, so that no search ends early.
    void empty_slot(std::size_t hole) {
        for (std::size_t at = (hole + 1) & mask_; table_[at].unit != 0; at = (at + 1) & mask_) {
            const std::size_t home = table_[at].tag & mask_;
            if (((at - home) & mask_) >= ((at - hole) & mask_)) {
                table_[hole] = table_[at];
                hole = at;
            }
        }
        table_[hole] = {};
        --used_;
    }

    std::vector<Block> blocks_;
    std::vector<i32> ring_; // of blocks that are free; a power of two
    u64 head_ = 0, tail_ = 0; // turns of the ring, whose last bits are places
    std::vector<Twins> twins_; // by block; empty until there are some
    std::vector<Unit> units_;
    std::vector<i32> heads_; // the first entered of each part of each unit
    std::vector<i32> spare_;
    std::vector<Slot> table_;
    std::size_t mask_ = 0, width_ = 1, used_ = 0;
    i64 free_ = 0, distinct_ = 0;
    i32 last_ = 0; // unit that was asked for last
    bool all_to_the_tail_ = false;
};

// Hashes of a request's blocks, in order: equal where the ids and all before them are equal.
class Chain {
  public:
    void start() {
        hashes_.clear();
        segment_ = offset_ = 0;
    }

    // Block i's key; outputs are known as far as they are asked for. A unit has `width` blocks.
    Key key(const Requests& all, i64 request, i64 i, i64 block, i64 width) {
        if (all.runs) return {upto(all, request, i + 1, block), 0, 1};
        const i64 unit = i / width;
        const auto part = static_cast<i32>(i - unit * width);
        if (all.block_hashes) { // as far as the prompt goes; the last hash may be left out
            const i64 hashes = all.content_offset[request + 1] - all.content_offset[request];
            const i64 whole = std::min(all.input_tokens[request] / block, hashes * width);
            if (i < whole)
                return {upto(all, request, unit + 1, block), part, std::min(width - part, whole - i)};
        }
        // ids that no other request has
        return {mix(mix(0x6a09e667f3bcc909u, static_cast<u64>(request)), static_cast<u64>(unit)) | 1, part,
                width - part};
    }

  private:
    u64 upto(const Requests& all, i64 request, i64 n, i64 block) {
        while (static_cast<i64>(hashes_.size()) < n) {
            const u64 before = hashes_.empty() ? 0x2545f4914f6cdd1du : hashes_.back();
            const auto i = static_cast<i64>(hashes_.size());
            const u64 content = all.runs
                                    ? of_runs(all, request, block)
                                    : static_cast<u64>(all.block_hashes[all.content_offset[request] + i]);
            hashes_.push_back(mix(before, content) | 1); // 0 is no hash
        }
        return hashes_[static_cast<std::size_t>(n - 1)];
    }

    // Ids of the next block as their longest runs, however the caller cut them.
    u64 of_runs(const Requests& all, i64 request, i64 block) {
        const i64 first = all.content_offset[request], last = all.content_offset[request + 1];
        u64 content = 0;
        i64 start = 0, length = 0;
        for (i64 left = block; left > 0;) {
            const bool prompt = first + segment_ < last;
            const i64* run = all.runs + 2 * (first + segment_);
            const i64 id = (prompt ? run[0] : all.output_id[request]) + offset_;
            const i64 rest = prompt ? run[1] - offset_ : left;
            const i64 taken = rest < left ? rest : left;
            if (length > 0 && id == start + length) {
                length += taken;
            } else if (taken > 0) {
                if (length > 0)
                    content = mix(mix(content, static_cast<u64>(start)), static_cast<u64>(length));
                start = id;
                length = taken;
            }
            left -= taken;
            offset_ += taken;
            if (prompt && offset_ == run[1]) ++segment_, offset_ = 0;
        }
        return mix(mix(content, static_cast<u64>(start)), static_cast<u64>(length));
    }

    std::vector<u64> hashes_;
    i64 segment_ = 0, offset_ = 0;
};

} // namespace tokenroof::simulate
