// When requests arrive: at their own times, or after the ends of others.
#include "simulate/arrivals.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

namespace tokenroof::simulate {

Arrivals::Arrivals(const Requests& all, i64* arrival_ns) : all_(all), arrival_ns_(arrival_ns) {
    const i64 n = all.count;
    const auto starts = [&](i64 r) { return !all.after || all.after[r] < 0; };
    bool sorted = !all.after;
    for (i64 r = 1; sorted && r < n; ++r) sorted = all.arrival_ns[r - 1] <= all.arrival_ns[r];
    if (!sorted) {
        for (i64 r = 0; r < n; ++r)
            if (starts(r)) order_.push_back(static_cast<i32>(r));
        std::stable_sort(order_.begin(), order_.end(),
                         [&](i32 a, i32 b) { return all.arrival_ns[a] < all.arrival_ns[b]; });
    }
    own_ = order_.empty() && !all.after ? static_cast<std::size_t>(n) : order_.size();
    if (all.after) read_parents();
    look();
}

void Arrivals::look() {
    own_ns_ = at_ < own_ ? all_.arrival_ns[order_.empty() ? static_cast<i32>(at_) : order_[at_]] : never;
}

// For each request those that wait for its end.
void Arrivals::read_parents() {
    const i64 n = all_.count;
    child_offset_.assign(n + 1, 0);
    pending_.assign(n, 0);
    const auto edges = [&](auto visit) {
        for (i64 r = 0; r < n; ++r) {
            if (all_.after[r] < 0) continue;
            visit(all_.after[r], r);
            if (!all_.also_after) continue;
            for (i64 k = all_.also_offset[r]; k < all_.also_offset[r + 1]; ++k) visit(all_.also_after[k], r);
        }
    };
    edges([&](i64 parent, i64 child) { ++child_offset_[parent + 1], ++pending_[child]; });
    std::partial_sum(child_offset_.begin(), child_offset_.end(), child_offset_.begin());
    children_.resize(child_offset_[n]);
    std::vector<i32> at(child_offset_.begin(), child_offset_.end() - 1);
    edges([&](i64 parent, i64 child) { children_[at[parent]++] = static_cast<i32>(child); });
}

i32 Arrivals::take() {
    if (at_ < own_) {
        const i32 request = order_.empty() ? static_cast<i32>(at_) : order_[at_];
        const Later mine{all_.arrival_ns[request], request};
        if (later_.empty() || later_.front() > mine) {
            ++at_;
            look();
            arrival_ns_[request] = mine.at;
            return request;
        }
    }
    std::pop_heap(later_.begin(), later_.end(), std::greater<>{});
    const Later taken = later_.back();
    later_.pop_back();
    arrival_ns_[taken.request] = taken.at;
    return taken.request;
}

void Arrivals::release(i32 parent, i64 at) {
    for (i32 k = child_offset_[parent]; k < child_offset_[parent + 1]; ++k) {
        const i32 child = children_[k];
        if (--pending_[child] > 0) continue;
        later_.push_back({at + (all_.think_ns ? all_.think_ns[child] : 0), child});
        std::push_heap(later_.begin(), later_.end(), std::greater<>{});
    }
}

} // namespace tokenroof::simulate
