// Prompts and answers apart: a cache that is kept until another replica has read it, and one that comes.
// [vllm/v1/core/sched/scheduler.py: WAITING_FOR_REMOTE_KVS; distributed/kv_transfer/kv_connector/v1/nixl]
#include "simulate/replica.hpp"

namespace tokenroof::simulate {

// --- prompts ----------------------------------------------------------------------------------------------

bool Replica::let_go(i32 request) {
    const auto own = [&](const auto& p) { return p.first == request; };
    const auto at = std::find_if(kept_.begin(), kept_.end(), own);
    if (at == kept_.end()) return false;
    const i32 slot = at->second;
    kept_.erase(at);
    if (const i64 over = copied_ns(sequences_[slot]); over > noticed_ns_) // to the host
        leaving_.push_back({over, slot, {}});
    else
        abandon(slot);
    return true;
}

// --- answers ----------------------------------------------------------------------------------------------

// Blocks for the whole prompt, set aside before its cache is sent; what is found here need not be.
bool Replica::reserve(i32 request) {
    const i64 hit_blocks = hits(request), known = known_of(request);
    const i64 need = blocks_for(known, config_.block_size) - hit_blocks;
    if (need + beside(hit_blocks) > free_blocks()) return false;
    const i32 slot = slot_for(request);
    Sequence& s = sequences_[slot];
    waiting_.drop_head();
    hold_found(s, hit_blocks);
    grow(s, need);
    out_.cached_tokens[request] = static_cast<i32>(s.computed);
    out_.cached_total[request] += static_cast<i32>(s.computed);
    coming_.emplace_back(request, slot);
    reserved_.push_back({request, known - s.computed});
    return true;
}

void Replica::reserved(std::vector<Reserved>& out) {
    out.insert(out.end(), reserved_.begin(), reserved_.end());
    reserved_.clear();
}

// Its full blocks can be found from now on.
bool Replica::receive(i32 request) {
    const auto own = [&](const auto& p) { return p.first == request; };
    const auto at = std::find_if(coming_.begin(), coming_.end(), own);
    if (at == coming_.end()) return false;
    const i32 slot = at->second;
    coming_.erase(at);
    if (!awaited(request)) { // its client gave up meanwhile
        abandon(slot);
        return true;
    }
    received_.push_back(slot);
    enter(sequences_[received_.back()], sequences_[received_.back()].known);
    return true;
}

// The last token of the prompt is computed again, and what follows it is the first of the answer.
void Replica::begin_received(Budget& budget) {
    const i32 slot = received_.front();
    received_.erase(received_.begin());
    Sequence& s = sequences_[slot];
    s.received = true;
    s.computed = s.known - 1;
    out_.scheduled_ns[s.request] = now_;
    begin(slot, 1, budget);
}

double Replica::memory_share() const {
    return 1.0 - static_cast<double>(free_blocks()) / static_cast<double>(config_.num_blocks - 1);
}

} // namespace tokenroof::simulate
