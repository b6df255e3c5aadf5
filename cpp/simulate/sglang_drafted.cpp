// Steps of SGLang with drafts: each that runs verifies all of them, and has memory for two such steps.
// [sglang/srt/speculative/eagle_utils.py: eagle_prepare_for_decode; managers/schedule_batch.py:
// new_tokens_required_next_decode; scheduler_components/batch_result_processor.py]
#include "simulate/sglang.hpp"

namespace tokenroof::simulate {

// What is known to be kept lags behind by the step that is in flight.
i64 Sglang::reach(const Sequence& s) const {
    return std::max({s.allocated, s.committed, s.committed + 2 * (1 + drafting_.drafts)});
}

i64 Sglang::needed_drafted() const {
    i64 need = 0;
    for (const i32 slot : drafting_slots_) {
        const Sequence& s = sequences_[slot];
        need += pages(reach(s)) - pages(std::max(s.allocated, s.committed));
    }
    return need * config_.page_size;
}

// Outputs that those that run are declared to sample yet.
i64 Sglang::to_come_drafted() const {
    i64 sum = 0;
    for (const i32 slot : drafting_slots_)
        sum += std::min(sequences_[slot].limit - sampled_of(sequences_[slot]), config_.clip_max_new_tokens);
    return sum;
}

// How many are kept is decided here, and seen once the step has run.
void Sglang::draft_step(Batch& batch) {
    const i64 need = needed(), k = drafting_.drafts;
    evict(config_.page_size > 1 ? need + running_ * config_.page_size : need);
    free_ -= need;
    for (const i32 slot : drafting_slots_) {
        Sequence& s = sequences_[slot];
        s.allocated = reach(s);
        const i64 before = s.prompt + s.outputs - 1, kept = drafting_.kept(s.request, s.outputs, k);
        batch.drafted.push_back({slot, s.request, before, kept});
        s.outputs += 1 + kept;
        load_.tokens += 1 + k;
        load_.drafted += k;
        ++load_.generating;
        load_.context += before + 1 + k;
        if (meter_.joules) meter_.generating.push_back(s.request);
    }
}

void Sglang::process_drafted(const Batch& batch, std::vector<i32>& ended) {
    for (const Drafted& d : batch.drafted) {
        Sequence& s = sequences_[d.slot];
        if (s.request != d.request || s.ended) continue; // retracted, or answered by the step before
        const i64 given = std::min(1 + d.kept, s.wanted - out_.output_tokens[d.request]);
        totals_.drafted += drafting_.drafts;
        totals_.kept += d.kept;
        s.committed += 1 + d.kept;
        out_.output_tokens[d.request] += static_cast<i32>(given);
        if (record_ && record_->entries_wanted) record_->given.push_back({batch.end_ns, d.request, given});
        if (out_.output_tokens[d.request] >= s.wanted || leaves(d.request)) finish(d.slot, batch.end_ns, ended);
    }
}

} // namespace tokenroof::simulate
