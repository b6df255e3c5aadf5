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
        i64 tokens = s.known + s.drafts + s.placeholders - s.computed;
        if (budget.threshold > 0) tokens = std::min(tokens, budget.threshold);
        tokens = std::min({tokens, budget.left, config_.max_model_len - 1 - s.computed});
        if (last_in_flight || (budget.defer && s.chunk) || tokens <= 0) {
            slot = s.next;
            continue;
        }
        const i64 slots = std::min(s.computed + tokens + drafting_.lookahead, config_.max_model_len);
        const i64 need = std::max<i64>(0, blocks_for(slots, config_.block_size) - s.held);
        if (!make_room(slot, need, budget, batch, skip)) {
            if (!config_.priority || config_.before_0_20) break;
            slot = s.next; // still the one that stood behind it
            continue;
        }
        grow(s, need);
        enter(s, std::min(s.computed + tokens, s.known));
        budget.left -= tokens;
        prefill_in_call_ = prefill_in_call_ || s.chunk;
        const i64 drafts = s.drafts > 0 ? std::max<i64>(0, s.computed + tokens - s.known - s.placeholders) : 0;
        s.drafts = 0;
        batch.entries.push_back({slot, s.request, false, static_cast<i32>(drafts), tokens, s.computed});
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
    s.drafts = 0;
    flush_ns_ = std::max(flush_ns_, copied_ns(s));
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
        load_.drafted += e.drafts;
        if (config_.asynchronous && !s.chunk) s.placeholders += 1 + e.drafts;
    }
    if (drafting_.drafts > 0 && config_.asynchronous) draft(batch);
}

// An asynchronous loop counts on drafts before they are there: for the call that follows, and no other.
// [vllm/v1/core/sched/async_scheduler.py]
void Replica::draft(const Batch& batch) {
    if (!config_.before_0_20)
        for (i32 slot = head_; slot >= 0; slot = sequences_[slot].next) sequences_[slot].drafts = 0;
    for (const Entry& e : batch.entries)
        if (e.sampled) sequences_[e.slot].drafts = static_cast<i32>(drafting_.drafts);
}

// Its tokens are delivered; drafts that were rejected are taken back.
void Replica::process_exact(Batch& batch, std::vector<i32>& ended) {
    for (const Entry& e : batch.entries) {
        if (!awaited(e.request)) continue; // an end that was not known when this was scheduled
        Sequence& s = sequences_[e.slot];
        s.in_flight -= e.tokens;
        if (!e.sampled) continue;
        const i64 kept = drafting_.kept(e.request, out_.output_tokens[e.request], e.drafts);
        const i64 given = std::min(1 + kept, s.total - s.known);
        totals_.drafted += e.drafts;
        totals_.kept += kept;
        if (s.computed > 0) s.computed -= e.drafts - kept; // else it was preempted meanwhile
        s.placeholders = static_cast<i32>(std::max<i64>(0, s.placeholders - (e.drafts - kept) - given));
        s.known += given;
        out_.output_tokens[s.request] += static_cast<i32>(given);
        if (out_.first_token_ns[s.request] < 0) out_.first_token_ns[s.request] = batch.end_ns;
        if (record_ && record_->entries_wanted) record_->given.push_back({batch.end_ns, e.request, given});
        if (s.runs && config_.asynchronous)
            enter(s, std::min(s.known, s.computed - (config_.before_0_20 ? s.placeholders : s.in_flight)));
        if (s.runs && !config_.asynchronous) s.drafts = static_cast<i32>(drafting_.drafts);
        if (s.known >= s.total) finish(e.slot, batch.end_ns, ended);
    }
}

// The most slots that a request takes: its last step's drafts reach beyond its end, those of a loop that has
// two in flight twice.
i64 Replica::most_slots(i64 total) const {
    return std::min(total + (config_.asynchronous ? 2 : 1) * drafting_.drafts + drafting_.lookahead,
                    config_.max_model_len);
}

} // namespace tokenroof::simulate
