// A token for all that run, who has to go where memory is short, and steps without an event.
// [sglang/srt/managers/schedule_batch.py, scheduler.py: update_running_batch]
#include "simulate/sglang.hpp"

namespace tokenroof::simulate {

bool Sglang::decode(Batch& batch) {
    const i64 before = running_;
    const bool ending = leave_out_ending();
    if (running_ == 0) {
        full_ = false;
        return false;
    }
    if (makes_room()) {
        ratio_ = std::max(ratio_ - config_.ratio_decay, config_.min_ratio);
    } else if (ending) { // they give memory back at the end of this step
        full_ = false;
        return false;
    } else {
        retract();
    }
    if (running_ < before) full_ = false;
    if (running_ == 0) return false;
    tick(batch);
    return true;
}

// Who has its last token in flight, as the client declared it, gets no further one.
bool Sglang::leave_out_ending() {
    if (!config_.overlap || batches_ == 0 || drafts()) return false; // with drafts no end is known
    bool some = false;
    const auto leave = [&](i32 slot) {
        Sequence& s = sequences_[slot];
        if (!s.runs || outputs_of(s) < s.limit) return;
        const i64 outputs = outputs_of(s), committed = committed_of(s);
        remove(slot);
        s.outputs = outputs;
        s.committed = committed;
        s.frozen = some = true;
        s.batch = queue_[0].number; // which brings its last token
    };
    const Batch& flying = queue_[0];
    for (const Piece& p : flying.pieces)
        if (p.last && sequences_[p.slot].request == p.request) leave(p.slot);
    if (flying.tick >= 0)
        for (i32 slot = wheel_[flying.tick & (wheel_.size() - 1)]; slot >= 0;
             slot = sequences_[slot].wheel_next)
            leave(slot);
    return some;
}

// Tokens of memory that a step of all that run takes.
i64 Sglang::needed() const {
    if (drafts()) return needed_drafted();
    const i64 page = config_.page_size, at = (page - tick_ % page) % page;
    return class_count_[static_cast<std::size_t>(at)] * page;
}

bool Sglang::makes_room() {
    const i64 need = needed();
    evict(need);
    return free_ >= need;
}

// Fewest outputs first, then the longest prompts; with drafts the last in order; one is kept. [retract_decode]
void Sglang::retract() {
    scratch_.clear();
    for (std::size_t i = 0; i < sequences_.size(); ++i)
        if (sequences_[i].runs) scratch_.push_back(static_cast<i32>(i));
    const i64 sign = config_.low_first ? -1 : 1;
    const auto priority = [&](const Sequence& s) {
        return config_.retract_by_priority && all_.priority ? sign * all_.priority[s.request] : 0;
    };
    const auto kept_before = [&](i32 a, i32 b) {
        const Sequence &x = sequences_[a], &y = sequences_[b];
        if (drafts()) return x.order < y.order;
        const std::tuple u{-priority(x), -sampled_of(x), x.prompt, x.order};
        const std::tuple v{-priority(y), -sampled_of(y), y.prompt, y.order};
        return u < v;
    };
    std::sort(scratch_.begin(), scratch_.end(), kept_before);
    for (bool first = true; scratch_.size() > 1 && (first || !makes_room()); first = false) {
        const i32 slot = scratch_.back();
        scratch_.pop_back();
        retract_one(slot, static_cast<i64>(scratch_.size()));
    }
    if (scratch_.size() == 1 && !makes_room()) { // not even the last one fits: it is given up
        const i32 slot = scratch_.back();
        scratch_.pop_back();
        const i32 request = sequences_[slot].request;
        retract_one(slot, 0);
        again_ = true;
        if (awaited(request)) {
            out_.status[request] = rejected;
            out_.last_token_ns[request] = now_;
            aborted_.push_back(request);
        } else {
            left_early(request);
        }
    }
    i64 sampled = 0, declared = 0, order = 0;
    for (const i32 slot : scratch_) {
        Sequence& s = sequences_[slot];
        sampled += sampled_of(s);
        declared += s.limit;
        s.order_before = s.order;
        s.order = order++;
    }
    next_order_ = order;
    front_order_ = 0;
    renumbered_ = tick_;
    const i64 kept = static_cast<i64>(scratch_.size());
    ratio_ = std::min(1.0, static_cast<double>(sampled + config_.retract_decode_steps * kept) /
                               static_cast<double>(declared + 1));
}

// All that is its own is free; a token in flight is lost. It waits behind the others, or is given up.
void Sglang::retract_one(i32 slot, i64 left) {
    Sequence& s = sequences_[slot];
    const i32 request = s.request;
    const i64 sampled = sampled_of(s);
    const i64 committed = committed_of(s);
    remove(slot);
    s.committed = committed;
    if (!drafts() && s.wanted >= s.outputs + 1) unlist(wheel_, &Sequence::wheel_next, slot, end_tick(s));
    release(s);
    --rows_;
    out_.output_tokens[request] = static_cast<i32>(sampled);
    free_slot(slot);
    evict(left * config_.retract_decode_steps);
    if (left == 0) return;
    ++out_.preemptions[request];
    retracted_now_.push_back(request);
    wait_again(request);
}

void Sglang::tick(Batch& batch) {
    if (drafts()) return draft_step(batch);
    const i64 need = needed();
    evict(config_.page_size > 1 ? running_ * config_.page_size : need);
    free_ -= need;
    contexts_ += running_;
    load_.tokens += running_;
    load_.generating += running_;
    load_.context += contexts_;
    batch.tick = tick_;
    advance();
}

// A tick has been given out: whoever gets below the clip from it on is counted token by token.
void Sglang::advance() {
    short_left_ -= short_;
    i32& bucket = cross_[tick_ & (cross_.size() - 1)];
    for (i32 slot = bucket; slot >= 0; slot = sequences_[slot].cross_next) {
        --long_;
        ++short_;
        short_left_ += config_.clip_max_new_tokens - 1;
    }
    bucket = -1;
    ++tick_;
}

// --- who runs ---------------------------------------------------------------------------------------------

void Sglang::join(i32 slot, i64 order) {
    Sequence& s = sequences_[slot];
    s.runs = true;
    s.joined = tick_;
    s.mark = meter_.sum;
    s.order = s.order_before = order;
    ++running_;
    if (drafts()) return drafting_slots_.push_back(slot);
    contexts_ += s.committed;
    ++class_count_[static_cast<std::size_t>(class_of(s))];
    if (s.wanted > s.outputs) {
        i32& bucket = wheel_[end_tick(s) & (wheel_.size() - 1)];
        s.wheel_next = bucket;
        bucket = slot;
    }
    const i64 left = s.limit - s.outputs;
    if (left < config_.clip_max_new_tokens) {
        ++short_;
        short_left_ += left;
        return;
    }
    ++long_;
    if (cross_tick(s) <= end_tick(s) + 1) { // one more, of who ends unexpectedly
        i32& bucket = cross_[cross_tick(s) & (cross_.size() - 1)];
        s.cross_next = bucket;
        bucket = slot;
    }
}

// Out of the sums; its memory and its end stay as they are.
void Sglang::remove(i32 slot) {
    Sequence& s = sequences_[slot];
    --running_;
    if (drafts()) {
        std::erase(drafting_slots_, slot);
        s.runs = false;
        return;
    }
    meter_.settle(s.request, s.mark);
    contexts_ -= committed_of(s);
    --class_count_[static_cast<std::size_t>(class_of(s))];
    const i64 left = s.limit - outputs_of(s);
    if (left < config_.clip_max_new_tokens) {
        --short_;
        short_left_ -= left;
    } else {
        --long_;
        if (cross_tick(s) >= tick_ && cross_tick(s) <= end_tick(s) + 1)
            unlist(cross_, &Sequence::cross_next, slot, cross_tick(s));
    }
    s.runs = false;
}

void Sglang::unlist(std::vector<i32>& wheel, i32 Sequence::* next, i32 slot, i64 tick) {
    i32* at = &wheel[tick & (wheel.size() - 1)];
    while (*at != slot) at = &(sequences_[*at].*next);
    *at = sequences_[slot].*next;
}

// Batches in flight that hold a token of it.
i64 Sglang::in_flight(const Sequence& s) const {
    i64 count = 0;
    for (int k = 0; k < batches_; ++k) {
        const Batch& b = queue_[k];
        count += s.batch == b.number || (!s.frozen && s.runs && b.tick >= 0 && s.joined <= b.tick);
    }
    return count;
}

// Of those whose outputs to come are counted token by token: how many have one in flight.
i64 Sglang::flying_short() const {
    if (batches_ == 0) return 0;
    return queue_[0].tick >= 0 ? short_ : flying_pieces_;
}

// --- memory -----------------------------------------------------------------------------------------------

// What it has computed so far is cached; what others cached meanwhile is its own no more. [checkpoint]
void Sglang::checkpoint(Sequence& s, i64 tokens) {
    if (!config_.radix_cache) return;
    i64 before = 0;
    const i32 node = tree_.insert(s.request, tokens, s.prompt, s.inserted, before);
    tokens = tree_.places(tokens);
    s.inserted = std::max(s.inserted, tokens);
    free_ += std::max<i64>(0, before - s.owned_from);
    s.owned_from = tokens;
    tree_.lock(node);
    tree_.unlock(s.node);
    s.node = node;
}

void Sglang::release(Sequence& s) {
    free_ += (pages(std::max(committed_of(s), s.allocated)) - pages(s.owned_from)) * config_.page_size;
    if (config_.radix_cache) tree_.unlock(s.node);
}

// --- steps without an event -------------------------------------------------------------------------------

void Sglang::coast(i64 until) {
    const int depth = config_.overlap ? 2 : 1;
    if (drafts() || tree_.tiered() || aside() > 0 || running_ == 0 || batches_ < depth || chunked_ >= 0 || !last_.empty() || !gone_.empty() ||
        !dropped_.empty() || !leaving_.empty() || !aborted_.empty() || (!full_ && !waiting_.empty()) || config_.prefill_decode_interval > 0 ||
        (record_ && record_->rows_wanted))
        return;
    const std::size_t mask = wheel_.size() - 1;
    Batch& oldest = queue_[0];
    Batch& newest = queue_[depth - 1];
    i64 steps = 0;
    load_ = Load{};
    meter_.open();
    load_.tokens = load_.generating = running_;
    for (; steps < most_coasting && oldest.end_ns < until; ++steps) {
        if (!oldest.pieces.empty() || !newest.pieces.empty() || wheel_[oldest.tick & mask] >= 0 ||
            wheel_[newest.tick & mask] >= 0 || !makes_room())
            break;
        ratio_ = std::max(ratio_ - config_.ratio_decay, config_.min_ratio);
        const i64 need = needed();
        evict(config_.page_size > 1 ? running_ * config_.page_size : need);
        free_ -= need;
        contexts_ += running_;
        load_.context = contexts_;
        const i64 duration = take_time();
        totals_.busy_ns += duration;
        oldest.end_ns = newest.end_ns; // of a loop that holds two batches; else the same one
        oldest.tick = newest.tick;
        oldest.number = newest.number;
        newest.end_ns = last_end_ += duration;
        newest.tick = tick_;
        newest.number = ++batch_number_;
        advance();
        totals_.least_free = std::min(totals_.least_free, (free_ + tree_.evictable()) / config_.page_size);
    }
    totals_.steps += steps;
    totals_.counted_steps += steps;
    totals_.tokens += steps * running_;
    totals_.end_ns = last_end_;
}

} // namespace tokenroof::simulate
