// Blocks of KV memory: the free list, references, and the table of hashes, in vLLM's own order.
#pragma once
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

// Block 0 is the null block, which is never used: it serves as both ends of the free list.
class BlockPool {
  public:
    void reset(i64 num_blocks, bool all_to_the_tail) {
        all_to_the_tail_ = all_to_the_tail;
        blocks_.assign(static_cast<std::size_t>(num_blocks), Block{});
        const auto n = static_cast<i32>(num_blocks);
        for (i32 b = 0; b < n; ++b) {
            blocks_[b].next = b + 1 == n ? 0 : b + 1;
            blocks_[b].previous = b == 0 ? n - 1 : b - 1;
        }
        free_ = num_blocks - 1;
        distinct_ = 0;
        table_.assign(std::bit_ceil(static_cast<u64>(2 * num_blocks + 2)), 0);
        mask_ = table_.size() - 1;
    }

    i64 free() const { return free_; }
    i64 distinct() const { return distinct_; }
    bool unreferenced(i32 b) const { return blocks_[b].references == 0; }

    // The head of the free list, which loses its hash.
    i32 pop() {
        const i32 b = blocks_[0].next;
        unlink(b);
        if (blocks_[b].hash) forget(b);
        blocks_[b].references = 1;
        return b;
    }

    // One reference more to a block that was hit; the free list loses it if there was none.
    void touch(i32 b) {
        if (blocks_[b].references++ == 0) unlink(b);
    }

    // One reference less to each, the last first. [vllm/v1/core/block_pool.py: free_blocks]
    void release(const std::vector<i32>& list) {
        for (auto at = list.rbegin(); at != list.rend(); ++at) {
            const i32 b = *at;
            if (--blocks_[b].references > 0) continue;
            if (all_to_the_tail_ || blocks_[b].hash)
                insert_after(blocks_[0].previous, b);
            else
                insert_after(0, b);
        }
    }

    // A full block gets its hash; of those with equal hashes the one entered first is found.
    void enter(i32 b, u64 hash) {
        blocks_[b].hash = hash;
        const std::size_t slot = slot_of(hash);
        const i32 head = table_[slot];
        if (head == 0) {
            table_[slot] = b;
            blocks_[b].twin_next = blocks_[b].twin_previous = b;
            ++distinct_;
            return;
        }
        const i32 tail = blocks_[head].twin_previous;
        blocks_[tail].twin_next = blocks_[head].twin_previous = b;
        blocks_[b].twin_previous = tail;
        blocks_[b].twin_next = head;
    }

    // The block with this hash, or 0.
    i32 find(u64 hash) const { return table_[slot_of(hash)]; }

  private:
    struct Block {
        u64 hash = 0;
        i32 next = 0, previous = 0, references = 0, twin_next = 0, twin_previous = 0;
    };

    std::size_t slot_of(u64 hash) const {
        std::size_t slot = hash & mask_;
        while (table_[slot] != 0 && blocks_[table_[slot]].hash != hash) slot = (slot + 1) & mask_;
        return slot;
    }

    void unlink(i32 b) {
        blocks_[blocks_[b].previous].next = blocks_[b].next;
        blocks_[blocks_[b].next].previous = blocks_[b].previous;
        --free_;
    }

    void insert_after(i32 at, i32 b) {
        const i32 next = blocks_[at].next;
        blocks_[b].previous = at;
        blocks_[b].next = next;
        blocks_[at].next = blocks_[next].previous = b;
        ++free_;
    }

    void forget(i32 b) {
        Block& block = blocks_[b];
        const std::size_t slot = slot_of(block.hash);
        if (block.twin_next != b) { // others have the same hash
            if (table_[slot] == b) table_[slot] = block.twin_next;
            blocks_[block.twin_previous].twin_next = block.twin_next;
            blocks_[block.twin_next].twin_previous = block.twin_previous;
        } else {
            empty_slot(slot);
            --distinct_;
        }
        block.hash = 0;
    }

    // Linear probing: what stands behind moves up, so that no search ends early.
    void empty_slot(std::size_t hole) {
        for (std::size_t at = (hole + 1) & mask_; table_[at] != 0; at = (at + 1) & mask_) {
            const std::size_t home = blocks_[table_[at]].hash & mask_;
            if (((at - home) & mask_) >= ((at - hole) & mask_)) {
                table_[hole] = table_[at];
                hole = at;
            }
        }
        table_[hole] = 0;
    }

    std::vector<Block> blocks_;
    std::vector<i32> table_;
    std::size_t mask_ = 0;
    i64 free_ = 0, distinct_ = 0;
    bool all_to_the_tail_ = false;
};

// Hashes of a request's blocks, in order: equal where the ids and all before them are equal.
class Chain {
  public:
    void start() {
        hashes_.clear();
        segment_ = offset_ = 0;
    }

    // The first n hashes; outputs are known as far as they are asked for.
    const std::vector<u64>& upto(const Requests& all, i64 request, i64 n, i64 block) {
        while (static_cast<i64>(hashes_.size()) < n) {
            const auto i = static_cast<i64>(hashes_.size());
            const u64 before = hashes_.empty() ? 0x2545f4914f6cdd1du : hashes_.back();
            u64 made =
                mix(before, all.runs ? of_runs(all, request, block) : of_index(all, request, i, block));
            hashes_.push_back(made ? made : 1);
        }
        return hashes_;
    }

  private:
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

    // A part of a trace's block, or ids that no other request has.
    static u64 of_index(const Requests& all, i64 request, i64 i, i64 block) {
        if (all.block_hashes && (i + 1) * block <= all.input_tokens[request]) {
            const i64 at = all.content_offset[request] + i * block / all.hash_block;
            if (at < all.content_offset[request + 1]) // the last, not full, may be left out
                return mix(static_cast<u64>(all.block_hashes[at]),
                           static_cast<u64>(i * block % all.hash_block));
        }
        return mix(mix(0x6a09e667f3bcc909u, static_cast<u64>(request)), static_cast<u64>(i));
    }

    std::vector<u64> hashes_;
    i64 segment_ = 0, offset_ = 0;
};

} // namespace tokenroof::simulate
