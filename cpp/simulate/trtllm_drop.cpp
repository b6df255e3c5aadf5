// Requests whose clients gave up. [tensorrt_llm/_torch/pyexecutor/py_executor.py: _handle_canceled_requests]
#include <algorithm>

#include "simulate/trtllm.hpp"

namespace tokenroof::simulate {

// The loop reads it when it turns, and acts on it when the outputs of the step after are handled; until then the
// request is scheduled as before. A loop in which nothing is in flight acts at once.
void Trtllm::drop(i32 request) {
    const Dropped one{request, out_.output_tokens[request]};
    const bool idle = batches_ == 0 && !processed_;
    if (idle && take_out(one)) return;
    (idle || processed_ ? leaving_ : dropped_).push_back(one);
}

// It was answered before it was taken out: its client has what it had when it gave up.
void Trtllm::left_early(i32 request) {
    for (std::vector<Dropped>* which : {&leaving_, &dropped_})
        std::erase_if(*which, [&](const Dropped& one) {
            if (one.request == request) out_.output_tokens[request] = static_cast<i32>(one.given);
            return one.request == request;
        });
}

void Trtllm::take_out_leaving() {
    std::erase_if(leaving_, [&](const Dropped& one) { return take_out(one); });
}

// What it computed stays in the tree; what is in flight for it is nobody's. Not while its prompt's cache comes: a
// transfer that was begun is not cancelled [py_executor.py: _try_cancel_request].
bool Trtllm::take_out(const Dropped& one) {
    const i32 request = one.request;
    const auto comes_to = [&](i32 slot) { return sequences_[slot].request == request && sequences_[slot].phase == coming; };
    if (std::any_of(started_.begin(), started_.end(), comes_to)) return false;
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
        if (comes(request)) forgotten_.push_back(request);
        const auto own = [&](const auto& p) { return p.first == request; };
        const auto paused = std::find_if(paused_slots_.begin(), paused_slots_.end(), own);
        if (paused == paused_slots_.end()) return true;
        slot = paused->second;
        paused_slots_.erase(paused);
    }
    if (slot < 0) return true;
    sequences_[slot].phase = unstarted;
    sequences_[slot].request = -1;
    free_slots_.push_back(slot);
    return true;
}

} // namespace tokenroof::simulate
