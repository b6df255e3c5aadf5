// The most blocks that any order of eviction can find again, of requests that are looked up one after the other.
//
// A block that stays from one use to the next takes a place for that while, and is one hit. Of all such stays the
// most that fit: taken in order of time, whichever would end last gives way [Belady, IBM Systems Journal 5, 1966;
// Carlisle and Lloyd, Discrete Applied Mathematics 59, 1995: at most k intervals at once]. A block's next use is
// never before that of the blocks ahead of it in its prompt, so that what is found are beginnings of prompts.
#pragma once
#include <queue>
#include <unordered_map>
#include <vector>

#include "python/stop_flag.hpp"
#include "simulate/blocks.hpp"

namespace tokenroof::simulate {

class BestHits {
  public:
    BestHits(const Requests& all, i64 block, i64 places) : all_(all), block_(block), places_(places) {}

    // Blocks of each request that are found, into `hits`; false where it was stopped.
    bool run(const StopFlag& stop, i64* hits) {
        if (!read(stop)) return false;
        std::vector<i64> next(uses_.size(), never);
        std::vector<i64> later(static_cast<std::size_t>(names_), never);
        for (auto at = static_cast<i64>(uses_.size()) - 1; at >= 0; --at) {
            if ((at & 0xffff) == 0 && stop) return false;
            const Use& use = uses_[at];
            next[at] = later[use.name];
            later[use.name] = use.counts ? at : never; // who writes it again has no need of it
        }
        std::vector<char> stays(uses_.size(), 0); // whether the block is there when it is used
        std::priority_queue<i64> ends;
        i64 taken = 0;
        for (i64 at = 0; at < static_cast<i64>(uses_.size()); ++at) {
            if ((at & 0xffff) == 0 && stop) return false;
            if (stays[at]) {
                --taken;
                ++hits[uses_[at].request];
            }
            if (next[at] == never) continue;
            ends.push(next[at]);
            stays[next[at]] = 1;
            if (++taken <= places_) continue;
            stays[ends.top()] = 0; // ends that have passed are below all that are still to come
            ends.pop();
            --taken;
        }
        return true;
    }

  private:
    struct Use {
        i32 name, request;
        bool counts;
    };

    // Blocks in the order of their use, equal ones by one name.
    bool read(const StopFlag& stop) {
        std::unordered_map<u64, i32> name_of;
        Chain chain;
        const i64 width = all_.block_hashes ? all_.hash_block / block_ : 1;
        for (i64 r = 0; r < all_.count; ++r) {
            if (stop) return false;
            const i64 input = all_.input_tokens[r];
            const i64 asked = (input - 1) / block_; // the last token is always computed
            const i64 whole = all_.runs ? (input + all_.output_tokens[r] - 1) / block_ : input / block_;
            chain.start();
            for (i64 i = 0; i < whole; ++i) {
                if ((i & 0xffff) == 0xffff && stop) return false;
                const Key key = chain.key(all_, r, i, block_, width);
                const auto [found, fresh] =
                    name_of.try_emplace(mix(key.unit, static_cast<u64>(key.part)), names_);
                names_ += fresh;
                uses_.push_back({found->second, static_cast<i32>(r), i < asked});
            }
        }
        return true;
    }

    const Requests& all_;
    i64 block_, places_;
    i32 names_ = 0;
    std::vector<Use> uses_;
};

} // namespace tokenroof::simulate
