// Who waits for SGLang: in the order of arrival, or by (priority, outputs declared), then by arrival.
// [sglang/srt/managers/schedule_policy.py]
#pragma once
#include <algorithm>
#include <tuple>
#include <vector>

#include "simulate/records.hpp"

namespace tokenroof::simulate {

class SglangQueue {
  public:
    explicit SglangQueue(bool sorted) : sorted_(sorted), ring_(64) {}

    i64 size() const { return size_; }
    bool empty() const { return size_ == 0; }
    i32 head() const { return ring_[sorted_ ? 0 : first_].request; }

    // At the end of its equals, whoever was there before.
    void add(i32 request, i64 priority, i64 declared) {
        if (size_ == static_cast<i64>(ring_.size())) grow();
        const Place place{priority, -declared, ++added_, request};
        if (sorted_) {
            ring_[size_++] = place;
            std::push_heap(ring_.begin(), ring_.begin() + size_, later);
        } else {
            ring_[(first_ + size_++) & (ring_.size() - 1)] = place;
        }
    }

    void drop_head() {
        if (sorted_)
            std::pop_heap(ring_.begin(), ring_.begin() + size_, later);
        else
            first_ = (first_ + 1) & (ring_.size() - 1);
        --size_;
    }

    // Takes one out of the middle; those that came first stand near the head.
    void remove(i32 request) {
        const std::size_t mask = ring_.size() - 1;
        if (sorted_) {
            i64 at = 0;
            while (ring_[at].request != request) ++at;
            ring_[at] = ring_[--size_];
            std::make_heap(ring_.begin(), ring_.begin() + size_, later);
            return;
        }
        std::size_t at = 0;
        while (ring_[(first_ + at) & mask].request != request) ++at;
        for (; at > 0; --at) ring_[(first_ + at) & mask] = ring_[(first_ + at - 1) & mask];
        drop_head();
    }

    // Those with the least keys first, of equals who stood in front; keys by place. Not of a sorted queue.
    void sort_by(const std::vector<i64>& keys) {
        scratch_.clear();
        for (i64 i = 0; i < size_; ++i) {
            scratch_.push_back(ring_[(first_ + i) & (ring_.size() - 1)]);
            scratch_.back().priority = keys[i];
            scratch_.back().number = i;
        }
        std::sort(scratch_.begin(), scratch_.end(),
                  [](const Place& a, const Place& b) { return later(b, a); });
        for (i64 i = 0; i < size_; ++i) ring_[(first_ + i) & (ring_.size() - 1)] = scratch_[i];
    }

    // The first of them, in order.
    void first(i64 count, std::vector<i32>& to) {
        to.clear();
        count = std::min(count, size_);
        if (sorted_) {
            scratch_.assign(ring_.begin(), ring_.begin() + size_);
            std::partial_sort(scratch_.begin(), scratch_.begin() + count, scratch_.end(),
                              [](const Place& a, const Place& b) { return later(b, a); });
            for (i64 i = 0; i < count; ++i) to.push_back(scratch_[i].request);
            return;
        }
        for (i64 i = 0; i < count; ++i) to.push_back(ring_[(first_ + i) & (ring_.size() - 1)].request);
    }

    template <class Visit> void each(Visit visit) const {
        for (i64 i = 0; i < size_; ++i)
            visit(ring_[sorted_ ? i : ((first_ + i) & (ring_.size() - 1))].request);
    }

  private:
    struct Place {
        i64 priority, declared, number;
        i32 request;
    };
    static bool later(const Place& a, const Place& b) {
        return std::tie(a.priority, a.declared, a.number) > std::tie(b.priority, b.declared, b.number);
    }
    void grow() {
        std::vector<Place> wider(2 * ring_.size());
        for (i64 i = 0; i < size_; ++i) wider[i] = ring_[sorted_ ? i : ((first_ + i) & (ring_.size() - 1))];
        ring_.swap(wider);
        first_ = 0;
    }

    bool sorted_;
    std::vector<Place> ring_, scratch_;
    std::size_t first_ = 0;
    i64 size_ = 0, added_ = 0;
};

} // namespace tokenroof::simulate
