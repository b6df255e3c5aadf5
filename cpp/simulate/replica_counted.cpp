// A call of the scheduler by counters, and the way there and back.
#include "simulate/replica.hpp"

namespace tokenroof::simulate {

// --- a call -----------------------------------------------------------------------------------------------

// Whether a call's outcome needs no order among the running sequences.
bool Replica::counted_fits(const Budget& budget) {
    if (!counted_plan(budget)) return false;
    if (need_ <= free_blocks()) return true;
    // victims by counters: where blocks are lengths alone, and only the last admitted asks for several
    const bool last = prefilling_.empty() || (prefilling_.size() == 1 && prefilling_[0] == tail_);
    return !config_.priority && !tracking_ && last;
}

// Tokens of each prompt, and the blocks that all need together.
bool Replica::counted_plan(const Budget& budget) {
    const i64 size = config_.block_size;
    i64 tokens = steady_;
    need_ = class_count_[class_of(0, tick_)];
    prefill_tokens_.clear();
    for (const i32 slot : prefilling_) {
        const Sequence& s = sequences_[slot];
        i64 n = s.known - s.computed;
        if (budget.threshold > 0) n = std::min(n, budget.threshold);
        if (budget.defer) n = 0;
        prefill_tokens_.push_back(n);
        tokens += n;
    }
    if (tokens > budget.left) { // the last one may get less, where it is last of all
        if (budget.defer || prefilling_.size() != 1 || prefilling_[0] != tail_) return false;
        prefill_tokens_[0] -= tokens - budget.left;
        if (prefill_tokens_[0] <= 0) return false;
    }
    for (std::size_t i = 0; i < prefilling_.size(); ++i) {
        const i64 computed = sequences_[prefilling_[i]].computed;
        need_ += blocks_for(computed + prefill_tokens_[i], size) - blocks_for(computed, size);
    }
    return true;
}

// First come first served, the last admitted give up their memory until the others' needs are met: asked one
// by one, in order, they find the same victims. Whatever is free is taken before one has to go.
void Replica::make_room_counted() {
    Batch* flying = batches_ > 0 ? &queue_[0] : nullptr;
    const i64 size = config_.block_size;
    while (need_ > free_) {
        const i32 slot = tail_;
        Sequence& s = sequences_[slot];
        const bool own = flying && s.last_batch == flying->number, prompt = s.kind == Sequence::prefilling;
        const bool steady = s.kind == Sequence::steady;
        const bool in = flying && (own || (!prompt && (!steady || s.joined <= flying->tick)));
        i64 asked = 0;
        if (prompt) {
            asked = blocks_for(s.computed + prefill_tokens_.back(), size) - blocks_for(s.computed, size);
            prefilling_.pop_back();
            prefill_tokens_.pop_back();
        } else {
            s.computed = steady ? s.start + tick_ - s.joined : s.total - 1;
            s.known = s.computed + 1 - in;
            drop_from_wheel(slot, tick_ - 2 + s.total - s.computed);
            entered_by(s);
            if (steady) meter_.settle(s.request, s.mark), leave(s, s.computed);
            --draining_;
            asked = steady && s.computed % size == 0;
            if (in)
                flying->entries.push_back({slot, s.request, true, 0, own ? s.last_tokens : 1, was_preempted});
        }
        const i64 taken = std::min(free_, need_ - asked);
        free_ -= taken;
        if (extents_) list_.pop(taken);
        need_ -= taken + asked;
        s.placeholders = in && !prompt;
        s.held = static_cast<i32>(blocks_for(s.computed, size));
        s.kind = Sequence::exact;
        out_.output_tokens[s.request] = static_cast<i32>(s.known - s.prompt);
        preempt(slot);
    }
}

// Full blocks that have their hash, of a sequence that gets a token a call: asynchronous calls enter what is
// known, which is a token less than what is computed.
void Replica::entered_by(Sequence& s) const {
    if (tracking_) return;
    const bool steady = s.kind == Sequence::steady;
    const i64 computed = steady ? s.start + tick_ - s.joined : s.total - 1;
    const i64 lag = config_.asynchronous && (!steady || computed > s.start);
    s.entered = std::max(s.entered, static_cast<i32>((computed - lag) / config_.block_size));
}

void Replica::drop_from_wheel(i32 slot, i64 tick) {
    i32* at = &wheel_[tick & (wheel_.size() - 1)];
    while (*at != slot) at = &sequences_[*at].wheel_next;
    *at = sequences_[slot].wheel_next;
}

void Replica::running_counted(Budget& budget, Batch& batch) {
    if (need_ > free_blocks()) make_room_counted();
    sampled_in_call_ = sampled_in_call_ || steady_ > 0;
    load_.tokens += steady_;
    load_.generating += steady_;
    load_.context += contexts_ + steady_;
    budget.left -= steady_;
    if (tracking_) {
        allocate_counted();
    } else {
        free_ -= need_;
        if (extents_) list_.pop(need_);
    }
    contexts_ += steady_;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < prefilling_.size(); ++i) {
        const i32 slot = prefilling_[i];
        const i64 n = prefill_tokens_[i];
        Sequence& s = sequences_[slot];
        if (n > 0) {
            count(s, n, s.computed);
            s.computed += n;
            s.held = static_cast<i32>(blocks_for(s.computed, config_.block_size));
            if (!tracking_) enter(s, std::min(s.computed, s.known));
            budget.left -= n;
            s.last_batch = batch.number;
            s.last_tokens = n;
            prefill_in_call_ = true;
        }
        if (s.computed < s.known)
            prefilling_[kept++] = slot;
        else
            settle(slot, batch);
    }
    prefilling_.resize(kept);
}

// Blocks are taken in the order of admission, by those that need one; full ones get their hash.
void Replica::allocate_counted() {
    scratch_.clear();
    const auto gather = [&](i64 tick) {
        for (i32 s = class_head_[class_of(0, tick)]; s >= 0; s = sequences_[s].class_next)
            scratch_.push_back(s);
    };
    gather(tick_);
    if (!config_.asynchronous && config_.block_size > 1) gather(tick_ + 1);
    for (std::size_t i = 0; i < prefilling_.size(); ++i) {
        sequences_[prefilling_[i]].last_tokens = prefill_tokens_[i];
        scratch_.push_back(prefilling_[i]);
    }
    const auto earlier = [&](i32 a, i32 b) { return sequences_[a].admission < sequences_[b].admission; };
    if (!std::is_sorted(scratch_.begin(), scratch_.end(), earlier))
        std::sort(scratch_.begin(), scratch_.end(), earlier);
    for (const i32 slot : scratch_) {
        Sequence& s = sequences_[slot];
        if (s.kind == Sequence::prefilling) {
            const i64 after = s.computed + s.last_tokens;
            if (s.last_tokens == 0) continue;
            grow(s, blocks_for(after, config_.block_size) - s.held);
            enter(s, std::min(after, s.known));
        } else {
            const i64 computed = s.start + tick_ - s.joined;
            grow(s, blocks_for(computed + 1, config_.block_size) - s.held);
            enter(s, config_.asynchronous ? computed : computed + 1);
        }
    }
}

// What a sequence is after its piece of a prompt: unfinished, generating, or with its last token in flight.
void Replica::settle(i32 slot, Batch& batch) {
    Sequence& s = sequences_[slot];
    s.chunk = s.computed < s.known;
    if (s.chunk) {
        s.kind = Sequence::prefilling;
        prefilling_.push_back(slot);
        return;
    }
    sampled_in_call_ = true;
    if (out_.first_token_ns[s.request] < 0)
        batch.entries.push_back({slot, s.request, true, 0, s.last_tokens, 0});
    if (s.computed >= s.total - 1) {
        s.kind = Sequence::draining;
        ++draining_;
        i32& bucket = wheel_[tick_ & (wheel_.size() - 1)];
        s.wheel_next = bucket;
        bucket = slot;
        return;
    }
    join(slot, tick_ + 1);
}

// From this tick on a token a call.
void Replica::join(i32 slot, i64 tick) {
    Sequence& s = sequences_[slot];
    s.kind = Sequence::steady;
    s.start = s.computed;
    s.joined = tick;
    ++steady_;
    contexts_ += s.computed;
    s.mark = meter_.sum;
    if (meter_.joules && tick > tick_) meter_.joined.push_back(slot);
    i32& bucket = wheel_[(tick - 1 + s.total - 1 - s.computed) & (wheel_.size() - 1)];
    s.wheel_next = bucket;
    bucket = slot;
    const i64 own = class_of(s.computed, tick);
    ++class_count_[own];
    if (!tracking_) return;
    i32 before = class_tail_[own];
    while (before >= 0 && sequences_[before].admission > s.admission)
        before = sequences_[before].class_previous;
    s.class_previous = before;
    s.class_next = before >= 0 ? sequences_[before].class_next : class_head_[own];
    (before >= 0 ? sequences_[before].class_next : class_head_[own]) = slot;
    (s.class_next >= 0 ? sequences_[s.class_next].class_previous : class_tail_[own]) = slot;
}

void Replica::leave(Sequence& s, i64 computed) {
    s.kind = Sequence::draining;
    --steady_;
    ++draining_;
    contexts_ -= computed;
    const i64 own = class_of(s.start, s.joined);
    --class_count_[own];
    if (!tracking_) return;
    (s.class_previous >= 0 ? sequences_[s.class_previous].class_next : class_head_[own]) = s.class_next;
    (s.class_next >= 0 ? sequences_[s.class_next].class_previous : class_tail_[own]) = s.class_previous;
}

// Whoever got its last token leaves the counters; it runs until the token is delivered.
void Replica::end_tick(i64 tick) {
    for (i32 slot = wheel_[tick & (wheel_.size() - 1)]; slot >= 0; slot = sequences_[slot].wheel_next)
        if (Sequence& s = sequences_[slot]; s.kind == Sequence::steady) {
            if (meter_.joules) meter_.left.push_back({s.request, s.mark});
            leave(s, s.total - 1);
        }
}

void Replica::process_counted(Batch& batch, std::vector<i32>& ended) {
    for (const Entry& e : batch.entries) {
        Sequence& s = sequences_[e.slot];
        if (!awaited(s.request)) continue;
        i64& first = out_.first_token_ns[s.request];
        if (first < 0) first = batch.end_ns;
        if (e.before != was_preempted) continue;
        ++s.known;
        ++out_.output_tokens[s.request];
        s.placeholders = s.in_flight = 0;
        if (s.known >= s.total) finish(e.slot, batch.end_ns, ended);
    }
    i32& bucket = wheel_[batch.tick & (wheel_.size() - 1)];
    scratch_.clear();
    for (i32 slot = bucket; slot >= 0; slot = sequences_[slot].wheel_next) scratch_.push_back(slot);
    bucket = -1;
    if (scratch_.size() > 1)
        std::sort(scratch_.begin(), scratch_.end(),
                  [&](i32 a, i32 b) { return sequences_[a].admission < sequences_[b].admission; });
    for (const i32 slot : scratch_) {
        Sequence& s = sequences_[slot];
        --draining_;
        if (!awaited(s.request)) {
            std::erase(dropped_, s.request);
            leave_for_good(slot);
            continue;
        }
        s.known = s.total;
        out_.output_tokens[s.request] = static_cast<i32>(s.total - s.prompt);
        if (config_.asynchronous || !tracking_) enter(s, s.total - 1);
        s.held = static_cast<i32>(blocks_for(s.total - 1, config_.block_size));
        finish(slot, batch.end_ns, ended);
    }
}

// --- there and back
// -----------------------------------------------------------------------------------------

bool Replica::try_counted() {
    // an end that the loop does not know beforehand is not in the wheel
    if (config_.path == 1 || drafting_.drafts > 0 || !tier_.empty() || config_.stages > 1 || (config_.asynchronous && all_.declared_tokens) ||
        (record_ && record_->entries_wanted))
        return false;
    if (patience_ > 0 && --patience_ > 0) return false;
    if (!regular()) return false;
    to_counted();
    return true;
}

// Whether each sequence is on its prompt, gets a token a call, or waits for its last.
bool Replica::regular() const {
    const i64 flying = batches_ > 0 ? queue_[0].number : -1;
    if (batches_ > 0)
        for (const Entry& e : queue_[0].entries)
            if (!sequences_[e.slot].runs) return false;
    for (i32 slot = head_; slot >= 0; slot = sequences_[slot].next) {
        const Sequence& s = sequences_[slot];
        if (s.chunk) {
            if (s.placeholders != 0) return false;
        } else if (config_.asynchronous) {
            if (s.placeholders != 1 || s.last_batch != flying || s.computed != s.known) return false;
        } else if (s.placeholders != 0 || s.computed != s.known - 1) {
            return false;
        }
    }
    return true;
}

void Replica::to_counted() {
    counted_ = true;
    if (batches_ > 0) {
        Batch& flying = queue_[0];
        flying.counted = true;
        flying.tick = tick_++;
        std::erase_if(flying.entries, [&](const Entry& e) {
            return !e.sampled || out_.first_token_ns[sequences_[e.slot].request] >= 0;
        });
    }
    for (i32 slot = head_; slot >= 0; slot = sequences_[slot].next) {
        Sequence& s = sequences_[slot];
        if (s.chunk) {
            s.kind = Sequence::prefilling;
            prefilling_.push_back(slot);
        } else if (s.computed >= s.total - 1) {
            s.kind = Sequence::draining;
            ++draining_;
            i32& bucket = wheel_[queue_[0].tick & (wheel_.size() - 1)];
            s.wheel_next = bucket;
            bucket = slot;
        } else {
            join(slot, tick_);
        }
    }
}

// Every sequence gets its own numbers again, and a batch in flight its entries.
void Replica::to_exact() {
    counted_ = false;
    Batch* flying = batches_ > 0 ? &queue_[0] : nullptr;
    if (flying) {
        flying->counted = false; // who was preempted still gets its token
        std::erase_if(flying->entries, [](const Entry& e) { return e.before != was_preempted; });
    }
    for (i32 slot = head_; slot >= 0; slot = sequences_[slot].next) {
        Sequence& s = sequences_[slot];
        const bool own = flying && s.last_batch == flying->number;
        const bool in = own || (flying && s.kind != Sequence::prefilling &&
                                (s.kind == Sequence::draining || s.joined <= flying->tick));
        const i64 tokens = own ? s.last_tokens : 1;
        if (s.kind == Sequence::steady) meter_.settle(s.request, s.mark);
        if (in) flying->entries.push_back({slot, s.request, s.kind != Sequence::prefilling, 0, tokens, 0});
        if (s.kind != Sequence::prefilling) {
            s.computed = s.kind == Sequence::draining ? s.total - 1 : s.start + tick_ - s.joined;
            s.known = s.computed + 1 - in;
            entered_by(s);
            wheel_[(tick_ - 2 + s.total - s.computed) & (wheel_.size() - 1)] = -1;
        }
        s.placeholders = in && s.kind != Sequence::prefilling;
        s.in_flight = in ? tokens : 0;
        s.held = static_cast<i32>(blocks_for(s.computed, config_.block_size));
        if (awaited(s.request)) out_.output_tokens[s.request] = static_cast<i32>(s.known - s.prompt);
        s.kind = Sequence::exact;
    }
    prefilling_.clear();
    steady_ = contexts_ = draining_ = 0;
    std::fill(class_count_.begin(), class_count_.end(), 0);
    std::fill(class_head_.begin(), class_head_.end(), -1);
    std::fill(class_tail_.begin(), class_tail_.end(), -1);
}

} // namespace tokenroof::simulate
