// Answers by counters: each gets a token a step, so that what they need is a count, and ends are known.
#include <algorithm>

#include "simulate/trtllm.hpp"

namespace tokenroof::simulate {

// A prompt is done in this tick: its first token is in it, a further one in each tick after.
void Trtllm::join_counted(i32 slot) {
    Sequence& s = sequences_[slot];
    const i64 size = config_.tokens_per_block, first = s.prompt + 1;
    s.joined = tick_ + 1;
    s.last = tick_ + s.total - first;
    i32& bucket = wheel_[static_cast<std::size_t>(s.last) & (wheel_.size() - 1)];
    s.wheel_next = bucket;
    bucket = slot;
    if (s.phase != generation) return;
    ++steady_;
    if (meter_.joules) meter_.joined.push_back(slot);
    steady_cache_ += s.cache;
    ++class_count_[static_cast<std::size_t>(((s.cache - s.joined) % size + size) % size)];
}

// No further token is asked for: after the last that may come, or after one that nobody knew to be the last.
void Trtllm::leave_counted(Sequence& s) {
    const i64 size = config_.tokens_per_block, at = tick_ - s.joined; // ticks in which it had a token
    --class_count_[static_cast<std::size_t>(((s.prompt - s.joined) % size + size) % size)];
    --steady_;
    s.cache = s.prompt + at;
    s.held = blocks_for(s.cache, size);
    steady_cache_ -= s.cache;
}

// Blocks that answers take in this tick.
i64 Trtllm::blocks_of_tick() const {
    const i64 size = config_.tokens_per_block;
    return class_count_[static_cast<std::size_t>(((-tick_) % size + size) % size)];
}

// Max-utilisation while nobody has to be paused: who was begun came before all that wait.
void Trtllm::fit_counted() {
    i64 used = blocks_of_tick(), count = steady_;
    if (used > free_) {
        needs_tracking_ = true;
        return;
    }
    for (std::size_t i = 0; open_ > 0 && i < started_.size(); ++i) {
        if (sequences_[started_[i]].phase != context) continue;
        if (++count > config_.max_batch_size) return;
        add_candidate(started_[i], sequences_[started_[i]].request);
    }
    const auto active = static_cast<std::size_t>(config_.max_batch_size) - started_.size();
    for (std::size_t w = 0; first_waiting_ + w < waiting_.size() && w < active; ++w) {
        const i32 request = waiting_[first_waiting_ + w];
        used += blocks_for(known_of(request), config_.tokens_per_block);
        if (++count > config_.max_batch_size || used > free_) return;
        add_candidate(-1, request);
    }
}

void Trtllm::generations_counted() {
    if (steady_ > 0) {
        const i64 size = config_.tokens_per_block;
        // who joined in this tick has its first in the next
        i64 now = 0, cache = 0, need = blocks_of_tick();
        for (const Entry& e : batch_->entries) {
            const Sequence& s = sequences_[e.slot];
            if (!e.sampled || s.phase != generation) continue;
            ++now;
            cache += s.cache;
            need -= ((s.cache - s.joined + tick_) % size + size) % size == 0;
        }
        const i64 count = steady_ - now;
        if (count > 0) {
            load_.tokens += count;
            load_.generating += count;
            free_ -= need;
            promised_ -= need;
            steady_cache_ += count;
            load_.context += steady_cache_ - cache;
            fruitless_ = 0;
        }
    }
    if (load_.tokens > 0) end_tick();
}

// Whoever has its last token in this tick asks for no more, if that could be known.
void Trtllm::end_tick() {
    const i64 tick = tick_++;
    for (i32 slot = wheel_[static_cast<std::size_t>(tick) & (wheel_.size() - 1)]; slot >= 0;
         slot = sequences_[slot].wheel_next) {
        Sequence& s = sequences_[slot];
        if (s.phase != generation || s.total != s.limit) continue;
        leave_counted(s);
        if (meter_.joules) meter_.left.push_back({s.request, s.mark});
        promised_ -= s.blocks - s.held;
        s.phase = draining;
    }
}

void Trtllm::process_counted(const Batch& batch, std::vector<i32>& ended) {
    done_tick_ = batch.tick;
    i32& bucket = wheel_[static_cast<std::size_t>(batch.tick) & (wheel_.size() - 1)];
    scratch_.clear();
    for (i32 slot = bucket; slot >= 0; slot = sequences_[slot].wheel_next) scratch_.push_back(slot);
    bucket = -1;
    if (scratch_.size() > 1)
        std::sort(scratch_.begin(), scratch_.end(),
                  [&](i32 a, i32 b) { return earlier(sequences_[a].request, sequences_[b].request); });
    for (const i32 slot : scratch_) {
        Sequence& s = sequences_[slot];
        if (s.phase == generation) {
            leave_counted(s);
            meter_.settle(s.request, s.mark);
        }
        s.known = s.total;
        out_.output_tokens[s.request] = static_cast<i32>(s.total - all_.input_tokens[s.request]);
        finish(slot, batch.end_ns, ended);
    }
}

// Steps that nothing but time tells apart: all get a token, nobody waits, starts or ends, until `until`.
void Trtllm::coast(i64 until) {
    if (!counted_ || steady_ == 0 || waiting() > 0 || static_cast<i64>(started_.size()) != steady_ ||
        (record_ && record_->rows_wanted))
        return;
    const int depth = config_.overlap ? 2 : 1;
    if (batches_ < depth) return;
    const std::size_t mask = wheel_.size() - 1;
    Batch& oldest = queue_[0];
    Batch& newest = queue_[depth - 1];
    load_ = Load{};
    meter_.open();
    load_.tokens = load_.generating = steady_;
    i64 steps = 0;
    for (; steps < most_coasting && oldest.end_ns < until; ++steps) {
        if (!oldest.entries.empty() || !newest.entries.empty() ||
            wheel_[static_cast<std::size_t>(oldest.tick) & mask] >= 0 ||
            wheel_[static_cast<std::size_t>(tick_) & mask] >= 0)
            break;
        const i64 need = blocks_of_tick();
        if (need > free_) break;
        free_ -= need;
        promised_ -= need;
        steady_cache_ += steady_;
        load_.context = steady_cache_;
        const i64 duration = take_time();
        done_tick_ = oldest.tick;
        oldest.end_ns = newest.end_ns; // of a loop that holds two batches; else the same one
        oldest.tick = newest.tick;
        newest.end_ns = last_end_ += duration;
        newest.tick = tick_++;
        totals_.busy_ns += duration;
        totals_.least_free = std::min(totals_.least_free, free_);
    }
    totals_.steps += steps;
    totals_.counted_steps += steps;
    totals_.tokens += steps * steady_;
    totals_.end_ns = last_end_;
}

} // namespace tokenroof::simulate
