// What caches cross on their way from pool to pool: each replica has so many bytes a second to itself, in or
// out, and transfers share them.
#pragma once
#include <algorithm>
#include <vector>

#include "simulate/records.hpp"

namespace tokenroof::simulate {

// How transfers in flight share: all alike at each end, what one cannot use going to the others (max-min
// fairness, as the queue pairs of a network card do), or in the order in which they were asked for.
enum class Sharing : int { fair = 0, fifo = 1 };

struct LinkPlan {
    std::vector<double> near, far; // bytes a nanosecond of each replica that sends, that receives
    i64 hop_ns = 0;                // until the first byte
    Sharing sharing = Sharing::fair;
};

class Link {
  public:
    explicit Link(const LinkPlan& plan) : plan_(plan) {}

    void start(i64 now, i32 request, int from, int to, double bytes);
    // When something happens here next.
    i64 next_ns() const {
        i64 next = first_ < coming_.size() ? coming_[first_].at : never;
        for (const Flow& one : flows_) next = std::min(next, one.end_ns);
        return next;
    }
    // Lets the time pass up to now; those that are through by then, in the order in which they began.
    void advance(i64 now, std::vector<i32>& through);

  private:
    struct Flow {
        i32 request;
        int from, to;
        double left, rate;
        i64 end_ns;
    };
    struct Coming {
        i64 at;
        Flow flow;
    };

    void share();
    void share_fairly();
    void share_in_order();

    const LinkPlan& plan_;
    std::vector<Flow> flows_;    // in flight, in the order in which they began
    std::vector<Coming> coming_; // before their first byte, from first_ on
    std::size_t first_ = 0;
    i64 last_ = 0;
    std::vector<double> room_; // of each end, those that send first
    std::vector<int> count_;   // of flows at each end whose share is not known yet
    std::vector<char> known_;
};

} // namespace tokenroof::simulate
