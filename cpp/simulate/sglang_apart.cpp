// Prompts and answers apart, at SGLang: a request goes to both servers at once. That of answers sets memory aside
// first, that of prompts begins then and sends what it has computed piece by piece.
// [sglang/srt/disaggregation/decode.py: pop_preallocated, resume_retracted_reqs, get_new_prebuilt_batch;
// prefill.py: pop_bootstrapped, send_kv_chunk, process_disagg_prefill_inflight_queue]
#include <algorithm>

#include "simulate/sglang.hpp"

namespace tokenroof::simulate {

// --- prompts ----------------------------------------------------------------------------------------------

// Memory for its cache is there.
void Sglang::ready(i32 request) {
    --booting_;
    ready_.push_back(request);
}

// Those join the queue in the order in which they came.
void Sglang::admit_ready() {
    std::sort(ready_.begin(), ready_.end(), [&](i32 a, i32 b) { return entered_[a] < entered_[b]; });
    for (const i32 request : ready_) queue_up(request);
    ready_.clear();
}

// Whole pages of a piece are sent; of the last all.
void Sglang::send_piece(i32 request, i64 until, bool last) {
    const i64 page = config_.page_size;
    sent_.push_back({request, last ? until : until / page * page, last});
}

// What the device had of it is sent when the step begins; not while the host's part of any is on its way.
void Sglang::send_found(const Batch& batch) {
    if (batch.loads) return;
    for (const Piece& p : batch.pieces) {
        const i64 found = p.before - sequences_[p.slot].hosted;
        if (found > 0 && found % config_.page_size == 0) send_piece(p.request, found, false);
    }
}

void Sglang::sent(std::vector<Sent>& out) {
    out.insert(out.end(), sent_.begin(), sent_.end());
    sent_.clear();
}

// Its prompt is computed, and in the tree; its memory stays until it was read.
void Sglang::keep(i32 slot, i64 end_ns, std::vector<i32>& ended) {
    Sequence& s = sequences_[slot];
    checkpoint(s, s.fill);
    const bool wanted = awaited(s.request);
    kept_.push_back({s.request, slot, !wanted});
    if (!wanted) return;
    out_.last_token_ns[s.request] = end_ns;
    out_.status[s.request] = done;
    ended.push_back(s.request);
    send_piece(s.request, s.prompt, true);
}

bool Sglang::let_go(i32 request) {
    for (Aside& one : kept_)
        if (one.request == request) return one.there = true;
    return false;
}

// The loop looks at those in the order in which they began.
void Sglang::free_read() {
    for (const Aside& one : kept_) {
        if (!one.there) continue;
        Sequence& s = sequences_[one.slot];
        checkpoint(s, s.committed);
        release(s);
        --rows_;
        free_slot(one.slot);
    }
    std::erase_if(kept_, [](const Aside& one) { return one.there; });
}

// --- answers ----------------------------------------------------------------------------------------------

i64 Sglang::aside() const {
    const auto size = [](const auto& v) { return static_cast<i64>(v.size()); };
    return booting_ + size(ready_) + size(expected_) - first_expected_ + size(coming_) + size(arrived_) +
           size(retracted_);
}

i64 Sglang::holds_aside() const { return static_cast<i64>(kept_.size() + coming_.size() + arrived_.size()); }

// One turn of the loop: who was retracted comes back, memory is set aside, caches that are there join.
bool Sglang::call_answers(i64 now, Batch& batch) {
    again_ = !gone_.empty();
    resume();
    if (retracted_.empty()) { // else nobody new gets memory, and nobody is looked for
        set_aside();
        take_received();
    }
    join_arrived();
    drop_ended();
    if (running_ > 0) decode(batch);
    finish_batch(now, batch);
    return load_.tokens > 0;
}

// Tokens that may be set aside: so many are kept for each request that was let in.
i64 Sglang::allocatable(i64 single) const {
    const i64 active = running_ + static_cast<i64>(coming_.size() + arrived_.size());
    return free_ - std::max(config_.reserved_decode_tokens * active, single);
}

i32 Sglang::hold(i32 request, i64 tokens) {
    const i32 slot = slot_for(request);
    Sequence& s = sequences_[slot];
    s.prompt = all_.input_tokens[request];
    s.limit = declared(request);
    s.wanted = std::min(all_.output_tokens[request], s.limit);
    s.committed = tokens;
    free_ -= ceiling(tokens);
    ++rows_;
    again_ = true;
    return slot;
}

// Their memory was copied to the host, and is again where it was.
void Sglang::resume() {
    std::size_t count = 0;
    for (; count < retracted_.size(); ++count) {
        const i32 request = retracted_[count];
        const i64 tokens = known(request) - 1;
        if (rows_ >= most_held() || ceiling(tokens) + config_.reserved_decode_tokens > allocatable(0)) break;
        arrived_.push_back({request, hold(request, tokens), true});
    }
    retracted_.erase(retracted_.begin(), retracted_.begin() + static_cast<std::ptrdiff_t>(count));
}

// Memory for whole prompts, in the order in which they came; those that run can be retracted for the one that
// needs most.
void Sglang::set_aside() {
    if (first_expected_ == static_cast<i64>(expected_.size())) return;
    i64 retractable = 0, longest = 0;
    for (const Sequence& s : sequences_) {
        if (!s.runs) continue;
        retractable += s.prompt + (s.ended ? s.sampled : sampled_of(s));
        longest = std::max(longest, s.prompt + std::min(s.limit, config_.clip_max_new_tokens));
    }
    const i64 single = running_ > 0 ? longest - retractable : 0;
    for (; first_expected_ < static_cast<i64>(expected_.size()); ++first_expected_) {
        const i32 request = expected_[static_cast<std::size_t>(first_expected_)];
        const i64 prompt = all_.input_tokens[request];
        if (static_cast<i64>(coming_.size()) >= 2 * config_.max_running_requests || rows_ >= most_held()) break;
        const i64 whole = prompt + std::min(declared(request), config_.clip_max_new_tokens) - retractable;
        if (std::max(ceiling(prompt) + config_.reserved_decode_tokens, whole) > allocatable(single)) break;
        coming_.push_back({request, hold(request, prompt), false});
        reserved_.push_back({request, prompt});
    }
    if (first_expected_ > 1024 && 2 * first_expected_ > static_cast<i64>(expected_.size())) {
        expected_.erase(expected_.begin(), expected_.begin() + first_expected_);
        first_expected_ = 0;
    }
}

void Sglang::reserved(std::vector<Reserved>& out) {
    out.insert(out.end(), reserved_.begin(), reserved_.end());
    reserved_.clear();
}

bool Sglang::receive(i32 request) {
    for (Aside& one : coming_)
        if (one.request == request) return one.there = true;
    return false;
}

void Sglang::take_received() {
    const auto over = [&](const Aside& one) { return one.there || !awaited(one.request); };
    for (const Aside& one : coming_) {
        if (!over(one)) continue;
        again_ = true;
        if (awaited(one.request))
            arrived_.push_back(one);
        else
            abandon(one.slot);
    }
    std::erase_if(coming_, over);
}

// Memory of who gave up.
void Sglang::abandon(i32 slot) {
    release(sequences_[slot]);
    --rows_;
    free_slot(slot);
}

// They run from now on: the first token, which came with the cache, is the client's.
void Sglang::join_arrived() {
    const i64 count = std::min(config_.max_running_requests - running_, static_cast<i64>(arrived_.size()));
    if (count <= 0) return;
    again_ = true;
    for (i64 i = 0; i < count; ++i) {
        const auto [request, slot, there] = arrived_[static_cast<std::size_t>(i)];
        Sequence& s = sequences_[slot];
        if (out_.output_tokens[request] == 0) {
            out_.output_tokens[request] = 1;
            out_.scheduled_ns[request] = out_.first_token_ns[request] = now_;
        }
        s.outputs = out_.output_tokens[request];
        if (s.outputs < s.wanted) {
            join(slot, next_order_++);
            continue;
        }
        release(s); // it was the last
        --rows_;
        out_.last_token_ns[request] = now_;
        out_.status[request] = done;
        aborted_.push_back(request);
        free_slot(slot);
    }
    arrived_.erase(arrived_.begin(), arrived_.begin() + count);
}

double Sglang::memory_share() const {
    return 1.0 - static_cast<double>(free_ + tree_.evictable()) / static_cast<double>(config_.tokens);
}

} // namespace tokenroof::simulate
