// When requests arrive: at their own times, or after the ends of others.
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "simulate/records.hpp"

namespace tokenroof::simulate {

class Arrivals {
  public:
    Arrivals(const Requests& all, i64* arrival_ns);

    i64 next_ns() const { return later_.empty() ? own_ns_ : std::min(own_ns_, later_.front().at); }
    i32 take();
    // Whoever waited for this one's end alone arrives after its own pause.
    void release(i32 parent, i64 at);
    bool chained() const { return all_.after != nullptr; }

  private:
    struct Later {
        i64 at;
        i32 request;
        bool operator>(const Later& other) const {
            return std::pair{at, request} > std::pair{other.at, other.request};
        }
    };

    void read_parents();
    void look();

    const Requests& all_;
    i64* arrival_ns_;
    std::vector<i32> order_; // by arrival, where the caller's is another
    std::size_t at_ = 0, own_ = 0; // of those that wait for nobody
    i64 own_ns_ = never;           // when the next of them comes
    std::vector<i32> child_offset_, children_, pending_; // whom an end lets go on, and for how many they wait
    std::vector<Later> later_;                           // a heap: arrivals that an end brought
};

} // namespace tokenroof::simulate
