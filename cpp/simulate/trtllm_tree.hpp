// Blocks of KV memory as TensorRT-LLM keeps them: a tree of what they hold, and the free ones in the order in
// which they were given back. [cpp/tensorrt_llm/batch_manager/kvCacheManager.cpp, evictionPolicy.cpp]
#pragma once
#include <vector>

#include "simulate/content.hpp"
#include "simulate/records.hpp"

namespace tokenroof::simulate {

// Numbers by a hash, with linear probing. Hash 0 is none.
class NumberTable {
  public:
    void reset() {
        slots_.assign(1024, Slot{});
        used_ = 0;
    }
    // The place of a hash's number; -1 where there is none.
    i32 find(u64 hash) const {
        for (std::size_t at = hash & (slots_.size() - 1); slots_[at].hash; at = (at + 1) & (slots_.size() - 1))
            if (slots_[at].hash == hash) return slots_[at].number;
        return -1;
    }
    void put(u64 hash, i32 number);
    void erase(u64 hash);

  private:
    struct Slot {
        u64 hash = 0;
        i32 number = -1;
    };
    std::size_t place(u64 hash) const {
        std::size_t at = hash & (slots_.size() - 1);
        while (slots_[at].hash && slots_[at].hash != hash) at = (at + 1) & (slots_.size() - 1);
        return at;
    }

    std::vector<Slot> slots_;
    std::size_t used_ = 0;
};

// What of a request's tokens is in the tree.
struct Found {
    i64 whole = 0;      // whole blocks, in `blocks`
    i64 referenced = 0; // of those that may be taken, that a running request holds
    u64 next = 0;       // hash of the first whole block that is not there; 0: all are
    i32 partial = -1;   // a block that begins as the rest does
    i64 part = 0;       // for so many tokens
};

// A node has a serial number of its own, by which its children are found: what follows a node that was evicted
// is never found again, whoever holds it.
class ReuseTree {
  public:
    ReuseTree(const Requests& all, i64 tokens_per_block) : all_(all), size_(tokens_per_block) {}
    void reset(i64 blocks);

    i64 free() const { return free_; }
    i64 stored() const { return stored_; }
    u64 version() const { return version_; } // of what the tree holds, and who holds it

    // Blocks of the first `tokens`; a part of the next within `limit`, if `partly`: of any block, or of a leaf
    // that nobody holds if not `copying`.
    Found find(i32 request, i64 tokens, i64 limit, bool partly, bool copying, std::vector<i32>& blocks) const;
    // Blocks that were given back first lose what they hold.
    void pop(i64 count, std::vector<i32>& to);
    void touch(i32 block);
    // The last of a list, in which nothing is stored, are the next to be popped, the last one first of them.
    void take_back(i64 count, std::vector<i32>& list);
    // A leaf that nobody holds is taken out of the tree for its beginning.
    void claim(i32 block);
    bool leaf(i32 block) const { return blocks_[block].references == 0 && blocks_[block].children == 0; }
    // One reference less to each, the last first.
    void release(const std::vector<i32>& list);
    // What a request's blocks hold up to a token enters the tree where it is not there.
    void store(i32 request, const std::vector<i32>& list, i64 tokens, bool partly);

  private:
    struct Block {
        i32 next = 0, previous = 0, references = 0, children = 0;
        u64 hash = 0, serial = 0, parent_serial = 0, beginning = 0;
        i32 parent = 0, sibling_next = -1, sibling_previous = -1;
        i32 request = -1; // whose tokens it holds
        i64 tokens = 0;
    };

    void insert(i32 block, i32 parent, u64 parent_serial, u64 hash, u64 beginning, i32 request, i64 tokens);
    void forget(i32 block);
    void unlink(i32 block);

    const Requests& all_;
    i64 size_;
    std::vector<Block> blocks_; // 0: both ends of the free list
    NumberTable whole_;         // by parent and all tokens
    NumberTable beginnings_;    // by parent and first token: the last child that was stored
    i64 free_ = 0, stored_ = 0;
    u64 serial_ = 1, version_ = 0;
};

} // namespace tokenroof::simulate
