// Requests whose clients gave up, and a queue that is full.
// [sglang/srt/managers/scheduler.py: abort_request, _abort_on_queued_limit]
#include <algorithm>

#include "simulate/sglang.hpp"

namespace tokenroof::simulate {

// Who waits is taken out at once. Who holds memory is told so when the loop turns, and leaves with the next step that
// brings it a token.
void Sglang::drop(i32 request) {
    if (role_ == Role::prompts) return drop_prompt(request);
    if (role_ == Role::answers && drop_aside(request)) return;
    const i32 slot = slot_of(request);
    if (slot < 0) {
        waiting_.remove(request);
        return left_early(request); // if it was to leave, and had been retracted
    }
    const Sequence& s = sequences_[slot];
    const i64 given = s.runs || s.frozen ? sampled_of(s) : out_.output_tokens[request];
    (batches_ > 0 && !processed_ ? dropped_ : leaving_).push_back({request, given});
}

// A prompt that was begun is computed to its end, and free when the loop turns after it; one that was computed is when
// it turns next, whatever of it is on its way.
void Sglang::drop_prompt(i32 request) {
    for (Aside& one : kept_)
        if (one.request == request) {
            one.there = true;
            return;
        }
    if (slot_of(request) >= 0) return;
    bool waits = false;
    waiting_.each([&](i32 other) { waits = waits || other == request; });
    if (waits)
        waiting_.remove(request);
    else if (std::erase(ready_, request) == 0)
        --booting_;
}

// Of answers, who does not run: without memory, with memory that a cache comes to (until the loop looks at those), with
// a cache that is there, or with one that is in the host's memory.
bool Sglang::drop_aside(i32 request) {
    const auto own = [&](const Aside& one) { return one.request == request; };
    const auto wanted = std::find(expected_.begin() + static_cast<std::ptrdiff_t>(first_expected_), expected_.end(), request);
    if (wanted != expected_.end()) {
        expected_.erase(wanted);
        return true;
    }
    if (std::any_of(coming_.begin(), coming_.end(), own)) return true;
    if (const auto at = std::find_if(arrived_.begin(), arrived_.end(), own); at != arrived_.end()) {
        abandon(at->slot);
        arrived_.erase(at);
        return true;
    }
    return std::erase(retracted_, request) > 0;
}

void Sglang::turn_dropped() {
    leaving_.insert(leaving_.end(), dropped_.begin(), dropped_.end());
    dropped_.clear();
}

i32 Sglang::slot_of(i32 request) const {
    for (std::size_t i = 0; i < sequences_.size(); ++i)
        if (sequences_[i].request == request && !sequences_[i].ended) return static_cast<i32>(i);
    return -1;
}

bool Sglang::leaves(i32 request) const {
    return std::any_of(leaving_.begin(), leaving_.end(), [&](const Dropped& one) { return one.request == request; });
}

// It is gone: its client has what it had when it gave up.
void Sglang::left_early(i32 request) {
    for (std::vector<Dropped>* which : {&leaving_, &dropped_})
        for (const Dropped& one : *which)
            if (one.request == request) out_.output_tokens[request] = static_cast<i32>(one.given);
    const auto own = [&](const Dropped& one) { return one.request == request; };
    std::erase_if(leaving_, own);
    std::erase_if(dropped_, own);
}

// Of those that run, who leaves with this tick: with it no end of its own.
void Sglang::leave_with(const Batch& batch) {
    for (const Dropped& one : leaving_) {
        const i32 slot = slot_of(one.request);
        if (slot < 0) continue;
        const Sequence& s = sequences_[slot];
        if (!s.runs || s.joined > batch.tick || (s.wanted > s.outputs && end_tick(s) == batch.tick)) continue;
        if (s.wanted > s.outputs) unlist(wheel_, &Sequence::wheel_next, slot, end_tick(s));
        scratch_.push_back(slot);
    }
}

// Who was retracted waits again, if the queue takes it.
void Sglang::wait_again(i32 request) {
    if (role_ == Role::answers) return retracted_.push_back(request);
    if (waiting_.size() + 1 > config_.max_queued_requests) {
        const i32 other = gives_way_to(request), gone = other < 0 ? request : other;
        if (other >= 0) waiting_.remove(other);
        if (awaited(gone)) {
            out_.status[gone] = shed;
            out_.last_token_ns[gone] = now_;
            aborted_.push_back(gone);
        } else {
            left_early(gone);
        }
        if (gone == request) return;
    }
    deliver(request);
}

// The least urgent of those that wait, of equals who came into the queue last; if it is less urgent.
i32 Sglang::gives_way_to(i32 request) const {
    if (!config_.priorities || !all_.priority) return -1;
    const i64 sign = config_.low_first ? 1 : -1;
    i32 last = -1;
    waiting_.each([&](i32 other) {
        const auto rank = [&](i32 r) { return std::pair{sign * all_.priority[r], entered_[r]}; };
        if (last < 0 || rank(other) > rank(last)) last = other;
    });
    return last >= 0 && sign * all_.priority[request] < sign * all_.priority[last] ? last : -1;
}

} // namespace tokenroof::simulate
