// The free list where no two requests share a block: lengths of runs in place of blocks.
//
// The only blocks that can be hit then are those that a preempted request left behind. They lie in the list
// in one piece, its last block in front, so that what is left of a piece is a prefix of the request: how long
// it is says all. [vllm/v1/core/block_pool.py; 0.33: blocks without a hash go to the head, 0.19: to the tail]
#pragma once
#include <vector>

#include "simulate/records.hpp"

namespace tokenroof::simulate {

class Extents {
  public:
    void reset(i64 blocks, bool all_to_the_tail) {
        all_to_the_tail_ = all_to_the_tail;
        ring_.assign(64, Extent{});
        first_ = end_ = 0;
        bare_ = all_to_the_tail ? 0 : blocks;
        if (all_to_the_tail) push({blocks, 0, false});
    }

    // Blocks from the head of the list.
    void pop(i64 count) {
        const i64 bare = count < bare_ ? count : bare_;
        bare_ -= bare;
        for (count -= bare; count > 0;) {
            Extent& head = at(first_);
            const i64 taken = count < head.blocks ? count : head.blocks;
            head.blocks -= taken;
            count -= taken;
            if (head.blocks == 0) ++first_;
        }
    }

    // A request's blocks, of which the first `hashed` have a hash; the number of their piece, if it is kept.
    i64 release(i64 blocks, i64 hashed, bool kept) {
        if (!all_to_the_tail_) {
            bare_ += blocks - hashed;
            blocks = hashed;
        }
        if (!kept && end_ > first_ && !at(end_ - 1).kept) {
            at(end_ - 1).blocks += blocks;
            return -1;
        }
        return push({blocks, hashed, kept});
    }

    // Blocks of a piece that still hold what they held.
    i64 left(i64 piece) const {
        if (piece < first_) return 0;
        const Extent& e = ring_[static_cast<std::size_t>(piece) & (ring_.size() - 1)];
        return e.blocks < e.hashed ? e.blocks : e.hashed;
    }

    // A piece is hit.
    void take(i64 piece, i64 count) {
        if (count == 0) return;
        Extent& e = at(piece);
        e.blocks -= count;
        e.hashed = 0;
        while (first_ < end_ && at(first_).blocks == 0) ++first_;
    }

  private:
    struct Extent {
        i64 blocks = 0, hashed = 0;
        bool kept = false;
    };

    Extent& at(i64 piece) { return ring_[static_cast<std::size_t>(piece) & (ring_.size() - 1)]; }

    i64 push(Extent extent) {
        if (end_ - first_ == static_cast<i64>(ring_.size())) {
            std::vector<Extent> wider(2 * ring_.size());
            for (i64 i = first_; i < end_; ++i)
                wider[static_cast<std::size_t>(i) & (wider.size() - 1)] = at(i);
            ring_.swap(wider);
        }
        at(end_) = extent;
        return end_++;
    }

    std::vector<Extent> ring_;
    i64 first_ = 0, end_ = 0, bare_ = 0;
    bool all_to_the_tail_ = false;
};

} // namespace tokenroof::simulate
