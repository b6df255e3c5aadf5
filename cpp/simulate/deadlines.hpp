// When clients give up: a request that is not answered so long after it arrived, or not scheduled.
#pragma once
#include <vector>

#include "simulate/records.hpp"

namespace tokenroof::simulate {

// All wait equally long, so that who came first gives up first.
class Deadlines {
  public:
    Deadlines(const Results& out, i64 patience_ns, bool until_scheduled)
        : out_(out), patience_ns_(patience_ns), until_scheduled_(until_scheduled) {}

    void add(i32 request) {
        if (patience_ns_ != never) queue_.push_back(request);
    }
    // When the next one does, of those that still wait; never where nobody does.
    i64 next_ns() {
        while (first_ < queue_.size() && settled(queue_[first_])) ++first_;
        if (first_ < queue_.size()) return out_.arrival_ns[queue_[first_]] + patience_ns_;
        queue_.clear();
        first_ = 0;
        return never;
    }
    i32 take() { return queue_[first_++]; }

  private:
    bool settled(i32 request) const {
        return out_.status[request] != waiting_for_arrival ||
               (until_scheduled_ && out_.scheduled_ns[request] >= 0);
    }

    const Results& out_;
    i64 patience_ns_;
    bool until_scheduled_;
    std::vector<i32> queue_;
    std::size_t first_ = 0;
};

} // namespace tokenroof::simulate
