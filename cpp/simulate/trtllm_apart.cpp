// Prompts and answers apart, at TensorRT-LLM: blocks that are pinned until another replica has read them, and answers
// to caches that come. [tensorrt_llm/_torch/pyexecutor/py_executor.py: _prepare_disagg_gen_init,
// _prepare_disagg_gen_transmission_complete, _handle_first_token_response; batch_manager/capacityScheduler.cpp]
#include <algorithm>

#include "simulate/trtllm.hpp"

namespace tokenroof::simulate {

// --- prompts ----------------------------------------------------------------------------------------------

// Its prompt is computed, and in the tree; its blocks stay, but it is no request of this replica any more.
void Trtllm::keep(i32 slot, i64 end_ns, std::vector<i32>& ended) {
    Sequence& s = sequences_[slot];
    if (tracking_) tree_.store(s.request, s.list, s.ready, true);
    std::erase(started_, slot);
    s.phase = unstarted;
    kept_.emplace_back(s.request, slot);
    out_.last_token_ns[s.request] = end_ns;
    out_.status[s.request] = done;
    ended.push_back(s.request);
}

bool Trtllm::let_go(i32 request) {
    const auto own = [&](const auto& p) { return p.first == request; };
    const auto at = std::find_if(kept_.begin(), kept_.end(), own);
    if (at == kept_.end()) return false;
    const i32 slot = at->second;
    kept_.erase(at);
    Sequence& s = sequences_[slot];
    if (tracking_) {
        tree_.release(s.list);
        s.list.clear();
    } else {
        free_ += s.held;
    }
    s.held = 0;
    s.request = -1;
    free_slots_.push_back(slot);
    return true;
}

// --- answers ----------------------------------------------------------------------------------------------

// Those that fit get blocks for their prompts before the step's own; blocks that are found here are not sent.
void Trtllm::reserve_coming() {
    for (Candidate& who : coming_) {
        if (!start(who)) break;
        turned_ = true;
        Sequence& s = sequences_[who.slot];
        const i64 size = config_.tokens_per_block, found = s.position / size * size;
        s.position = s.cache = s.prompt;
        reserved_.push_back({who.request, s.prompt - found});
    }
}

void Trtllm::reserved(std::vector<Reserved>& out) {
    out.insert(out.end(), reserved_.begin(), reserved_.end());
    reserved_.clear();
}

void Trtllm::forgotten(std::vector<i32>& out) {
    out.insert(out.end(), forgotten_.begin(), forgotten_.end());
    forgotten_.clear();
}

bool Trtllm::receive(i32 request) {
    const auto own = [&](i32 slot) { return sequences_[slot].request == request && sequences_[slot].phase == coming; };
    const auto at = std::find_if(started_.begin(), started_.end(), own);
    if (at == started_.end()) return false;
    Sequence& s = sequences_[*at];
    s.phase = generation;
    s.ready = s.prompt;
    s.fresh = true;
    promised_ += s.blocks - s.held;
    return true;
}

// The token that came with the prompt's cache is the client's once the request is scheduled; whether it is the last.
bool Trtllm::first_token(i32 slot) {
    Sequence& s = sequences_[slot];
    s.fresh = false;
    s.sampled = s.known = s.prompt + 1;
    s.told = 1;
    fruitless_ = 0;
    const i32 request = s.request;
    ++out_.output_tokens[request];
    out_.scheduled_ns[request] = now_;
    if (awaited(request)) out_.first_token_ns[request] = now_;
    if (record_ && record_->entries_wanted && drafting_.drafts > 0) record_->given.push_back({now_, request, 1});
    if (s.known < s.total) return false;
    finish(slot, now_, answered_);
    turned_ = true;
    return true;
}

double Trtllm::memory_share() const {
    return 1.0 - static_cast<double>(free_blocks()) / static_cast<double>(config_.num_blocks);
}

} // namespace tokenroof::simulate
