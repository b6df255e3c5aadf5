// A call of the scheduler, sequence by sequence. [vllm/v1/core/sched/scheduler.py: schedule, running
// requests]
#include "simulate/replica.hpp"

namespace tokenroof::simulate {

void Replica::running_exact(Budget& budget, Batch& batch) {
    i64 skip = 0; // 0.19: whom an index that was not set back passes over
    for (i32 slot = head_; slot >= 0 && budget.left > 0;) {
        Sequence& s = sequences_[slot];
        const i64 most =
            s.prompt + (all_.declared_tokens ? all_.declared_tokens : all_.output_tokens)[s.request];
        const bool last_in_flight =
            config_.asynchronous && s.placeholders > 0 && s.computed + 2 - s.placeholders >= most;
        i64 tokens = s.known + s.placeholders - s.computed;
        if (budget.threshold > 0) tokens = std::min(tokens, budget.threshold);
        tokens = std::min({tokens, budget.left, config_.max_model_len - 1 - s.computed});
        if (last_in_flight || (budget.defer && s.chunk) || tokens <= 0) {
            slot = s.next;
            continue;
        }
        const i64 need = blocks_for(s.computed + tokens, config_.block_size) - s.held;
        if (!make_room(slot, need, budget, batch, skip)) {
            if (!config_.priority || config_.before_0_20) break;
            slot = s.next; // still the one that stood behind it
            continue;
        }
        grow(s, need);
        enter(s, std::min(s.computed + tokens, s.known));
        budget.left -= tokens;
        prefill_in_call_ = prefill_in_call_ || s.chunk;
        batch.entries.push_back({slot, s.request, false, tokens, s.computed});
        slot = s.next;
        for (; skip > 0 && slot >= 0; --skip) slot = sequences_[slot].next;
    }
}

// Takes victims until `need` blocks are free; false where the sequence itself was one.
bool Replica::make_room(i32 slot, i64 need, Budget& budget, Batch& batch, i64& skip) {
    while (need > free_blocks()) {
        const i32 out = victim();
        const bool before = sequences_[out].admission < sequences_[slot].admission;
        const bool in_call = withdraw(out, budget, batch);
        preempt(out);
        if (out == slot) return false;
        if (config_.before_0_20 && before && !in_call) ++skip;
    }
    return true;
}

// Who gives up its memory: the last admitted, or the largest (priority, arrival).
i32 Replica::victim() const {
    if (!config_.priority) return tail_;
    i32 worst = head_;
    const auto rank = [&](i32 slot) {
        const i32 r = sequences_[slot].request;
        return std::pair{all_.priority ? all_.priority[r] : 0, out_.arrival_ns[r]};
    };
    for (i32 s = head_; s >= 0; s = sequences_[s].next)
        if (rank(s) > rank(worst)) worst = s;
    return worst;
}

// Takes a victim's tokens out of the call, if it had any; its blocks keep the hashes that they got.
bool Replica::withdraw(i32 slot, Budget& budget, Batch& batch) {
    for (auto e = batch.entries.begin(); e != batch.entries.end(); ++e) {
        if (e->slot != slot) continue;
        budget.left += e->tokens;
        batch.entries.erase(e);
        return true;
    }
    return false;
}

// All its memory is given up, and it waits in front of the others.
void Replica::preempt(i32 slot) {
    Sequence& s = sequences_[slot];
    give_back(s, true);
    unlink(slot);
    s.runs = s.received = false;
    s.computed = 0;
    if (!config_.before_0_20) s.placeholders = 0;
    waiting_.add_preempted(s.request);
    preempted_slots_.emplace_back(s.request, slot);
    preempted_now_.push_back(s.request);
    preempted_in_call_ = true;
    ++out_.preemptions[s.request];
    needs_tracking_ = needs_tracking_ || (config_.enable_prefix_caching && !tracking_ && !extents_);
}

// Computed grows at once, before the step has run.
void Replica::after_exact(Batch& batch) {
    for (Entry& e : batch.entries) {
        Sequence& s = sequences_[e.slot];
        count(s, e.tokens, e.before);
        s.computed += e.tokens;
        s.in_flight += e.tokens;
        s.chunk = s.computed < s.known + s.placeholders;
        s.last_batch = batch.number;
        s.last_tokens = e.tokens;
        e.sampled = !s.chunk;
        sampled_in_call_ = sampled_in_call_ || e.sampled;
        if (config_.asynchronous && !s.chunk) ++s.placeholders;
    }
}

} // namespace tokenroof::simulate
