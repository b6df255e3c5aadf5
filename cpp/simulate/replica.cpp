// What both ways of playing a call share: its opening, blocks, and the outputs.
#include "simulate/replica.hpp"

namespace tokenroof::simulate {

Replica::Replica(const Config& config, const Drafting& drafting, const HostRules& host, const Surroundings& around)
    : config_(config), drafting_(drafting), host_(host), link_(around.link), all_(around.all), out_(around.out), clock_(around.clock),
      record_(around.record), number_(around.number), role_(around.role),
      unit_blocks_(all_.block_hashes ? all_.hash_block / config.block_size : 1),
      tracking_(around.tracking && config.enable_prefix_caching), // of two pools one may cache alone
      extents_(config.enable_prefix_caching && !tracking_ && !config.priority),
      waiting_(all_, out_.arrival_ns, config.priority), free_(config.num_blocks - 1),
      last_prefill_(-config.prefill_schedule_interval) {
    tier_.reset(link_ ? host_.blocks : 0);
    if (tracking_) pool_.reset(config.num_blocks, config.before_0_20, unit_blocks_);
    if (extents_) list_.reset(config.num_blocks - 1, config.before_0_20);
    const auto size = static_cast<std::size_t>(config.block_size);
    class_count_.assign(size, 0);
    class_head_.assign(size, -1);
    class_tail_.assign(size, -1);
    wheel_.assign(std::bit_ceil(static_cast<u64>(around.most_outputs + 4)), -1);
    queue_.resize(static_cast<std::size_t>(std::max(2, depth())));
    stage_end_.assign(static_cast<std::size_t>(config.stages), 0);
    // a group's step is not a rank's alone, nor a batch in a pipeline all that its devices do
    totals_.metered = clock_.metered && !config_.in_group && config.stages == 1;
    if (totals_.metered) meter_.joules = out_.joules;
}

// The input processor's check, and what could never be held where that is asked for.
bool Replica::refuses(i32 request) const {
    const i64 input = all_.input_tokens[request];
    if (input >= config_.max_model_len) return true;
    const i64 most = most_slots(input + all_.output_tokens[request]);
    return config_.refuse_oversized && blocks_for(most, config_.block_size) > config_.num_blocks - 1;
}

// A request that is refused never gets here.
void Replica::deliver(i32 request) {
    out_.replica[request] = number_;
    waiting_.add(request);
    totals_.peak_waiting = std::max(totals_.peak_waiting, waiting());
}

Replica::Budget Replica::opening() const {
    Budget budget{std::min(config_.max_num_scheduled_tokens, config_.max_num_batched_tokens),
                  config_.long_prefill_token_threshold, false};
    const i64 eligible = running_ + waiting();
    if (!config_.before_0_20 && eligible <= 1)
        budget.threshold = 0;
    else if (budget.threshold > 0 && config_.long_prefill_token_threshold_adaptive)
        budget.threshold = std::max(budget.threshold, config_.max_num_batched_tokens / eligible);
    return budget;
}

// One call of vLLM's schedule() [vllm/v1/core/sched/scheduler.py]; whether it scheduled tokens.
bool Replica::decide(i64 now, bool throttle) {
    if (!leaving_.empty()) free_stored();
    preempted_in_call_ = false;
    if ((running_ == 0 && waiting_.empty() && received_.empty() && early_.empty()) || fruitless_ > most_fruitless) return false;
    Budget budget = opening();
    Batch& batch = queue_[batches_];
    batch_ = &batch;
    batch.entries.clear();
    batch.number = ++batch_number_;
    load_ = Load{};
    meter_.open();
    prefill_in_call_ = sampled_in_call_ = false;
    preempted_now_.clear();
    now_ = now;
    choose_path(budget, throttle);
    batch.counted = counted_;
    if (counted_)
        running_counted(budget, batch);
    else
        running_exact(budget, batch);
    const std::size_t ran = batch.entries.size();
    if (!preempted_in_call_) {
        admit(budget);
        if (!budget.defer) capacity_bound_ = waiting() > 0; // those whose caches come among them
    }
    if (!tier_.empty()) store_filled(batch, ran);
    if (counted_ && load_.tokens > 0) end_tick(tick_++);
    if (!counted_) after_exact(batch);
    return carries(now, batch);
}

// Counters where they serve; where they do not for long, they are asked less often.
void Replica::choose_path(Budget& budget, bool throttle) {
    const bool tried = !counted_ && try_counted();
    if (config_.prefill_schedule_interval > 1) {
        bool decoding = steady_ + draining_ > 0;
        if (!counted_)
            for (i32 s = head_; s >= 0; s = sequences_[s].next) decoding = decoding || !sequences_[s].chunk;
        const bool early = config_.in_group ? throttle
                                            : executed_ + 1 - last_prefill_ < config_.prefill_schedule_interval;
        budget.defer = decoding && !capacity_bound_ && early;
    }
    if (!counted_) return;
    if (counted_fits(budget)) {
        if (tried) backoff_ = std::max<i64>(1, backoff_ / 2);
        return;
    }
    to_exact();
    if (tried) backoff_ = std::min<i64>(64, 2 * backoff_);
    patience_ = backoff_;
}

// Whether the call scheduled tokens; who was preempted is noted where it did not.
bool Replica::carries(i64 now, Batch& batch) {
    totals_.preemptions += static_cast<i64>(preempted_now_.size());
    fruitless_ = sampled_in_call_ ? 0 : fruitless_ + static_cast<i64>(preempted_now_.size());
    if (load_.tokens == 0) {
        if (!preempted_now_.empty()) note(now, now, batch);
        return false;
    }
    ++executed_;
    if (prefill_in_call_) last_prefill_ = executed_;
    return true;
}

void Replica::commit(i64 start, i64 end) {
    Batch& batch = *batch_;
    last_end_ = batch.end_ns = end;
    if (!stores_.empty()) send_stores(end);
    batch.tick = tick_ - 1;
    ++batches_;
    ++totals_.steps;
    totals_.counted_steps += batch.counted;
    totals_.tokens += load_.tokens;
    totals_.busy_ns += end - start;
    totals_.end_ns = last_end_;
    totals_.peak_running = std::max(totals_.peak_running, running_);
    totals_.least_free = std::min(totals_.least_free, free_blocks());
    note(now_, start, batch);
}

void Replica::note(i64 now, i64 start, const Batch& batch) {
    if (!record_ || !record_->rows_wanted) return;
    const auto step = static_cast<i64>(record_->rows.size());
    const i64 end = load_.tokens > 0 ? batch.end_ns : start;
    record_->rows.push_back({now, start, end, number_, static_cast<i32>(free_blocks()),
                             static_cast<i32>(running_), static_cast<i32>(waiting()),
                             static_cast<i32>(tracking_ ? pool_.distinct() : 0),
                             static_cast<i32>(load_.tokens), load_.tokens > 0 ? step_j_.all() : 0.0});
    if (record_->entries_wanted)
        for (const Entry& e : batch.entries)
            record_->entries.push_back({step, e.request, e.tokens, e.before});
    for (const i32 request : preempted_now_) record_->preempted.push_back({step, request});
}

// --- blocks ---------------------------------------------------------------------------------------------

void Replica::grow(Sequence& s, i64 count) {
    s.held += static_cast<i32>(count);
    if (!tracking_) {
        free_ -= count;
        if (extents_) list_.pop(count);
        return;
    }
    pool_.pop(count, holding(s).blocks);
}

// Full blocks among the first tokens get their hash.
void Replica::enter(Sequence& s, i64 tokens) {
    const i64 full = tokens / config_.block_size;
    if (s.entered >= full) return;
    if (!tracking_) {
        s.entered = static_cast<i32>(full);
        return;
    }
    Holding& own = holding(s);
    while (s.entered < full) {
        const Key key = own.chain.key(all_, s.request, s.entered, config_.block_size, unit_blocks_);
        const i64 span = std::min(key.span, full - s.entered);
        pool_.enter(own.blocks.data() + s.entered, key, span);
        s.entered += static_cast<i32>(span);
    }
}

// The blocks of a sequence go to the free list; `kept` where it may come back for them.
void Replica::give_back(Sequence& s, bool kept) {
    if (tracking_) {
        std::vector<i32>& blocks = holding(s).blocks;
        pool_.release(blocks);
        blocks.clear();
    } else {
        free_ += s.held;
        if (extents_) s.piece = list_.release(s.held, s.entered, kept);
    }
    s.held = s.entered = 0;
}

// --- the list of what runs, in the order of admission ---------------------------------------------------

void Replica::append(i32 slot) {
    Sequence& s = sequences_[slot];
    s.previous = tail_;
    s.next = -1;
    (tail_ >= 0 ? sequences_[tail_].next : head_) = slot;
    tail_ = slot;
    ++running_;
}

void Replica::unlink(i32 slot) {
    const Sequence& s = sequences_[slot];
    (s.previous >= 0 ? sequences_[s.previous].next : head_) = s.next;
    (s.next >= 0 ? sequences_[s.next].previous : tail_) = s.previous;
    --running_;
}

// --- outputs --------------------------------------------------------------------------------------------

// The oldest batch has run: its tokens are delivered, and whoever ends leaves.
void Replica::process(std::vector<i32>& ended) {
    processed_ = true;
    if (batches_ == 0) return; // a transfer is over
    Batch batch;
    std::swap(batch, queue_[0]);
    --batches_;
    for (int i = 0; i < batches_; ++i) std::swap(queue_[i], queue_[i + 1]);
    noticed_ns_ = batch.end_ns;
    ++turn_;
    if (batch.counted)
        process_counted(batch, ended);
    else
        process_exact(batch, ended);
    flush_dropped();
    std::swap(batch, queue_[batches_]); // its room is used again
}

void Replica::finish(i32 slot, i64 end_ns, std::vector<i32>& ended) {
    Sequence& s = sequences_[slot];
    out_.last_token_ns[s.request] = end_ns;
    out_.status[s.request] = done;
    ended.push_back(s.request);
    if (role_ == Role::prompts && s.runs) { // its blocks are read by another replica
        unlink(slot);
        s.runs = false;
        kept_.emplace_back(s.request, slot);
        return;
    }
    if (s.runs && copied_ns(s) > end_ns) { // its blocks are still copied
        unlink(slot);
        s.runs = false;
        leaving_.push_back({copied_ns(s), slot, {}});
        return;
    }
    leave_for_good(slot);
}

// Whether it runs or was preempted.
void Replica::leave_for_good(i32 slot) {
    Sequence& s = sequences_[slot];
    if (s.runs) {
        give_back(s, false);
        unlink(slot);
        s.runs = false;
    } else {
        waiting_.remove(s.request);
        std::erase_if(preempted_slots_, [&](const auto& p) { return p.first == s.request; });
    }
    if (tracking_) holding(s).chain.start();
    free_slots_.push_back(slot);
}

// Nothing more will happen: what was delivered to those that are left is counted.
void Replica::close(Status status) {
    if (counted_) to_exact();
    for (i32 s = head_; s >= 0; s = sequences_[s].next) {
        if (!awaited(sequences_[s].request)) continue;
        out_.status[sequences_[s].request] = status;
        out_.output_tokens[sequences_[s].request] =
            static_cast<i32>(sequences_[s].known - sequences_[s].prompt);
    }
    waiting_.each([&](i32 request) {
        if (awaited(request)) out_.status[request] = status;
    });
    for (const Early& one : early_) out_.status[one.request] = status;
}

} // namespace tokenroof::simulate
