// Requests whose clients gave up. [tensorrt_llm/_torch/pyexecutor/py_executor.py: _handle_canceled_requests]
#include <algorithm>

#include "simulate/trtllm.hpp"

namespace tokenroof::simulate {

// The loop reads it when it turns, and acts on it when the outputs of the step after are handled; until then the
// request is scheduled as before. A loop in which nothing is in flight acts at once.
void Trtllm::drop(i32 request) {
    const Dropped one{request, out_.output_tokens[request]};
    if (batches_ == 0 && !processed_) return take_out(one);
    (processed_ ? leaving_ : dropped_).push_back(one);
}

void Trtllm::take_out_leaving() {
    for (const Dropped& one : leaving_) take_out(one);
    leaving_.clear();
}

// What it computed stays in the tree; what is in flight for it is nobody's.
void Trtllm::take_out(const Dropped& one) {
    const i32 request = one.request;
    out_.output_tokens[request] = static_cast<i32>(one.given);
    const auto begun = std::find_if(started_.begin(), started_.end(),
                                    [&](i32 slot) { return sequences_[slot].request == request; });
    i32 slot = -1;
    if (begun != started_.end()) {
        slot = *begun;
        give_back(sequences_[slot]);
        started_.erase(begun);
    } else if (std::find(waiting_.begin() + static_cast<std::ptrdiff_t>(first_waiting_), waiting_.end(), request) !=
               waiting_.end()) {
        drop_waiting(request);
        const auto own = [&](const auto& p) { return p.first == request; };
        const auto paused = std::find_if(paused_slots_.begin(), paused_slots_.end(), own);
        if (paused == paused_slots_.end()) return;
        slot = paused->second;
        paused_slots_.erase(paused);
    }
    if (slot < 0) return; // it was answered meanwhile
    sequences_[slot].phase = unstarted;
    sequences_[slot].request = -1;
    free_slots_.push_back(slot);
}

} // namespace tokenroof::simulate
