// SGLang's second tier: when its copies cross the link to the host, and who waits for them.
// [sglang/srt/managers/scheduler.py, cache_controller.py; mem_cache/unified_radix_cache.py]
//
// Either direction has a stream that waits for the steps that were launched. Copies to the host are merged, and sent
// when a step's outputs have been handled; those that a batch asks for are sent with it, layer by layer, and its
// layers wait for them. Where only the eviction copies, the loop waits itself.
#include "simulate/sglang.hpp"

namespace tokenroof::simulate {

constexpr i64 least_loaded = 10; // tokens; fewer are computed anew

// A transfer that begins when all steps are through; when it is over.
i64 Sglang::move(i64 tokens, i64& free, i64& busy, i64& bytes) {
    const i64 size = tokens / config_.page_size * config_.host_page_bytes;
    bytes += size;
    return link_->transfer(free_for_transfers(), size, free, busy);
}

void Sglang::send_writes() {
    totals_.host_evicted = tree_.host_evicted() / config_.page_size;
    if (!tree_.writes()) return;
    const i64 tokens = tree_.take_writes(scratch_);
    Moved writes{move(tokens, link_->store_free, totals_.store_ns, totals_.stored_bytes), {}};
    for (const i32 node : scratch_) writes.nodes.push_back({node, 0});
    writing_.push_back(std::move(writes));
}

// Each by itself, and the loop goes on when it is there.
void Sglang::send_written_back() {
    for (const i64 tokens : tree_.written_back())
        held_until_ = move(tokens, link_->store_free, totals_.store_ns, totals_.stored_bytes);
    tree_.written_back().clear();
}

// All that a batch found on the host, at once.
void Sglang::send_loads() {
    const i64 before = totals_.load_ns;
    load_over_ = loads_.ready_ns = move(load_tokens_, link_->load_free, totals_.load_ns, totals_.loaded_bytes);
    load_begin_ = load_over_ - (totals_.load_ns - before);
    load_tokens_ = 0;
    loading_.push_back(std::move(loads_));
    loads_ = Moved{};
}

// What is over is locked no more.
void Sglang::notice_moved() {
    send_writes();
    const auto over = [&](std::vector<Moved>& list, auto done) {
        std::size_t count = 0;
        for (; count < list.size() && list[count].ready_ns <= now_; ++count)
            for (const auto& [node, number] : list[count].nodes) done(node, number);
        list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(count));
    };
    over(writing_, [&](i32 node, i64) { tree_.unlock(node); });
    over(loading_, [&](i32 node, i64 number) { tree_.finish_load(node, number); });
}

// What the host alone has of a path gets memory of the device, if there is enough, and is worth it. [load_back]
bool Sglang::load_back(i32 node, i64 tokens) {
    if (tokens < least_loaded) return false;
    tree_.lock(node);
    evict(tokens);
    if (free_ < tokens) {
        tree_.unlock(node);
        return false;
    }
    free_ -= tokens;
    load_tokens_ += tokens;
    tree_.load(node, ++load_number_);
    loads_.nodes.push_back({node, load_number_});
    return true;
}

// When a step ends whose layers wait for theirs of what is loaded.
i64 Sglang::end_of(i64 start, i64 duration) {
    const i64 layers = config_.host_layers, first = blocks_for(load_over_ - load_begin_, layers);
    const i64 end = std::max(load_begin_ + first + duration, load_over_ + blocks_for(duration, layers));
    load_begin_ = load_over_ = -1;
    return std::max(start + duration, end);
}

// The next time at which an engine that runs nothing, and has work, sees that a transfer is over.
i64 Sglang::host_event() const {
    if (rows_ == 0 && waiting() == 0) return never;
    i64 next = never;
    for (const std::vector<Moved>* list : {&writing_, &loading_})
        if (!list->empty()) next = std::min(next, list->front().ready_ns);
    return next;
}

} // namespace tokenroof::simulate
