// The loop: calls of the scheduler, and steps without an event, one after the other.
#include "simulate/replica.hpp"

namespace tokenroof::simulate {

// Calls the scheduler until as many batches are in flight as the loop holds, or nothing can be scheduled:
// then the loop waits for the batch in flight, whoever arrives meanwhile. Where none is, a call that only preempted is
// followed by another.
void Replica::schedule(i64 now) {
    if (batches_ > 0 && !processed_) return;
    processed_ = false;
    do {
        if (batches_ == 0) noticed_ns_ = now, ++turn_;
        loads_now_ = false;
        while (batches_ < depth() && (call(now) || (batches_ == 0 && preempted_in_call_))) {}
    } while (loads_now_ && batches_ == 0);
}

bool Replica::call(i64 now) {
    if (!decide(now, false)) return false;
    if (config_.stages > 1) {
        commit_stages(now);
        return true;
    }
    const i64 start = std::max({now, last_end_, flush_ns_});
    commit(start, start + take_time());
    return true;
}

// A batch goes through the stages one after the other, each as long as the others, behind the batch before it.
void Replica::commit_stages(i64 now) {
    const i64 each = blocks_for(take_time(), config_.stages), start = std::max(now, stage_end_[0]);
    i64 end = start;
    for (i64& last : stage_end_) last = end = std::max(end, last) + each;
    commit(start, end);
    totals_.busy_ns += each - (end - start); // of one stage
}

// Steps that nothing but time tells apart: all get a token, nobody waits, starts or ends, until `until`.
void Replica::coast(i64 until) {
    if (!counted_ || steady_ == 0 || !waiting_.empty() || !prefilling_.empty() || !dropped_.empty() ||
        !received_.empty() ||
        (record_ && record_->rows_wanted))
        return;
    const int depth = this->depth();
    const i64 left = std::min(config_.max_num_scheduled_tokens, config_.max_num_batched_tokens);
    if (batches_ < depth || steady_ > left) return;
    const std::size_t mask = wheel_.size() - 1;
    Batch& oldest = queue_[0];
    Batch& newest = queue_[depth - 1];
    load_ = Load{};
    meter_.open();
    load_.tokens = load_.generating = steady_;
    i64 steps = 0;
    for (; steps < most_coasting && oldest.end_ns < until; ++steps) {
        need_ = class_count_[class_of(0, tick_)];
        const bool eventful =
            !oldest.entries.empty() || wheel_[oldest.tick & mask] >= 0 || wheel_[tick_ & mask] >= 0;
        if (eventful || !oldest.counted || !newest.counted || need_ > free_blocks()) break;
        if (tracking_) { // an asynchronous loop enters hashes of those alone that need a block
            if (need_ > 0 || !config_.asynchronous) allocate_counted();
        } else {
            free_ -= need_;
            if (extents_) list_.pop(need_);
        }
        contexts_ += steady_;
        load_.context = contexts_;
        const i64 duration = take_time();
        totals_.busy_ns += duration;
        oldest.end_ns = newest.end_ns; // of a loop that holds two batches; else the same one
        oldest.tick = newest.tick;
        oldest.number = newest.number;
        if (depth == 2) std::swap(oldest.entries, newest.entries);
        newest.end_ns = last_end_ += duration;
        newest.tick = tick_++;
        newest.number = ++batch_number_;
        totals_.least_free = std::min(totals_.least_free, free_blocks());
    }
    executed_ += steps;
    totals_.steps += steps;
    totals_.counted_steps += steps;
    totals_.tokens += steps * steady_;
    totals_.end_ns = last_end_;
    if (steps > 0) fruitless_ = 0;
}

} // namespace tokenroof::simulate
