// SGLang's prefix cache: a tree of token sequences, pages of which its nodes hold.
// [sglang/srt/mem_cache/radix_cache.py, evict_policy.py]
//
// A node's tokens are a stretch of some request's, at the same positions: nothing is copied. Who is not used
// by anyone and has no children stands in a heap, the first to be evicted on top.
//
// Where a head over the target's states drafts, keys are pairs of a token and the next: places in the tree are one
// fewer than tokens, and equal if the tokens are up to the one after.
#pragma once
#include <utility>
#include <vector>

#include "simulate/content.hpp"

namespace tokenroof::simulate {

enum class Evict : int { lru = 0, mru = 1, fifo = 2, filo = 3, lfu = 4, slru = 5 };
// When the host gets a copy: at the first or the second hit, or when the device gives a node up.
enum class Write : int { through = 0, selective = 1, back = 2 };

class RadixTree {
  public:
    RadixTree(const Requests& all, i64 page, Evict order, bool pairs = false);

    // Places that so many tokens take, in whole pages.
    i64 places(i64 tokens) const { return floor(tokens > ahead_ ? tokens - ahead_ : 0); }

    // The node in which the longest cached prefix of so many tokens of a request ends, and its length; nodes
    // on the way are touched, and cut where it ends inside of one.
    i32 match(i32 request, i64 tokens, i64& length);
    // So many tokens of a request are cached from now on, cut at its prompt's end; how many of them were on the
    // device already, and the node in which they end. Those up to `counted` are no new hit.
    i32 insert(i32 request, i64 tokens, i64 prompt, i64 counted, i64& before);
    // How long the longest cached prefix is; nothing is touched.
    i64 cached(i32 request, i64 tokens) const;
    void lock(i32 node);
    void unlock(i32 node);
    // Gives up at least so many tokens, or all that can be; how many it were.
    i64 evict(i64 tokens);

    // As if nothing had ever been there.
    void clear();

    i64 evictable() const { return evictable_; }
    i64 locked() const { return locked_; }
    // Tokens between here and the first node upwards that somebody uses.
    i64 unused_path(i32 node) const;
    i64 nodes() const { return nodes_; }

    // radix_host.cpp: memory of the host for so many tokens; what the device gives up may be found there.
    void use_host(i64 tokens, Write policy);
    bool tiered() const { return tiered_; }
    i64 host_free() const { return host_free_; }
    i64 host_evicted() const { return host_evicted_; }
    // From where a match ends up to the node that the device still has; `hosted`: tokens that the host alone has.
    i32 resident(i32 node, i64& hosted) const;
    // What the host alone has of a locked path is on the device from now on, by this load; and that came.
    void load(i32 node, i64 number);
    void finish_load(i32 node, i64 number);
    // Nodes to be copied to the host since it was asked last, locked until they are; their tokens.
    i64 take_writes(std::vector<i32>& to);
    bool writes() const { return !writes_.empty(); }
    // Tokens of each node that was given up since, once it had been copied.
    std::vector<i64>& written_back() { return written_back_; }

    static constexpr i32 root = 0;

  private:
    struct Node {
        Pieces at; // of its first token
        i64 start = 0, length = 0, used = 0, born = 0, hits = 0;
        u64 key = 0; // of its first page, among its siblings
        i32 parent = -1, locks = 0, children = 0, heap = -1;
    };
    struct Slot {
        u64 key = 0;
        i32 parent = -1, node = -1; // none: empty
    };
    // Where a node's tokens are, with a host tier.
    struct Place {
        bool gone = false, copied = false; // not on the device; on the host
        bool listed = false;               // among those that may be in both, in the order in which they came to be
        i32 there = 0;                     // children that are on the device
        i32 before = -1, after = -1;       // in that list
        i64 loading = 0;                   // the load that reads its copy, where such copies may be given up
    };

    i32 child(i32 parent, u64 key) const;
    std::size_t home(i32 parent, u64 key) const {
        return static_cast<std::size_t>(mix(key, static_cast<u64>(parent))) & mask_;
    }
    std::size_t slot_of(i32 parent, u64 key) const;
    void put(i32 parent, u64 key, i32 node);
    void drop(i32 parent, u64 key);
    void widen();
    i32 fresh();
    i32 cut(i32 node, i64 length);
    void touch(i32 node, i64 stamp);
    i32 walk(i32 request, i64 tokens, Pieces& at, i64& length, i64 counted, bool inserting);
    std::pair<i64, i64> rank(const Node& n) const;
    bool earlier(i32 a, i32 b) const { return rank(nodes_of_[a]) < rank(nodes_of_[b]); }
    void stand(i32 node); // in the heap, if it may be evicted
    void leave(i32 node);
    void up(std::vector<i32>& heap, std::size_t at);
    void down(std::vector<i32>& heap, std::size_t at);
    void remove(i32 node);

    // radix_host.cpp
    bool gone(i32 node) const { return tiered() && places_[node].gone; }
    std::vector<i32>& heap_of(i32 node) { return gone(node) ? host_heap_ : heap_; }
    bool has_children_there(i32 node) const {
        return tiered() && !places_[node].gone ? places_[node].there > 0 : nodes_of_[node].children > 0;
    }
    bool counts_hits() const { return !tiered() || policy_ != Write::back; }
    bool wants_copy(i32 node) const {
        return tiered() && counts_hits() && !places_[node].copied && nodes_of_[node].hits > static_cast<i64>(policy_);
    }
    void bring(i32 node, i64 length);
    void split_place(i32 above, i32 below);
    void give_up(i32 node);
    void copy_path(i32 node);
    bool has_room_on_host(i64 tokens);
    i64 evict_host(i64 tokens);
    i64 reclaim(i64 tokens);
    void list(i32 node);
    void unlist(i32 node);
    i64 floor(i64 tokens) const { return tokens - tokens % page_; }
    // The first token that tells places from this one on apart, and the key of the page there.
    i64 token_at(i64 place) const { return place > 0 ? place + ahead_ : 0; }
    u64 key_at(const Pieces& at, i64 place) const {
        return fold(all_, at, token_at(place), place + ahead_ + page_);
    }
    // Up to which place, of these, two requests have the same.
    i64 same_until(Pieces& a, Pieces& b, i64 place, i64 limit) const {
        return floor(agree(all_, a, b, place + ahead_, limit + ahead_) - ahead_);
    }

    const Requests& all_;
    bool tiered_ = false;
    i64 page_, ahead_, evictable_ = 0, locked_ = 0, stamp_ = 0, born_ = 0, nodes_ = 0;
    Evict order_;
    std::vector<Node> nodes_of_;
    std::vector<i32> spare_, heap_;
    std::vector<Slot> table_;
    std::size_t mask_ = 0, taken_ = 0;

    // of the host
    std::vector<Place> places_; // of each node; none without a tier
    std::vector<i32> host_heap_, writes_, chain_;
    std::vector<i64> written_back_;
    i64 host_free_ = 0, host_evicted_ = 0, write_tokens_ = 0, on_device_ = 0;
    i32 first_both_ = -1, last_both_ = -1;
    Write policy_ = Write::through;
};

} // namespace tokenroof::simulate
