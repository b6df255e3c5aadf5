// What caches cross on their way from pool to pool.
#include "simulate/link.hpp"

#include <algorithm>
#include <cmath>

namespace tokenroof::simulate {

void Link::start(i64 now, i32 request, int from, int to, double bytes) {
    coming_.push_back({now + plan_.hop_ns, {request, from, to, bytes, 0.0, never}});
}

void Link::advance(i64 now, std::vector<i32>& through) {
    if (next_ns() > now) return;
    const auto passed = static_cast<double>(now - last_);
    last_ = now;
    std::size_t kept = 0;
    for (Flow& one : flows_) {
        if (one.end_ns <= now) {
            through.push_back(one.request);
            continue;
        }
        one.left = std::max(0.0, one.left - one.rate * passed);
        flows_[kept++] = one;
    }
    flows_.resize(kept);
    while (first_ < coming_.size() && coming_[first_].at <= now) flows_.push_back(coming_[first_++].flow);
    if (first_ == coming_.size()) {
        coming_.clear();
        first_ = 0;
    }
    share();
}

// Rates from now on, and when each is through at them, to the nearest nanosecond.
void Link::share() {
    room_ = plan_.near;
    room_.insert(room_.end(), plan_.far.begin(), plan_.far.end());
    if (plan_.sharing == Sharing::fair)
        share_fairly();
    else
        share_in_order();
    for (Flow& one : flows_) {
        const double ns = one.rate > 0.0 ? std::floor(one.left / one.rate + 0.5) : 4e18;
        one.end_ns = ns < 4e18 ? last_ + static_cast<i64>(ns) : never;
    }
}

// The end with the least for each of its flows gives them that; what is left goes on to the others.
void Link::share_fairly() {
    const std::size_t senders = plan_.near.size();
    count_.assign(room_.size(), 0);
    known_.assign(flows_.size(), 0);
    for (const Flow& one : flows_) ++count_[one.from], ++count_[senders + one.to];
    for (std::size_t left = flows_.size(); left > 0;) {
        std::size_t tight = room_.size();
        for (std::size_t k = 0; k < room_.size(); ++k)
            if (count_[k] > 0 && (tight == room_.size() || room_[k] / count_[k] < room_[tight] / count_[tight]))
                tight = k;
        const double each = room_[tight] / count_[tight];
        for (std::size_t i = 0; i < flows_.size(); ++i) {
            Flow& one = flows_[i];
            const std::size_t from = one.from, to = senders + one.to;
            if (known_[i] || (from != tight && to != tight)) continue;
            known_[i] = 1;
            one.rate = each;
            --left;
            for (const std::size_t k : {from, to}) room_[k] = std::max(0.0, room_[k] - each), --count_[k];
        }
    }
}

// Each takes all that its two ends have left.
void Link::share_in_order() {
    for (Flow& one : flows_) {
        double& from = room_[one.from];
        double& to = room_[plan_.near.size() + one.to];
        one.rate = std::min(from, to);
        from -= one.rate;
        to -= one.rate;
    }
}

} // namespace tokenroof::simulate
