// Data-parallel ranks of vLLM that share a mixture's experts: each schedules by itself, all step together.
#include "simulate/lockstep.hpp"

#include <algorithm>

namespace tokenroof::simulate {

constexpr i64 rounds_between_checks = 32;
constexpr Load dummy{.tokens = 1, .generating = 1, .context = 1};

Lockstep::Lockstep(const LockstepRules& rules, const Surroundings& around,
                   std::vector<std::unique_ptr<Rank>> ranks)
    : rules_(rules), out_(around.out), clock_(around.clock), ranks_(std::move(ranks)) {
    const std::size_t n = ranks_.size();
    loads_.resize(n);
    reported_.resize(n);
    heard_.resize(n);
    unread_.assign(n, 0);
    for (Round& one : queue_) one.works.assign(n, 0);
}

// --- rounds -----------------------------------------------------------------------------------------------

void Lockstep::schedule(i64 now) {
    if (rounds_ > 0 && !processed_) return;
    processed_ = false;
    const int depth = rules_.asynchronous ? 2 : 1;
    while (rounds_ < depth) {
        std::fill(unread_.begin(), unread_.end(), 0);
        if (rounds_ == 0)
            for (const auto& one : ranks_) one->notice(now);
        if (!round(now)) break;
        if (rounds_ < depth) {
            publish(now - 1);
            report();
        }
    }
}

// One step of every rank; false where nobody steps: in a pause, or until what is in flight is known.
bool Lockstep::round(i64 now) {
    Round& next = queue_[rounds_];
    if (!decide(now, next)) {
        if (rounds_ > 0) return false;
        const auto waits = [](const auto& one) { return one->pending(); };
        if (running() + waiting() > 0) { // until blocks come, ranks go on
            if (std::none_of(ranks_.begin(), ranks_.end(), waits)) return false;
        } else if (counter_ % rounds_between_checks == 0) {
            counter_ = 0;
            return false;
        }
        ++dummies_;
    }
    i64 start = std::max(now, last_end_);
    for (std::size_t k = 0; k < ranks_.size(); ++k)
        if (next.works[k]) start = std::max(start, ranks_[k]->not_before());
    last_end_ = next.end_ns = start + clock_.round(loads_);
    for (std::size_t k = 0; k < ranks_.size(); ++k)
        if (next.works[k]) ranks_[k]->commit(start, last_end_);
    ++counter_;
    ++rounds_;
    return true;
}

// Whether any rank has something to do.
bool Lockstep::decide(i64 now, Round& next) {
    const bool throttle = rules_.prefill_interval > 1 && counter_ % rules_.prefill_interval != 0;
    bool any = false;
    for (std::size_t k = 0; k < ranks_.size(); ++k) {
        next.works[k] = ranks_[k]->decide(now, throttle);
        loads_[k] = next.works[k] ? ranks_[k]->load() : dummy;
        any = any || next.works[k];
    }
    return any;
}

void Lockstep::process(std::vector<i32>& ended) {
    publish(queue_[0].end_ns - 1);
    for (std::size_t k = 0; k < ranks_.size(); ++k)
        if (queue_[0].works[k])
            ranks_[k]->process(ended);
        else
            ranks_[k]->notice(queue_[0].end_ns);
    if (--rounds_ > 0) std::swap(queue_[0], queue_[1]);
    processed_ = true;
    report();
}

// --- who gets a request -----------------------------------------------------------------------------------

// Ranks report their counts at the end of a turn of their loop; who came since was not looked at.
void Lockstep::report() {
    for (std::size_t k = 0; k < ranks_.size(); ++k) {
        reported_[k] = live(k);
        reported_[k].waiting -= unread_[k];
    }
}

// What the coordinator told the router last, up to a time. [vllm/v1/engine/coordinator.py]
void Lockstep::publish(i64 until) {
    if (rules_.report_ns <= 0) return;
    const i64 at = until / rules_.report_ns * rules_.report_ns;
    if (at <= heard_at_) return;
    heard_at_ = at;
    heard_ = reported_;
}

// The least of 4 for each that waits and 1 for each that runs, of equals the first; what was sent since is
// known. [vllm/v1/engine/core_client.py: DPLBAsyncMPClient]
void Lockstep::aim(i32 request) {
    publish(out_.arrival_ns[request]);
    std::size_t best = 0;
    i64 least = never;
    for (std::size_t k = 0; k < ranks_.size(); ++k) {
        const i64 score = (rules_.report_ns > 0 ? heard_[k] : live(k)).score();
        if (score < least) least = score, best = k;
    }
    ++heard_[best].waiting;
    aimed_ = best;
    aimed_for_ = request;
}

void Lockstep::deliver(i32 request) {
    if (aimed_for_ != request) aim(request);
    ++unread_[aimed_];
    ranks_[aimed_]->deliver(request);
}

void Lockstep::drop(i32 request) {
    const auto rank = static_cast<std::size_t>(out_.replica[request]) % ranks_.size();
    ranks_[rank]->drop_in(request, rounds_ >= 2);
}

// --- sums over the ranks ----------------------------------------------------------------------------------

i64 Lockstep::running() const {
    i64 sum = 0;
    for (const auto& one : ranks_) sum += one->running();
    return sum;
}

i64 Lockstep::waiting() const {
    i64 sum = 0;
    for (const auto& one : ranks_) sum += one->waiting();
    return sum;
}

i64 Lockstep::cached(i32 request) {
    i64 most = 0;
    for (const auto& one : ranks_) most = std::max(most, one->cached(request));
    return most;
}

bool Lockstep::let_go(i32 request) {
    return std::any_of(ranks_.begin(), ranks_.end(), [&](const auto& one) { return one->let_go(request); });
}

i64 Lockstep::kept() const {
    i64 sum = 0;
    for (const auto& one : ranks_) sum += one->kept();
    return sum;
}

void Lockstep::reserved(std::vector<Reserved>& out) {
    for (const auto& one : ranks_) one->reserved(out);
}

bool Lockstep::receive(i32 request) {
    return std::any_of(ranks_.begin(), ranks_.end(), [&](const auto& one) { return one->receive(request); });
}

double Lockstep::memory_share() const {
    double sum = 0.0;
    for (const auto& one : ranks_) sum += one->memory_share();
    return sum / static_cast<double>(ranks_.size());
}

void Lockstep::close(Status status) {
    for (const auto& one : ranks_) one->close(status);
}

const Totals& Lockstep::totals() const {
    totals_ = Totals{};
    for (const auto& one : ranks_) totals_.add(one->totals());
    totals_.dummy_rounds = dummies_;
    return totals_;
}

bool Lockstep::needs_tracking() const {
    return std::any_of(ranks_.begin(), ranks_.end(), [](const auto& one) { return one->needs_tracking(); });
}

} // namespace tokenroof::simulate
