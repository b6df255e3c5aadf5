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

// Block 0 is the null block, which is never used: it serves as both ends of the free list. The table finds
// *units* of several blocks, as a trace hashes them: a look-up, a hash for all of a unit, whose blocks come
// and go one by one all the same.
class BlockPool {
  public:
    void reset(i64 num_blocks, bool all_to_the_tail, i64 unit_blocks) {
        all_to_the_tail_ = all_to_the_tail;
        width_ = static_cast<std::size_t>(unit_blocks);
        blocks_.assign(static_cast<std::size_t>(num_blocks), Block{});
        const auto n = static_cast<i32>(num_blocks);
        for (i32 b = 0; b < n; ++b) {
            blocks_[b].next = b + 1 == n ? 0 : b + 1;
            blocks_[b].previous = b == 0 ? n - 1 : b - 1;
        }
        free_ = num_blocks - 1;
        distinct_ = 0;
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
        const auto size = static_cast<i64>(blocks_.size());
        const std::size_t had = to.size();
        to.resize(had + static_cast<std::size_t>(count));
        i32* out = to.data() + had;
        i32 b = blocks_[0].next, unit = 0, gone = 0; // parts of a unit that are given up one after the other
        i32* heads = heads_.data();
        free_ -= count;
        for (; count > 0; --count) {
            Block& block = blocks_[b];
            // the list runs on by a step in most places: what comes in a while is fetched meanwhile
            const i64 step = block.next - b, ahead = block.next + 8 * step;
            prefetch(&blocks_[ahead > 0 && ahead < size ? ahead : 0]);
            if (block.unit) {
                if (block.unit != unit) {
                    give_up(unit, gone);
                    unit = block.unit;
                    gone = 0;
                    heads = heads_.data() + unit * width_;
                }
                if (block.twin_next == b)
                    heads[block.part] = 0, ++gone;
                else
                    leave_twins(b, heads[block.part]);
                block.unit = 0;
            }
            block.references = 1;
            *out++ = b;
            b = block.next;
        }
        give_up(unit, gone);
        blocks_[0].next = b;
        blocks_[b].previous = 0;
    }

    // One reference more to a block that was hit; the free list loses it if there was none.
    void touch(i32 b) {
        if (blocks_[b].references++ == 0) unlink(b);
    }

    // One reference less to each, the last first. [vllm/v1/core/block_pool.py: free_blocks]
    void release(const std::vector<i32>& list) {
        i32 tail = blocks_[0].previous;
        for (std::size_t left = list.size(); left > 0; --left) {
            const i32 b = list[left - 1];
            prefetch(&blocks_[list[left > 16 ? left - 17 : 0]]);
            Block& block = blocks_[b];
            if (--block.references > 0) continue;
            ++free_;
            if (all_to_the_tail_ || block.unit) {
                blocks_[tail].next = b;
                block.previous = tail;
                tail = b;
                continue;
            }
            const i32 next = blocks_[0].next;
            if (next == 0) tail = b; // it was empty
            block.previous = 0;
            block.next = next;
            blocks_[next].previous = blocks_[0].next = b;
        }
        blocks_[tail].next = 0;
        blocks_[0].previous = tail;
    }

    // Full blocks get their hash, parts of one unit one after the other; of those with equal hashes the one
    // entered first is found.
    void enter(const i32* list, const Key& key, i64 count) {
        const i32 unit = unit_for(key.unit);
        i32* heads = heads_.data() + unit * width_ + key.part;
        i32 fresh = 0;
        for (i64 i = 0; i < count; ++i) {
            const i32 b = list[i];
            Block& block = blocks_[b];
            block.unit = unit;
            block.part = key.part + static_cast<i32>(i);
            i32& head = heads[i];
            if (head == 0) {
                head = block.twin_next = block.twin_previous = b;
                ++fresh;
                continue;
            }
            const i32 tail = blocks_[head].twin_previous;
            blocks_[tail].twin_next = blocks_[head].twin_previous = b;
            block.twin_previous = tail;
            block.twin_next = head;
        }
        units_[unit].parts += fresh;
        distinct_ += fresh;
    }

    // Blocks with these hashes, up to the first that is not there; whether all were.
    bool find(const Key& key, i64 count, std::vector<i32>& to) {
        if (units_[last_].hash != key.unit || units_[last_].parts == 0)
            last_ = table_[slot_of(key.unit)].unit;
        if (last_ == 0) return false;
        const i32* head = heads_.data() + last_ * width_ + key.part;
        for (i64 i = 0; i < count; ++i) {
            if (head[i] == 0) return false;
            to.push_back(head[i]);
        }
        return true;
    }

  private:
    struct alignas(32) Block { // two of a cache line
        i32 next = 0, previous = 0, references = 0, unit = 0, part = 0, twin_next = 0, twin_previous = 0;
    };
    struct Unit {
        u64 hash = 0;
        i32 parts = 0; // of them there
    };
    struct Slot {
        std::uint32_t tag = 0; // the hash's lower half, its place among it
        i32 unit = 0;
    };

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

    void unlink(i32 b) {
        blocks_[blocks_[b].previous].next = blocks_[b].next;
        blocks_[blocks_[b].next].previous = blocks_[b].previous;
        --free_;
    }

    // Others have the same hash.
    void leave_twins(i32 b, i32& head) {
        const Block& block = blocks_[b];
        if (head == b) head = block.twin_next;
        blocks_[block.twin_previous].twin_next = block.twin_next;
        blocks_[block.twin_next].twin_previous = block.twin_previous;
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
