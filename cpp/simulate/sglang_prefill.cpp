// A batch of prompts: who is admitted, and how much of whom. [sglang/srt/managers/schedule_policy.py]
#include "simulate/sglang.hpp"

namespace tokenroof::simulate {

constexpr i64 refresh_interval = 32, most_refreshed = 128; // of prefixes of those that wait
constexpr i64 in_batch = 32; // tokens of a prefix that is computed once, and not beside itself

// Whether there is one. [get_new_batch_prefill]
bool Sglang::build_prefill(Batch& batch) {
    if (running_ == 0) full_ = false;
    if ((full_ || waiting_.empty()) && chunked_ < 0) return false;
    const i64 most = config_.max_running_requests;
    if (chunked_ < 0 && std::min(most - running_, most - rows_) <= 0) {
        full_ = true;
        return false;
    }
    if (config_.longest_prefix_first && waiting_.size() <= most_refreshed)
        sort_by_prefix();
    else
        refresh_waiting();
    Room room = opening();
    if (chunked_ >= 0 && !go_on_with_chunk(room, batch)) return false;
    const i64 held = static_cast<i64>(batch.pieces.size());
    while (!waiting_.empty() && state(room) != other) {
        const auto taken = static_cast<i64>(batch.pieces.size());
        if (taken >= std::min(most - running_, most - rows_ + held)) full_ = true;
        if (full_) break;
        const Verdict verdict = admit(waiting_.head(), room, batch);
        if (verdict == no_token) full_ = !batch.pieces.empty() || running_ > 0;
        if (verdict != go_on) break;
    }
    if (batch.pieces.empty()) return false;
    rows_ += static_cast<i64>(batch.pieces.size()) - held;
    if (load_tokens_ > 0) {
        batch.loads = true;
        send_loads();
    }
    allocate(room, batch);
    if (config_.mixed_chunk && running_ > 0) mix_in(batch);
    return true;
}

// Every so often the prefixes of those that wait are touched, the head last. [_touch_waiting_prefixes]
void Sglang::refresh_waiting() {
    if (!config_.radix_cache || config_.eviction != Evict::lru || waiting_.empty()) return;
    if (passes_++ % refresh_interval != 0) return;
    waiting_.first(most_refreshed, scratch_);
    for (std::size_t i = scratch_.size(); i > 0; --i) {
        i64 length;
        tree_.match(scratch_[i - 1], known(scratch_[i - 1]), length);
    }
}

// Who finds most of its prompt first. Of those that find little and begin alike, all but one stand behind, to
// find it when it has been computed. [_compute_prefix_matches]
void Sglang::sort_by_prefix() {
    waiting_.first(waiting_.size(), scratch_);
    batch_tree_.clear();
    keys_.clear();
    for (const i32 request : scratch_) {
        const i64 tokens = known(request);
        i64 length, same, before, hosted = 0;
        const i32 node = tree_.match(request, tokens, length);
        keys_.push_back(-std::min(length, tokens - 1));
        if (tree_.tiered()) tree_.resident(node, hosted);
        if (length - hosted > in_batch) continue; // on the device
        batch_tree_.match(request, tokens, same);
        if (same >= in_batch)
            keys_.back() = never;
        else
            batch_tree_.insert(request, tokens, 0, 0, before);
    }
    waiting_.sort_by(keys_);
}

// What those that run are expected to take until they end is not there.
Sglang::Room Sglang::opening() {
    const i64 beside = config_.mixed_chunk ? running_ : 0;
    const i64 to_come = drafts() ? to_come_drafted()
                                 : short_left_ + flying_short() + config_.clip_max_new_tokens * long_;
    const double ratio = config_.ignore_eos ? 1.0 : ratio_;
    states_.clear();
    return {config_.max_prefill_tokens - beside, config_.chunked_prefill_size - beside, beside, beside,
            ratio * static_cast<double>(to_come)};
}

double Sglang::left(const Room& room, i64 pinned) const {
    return static_cast<double>(free_ + tree_.evictable() - pinned - room.reserved) - room.offset;
}

Sglang::Verdict Sglang::state(const Room& room) const {
    if (!(left(room, 0) > 0.0) || free_ + tree_.evictable() - room.reserved_now <= 0) return no_token;
    return room.input <= 0 || (config_.chunked_prefill_size > 0 && room.chunk <= 0) ? other : go_on;
}

void Sglang::take(Room& room, i64 tokens, i64 outputs) {
    room.tokens += tokens;
    tokens = ceiling(tokens);
    room.reserved += tokens + config_.page_size + outputs;
    room.reserved_now += tokens + config_.page_size;
    room.input -= tokens;
    room.chunk -= tokens;
}

// The prompt that is unfinished comes first; whether it can go on.
bool Sglang::go_on_with_chunk(Room& room, Batch& batch) {
    Sequence& s = sequences_[chunked_];
    i64 tokens = std::min(room.chunk, static_cast<i64>(left(room, 0)));
    if (tokens <= 0) tokens = room.chunk; // it has to go on
    const i64 rest = s.fill - s.prefix;
    tokens = std::min(tokens, rest);
    const i64 need = (pages(s.prefix + tokens) - pages(s.prefix)) * config_.page_size;
    if (tokens <= 0 || need > free_ + tree_.evictable()) return false; // the engine would stop here
    const bool last = tokens == rest;
    s.extend_end = s.prefix + tokens;
    s.batch = batch.number;
    batch.pieces.push_back({chunked_, s.request, tokens, s.prefix, last});
    take(room, tokens, last ? std::min(s.limit, config_.clip_max_new_tokens) : 0);
    if (last) chunked_ = -1;
    return true;
}

// [add_one_req]
Sglang::Verdict Sglang::admit(i32 request, Room& room, Batch& batch) {
    if (static_cast<i64>(batch.pieces.size()) >= config_.prefill_max_requests) return other;
    const i64 all = known(request), limit = declared(request), outputs = out_.output_tokens[request];
    i64 prefix = 0, hosted = 0;
    i32 node = RadixTree::root;
    if (config_.radix_cache) node = tree_.match(request, all - 1, prefix);
    const i32 deepest = node;
    if (tree_.tiered()) node = tree_.resident(node, hosted);
    prefix -= hosted;
    if (config_.ignore_eos && !config_.radix_cache) {
        if (fits_for_good(room, all - prefix, limit, outputs, batch) != go_on) return no_token;
    } else { // what the host has is counted as if it were to be computed
        const i64 more = std::clamp<i64>(limit - outputs, 0, config_.clip_max_new_tokens) + config_.page_size;
        if (!(static_cast<double>(all - prefix + more) < left(room, tree_.unused_path(node)))) return no_token;
    }
    bool last = true;
    i64 extend = piece_of(all - prefix - hosted, room, batch, last);
    if (extend > 0 && hosted > 0) {
        if (load_back(deepest, hosted)) {
            node = deepest;
            prefix += hosted;
            out_.loaded_tokens[request] += static_cast<i32>(hosted);
        } else {
            extend = piece_of(all - prefix, room, batch, last);
        }
    }
    if (extend <= 0) return other;
    waiting_.drop_head();
    const i32 slot = enter(request, node, prefix, outputs);
    Sequence& s = sequences_[slot];
    s.hosted = hosted;
    s.limit = limit;
    s.wanted = std::min(all_.output_tokens[request], limit);
    s.extend_end = prefix + extend;
    s.batch = batch.number;
    batch.pieces.push_back({slot, request, extend, prefix, last});
    take(room, extend, last ? std::min(limit, config_.clip_max_new_tokens) : 0);
    if (!last) chunked_ = slot;
    return state(room);
}

// How much of what is left of a prompt a batch computes, and whether that is all of it; 0: nothing.
i64 Sglang::piece_of(i64 extend, const Room& room, const Batch& batch, bool& last) const {
    const i64 page = config_.page_size;
    const bool exact = config_.ignore_eos && !config_.radix_cache, chunks = config_.chunked_prefill_size > 0;
    last = true;
    if (!chunks && !exact && !batch.pieces.empty() && ceiling(extend) >= room.input) return 0;
    if (!chunks || (exact ? extend : ceiling(extend)) <= room.chunk) return extend;
    last = false;
    return exact ? room.chunk : room.chunk / page * page;
}

i32 Sglang::slot_for(i32 request) {
    if (free_slots_.empty()) {
        free_slots_.push_back(static_cast<i32>(sequences_.size()));
        sequences_.emplace_back();
    }
    const i32 slot = free_slots_.back();
    free_slots_.pop_back();
    sequences_[slot].request = request;
    return slot;
}

i32 Sglang::enter(i32 request, i32 node, i64 prefix, i64 outputs) {
    const i32 slot = slot_for(request);
    Sequence& s = sequences_[slot];
    s.prompt = all_.input_tokens[request];
    s.outputs = outputs + 1;
    s.fill = s.prompt + outputs;
    s.prefix = s.owned_from = prefix;
    s.node = node;
    if (config_.radix_cache) tree_.lock(node);
    if (out_.scheduled_ns[request] < 0) {
        out_.scheduled_ns[request] = now_;
        out_.cached_tokens[request] = static_cast<i32>(prefix);
    }
    out_.cached_total[request] += static_cast<i32>(prefix);
    return slot;
}

// Outputs that will be sampled whatever comes, where nothing is cached: each that runs gives its memory back
// when it ends, and until then nobody may run short. [add_one_req_ignore_eos]
Sglang::Verdict Sglang::fits_for_good(const Room& room, i64 extend, i64 limit, i64 outputs,
                                      const Batch& batch) {
    const i64 paged = ceiling(extend) + config_.page_size;
    const i64 now = free_ - room.reserved_now;
    if (static_cast<double>(paged) > std::min(static_cast<double>(now), left(room, 0))) return no_token;
    const auto of = [](i64 most, i64 sampled, i64 prompt) {
        return std::pair{static_cast<double>(most - sampled), prompt + sampled};
    };
    const auto own = of(limit, outputs, extend - outputs); // nothing is cached: all of it is to compute
    if (states_.empty()) {
        if (own.first > 0.0) states_.push_back(own);
        scratch_.clear();
        for (std::size_t i = 0; i < sequences_.size(); ++i)
            if (sequences_[i].runs) scratch_.push_back(static_cast<i32>(i));
        std::sort(scratch_.begin(), scratch_.end(),
                  [&](i32 a, i32 b) { return sequences_[a].order < sequences_[b].order; });
        for (const i32 slot : scratch_) {
            const Sequence& s = sequences_[slot];
            const auto one = of(s.limit, sampled_of(s), s.prompt);
            if (one.first > 0.0) states_.push_back(one);
        }
        for (const Piece& p : batch.pieces) {
            const auto one =
                of(sequences_[p.slot].limit, out_.output_tokens[p.request], sequences_[p.slot].prompt);
            if (one.first > 0.0) states_.push_back(one);
        }
        std::stable_sort(states_.begin(), states_.end(),
                         [](const auto& a, const auto& b) { return a.first < b.first; });
    } else if (own.first > 0.0) {
        std::size_t at = 0;
        while (at + 1 < states_.size() && own.first > states_[at].first) ++at;
        states_.insert(states_.begin() + static_cast<std::ptrdiff_t>(at), own);
    }
    double given_back = 0.0;
    for (std::size_t i = 0; i < states_.size(); ++i) {
        const auto together = static_cast<double>(states_.size() - i);
        const double least = static_cast<double>(now - paged) + given_back - states_[i].first * together;
        if (least <= together) return no_token;
        given_back += static_cast<double>(states_[i].second);
    }
    return go_on;
}

// Memory of all pieces, after what has to be given up for it.
void Sglang::allocate(const Room& room, const Batch& batch) {
    const i64 page = config_.page_size;
    evict(room.tokens + (page > 1 ? static_cast<i64>(batch.pieces.size()) * page : 0));
    for (const Piece& p : batch.pieces) {
        Sequence& s = sequences_[p.slot];
        s.committed = p.before + p.tokens;
        free_ -= (pages(s.committed) - pages(p.before)) * page;
        load_.tokens += p.tokens;
        ++load_.prompts;
        load_.prompt_tokens += p.tokens;
        if (meter_.joules) meter_.prompts.push_back({p.request, p.tokens});
        load_.prompt_keys += p.tokens * (2 * p.before + p.tokens);
    }
}

// A token of each that runs goes into the same step, where its memory is there.
void Sglang::mix_in(Batch& batch) {
    if (leave_out_ending()) full_ = false;
    if (running_ > 0 && makes_room()) tick(batch);
}

} // namespace tokenroof::simulate
