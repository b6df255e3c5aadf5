// Requests that are taken out: their client gave up, or another one has their place in the queue.
#include "simulate/replica.hpp"

namespace tokenroof::simulate {

// The loop takes it out when it turns next: a step of an asynchronous one is delivered before.
void Replica::drop_in(i32 request, bool full) {
    if (drop_loading(request)) return;
    if (out_.scheduled_ns[request] < 0) return drop_early(request);
    if (!full) return take_out(request);
    if (counted_ && batches_ < 2) to_exact(); // of a group that has two steps in flight
    dropped_.push_back(request);
    const i32 slot = slot_of(request);
    if (counted_ && sequences_[slot].runs)
        out_.output_tokens[request] = static_cast<i32>(delivered(slot) - sequences_[slot].prompt);
}

void Replica::flush_dropped() {
    for (const i32 request : dropped_) take_out(request);
    dropped_.clear();
}

void Replica::notice(i64 now) {
    noticed_ns_ = now;
    ++turn_;
    flush_dropped();
}

// Who was never scheduled waits, or its cache comes, which ends before its blocks are free, or has come.
void Replica::drop_early(i32 request) {
    const auto own = [&](const auto& p) { return p.first == request; };
    if (std::any_of(coming_.begin(), coming_.end(), own)) return;
    const auto came = std::find_if(received_.begin(), received_.end(),
                                   [&](i32 slot) { return sequences_[slot].request == request; });
    if (came == received_.end()) return waiting_.remove(request);
    abandon(*came);
    received_.erase(came);
}

// Blocks that nobody computed on are free.
void Replica::abandon(i32 slot) {
    give_back(sequences_[slot], false);
    if (tracking_) holdings_[slot].chain.start();
    free_slots_.push_back(slot);
}

// Of a sequence that is played by counters, while two batches are in flight: its tokens that are known.
i64 Replica::delivered(i32 slot) const {
    const Sequence& s = sequences_[slot];
    const i64 oldest = queue_[0].tick;
    if (s.kind == Sequence::steady) return s.start + std::max<i64>(0, oldest - s.joined + 1);
    if (s.kind == Sequence::prefilling) return s.known;
    for (i32 at = wheel_[oldest & (wheel_.size() - 1)]; at >= 0; at = sequences_[at].wheel_next)
        if (at == slot) return s.total - 1;
    return std::max(s.known, s.total - 2);
}

// Of a request that runs or was preempted.
i32 Replica::slot_of(i32 request) const {
    const auto own = [&](const auto& p) { return p.first == request; };
    const auto preempted = std::find_if(preempted_slots_.begin(), preempted_slots_.end(), own);
    if (preempted != preempted_slots_.end()) return preempted->second;
    i32 slot = head_;
    while (sequences_[slot].request != request) slot = sequences_[slot].next;
    return slot;
}

// Its blocks are free, and what is in flight for it is delivered to nobody.
void Replica::take_out(i32 request) {
    if (counted_) to_exact();
    const i32 slot = slot_of(request);
    for (int k = 0; k < batches_; ++k)
        std::erase_if(queue_[k].entries, [&](const Entry& e) { return e.slot == slot; });
    Sequence& s = sequences_[slot];
    if (!s.runs || copied_ns(s) <= noticed_ns_) return leave_for_good(slot);
    unlink(slot); // its blocks are still copied
    s.runs = false;
    leaving_.push_back({copied_ns(s), slot, {}});
}

// The last by (priority, arrival, number) of those that were never scheduled, if it is less urgent; -1 where there is
// none, or priorities do not count.
i32 Replica::gives_way_to(i32 request) const {
    i32 last = -1;
    if (!config_.priority || !all_.priority) return last;
    waiting_.each([&](i32 other) {
        if (out_.scheduled_ns[other] < 0 && (last < 0 || waiting_.before(last, other))) last = other;
    });
    return last >= 0 && all_.priority[last] > all_.priority[request] ? last : -1;
}

} // namespace tokenroof::simulate
