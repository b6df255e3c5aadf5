// KV memory of the host: blocks that were computed are copied there, and what is found there is loaded back.
//
// vLLM's own offloading: whatever fills a block is stored, the least recently used that nothing reads or writes is
// evicted, a block is found once its copy is over. [vllm/v1/kv_offload/cpu/manager.py, policies/lru.py;
// distributed/kv_transfer/kv_connector/v1/offloading/scheduler.py]
#pragma once
#include <algorithm>
#include <unordered_map>
#include <vector>

#include "simulate/blocks.hpp"
#include "simulate/records.hpp"

namespace tokenroof::simulate {

// What a host's replicas load and store over: in each direction one transfer after the other, in the order in which
// they were asked for.
struct HostLink {
    i64 bytes_per_s = 0; // 0: no time at all
    i64 load_free = 0, store_free = 0;

    // When a transfer is over that may begin at `from`; `free` is when the direction is.
    i64 transfer(i64 from, i64 bytes, i64& free, i64& busy) const {
        const i64 took = duration(bytes);
        busy += took;
        return free = std::max(from, free) + took;
    }

  private:
    i64 duration(i64 bytes) const {
        if (bytes_per_s == 0) return 0;
        __extension__ using wide = unsigned __int128;
        const wide most = static_cast<wide>(bytes) * 1'000'000'000u + static_cast<wide>(bytes_per_s - 1);
        return static_cast<i64>(most / static_cast<wide>(bytes_per_s));
    }
};

struct HostRules {
    i64 blocks = 0, block_bytes = 0; // of each replica's tier; 0: there is none
};

class HostTier {
  public:
    void reset(i64 blocks) { most_ = blocks; }
    bool empty() const { return most_ == 0; }

    static u64 key(const Key& k, i64 ahead) { return mix(k.unit, static_cast<u64>(k.part + ahead)); }

    // A block that can be read; -1 where it is not there, or its copy not over.
    i32 find(u64 key, i64 now) const {
        const auto at = numbers_.find(key);
        return at == numbers_.end() || blocks_[at->second].ready_ns > now ? -1 : at->second;
    }
    bool is_read(i32 block) const { return blocks_[block].readers > 0; }
    void hold(i32 block) { ++blocks_[block].readers; }
    void let_go(i32 block) { --blocks_[block].readers; }
    void ready(i32 block, i64 at) { blocks_[block].ready_ns = at; }

    // All that is there of these becomes the latest used, the last of them first.
    void touch(const std::vector<u64>& keys, std::size_t count) {
        for (std::size_t i = count; i-- > 0;) {
            const auto at = numbers_.find(keys[i]);
            if (at != numbers_.end()) unlink(at->second), link(at->second);
        }
    }

    // Room for those of keys[from, until) that are not there, their copies under way; false where too few can be
    // evicted: then nothing is.
    bool store(const std::vector<u64>& keys, std::size_t from, std::size_t until, i64 now, std::vector<i32>& to) {
        fresh_.clear();
        ++asked_;
        for (std::size_t i = from; i < until; ++i)
            if (const auto at = numbers_.find(keys[i]); at == numbers_.end())
                fresh_.push_back(keys[i]);
            else
                blocks_[at->second].asked = asked_;
        const i64 more = static_cast<i64>(fresh_.size()) - (most_ - static_cast<i64>(numbers_.size()));
        if (more > 0 && !evict(more, now)) return false;
        for (const u64 key : fresh_) {
            if (spare_.empty()) {
                spare_.push_back(static_cast<i32>(blocks_.size()));
                blocks_.push_back({});
            }
            const i32 b = spare_.back();
            spare_.pop_back();
            blocks_[b].key = key;
            blocks_[b].readers = 0;
            blocks_[b].ready_ns = never;
            numbers_.emplace(key, b);
            link(b);
            to.push_back(b);
        }
        return true;
    }
    i64 evicted() const { return evicted_; }

  private:
    struct Block {
        u64 key = 0;
        i32 next = -1, previous = -1, readers = 0;
        i64 ready_ns = 0, asked = 0;
    };

    // What was asked for stays.
    bool evict(i64 count, i64 now) {
        victims_.clear();
        for (i32 b = oldest_; b >= 0 && static_cast<i64>(victims_.size()) < count; b = blocks_[b].next)
            if (blocks_[b].readers == 0 && blocks_[b].ready_ns <= now && blocks_[b].asked != asked_)
                victims_.push_back(b);
        if (static_cast<i64>(victims_.size()) < count) return false;
        for (const i32 b : victims_) {
            unlink(b);
            numbers_.erase(blocks_[b].key);
            spare_.push_back(b);
        }
        evicted_ += count;
        return true;
    }
    void link(i32 b) {
        blocks_[b].previous = newest_;
        blocks_[b].next = -1;
        (newest_ >= 0 ? blocks_[newest_].next : oldest_) = b;
        newest_ = b;
    }
    void unlink(i32 b) {
        const Block& block = blocks_[b];
        (block.previous >= 0 ? blocks_[block.previous].next : oldest_) = block.next;
        (block.next >= 0 ? blocks_[block.next].previous : newest_) = block.previous;
    }

    std::vector<Block> blocks_;
    std::unordered_map<u64, i32> numbers_;
    std::vector<i32> spare_, victims_;
    std::vector<u64> fresh_;
    i32 oldest_ = -1, newest_ = -1;
    i64 most_ = 0, evicted_ = 0, asked_ = 0;
};

} // namespace tokenroof::simulate
