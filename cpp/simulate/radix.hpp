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

class RadixTree {
  public:
    RadixTree(const Requests& all, i64 page, Evict order, bool pairs = false);

    // Places that so many tokens take, in whole pages.
    i64 places(i64 tokens) const { return floor(tokens > ahead_ ? tokens - ahead_ : 0); }

    // The node in which the longest cached prefix of so many tokens of a request ends, and its length; nodes
    // on the way are touched, and cut where it ends inside of one.
    i32 match(i32 request, i64 tokens, i64& length);
    // So many tokens of a request are cached from now on, cut at its prompt's end; how many of them were
    // already, and the node in which they end. Those up to `counted` are no new hit.
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
    void up(std::size_t at);
    void down(std::size_t at);
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
    i64 page_, ahead_, evictable_ = 0, locked_ = 0, stamp_ = 0, born_ = 0, nodes_ = 0;
    Evict order_;
    std::vector<Node> nodes_of_;
    std::vector<i32> spare_, heap_;
    std::vector<Slot> table_;
    std::size_t mask_ = 0, taken_ = 0;
};

} // namespace tokenroof::simulate
