// One call of TensorRT-LLM's scheduler: who fits the memory, who of them fits the step, and their blocks.
#include <algorithm>

#include "simulate/trtllm.hpp"

namespace tokenroof::simulate {

// --- memory [capacityScheduler.cpp] -----------------------------------------------------------------------

void Trtllm::fitting() {
    contexts_.clear();
    generations_.clear();
    coming_.clear();
    contributed_.clear();
    if (config_.policy == Capacity::max_utilization && counted_)
        fit_counted();
    else if (config_.policy == Capacity::max_utilization)
        fit_max_utilization();
    else
        fit_no_evict();
}

// Blocks that prompts which were begun will compute next: who needs the same waits for them.
void Trtllm::contributions() {
    if (!tracking_ || !config_.enable_prefix_aware_scheduling || open_ == 0) return;
    for (const i32 slot : started_) {
        const Sequence& s = sequences_[slot];
        if (s.phase != context) continue;
        const u64 next = tree_.find(s.request, s.prompt, s.prompt - 1, false, false, scratch_).next;
        if (next) contributed_.push_back(next);
    }
}

// Whether the first block of a prompt that the tree lacks is computed by another prompt of this step.
bool Trtllm::waits_for_prefix(i32 request) {
    if (!tracking_ || !config_.enable_prefix_aware_scheduling) return false;
    const u64 next = look_up(request).next;
    if (!next) return false;
    if (std::find(contributed_.begin(), contributed_.end(), next) != contributed_.end()) return true;
    contributed_.push_back(next);
    return false;
}

void Trtllm::add_candidate(i32 slot, i32 request) {
    i64 tokens = 0;
    if (slot < 0 && comes(request)) return coming_.push_back({slot, request, 0, 0});
    if (slot >= 0) {
        tokens = sequences_[slot].prompt - sequences_[slot].position;
    } else {
        const i64 known = known_of(request);
        tokens = tracking_ ? std::max<i64>(1, known - look_up(request).whole * config_.tokens_per_block) : known;
    }
    contexts_.push_back({slot, request, tokens, 0});
}

// What runs has its blocks to the end; prompts are taken while theirs are left beside. The first that does not
// fit ends it.
void Trtllm::fit_no_evict() {
    const bool alone = config_.policy == Capacity::static_batch;
    i64 answers = steady_;
    if (!counted_)
        for (const i32 slot : started_)
            if (sequences_[slot].phase == generation) generations_.push_back(slot), ++answers;
    if (alone && answers > 0) return;
    if (!alone) contributions();
    i64 left = free_blocks() - promised_, count = answers;
    const auto active = static_cast<std::size_t>(config_.max_batch_size) - started_.size(); // that may be new
    std::size_t i = 0, w = first_waiting_;
    const auto prompt_from = [&](std::size_t at) {
        if (open_ == 0) return started_.size();
        while (at < started_.size() && sequences_[started_[at]].phase != context) ++at;
        return at;
    };
    for (i = prompt_from(0);;) {
        const bool more = w < waiting_.size() && w - first_waiting_ < active;
        const bool begun = i < started_.size() &&
                           (!more || earlier(sequences_[started_[i]].request, waiting_[w]));
        if (!begun && !more) return;
        const i32 slot = begun ? started_[i] : -1, request = begun ? sequences_[slot].request : waiting_[w];
        if (begun)
            i = prompt_from(i + 1);
        else
            ++w;
        if (!begun && !alone && !comes(request) && waits_for_prefix(request)) continue;
        if (count >= config_.max_batch_size) return;
        i64 need = begun ? sequences_[slot].blocks - sequences_[slot].held
                         : blocks_for(limit_of(request, true), config_.tokens_per_block);
        if (!begun && tracking_) need -= look_up(request).referenced;
        if (need > left) return;
        left -= need;
        ++count;
        add_candidate(slot, request);
    }
}

// Only blocks of the next step have to be there. Where they are not, the last that was begun gives up its own.
void Trtllm::fit_max_utilization() {
    contributions();
    i64 used = 0, count = 0, end = static_cast<i64>(started_.size());
    const auto active = static_cast<std::size_t>(config_.max_batch_size) - started_.size();
    i32 cut = -1; // who came later than who was paused is not looked at
    std::size_t w = 0;
    for (i64 i = 0;;) {
        while (i < end && sequences_[started_[i]].phase >= draining) ++i;
        const bool more = first_waiting_ + w < waiting_.size() && w < active &&
                          (cut < 0 || earlier(waiting_[first_waiting_ + w], cut));
        const bool begun = i < end && (!more || earlier(sequences_[started_[i]].request, waiting_[first_waiting_ + w]));
        if (!begun && !more) return;
        Candidate who{begun ? started_[i] : -1, begun ? sequences_[started_[i]].request : waiting_[first_waiting_ + w],
                      0, 0};
        if (!begun && !comes(who.request) && waits_for_prefix(who.request)) {
            ++w;
            continue;
        }
        if (count < config_.max_batch_size && fits_next_step(who, used)) {
            ++count;
            if (begun)
                ++i;
            else
                ++w;
            continue;
        }
        if (!pause_last(i, end)) return;
        cut = paused_now_.back();
    }
}

bool Trtllm::fits_next_step(Candidate& who, i64& used) {
    const i64 size = config_.tokens_per_block;
    i64 need = 0;
    if (who.slot < 0) {
        const i64 known = known_of(who.request);
        need = blocks_for(known, size);
        if (tracking_) need -= look_up(who.request).referenced;
    } else if (sequences_[who.slot].phase == generation) {
        const Sequence& s = sequences_[who.slot]; // as far as it may go [kvCacheManager.cpp: getNeededBlocksOneStep]
        const i64 there = s.cache + drafting_.lookahead;
        need = blocks_for(there + std::min(per_answer(), s.limit - there), size) - s.held;
    }
    if (used + need > free_blocks()) return false;
    used += need;
    if (who.slot >= 0 && sequences_[who.slot].phase == generation)
        generations_.push_back(who.slot);
    else
        add_candidate(who.slot, who.request);
    return true;
}

// Pauses the last that was begun, from a place on; false where there is none.
bool Trtllm::pause_last(i64 after, i64& end) {
    i64 last = end - 1;
    while (last >= after && sequences_[started_[last]].phase >= draining) --last;
    if (last < after) return false;
    pause(started_[last]);
    end = last;
    return true;
}

// --- the step [microBatchScheduler.cpp] -------------------------------------------------------------------

void Trtllm::micro_batch() {
    i64 room = config_.max_num_tokens, count = config_.max_batch_size;
    const i64 answers = counted_ ? steady_ : static_cast<i64>(generations_.size());
    const i64 taken = std::min({answers, room / per_answer(), count});
    if (!counted_) generations_.resize(static_cast<std::size_t>(taken));
    room -= taken * per_answer();
    count -= taken;
    if (static_cast<i64>(contexts_.size()) > count) contexts_.resize(static_cast<std::size_t>(count));
    if (config_.enable_chunked_prefill) {
        pieces(room);
        return;
    }
    std::size_t fit = 0;
    for (; fit < contexts_.size() && contexts_[fit].tokens <= room; ++fit) {
        contexts_[fit].piece = contexts_[fit].tokens;
        room -= contexts_[fit].tokens;
    }
    contexts_.resize(fit);
}

// Prompts as they are where all fit; else pieces of whole blocks: first come first served, or one to each in turn.
void Trtllm::pieces(i64 room) {
    const i64 unit = config_.tokens_per_block;
    i64 sum = 0;
    for (const Candidate& who : contexts_) sum += who.tokens;
    if (sum <= room) {
        for (Candidate& who : contexts_) who.piece = who.tokens;
        return;
    }
    if (config_.equal_progress) {
        for (bool went = true; went && room > 0;) {
            went = false;
            for (Candidate& who : contexts_) {
                const i64 more = std::min(unit, who.tokens - who.piece);
                if (more == 0 || more > room) continue;
                who.piece += more;
                room -= more;
                went = true;
            }
        }
    } else {
        for (Candidate& who : contexts_) {
            who.piece = who.tokens <= room ? who.tokens : room / unit * unit;
            room -= who.piece;
        }
    }
    std::erase_if(contexts_, [](const Candidate& who) { return who.piece == 0; });
}

// Whether prompts wait for more of them, while answers go on. [py_executor.py: _waiting_requests]
bool Trtllm::batch_waits() const {
    if (config_.batch_wait_timeout_iters <= 0 && config_.batch_wait_max_tokens_ratio <= 0.0) return false;
    const i64 answers = counted_ ? steady_ : static_cast<i64>(generations_.size());
    if (contexts_.empty() || answers == 0) return false;
    i64 tokens = answers * per_answer();
    for (const Candidate& who : contexts_) tokens += who.piece;
    return wait_iters_ < config_.batch_wait_timeout_iters &&
           static_cast<double>(tokens) <
               config_.batch_wait_max_tokens_ratio * static_cast<double>(config_.max_num_tokens);
}

// --- what runs --------------------------------------------------------------------------------------------

// Who does not find its blocks after all, as a request that it shared them with was paused, waits.
void Trtllm::run_contexts() {
    const i64 size = config_.tokens_per_block;
    for (Candidate& who : contexts_) {
        const bool whole = who.piece == who.tokens;
        if (who.slot < 0 && !start(who)) break;
        Sequence& s = sequences_[who.slot];
        const i64 before = s.position;
        // a piece that is not the last ends with a block, wherever what was found ends
        const i64 end = whole ? s.prompt : std::min(s.prompt, before / size * size + who.piece);
        s.position = s.cache = end;
        const i64 tokens = end - before;
        load_.tokens += tokens;
        ++load_.prompts;
        load_.prompt_tokens += tokens;
        load_.prompt_keys += tokens * (2 * before + tokens);
        if (meter_.joules) meter_.prompts.push_back({s.request, tokens});
        const bool last = end == s.prompt;
        batch_->entries.push_back({who.slot, s.request, tokens, before, s.start, last, true});
        if (!last) continue;
        s.phase = generation;
        --open_;
        promised_ += s.blocks - s.held;
        sampled_one(s);
        if (counted_) join_counted(who.slot);
    }
}

// A token more is known once the step has run; the last that may come ends it.
void Trtllm::sampled_one(Sequence& s) {
    fruitless_ = 0;
    ++s.sampled;
    ++s.told;
    drain_if_known(s);
}

// The step that brings its last token was launched: it gets no other.
void Trtllm::drain_if_known(Sequence& s) {
    if (s.phase != generation || s.sampled < s.limit) return;
    promised_ -= s.blocks - s.held;
    s.phase = draining;
}

// Drafts that were rejected leave the cache, and blocks that nothing else is in are the next to be taken.
// [kvCacheManager.cpp: rewindKVCache, releaseLastBlock]
void Trtllm::rewind(Sequence& s, i64 tokens) {
    s.cache -= tokens;
    const i64 more = s.held - blocks_held(s.cache);
    s.held -= more;
    if (s.phase == generation) promised_ += more;
    if (tracking_)
        tree_.take_back(more, s.list);
    else
        free_ += more;
}

void Trtllm::run_generations() {
    for (const i32 slot : generations_) {
        Sequence& s = sequences_[slot];
        const i64 width = per_answer(), more = blocks_held(s.cache + width) - s.held;
        if (more > free_blocks()) continue; // as above
        if (s.fresh && first_token(slot)) continue;
        const i64 before = drafting_.drafts > 0 ? s.prompt + s.told - 1 : s.cache; // what was kept, whoever knows it
        s.cache += width;
        allocate(s, more);
        promised_ -= more;
        load_.tokens += width;
        load_.drafted += drafting_.drafts;
        ++load_.generating;
        load_.context += before + width;
        if (meter_.joules) meter_.generating.push_back(s.request);
        const i64 at = s.prompt + s.told - all_.input_tokens[s.request]; // outputs before
        const i64 kept = drafting_.kept(s.request, at, drafting_.drafts);
        batch_->entries.push_back({slot, s.request, width, before, s.start, true, false, kept});
        sampled_one(s);
        s.told += kept;
    }
}

} // namespace tokenroof::simulate
