// The waiting queue of a replica: what of a request is cached, and whether it can begin.
#include "simulate/replica.hpp"

namespace tokenroof::simulate {

i64 Replica::known_of(i32 request) const { return all_.input_tokens[request] + out_.output_tokens[request]; }

// Whole blocks at the front of a request that the table holds, in hit_; nothing is held by asking.
i64 Replica::hits(i32 request) {
    hit_.clear();
    const i64 known = known_of(request), most = (known - 1) / config_.block_size;
    if (extents_ && out_.preemptions[request] > 0) {
        const i64 left = list_.left(sequences_[preempted_slot(request)].piece);
        needs_tracking_ = needs_tracking_ || left > most; // one block would be there twice
        return std::min(left, most);
    }
    if (!tracking_) return 0;
    if (looked_up_ != request || looked_known_ != known) {
        chain_.start();
        looked_up_ = request;
        looked_known_ = known;
    }
    for (i64 i = 0; i < most;) {
        const Key key = chain_.key(all_, request, i, config_.block_size, unit_blocks_);
        const i64 span = std::min(key.span, most - i);
        if (!pool_.find(key, span, hit_)) break;
        i += span;
    }
    if (drafting_.reads_states && !hit_.empty()) hit_.pop_back();
    return static_cast<i64>(hit_.size());
}

// Blocks that an admission takes beside those that it asks for.
i64 Replica::beside(i64 hit_blocks) const {
    i64 more = running_ > 0 ? config_.watermark_blocks : 0;
    for (const i32 block : hit_) more += pool_.unreferenced(block); // they leave the free list
    return extents_ ? more + hit_blocks : more;
}

// Tokens of the first piece, or 0 where the request has to wait.
i64 Replica::admissible(i32 request, i64 hit_blocks, const Budget& budget) {
    const i64 size = config_.block_size, known = known_of(request), hit = hit_blocks * size;
    if (budget.defer && hit < known - 1) return 0;
    i64 tokens = known - hit;
    if (budget.threshold > 0) tokens = std::min(tokens, budget.threshold);
    if (!config_.enable_chunked_prefill && tokens > budget.left) return 0;
    tokens = std::min(tokens, budget.left);
    const i64 beside = this->beside(hit_blocks);
    const i64 whole = std::min(known, config_.max_model_len), free = free_blocks();
    if (config_.scheduler_reserve_full_isl && blocks_for(whole, size) - hit_blocks + beside > free) return 0;
    return blocks_for(hit + tokens, size) - hit_blocks + beside > free ? 0 : tokens;
}

void Replica::admit(Budget& budget) {
    if (!tier_.empty()) return admit_hosted(budget);
    while (budget.left > 0 && running_ < config_.max_num_active_seqs) {
        if (!received_.empty()) {
            begin_received(budget);
            continue;
        }
        if (waiting_.empty()) break;
        const i32 request = waiting_.head();
        if (remote(request)) {
            if (!reserve(request)) break;
            continue;
        }
        if (!place(request, hits(request), budget)) break;
    }
}

// Who was preempted last is looked for first.
i32 Replica::preempted_slot(i32 request) const {
    auto at = preempted_slots_.rbegin();
    while (at->first != request) ++at;
    return at->second;
}

i32 Replica::slot_for(i32 request) {
    if (out_.preemptions[request] > 0) {
        const i32 slot = preempted_slot(request);
        std::erase(preempted_slots_, std::pair{request, slot});
        return slot;
    }
    if (free_slots_.empty()) {
        free_slots_.push_back(sequences_.size());
        sequences_.add().slot = free_slots_.back();
        if (tracking_) holdings_.add();
    }
    const i32 slot = free_slots_.back();
    free_slots_.pop_back();
    Sequence& s = sequences_[slot];
    s.request = request;
    s.known = all_.input_tokens[request];
    s.prompt = static_cast<i32>(s.known);
    s.total = std::min(s.prompt + all_.output_tokens[request], config_.max_model_len);
    s.placeholders = s.drafts = 0;
    s.received = false;
    if (tracking_) holding(s).stored = holding(s).stored_ns = 0;
    return slot;
}

// The head of the queue becomes a running sequence, if it can.
bool Replica::place(i32 request, i64 hit_blocks, Budget& budget) {
    const i64 tokens = admissible(request, hit_blocks, budget), hit = hit_blocks * config_.block_size;
    if (tokens == 0) return false;
    const i32 slot = slot_for(request);
    Sequence& s = sequences_[slot];
    if (!set_aside_) waiting_.drop_head();
    hold_found(s, hit_blocks);
    grow(s, blocks_for(hit + tokens, config_.block_size) - hit_blocks);
    enter(s, std::min(hit + tokens, s.known));
    if (out_.scheduled_ns[request] < 0) {
        out_.scheduled_ns[request] = now_;
        out_.cached_tokens[request] = static_cast<i32>(hit);
    }
    out_.cached_total[request] += static_cast<i32>(hit);
    prefill_in_call_ = prefill_in_call_ || hit < s.known - 1;
    begin(slot, tokens, budget);
    return true;
}

// The blocks that were found for it are its own.
void Replica::hold_found(Sequence& s, i64 hit_blocks) {
    s.computed = hit_blocks * config_.block_size;
    s.held = s.entered = static_cast<i32>(hit_blocks);
    if (tracking_) {
        Holding& own = holding(s);
        std::swap(own.chain, chain_);
        looked_up_ = -1;
        own.blocks.assign(hit_.begin(), hit_.end());
        for (const i32 block : hit_) pool_.touch(block);
    } else if (extents_ && hit_blocks > 0) {
        list_.take(s.piece, hit_blocks);
        free_ -= hit_blocks;
    }
}

// So many tokens of a sequence that has its blocks are in the call.
void Replica::begin(i32 slot, i64 tokens, Budget& budget) {
    Sequence& s = sequences_[slot];
    s.admission = ++admissions_;
    s.in_flight = 0;
    s.chunk = false;
    s.runs = true;
    append(slot);
    budget.left -= tokens;
    s.last_batch = batch_->number;
    s.last_tokens = tokens;
    if (counted_) {
        count(s, tokens, s.computed);
        s.computed += tokens;
        settle(slot, *batch_);
    } else {
        s.kind = Sequence::exact;
        batch_->entries.push_back({slot, s.request, false, 0, tokens, s.computed});
    }
}

} // namespace tokenroof::simulate
