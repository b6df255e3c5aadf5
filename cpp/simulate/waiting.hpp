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
    // Whether one is served before another.
    bool before(i32 a, i32 b) const { return rank(a) < rank(b); }
    // Of their prompts.
    i64 tokens() const { return tokens_; }

    Waiting(const Requests& all, const i64* arrival_ns, bool priority)
        : all_(all), arrival_ns_(arrival_ns), priority_(priority), ring_(64) {}

    i64 size() const { return size_; }
    bool empty() const { return size_ == 0; }
    i32 head() const { return ring_[priority_ ? 0 : first_]; }

    void add(i32 request) {
        grow();
        tokens_ += all_.input_tokens[request];
        if (priority_) return push(request);
        ring_[(first_ + size_++) & (ring_.size() - 1)] = request;
    }

    void add_preempted(i32 request) {
        grow();
        tokens_ += all_.input_tokens[request];
        if (priority_) return push(request);
        first_ = (first_ - 1) & (ring_.size() - 1);
        ring_[first_] = request;
        ++size_;
    }

    void drop_head() {
        tokens_ -= all_.input_tokens[head()];
        --size_;
        if (priority_) {
            pop();
            purge();
        } else {
            first_ = (first_ + 1) & (ring_.size() - 1);
        }
    }

    // Takes one out of the middle, for good: preempted ones, and those that came first, stand near the head.
    // By priority it stays until it gets to the head.
    void remove(i32 request) {
        if (request == head()) return drop_head();
        if (priority_) {
            gone_.resize(static_cast<std::size_t>(all_.count));
            gone_[request] = true;
            tokens_ -= all_.input_tokens[request];
            --size_;
            return;
        }
        const std::size_t mask = ring_.size() - 1;
        std::size_t at = 0;
        while (ring_[(first_ + at) & mask] != request) ++at;
        for (; at > 0; --at) ring_[(first_ + at) & mask] = ring_[(first_ + at - 1) & mask];
        ring_[first_] = request;
        drop_head();
    }

    template <class Visit> void each(Visit visit) const {
        for (i64 i = 0; i < (priority_ ? filled_ : size_); ++i) {
            const i32 request = ring_[priority_ ? i : ((first_ + i) & (ring_.size() - 1))];
            if (gone_.empty() || !gone_[request]) visit(request);
        }
    }

  private:
    void push(i32 request) {
        ++size_;
        ring_[filled_++] = request;
        std::push_heap(ring_.begin(), ring_.begin() + filled_, later());
    }
    void pop() {
        std::pop_heap(ring_.begin(), ring_.begin() + filled_, later());
        --filled_;
    }
    void purge() {
        while (filled_ > size_ && gone_[ring_[0]]) pop();
    }
    void grow() {
        const i64 held = priority_ ? filled_ : size_;
        if (held < static_cast<i64>(ring_.size())) return;
        std::vector<i32> wider(2 * ring_.size());
        for (i64 i = 0; i < held; ++i) wider[i] = ring_[priority_ ? i : ((first_ + i) & (ring_.size() - 1))];
        ring_.swap(wider);
        first_ = 0;
    }

    const Requests& all_;
    const i64* arrival_ns_;
    bool priority_;
    std::vector<i32> ring_;
    std::size_t first_ = 0;
    i64 size_ = 0, tokens_ = 0;
    i64 filled_ = 0;         // of the heap, with those that were taken out
    std::vector<bool> gone_; // by request, where any was
};

} // namespace tokenroof::simulate
