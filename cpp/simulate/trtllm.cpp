// TensorRT-LLM's executor: its loop, its blocks, and what comes out.
#include "simulate/trtllm.hpp"

#include <algorithm>
#include <bit>

namespace tokenroof::simulate {

Trtllm::Trtllm(const TrtllmConfig& config, const Drafting& drafting, const Surroundings& around)
    : config_(config), drafting_(drafting), all_(around.all), out_(around.out), clock_(around.clock), record_(around.record),
      number_(around.number), role_(around.role),
      tracking_(config.enable_block_reuse &&
                (around.tracking || (config.policy == Capacity::max_utilization && !counters_serve(around)))),
      counted_(!tracking_ && counters_serve(around)),
      tree_(all_, config.tokens_per_block), free_(config.num_blocks) {
    if (tracking_) tree_.reset(config.num_blocks);
    class_count_.assign(static_cast<std::size_t>(config.tokens_per_block), 0);
    totals_.metered = clock_.metered;
    if (totals_.metered) meter_.joules = out_.joules;
    if (counted_) wheel_.assign(std::bit_ceil(static_cast<u64>(around.most_outputs + 4)), -1);
}

// Whether all that answer can be played as a count: each gets a token a step. With max-utilisation until the first
// has to be paused; then all is played once more, one by one.
bool Trtllm::counters_serve(const Surroundings& around) const {
    return config_.path == 0 && around.role == Role::whole && !around.hurried && drafting_.drafts == 0 && config_.max_num_tokens >= config_.max_batch_size &&
           !(config_.policy == Capacity::max_utilization && around.tracking) &&
           !(around.record && around.record->entries_wanted);
}

// Tokens where a request ends; where it ends at the latest, as its client declared.
i64 Trtllm::limit_of(i32 request, bool declared) const {
    const i64* outputs = declared && all_.declared_tokens ? all_.declared_tokens : all_.output_tokens;
    return std::min(all_.input_tokens[request] + outputs[request], config_.max_seq_len);
}

// What the executor refuses: longer than the model takes, or than a step where prompts are not cut; and what
// could never be held, where that is asked for.
bool Trtllm::refuses(i32 request) const {
    const i64 input = all_.input_tokens[request];
    if (input >= config_.max_seq_len) return true;
    if (!config_.enable_chunked_prefill && input > config_.max_num_tokens) return true;
    // the last steps' drafts reach beyond its end, those of a loop that has two in flight twice
    const i64 most = limit_of(request, true) + (config_.overlap ? 2 : 1) * drafting_.drafts;
    return config_.refuse_oversized && blocks_held(most) > config_.num_blocks;
}

// --- who waits --------------------------------------------------------------------------------------------

void Trtllm::deliver(i32 request) {
    out_.replica[request] = number_;
    if (role_ == Role::answers) {
        entered_.resize(static_cast<std::size_t>(all_.count));
        entered_[request] = ++entries_;
    }
    if (first_waiting_ > 1024 && 2 * first_waiting_ > waiting_.size()) {
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(first_waiting_));
        first_waiting_ = 0;
    }
    waiting_.push_back(request);
    totals_.peak_waiting = std::max(totals_.peak_waiting, waiting());
}

// Who was paused stands where it stood: before all that came after it.
void Trtllm::wait_again(i32 request) {
    if (first_waiting_ == 0) {
        waiting_.insert(waiting_.begin(), request);
    } else {
        waiting_[--first_waiting_] = request;
    }
    for (std::size_t i = first_waiting_; i + 1 < waiting_.size() && earlier(waiting_[i + 1], waiting_[i]); ++i)
        std::swap(waiting_[i], waiting_[i + 1]);
}

void Trtllm::drop_waiting(i32 request) {
    std::size_t i = first_waiting_;
    while (waiting_[i] != request) ++i;
    for (; i > first_waiting_; --i) waiting_[i] = waiting_[i - 1];
    ++first_waiting_;
}

void Trtllm::add_started(i32 slot) {
    started_.push_back(slot);
    for (std::size_t i = started_.size() - 1; i > 0; --i) {
        if (!earlier(sequences_[started_[i]].request, sequences_[started_[i - 1]].request)) break;
        std::swap(started_[i], started_[i - 1]);
    }
}

i32 Trtllm::slot_for(i32 request) {
    for (auto at = paused_slots_.rbegin(); at != paused_slots_.rend(); ++at) {
        if (at->first != request) continue;
        const i32 slot = at->second;
        paused_slots_.erase(std::next(at).base());
        return slot;
    }
    if (free_slots_.empty()) {
        free_slots_.push_back(static_cast<i32>(sequences_.size()));
        sequences_.emplace_back();
    }
    const i32 slot = free_slots_.back();
    free_slots_.pop_back();
    return slot;
}

// --- blocks -----------------------------------------------------------------------------------------------

// What the tree holds of a request; remembered until the tree, or the request, is another.
const Found& Trtllm::look_up(i32 request) {
    const i64 known = known_of(request);
    if (looked_up_ != request || looked_known_ != known || looked_version_ != tree_.version()) {
        found_ = tree_.find(request, known, known - 1, config_.enable_partial_reuse,
                            config_.copy_on_partial_reuse, found_blocks_);
        looked_up_ = request;
        looked_known_ = known;
        looked_version_ = tree_.version();
    }
    return found_;
}

i64 Trtllm::cached(i32 request) {
    if (!tracking_) return 0;
    const Found& found = look_up(request);
    const i64 size = config_.tokens_per_block;
    return std::min(found.whole, (known_of(request) - 1) / size) * size + found.part;
}

void Trtllm::allocate(Sequence& s, i64 count) {
    if (count == 0) return;
    s.held += count;
    if (tracking_)
        tree_.pop(count, s.list);
    else
        free_ -= count;
}

// What was computed of a sequence is kept in the tree, its last block in part; its last block is reused first.
void Trtllm::give_back(Sequence& s) {
    if (s.phase == generation) promised_ -= s.blocks - s.held;
    if (s.phase == context) --open_;
    if (tracking_) {
        tree_.store(s.request, s.list, s.ready, true);
        tree_.release(s.list);
        s.list.clear();
    } else {
        free_ += s.held;
    }
    s.held = 0;
}

// A prompt takes its blocks, those that hold its beginning among them, and becomes a sequence; false where they
// are not there.
bool Trtllm::start(Candidate& who) {
    const i64 size = config_.tokens_per_block, known = known_of(who.request), all = blocks_held(known);
    if (all - (tracking_ ? look_up(who.request).referenced : 0) > free_blocks()) return false;
    i64 hit = 0;
    who.slot = slot_for(who.request);
    Sequence& s = sequences_[who.slot];
    s.request = who.request;
    s.phase = comes(who.request) ? coming : context;
    open_ += s.phase == context;
    s.prompt = s.known = known;
    s.total = limit_of(who.request, false);
    s.limit = limit_of(who.request, true);
    s.blocks = blocks_for(s.limit, size);
    s.list.clear();
    ++s.start;
    if (tracking_) {
        const Found found = look_up(who.request);
        const i64 whole = std::min(found.whole, (known - 1) / size);
        s.list.assign(found_blocks_.begin(), found_blocks_.begin() + whole);
        for (const i32 block : s.list) tree_.touch(block);
        hit = whole * size;
        if (found.part > 0 && tree_.leaf(found.partial)) {
            tree_.claim(found.partial); // else its tokens are copied
            s.list.push_back(found.partial);
        }
        hit += found.part;
        s.held = static_cast<i64>(s.list.size());
    }
    allocate(s, all - s.held);
    s.position = s.cache = s.ready = hit;
    s.sampled = known;
    s.told = 0;
    s.fresh = false;
    if (out_.scheduled_ns[who.request] < 0) {
        if (s.phase == context) out_.scheduled_ns[who.request] = now_;
        out_.cached_tokens[who.request] = static_cast<i32>(hit);
    }
    out_.cached_total[who.request] += static_cast<i32>(hit);
    drop_waiting(who.request);
    add_started(who.slot);
    return true;
}

// Its memory is given up; what it answered counts as its prompt from now on.
void Trtllm::pause(i32 slot) {
    Sequence& s = sequences_[slot];
    give_back(s);
    s.phase = unstarted;
    ++s.start;
    std::erase(started_, slot);
    paused_slots_.emplace_back(s.request, slot);
    wait_again(s.request);
    paused_now_.push_back(s.request);
    ++out_.preemptions[s.request];
}

// --- the loop ---------------------------------------------------------------------------------------------

void Trtllm::schedule(i64 now) {
    if (batches_ > 0 && !processed_) return;
    processed_ = false;
    const int depth = config_.overlap ? 2 : 1;
    const auto fill = [&] {
        while (batches_ < depth && (call(now) || (turned_ && batches_ == 0))) {}
    };
    fill();
    if (batches_ > 0 || leaving_.empty()) return;
    take_out_leaving(); // nothing runs that they could wait for
    fill();
}

bool Trtllm::call(i64 now) {
    if (!decide(now, false)) return false;
    const i64 begin = std::max(now, last_end_);
    commit(begin, begin + take_time());
    return true;
}

// The step's time, and who pays for its energy.
i64 Trtllm::take_time() {
    if (!meter_.joules) return clock_.duration(load_);
    const i64 duration = clock_.duration(load_, &step_j_);
    totals_.busy_j += step_j_.all();
    meter_.pay(load_, step_j_);
    for (const i32 slot : meter_.joined) sequences_[slot].mark = meter_.sum;
    for (const Meter::Left& one : meter_.left) meter_.settle(one.request, one.mark);
    return duration;
}

bool Trtllm::decide(i64 now, bool) {
    turned_ = false;
    if ((started_.empty() && waiting() == 0) || fruitless_ > most_fruitless) return false;
    batch_ = &queue_[batches_];
    batch_->entries.clear();
    batch_->tick = tick_;
    load_ = Load{};
    meter_.open();
    now_ = now;
    paused_now_.clear();
    fitting();
    micro_batch();
    if (batch_waits()) {
        ++wait_iters_;
        contexts_.clear();
    } else if (!contexts_.empty() && (counted_ ? steady_ > 0 : !generations_.empty())) {
        wait_iters_ = 0;
    }
    reserve_coming();
    run_contexts();
    if (counted_)
        generations_counted();
    else
        run_generations();
    totals_.preemptions += static_cast<i64>(paused_now_.size());
    fruitless_ += static_cast<i64>(paused_now_.size());
    if (load_.tokens == 0 && !paused_now_.empty()) note(now, now, *batch_);
    return load_.tokens > 0;
}

void Trtllm::commit(i64 start, i64 end) {
    batch_->end_ns = last_end_ = end;
    ++batches_;
    ++totals_.steps;
    totals_.counted_steps += counted_;
    totals_.tokens += load_.tokens;
    totals_.busy_ns += end - start;
    totals_.end_ns = end;
    totals_.peak_running = std::max(totals_.peak_running, running());
    totals_.least_free = std::min(totals_.least_free, free_blocks());
    note(start, end, *batch_);
}

void Trtllm::note(i64 start, i64 end, const Batch& batch) {
    if (!record_ || !record_->rows_wanted) return;
    const auto step = static_cast<i64>(record_->rows.size());
    record_->rows.push_back({now_, start, end, number_, static_cast<i32>(free_blocks()),
                             static_cast<i32>(running()), static_cast<i32>(waiting()),
                             static_cast<i32>(tracking_ ? tree_.stored() : 0),
                             static_cast<i32>(load_.tokens), load_.tokens > 0 ? step_j_.all() : 0.0});
    if (record_->entries_wanted)
        for (const Entry& e : batch.entries)
            record_->entries.push_back({step, e.request, e.tokens, e.before});
    for (const i32 request : paused_now_) record_->preempted.push_back({step, request});
}

// --- outputs ----------------------------------------------------------------------------------------------

void Trtllm::process(std::vector<i32>& ended) {
    if (!answered_.empty()) { // their clients are told at once
        ended.insert(ended.end(), answered_.begin(), answered_.end());
        answered_.clear();
        return;
    }
    Batch batch;
    std::swap(batch, queue_[0]);
    if (--batches_ > 0) std::swap(queue_[0], queue_[1]);
    processed_ = true;
    for (const Entry& e : batch.entries) {
        Sequence& s = sequences_[e.slot];
        if (s.request != e.request) continue; // it left, which was not known when this was launched
        const bool same = s.start == e.start; // not paused meanwhile
        if (same && e.prompt) {
            s.ready = e.before + e.tokens;
            if (tracking_) tree_.store(s.request, s.list, s.ready, false);
        }
        if (!e.sampled) continue;
        i64 given = 1;
        if (drafting_.drafts > 0) {
            given = std::min(1 + e.kept, s.total - s.known);
            if (!e.prompt) {
                totals_.drafted += drafting_.drafts;
                totals_.kept += e.kept;
                if (same) rewind(s, drafting_.drafts - e.kept);
            }
            if (record_ && record_->entries_wanted) record_->given.push_back({batch.end_ns, e.request, given});
        }
        s.known += given;
        out_.output_tokens[s.request] += static_cast<i32>(given);
        if (same && given > 1) {
            s.sampled += given - 1;
            drain_if_known(s);
        }
        if (out_.first_token_ns[s.request] < 0 && awaited(s.request)) out_.first_token_ns[s.request] = batch.end_ns;
        if (same) s.ready = s.known - 1;
        if (!counted_ && s.known >= s.total) finish(e.slot, batch.end_ns, ended);
    }
    if (counted_) process_counted(batch, ended);
    take_out_leaving();
    leaving_.insert(leaving_.end(), dropped_.begin(), dropped_.end());
    dropped_.clear();
    std::swap(batch, queue_[batches_]); // its room is used again
}

void Trtllm::finish(i32 slot, i64 end_ns, std::vector<i32>& ended) {
    Sequence& s = sequences_[slot];
    if (role_ == Role::prompts && awaited(s.request)) return keep(slot, end_ns, ended);
    if (s.phase == unstarted) {
        drop_waiting(s.request);
        std::erase(paused_slots_, std::pair{s.request, slot});
    } else {
        give_back(s);
        std::erase(started_, slot);
        s.phase = unstarted;
    }
    if (awaited(s.request)) {
        out_.last_token_ns[s.request] = end_ns;
        out_.status[s.request] = done;
        ended.push_back(s.request);
    } else {
        left_early(s.request);
    }
    s.request = -1;
    free_slots_.push_back(slot);
}

void Trtllm::close(Status status) {
    for (const i32 slot : started_) {
        Sequence& s = sequences_[slot];
        if (!awaited(s.request)) continue;
        out_.status[s.request] = status;
        if (counted_ && s.phase == generation) meter_.settle(s.request, s.mark);
        if (counted_ && s.phase != context && s.known > s.prompt)
            out_.output_tokens[s.request] = static_cast<i32>(
                s.known - all_.input_tokens[s.request] +
                std::max<i64>(0, std::min(done_tick_, s.last) - s.joined + 1));
    }
    for (std::size_t i = first_waiting_; i < waiting_.size(); ++i)
        if (awaited(waiting_[i])) out_.status[waiting_[i]] = status;
    for (const std::vector<Dropped>* which : {&dropped_, &leaving_})
        for (const Dropped& one : *which) out_.output_tokens[one.request] = static_cast<i32>(one.given);
}

} // namespace tokenroof::simulate
