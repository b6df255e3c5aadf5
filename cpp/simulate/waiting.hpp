// Who waits: first come first served with preempted ones in front, or by (priority, arrival, number).
#pragma once
#include <algorithm>
#include <tuple>
#include <vector>

#include "simulate/records.hpp"

namespace tokenroof::simulate {

class Waiting {
    std::tuple<i64, i64, i32> rank(i32 r) const {
        return {all_.priority ? all_.priority[r] : 0, arrival_ns_[r], r};
    }
    auto later() const {
        return [this](i32 a, i32 b) { return rank(a) > rank(b); };
    }

  public:
    Waiting(const Requests& all, const i64* arrival_ns, bool priority)
        : all_(all), arrival_ns_(arrival_ns), priority_(priority), ring_(64) {}

    i64 size() const { return size_; }
    bool empty() const { return size_ == 0; }
    i32 head() const { return ring_[priority_ ? 0 : first_]; }

    void add(i32 request) {
        grow();
        if (priority_) return push(request);
        ring_[(first_ + size_++) & (ring_.size() - 1)] = request;
    }

    void add_preempted(i32 request) {
        grow();
        if (priority_) return push(request);
        first_ = (first_ - 1) & (ring_.size() - 1);
        ring_[first_] = request;
        ++size_;
    }

    void drop_head() {
        if (priority_) {
            std::pop_heap(ring_.begin(), ring_.begin() + size_, later());
        } else {
            first_ = (first_ + 1) & (ring_.size() - 1);
        }
        --size_;
    }

    // Takes one out of the middle: preempted ones stand near the head.
    void remove(i32 request) {
        if (priority_) {
            *std::find(ring_.begin(), ring_.begin() + size_, request) = ring_[size_ - 1];
            --size_;
            std::make_heap(ring_.begin(), ring_.begin() + size_, later());
            return;
        }
        const std::size_t mask = ring_.size() - 1;
        std::size_t at = 0;
        while (ring_[(first_ + at) & mask] != request) ++at;
        for (; at > 0; --at) ring_[(first_ + at) & mask] = ring_[(first_ + at - 1) & mask];
        drop_head();
    }

    template <class Visit> void each(Visit visit) const {
        for (i64 i = 0; i < size_; ++i) visit(ring_[priority_ ? i : ((first_ + i) & (ring_.size() - 1))]);
    }

  private:
    void push(i32 request) {
        ring_[size_++] = request;
        std::push_heap(ring_.begin(), ring_.begin() + size_, later());
    }
    void grow() {
        if (size_ < static_cast<i64>(ring_.size())) return;
        std::vector<i32> wider(2 * ring_.size());
        for (i64 i = 0; i < size_; ++i) wider[i] = ring_[priority_ ? i : ((first_ + i) & (ring_.size() - 1))];
        ring_.swap(wider);
        first_ = 0;
    }

    const Requests& all_;
    const i64* arrival_ns_;
    bool priority_;
    std::vector<i32> ring_;
    std::size_t first_ = 0;
    i64 size_ = 0;
};

} // namespace tokenroof::simulate
