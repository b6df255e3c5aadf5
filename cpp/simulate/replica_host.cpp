// A replica's blocks in the host's memory: what is found there is loaded before its request runs, what is computed
// is stored once its step has run.
#include "simulate/replica.hpp"

namespace tokenroof::simulate {

// Keys of the first blocks of a sequence's tokens, in keys_.
void Replica::host_keys(Chain& chain, i32 request, i64 count) {
    keys_.clear();
    for (i64 i = 0; i < count;) {
        const Key key = chain.key(all_, request, i, config_.block_size, unit_blocks_);
        const i64 span = std::min(key.span, count - i);
        for (i64 ahead = 0; ahead < span; ++ahead) keys_.push_back(HostTier::key(key, ahead));
        i += span;
    }
}

void Replica::admit_hosted(Budget& budget) {
    if (!admit_early(budget)) return;
    while (budget.left > 0 && running_ < config_.max_num_active_seqs && !waiting_.empty())
        if (place_or_load(waiting_.head(), budget, -1) == Found::no_room) break;
}

// Those that were set aside stand before all others; the first of them that is ready and does not fit ends it.
bool Replica::admit_early(Budget& budget) {
    for (std::size_t i = 0; i < early_.size();) {
        if (budget.left <= 0 || running_ >= config_.max_num_active_seqs) return false;
        const Early one = early_[i];
        if (one.slot >= 0 && (one.ready_ns > noticed_ns_ || one.turn == turn_)) {
            ++i;
            continue;
        }
        if (one.slot >= 0) {
            if (!begin_loaded(early_[i], budget)) return false;
            early_.erase(early_.begin() + static_cast<std::ptrdiff_t>(i));
            continue;
        }
        const Found found = place_or_load(one.request, budget, static_cast<i64>(i));
        if (found == Found::no_room) return false;
        if (found == Found::runs)
            early_.erase(early_.begin() + static_cast<std::ptrdiff_t>(i));
        else
            ++i;
    }
    return true;
}

// A request that has nothing yet: what the device has of it, then what the host has beyond. `early`: its place among
// those that were set aside; -1 of the head of the queue.
Replica::Found Replica::place_or_load(i32 request, Budget& budget, i64 early) {
    const i64 hit_blocks = hits(request), size = config_.block_size, known = known_of(request);
    host_keys(chain_, request, known / size);
    tier_.touch(keys_, keys_.size());
    host_hit_.clear();
    bool is_read = false;
    for (std::size_t i = static_cast<std::size_t>(hit_blocks); i < keys_.size(); ++i) {
        const i32 block = tier_.find(keys_[i], noticed_ns_);
        if (block < 0) break;
        is_read = is_read || tier_.is_read(block);
        host_hit_.push_back(block);
    }
    if (host_hit_.empty()) {
        set_aside_ = early >= 0;
        const bool runs = place(request, hit_blocks, budget);
        set_aside_ = false;
        return runs ? Found::runs : Found::no_room;
    }
    if (is_read) { // another request's load brings them
        if (early < 0) {
            waiting_.drop_head();
            early_.push_back({request, -1, 0, turn_, {}});
        }
        return Found::later;
    }
    const auto more = static_cast<i64>(host_hit_.size());
    const i64 free = free_blocks() - beside(hit_blocks);
    const i64 whole = std::min(known, config_.max_model_len);
    if (config_.scheduler_reserve_full_isl && blocks_for(whole, size) - hit_blocks > free) return Found::no_room;
    if (more > free) return Found::no_room;
    const i32 slot = slot_for(request);
    Sequence& s = sequences_[slot];
    if (early < 0) waiting_.drop_head();
    hold_found(s, hit_blocks);
    grow(s, more);
    holding(s).stored = hit_blocks + more;
    for (const i32 block : host_hit_) tier_.hold(block);
    const i64 bytes = more * host_.block_bytes;
    totals_.loaded_bytes += bytes;
    out_.loaded_tokens[request] += static_cast<i32>(more * size);
    const i64 ready = link_->transfer(std::max(now_, last_end_), bytes, link_->load_free, totals_.load_ns);
    loads_now_ = loads_now_ || ready <= now_;
    Early load{request, slot, ready, turn_, host_hit_};
    if (early < 0)
        early_.push_back(std::move(load));
    else
        early_[static_cast<std::size_t>(early)] = std::move(load);
    return Found::later;
}

// Its blocks came: they can be found, and what is left of its tokens is computed; the last one at least.
bool Replica::begin_loaded(Early& one, Budget& budget) {
    Sequence& s = sequences_[one.slot];
    const i64 size = config_.block_size;
    if (!one.blocks.empty()) {
        for (const i32 block : one.blocks) tier_.let_go(block);
        one.blocks.clear();
        s.computed = std::min(s.held * size, s.known - 1);
        enter(s, s.held * size);
    }
    if (budget.defer && s.computed < s.known - 1) return false;
    i64 tokens = s.known - s.computed;
    if (budget.threshold > 0) tokens = std::min(tokens, budget.threshold);
    if (!config_.enable_chunked_prefill && tokens > budget.left) return false;
    tokens = std::min(tokens, budget.left);
    const i64 free = free_blocks() - (running_ > 0 ? config_.watermark_blocks : 0);
    const i64 whole = std::min(s.known, config_.max_model_len);
    if (config_.scheduler_reserve_full_isl && blocks_for(whole, size) - s.held > free) return false;
    // slots of drafts too, unlike those of a request that begins [scheduler.py: effective_lookahead_tokens]
    const i64 slots = std::min(s.computed + tokens + drafting_.lookahead, config_.max_model_len);
    const i64 need = std::max<i64>(0, blocks_for(slots, size) - s.held);
    if (need > free) return false;
    grow(s, need);
    enter(s, std::min(s.computed + tokens, s.known));
    if (out_.scheduled_ns[s.request] < 0) {
        out_.scheduled_ns[s.request] = now_;
        out_.cached_tokens[s.request] = static_cast<i32>(s.computed);
    }
    out_.cached_total[s.request] += static_cast<i32>(s.computed);
    prefill_in_call_ = prefill_in_call_ || s.computed < s.known - 1;
    begin(one.slot, tokens, budget);
    return true;
}

// Blocks that the call fills are stored: of new requests first, then of those that ran, then of resumed ones.
void Replica::store_filled(const Batch& batch, std::size_t ran) {
    stores_.clear();
    const auto one = [&](const Entry& e) {
        Sequence& s = sequences_[e.slot];
        const i64 full = std::min(e.before + e.tokens, s.known) / config_.block_size;
        Holding& own = holding(s);
        if (full <= own.stored) return;
        host_keys(own.chain, s.request, full);
        Stored job{e.slot, {}};
        if (!tier_.store(keys_, static_cast<std::size_t>(own.stored), keys_.size(), noticed_ns_, job.blocks)) return;
        own.stored = full;
        if (job.blocks.empty()) return;
        tier_.touch(keys_, keys_.size());
        stores_.push_back(std::move(job));
    };
    const auto resumed = [&](std::size_t i) {
        return out_.preemptions[batch.entries[i].request] > 0;
    };
    for (std::size_t i = ran; i < batch.entries.size(); ++i)
        if (!resumed(i)) one(batch.entries[i]);
    for (std::size_t i = 0; i < ran; ++i) one(batch.entries[i]);
    for (std::size_t i = ran; i < batch.entries.size(); ++i)
        if (resumed(i)) one(batch.entries[i]);
}

// Copies begin when the step has run.
void Replica::send_stores(i64 end) {
    for (const Stored& job : stores_) {
        const i64 bytes = static_cast<i64>(job.blocks.size()) * host_.block_bytes;
        totals_.stored_bytes += bytes;
        const i64 over = link_->transfer(end, bytes, link_->store_free, totals_.store_ns);
        for (const i32 block : job.blocks) tier_.ready(block, over);
        Holding& own = holdings_[job.slot];
        own.stored_ns = std::max(own.stored_ns, over);
    }
    stores_.clear();
    totals_.host_evicted = tier_.evicted();
}

// Blocks of those that are answered are free once their copies are over.
void Replica::free_stored() {
    std::erase_if(leaving_, [&](const Leaving& one) {
        if (one.at > noticed_ns_) return false;
        for (const i32 block : one.read) tier_.let_go(block);
        give_back(sequences_[one.slot], false);
        holdings_[one.slot].chain.start();
        free_slots_.push_back(one.slot);
        return true;
    });
}

// Who was set aside is taken out: what is being loaded for it is free once it came.
// [vllm/v1/core/sched/scheduler.py: finish_requests, delay_free_blocks]
bool Replica::drop_loading(i32 request) {
    const auto at = std::find_if(early_.begin(), early_.end(), [&](const Early& one) { return one.request == request; });
    if (at == early_.end()) return false;
    if (at->slot >= 0) {
        leaving_.push_back({at->ready_ns, at->slot, std::move(at->blocks)});
    } else if (out_.preemptions[request] > 0) {
        const i32 slot = preempted_slot(request);
        std::erase(preempted_slots_, std::pair{request, slot});
        holdings_[slot].chain.start();
        free_slots_.push_back(slot);
    }
    early_.erase(at);
    return true;
}

bool Replica::pending() const {
    const bool loads = std::any_of(early_.begin(), early_.end(), [&](const Early& one) {
        return one.slot >= 0 && (one.ready_ns > noticed_ns_ || one.turn == turn_);
    });
    return loads || !coming_.empty() || !received_.empty() || host_event() != never;
}

// The next time at which an engine that runs nothing has something to do; never where there is none.
i64 Replica::host_event() const {
    i64 next = never;
    for (const Early& one : early_)
        if (one.slot >= 0 && one.ready_ns > noticed_ns_) next = std::min(next, one.ready_ns);
    if (waiting() > 0)
        for (const Leaving& one : leaving_)
            if (one.at > noticed_ns_) next = std::min(next, one.at);
    return next;
}

} // namespace tokenroof::simulate
