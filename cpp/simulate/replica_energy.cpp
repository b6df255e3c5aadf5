// What a step carries, its energy, and who pays for it.
#include "simulate/replica.hpp"

namespace tokenroof::simulate {

// So many tokens of a sequence are in the step.
void Replica::count(const Sequence& s, i64 tokens, i64 before) {
    load_.tokens += tokens;
    const bool generates = before >= s.prompt - s.received;
    if (generates) {
        ++load_.generating;
        load_.context += before + tokens;
    } else {
        ++load_.prompts;
        load_.prompt_tokens += tokens;
        load_.prompt_keys += tokens * (2 * before + tokens);
    }
    if (!meter_.joules) return;
    if (generates)
        meter_.generating.push_back(s.request);
    else
        meter_.prompts.push_back({s.request, tokens});
}

// The step's time, and who pays for its energy.
i64 Replica::take_time() {
    if (!meter_.joules) return clock_.duration(load_, nullptr, &nearby_);
    const i64 duration = clock_.duration(load_, &step_j_, &nearby_);
    pay(step_j_);
    return duration;
}

void Replica::pay(const Joules& step) {
    totals_.busy_j += step.all();
    meter_.pay(load_, step);
    for (const i32 slot : meter_.joined) sequences_[slot].mark = meter_.sum;
    for (const Meter::Left& one : meter_.left) meter_.settle(one.request, one.mark);
}

} // namespace tokenroof::simulate
