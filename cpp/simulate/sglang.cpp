// The loop of SGLang's scheduler, and what comes back from a step. [sglang/srt/managers/scheduler.py]
#include "simulate/sglang.hpp"

#include <bit>

namespace tokenroof::simulate {

Sglang::Sglang(const SglangConfig& config, const Drafting& drafting, const Surroundings& around)
    : config_(config), drafting_(drafting), all_(around.all), out_(around.out), clock_(around.clock), record_(around.record),
      number_(around.number), role_(around.role), tree_(around.all, config.page_size, config.eviction, drafting.reads_states),
      batch_tree_(around.all, 1, Evict::lru), waiting_(config.by_priority || config.longest_output_first),
      free_(config.tokens), ratio_(config.init_ratio), link_(around.link) {
    if (config.host_tokens > 0 && link_) tree_.use_host(config.host_tokens, config.write_policy);
    class_count_.assign(static_cast<std::size_t>(config.page_size), 0);
    wheel_.assign(std::bit_ceil(static_cast<u64>(around.most_outputs + 4)), -1);
    cross_ = wheel_;
    totals_.metered = clock_.metered;
    if (totals_.metered) meter_.joules = out_.joules;
}

// What a client declares, as far as the memory and the context hold it.
i64 Sglang::declared(i32 request) const {
    const i64 said = (all_.declared_tokens ? all_.declared_tokens : all_.output_tokens)[request];
    const i64 input = all_.input_tokens[request];
    const i64 memory = config_.tokens - ceiling(input) - config_.page_size - 1;
    return std::max<i64>(1, std::min({said, config_.max_req_len - input - 1, memory}));
}

// Too long, or never to be admitted.
bool Sglang::refuses(i32 request) const {
    const i64 input = all_.input_tokens[request];
    if (role_ == Role::answers && ceiling(input) + config_.reserved_decode_tokens > config_.tokens) return true;
    if (input >= config_.max_req_len - 5 || input + 1 + config_.page_size >= config_.tokens) return true;
    const i64 free = config_.tokens - ceiling(input) - config_.page_size;
    return role_ != Role::answers && config_.ignore_eos && !config_.radix_cache && free - declared(request) <= 1;
}

i64 Sglang::cached(i32 request) {
    if (!config_.radix_cache) return 0;
    return tree_.cached(request, known(request) - 1);
}

void Sglang::deliver(i32 request) {
    out_.replica[request] = number_;
    if (config_.max_queued_requests < never || role_ == Role::prompts) {
        entered_.resize(static_cast<std::size_t>(all_.count));
        entered_[request] = ++entries_;
    }
    if (role_ == Role::prompts)
        ++booting_;
    else if (role_ == Role::answers)
        expected_.push_back(request);
    else
        queue_up(request);
    totals_.peak_waiting = std::max(totals_.peak_waiting, waiting());
}

void Sglang::queue_up(i32 request) {
    const i64 sign = config_.low_first ? 1 : -1;
    waiting_.add(request, config_.by_priority && all_.priority ? sign * all_.priority[request] : 0,
                 config_.longest_output_first ? declared(request) : 0);
}

// As many batches as the loop holds; where none can be built it waits for the one in flight.
void Sglang::schedule(i64 now) {
    if (batches_ > 0 && !processed_) return;
    processed_ = false;
    const int depth = config_.overlap ? 2 : 1;
    if (role_ == Role::prompts) free_read();
    while (batches_ < depth && (rows_ > 0 || waiting() > 0))
        if (!call(now) && (batches_ > 0 || !again_ || !aborted_.empty())) break; // whom it gave up is told first
    if (batches_ == 0 && rows_ == 0 && waiting_.empty()) ratio_ = config_.init_ratio; // idle
    if (batches_ == 0 && tree_.tiered()) {
        now_ = now;
        send_writes();
    }
}

// One turn: prompts first, else those that run. [get_next_batch_to_run]
bool Sglang::call(i64 now) {
    Batch& batch = queue_[batches_];
    batch.pieces.clear();
    batch.drafted.clear();
    batch.loads = false;
    batch.tick = -1;
    batch.number = ++batch_number_;
    load_ = Load{};
    meter_.open();
    retracted_now_.clear();
    now_ = now;
    if (role_ == Role::answers) return call_answers(now, batch);
    if (tree_.tiered()) notice_moved();
    if (role_ == Role::prompts) admit_ready();
    if (chunked_ >= 0) {
        Sequence& s = sequences_[chunked_];
        if (s.extend_end > s.prefix) checkpoint(s, s.extend_end);
        if (s.extend_end > s.prefix && role_ == Role::prompts && !config_.overlap)
            send_piece(s.request, s.extend_end, false);
        s.prefix = s.extend_end;
    }
    if (role_ == Role::prompts) {
        last_.clear();
        full_ = false;
    }
    merge(batches_ > 0);
    drop_ended();
    bool deferred = role_ == Role::whole && interval_left_ > 0;
    if (deferred && running_ < config_.prefill_decode_interval_min_bs) {
        interval_left_ = 0;
        deferred = false;
    }
    interval_left_ -= deferred;
    again_ = deferred;
    if (!deferred && build_prefill(batch))
        interval_left_ = config_.prefill_decode_interval;
    else if (running_ > 0)
        decode(batch);
    finish_batch(now, batch);
    return load_.tokens > 0;
}

// Prompts of the last batch that are whole join those that run; whoever does not makes room for others.
void Sglang::merge(bool flying) {
    flying_pieces_ = 0;
    if (last_.empty()) return;
    i64 joined = 0;
    for (const Piece& p : last_) joined += p.last && sequences_[p.slot].request == p.request;
    if (joined < static_cast<i64>(last_.size()) || last_mixed_ || running_ == 0) full_ = false;
    i64& order = last_mixed_ ? front_order_ : next_order_;
    if (last_mixed_) order -= joined;
    const i64 first = order;
    i64 k = 0;
    for (const Piece& p : last_) {
        if (!p.last || sequences_[p.slot].request != p.request) continue;
        join(p.slot, first + k++);
        const Sequence& s = sequences_[p.slot];
        flying_pieces_ += flying && s.limit - s.outputs < config_.clip_max_new_tokens;
    }
    if (!last_mixed_) next_order_ += joined;
    last_.clear();
    last_mixed_ = false;
}

void Sglang::drop_ended() {
    for (const i32 slot : gone_) {
        remove(slot);
        free_slot(slot);
        full_ = false;
    }
    gone_.clear();
}

void Sglang::free_slot(i32 slot) {
    sequences_[slot] = Sequence{};
    free_slots_.push_back(slot);
}

// The step's time, and who pays for its energy.
i64 Sglang::take_time() {
    if (!meter_.joules) return clock_.duration(load_);
    const i64 duration = clock_.duration(load_, &step_j_);
    totals_.busy_j += step_j_.all();
    meter_.pay(load_, step_j_);
    return duration;
}

void Sglang::finish_batch(i64 now, Batch& batch) {
    totals_.preemptions += static_cast<i64>(retracted_now_.size());
    if (load_.tokens == 0) {
        if (!retracted_now_.empty()) note(now, now, batch);
        return;
    }
    last_.assign(batch.pieces.begin(), batch.pieces.end());
    last_mixed_ = !last_.empty() && batch.tick >= 0;
    const i64 start = std::max({now, last_end_, held_until_}), duration = take_time();
    last_end_ = batch.end_ns = load_over_ < 0 ? start + duration : end_of(start, duration);
    ++batches_;
    if (role_ == Role::prompts && batches_ == 1) send_found(batch);
    ++totals_.steps;
    totals_.counted_steps += !drafts();
    totals_.tokens += load_.tokens;
    totals_.busy_ns += duration;
    totals_.end_ns = last_end_;
    totals_.peak_running = std::max(totals_.peak_running, rows_);
    totals_.least_free = std::min(totals_.least_free, (free_ + tree_.evictable()) / config_.page_size);
    note(now, start, batch);
}

void Sglang::note(i64 now, i64 start, const Batch& batch) {
    if (!record_ || !record_->rows_wanted) return;
    const auto step = static_cast<i64>(record_->rows.size());
    const i64 end = load_.tokens > 0 ? batch.end_ns : start, page = config_.page_size;
    record_->rows.push_back({now, start, end, number_, static_cast<i32>((free_ + tree_.evictable()) / page),
                             static_cast<i32>(running()), static_cast<i32>(waiting()),
                             static_cast<i32>((tree_.evictable() + tree_.locked()) / page),
                             static_cast<i32>(load_.tokens), load_.tokens > 0 ? step_j_.all() : 0.0});
    if (record_->entries_wanted) {
        for (const Piece& p : batch.pieces) record_->entries.push_back({step, p.request, p.tokens, p.before});
        for (const Drafted& d : batch.drafted)
            record_->entries.push_back({step, d.request, 1 + drafting_.drafts, d.before});
        if (batch.tick >= 0) {
            scratch_.clear();
            for (std::size_t i = 0; i < sequences_.size(); ++i)
                if (sequences_[i].runs) scratch_.push_back(static_cast<i32>(i));
            std::sort(scratch_.begin(), scratch_.end(),
                      [&](i32 a, i32 b) { return sequences_[a].order < sequences_[b].order; });
            for (const i32 slot : scratch_) {
                const Sequence& s = sequences_[slot];
                record_->entries.push_back({step, s.request, 1, committed_of(s) - 1});
            }
        }
    }
    for (const i32 request : retracted_now_) record_->preempted.push_back({step, request});
}

// --- outputs ----------------------------------------------------------------------------------------------

void Sglang::process(std::vector<i32>& ended) {
    if (!aborted_.empty()) { // their clients are told at once
        ended.insert(ended.end(), aborted_.begin(), aborted_.end());
        aborted_.clear();
        return;
    }
    if (batches_ == 0) return; // a transfer is over
    Batch batch;
    std::swap(batch, queue_[0]);
    if (--batches_ > 0) std::swap(queue_[0], queue_[1]);
    processed_ = true;
    if (role_ == Role::prompts && batches_ > 0) send_found(queue_[0]); // its step begins
    process_pieces(batch, ended);
    if (batch.tick >= 0) process_tick(batch, ended);
    process_drafted(batch, ended);
    turn_dropped();
    if (tree_.tiered()) send_writes();
    std::swap(batch, queue_[batches_]); // its room is used again
}

void Sglang::process_pieces(const Batch& batch, std::vector<i32>& ended) {
    for (const Piece& p : batch.pieces) {
        Sequence& s = sequences_[p.slot];
        if (!p.last && role_ == Role::prompts && config_.overlap) send_piece(p.request, p.before + p.tokens, false);
        if (!p.last || s.request != p.request || s.batch != batch.number) continue; // retracted meanwhile
        const i64 outputs = ++out_.output_tokens[s.request];
        i64& first = out_.first_token_ns[s.request];
        if (first < 0 && awaited(s.request)) first = batch.end_ns;
        if (role_ == Role::prompts) {
            keep(p.slot, batch.end_ns, ended);
            continue;
        }
        const bool early = outputs < s.wanted && leaves(s.request);
        if (early && s.runs && s.wanted > s.outputs && !drafts())
            unlist(wheel_, &Sequence::wheel_next, p.slot, end_tick(s));
        if (outputs >= s.wanted || early)
            finish(p.slot, batch.end_ns, ended);
        else
            checkpoint(s, s.fill);
    }
}

void Sglang::process_tick(const Batch& batch, std::vector<i32>& ended) {
    i32& bucket = wheel_[batch.tick & (wheel_.size() - 1)];
    scratch_.clear();
    for (i32 slot = bucket; slot >= 0; slot = sequences_[slot].wheel_next) scratch_.push_back(slot);
    bucket = -1;
    leave_with(batch);
    const bool before = batch.tick < renumbered_;
    if (scratch_.size() > 1)
        std::sort(scratch_.begin(), scratch_.end(), [&](i32 a, i32 b) {
            const Sequence &x = sequences_[a], &y = sequences_[b];
            return before ? x.order_before < y.order_before : x.order < y.order;
        });
    for (const i32 slot : scratch_) finish(slot, batch.end_ns, ended);
}

// Its tokens are cached, and the rest of its memory is free; of those that run it is taken out by the next
// turn.
void Sglang::finish(i32 slot, i64 end_ns, std::vector<i32>& ended) {
    Sequence& s = sequences_[slot];
    const i32 request = s.request;
    s.sampled = leaves(request) ? std::min(s.wanted, sampled_of(s)) : s.wanted;
    checkpoint(s, drafts() ? s.committed : std::min(committed_of(s), s.prompt + s.sampled));
    release(s);
    --rows_;
    if (awaited(request)) {
        out_.output_tokens[request] = static_cast<i32>(s.wanted);
        out_.last_token_ns[request] = end_ns;
        out_.status[request] = done;
        ended.push_back(request);
    } else {
        left_early(request);
    }
    s.ended = true;
    if (!s.runs) return free_slot(slot);
    settle(s);
    s.mark = meter_.sum; // there may be no further turn
    gone_.push_back(slot);
}

void Sglang::close(Status status) {
    for (Sequence& s : sequences_) {
        if (s.request < 0 || s.ended) continue;
        if (s.runs) settle(s);
        if (!awaited(s.request)) continue;
        out_.status[s.request] = status;
        if (s.runs || s.frozen)
            out_.output_tokens[s.request] = static_cast<i32>(sampled_of(s));
    }
    waiting_.each([&](i32 request) {
        if (awaited(request)) out_.status[request] = status;
    });
    if (role_ != Role::whole) // who is in none of the lists above
        for (i64 r = 0; r < all_.count; ++r)
            if (out_.replica[r] == number_ && awaited(static_cast<i32>(r))) out_.status[r] = status;
    for (const Dropped& one : dropped_) out_.output_tokens[one.request] = static_cast<i32>(one.given);
    for (const Dropped& one : leaving_) out_.output_tokens[one.request] = static_cast<i32>(one.given);
}

} // namespace tokenroof::simulate
