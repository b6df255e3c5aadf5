// Replicas behind a router, driven from one event to the next.
#include "simulate/system.hpp"

#include <algorithm>
#include <numeric>

namespace tokenroof::simulate {

System::System(const Plan& plan, const Requests& all, const Results& out, Record* record, bool tracking)
    : plan_(plan), all_(all), out_(out), timeouts_(out, plan.timeout_ns, false),
      queue_timeouts_(out, plan.queue_timeout_ns, true) {
    const i64 n = all.count;
    i64 most_outputs = 1;
    for (i64 r = 0; r < n; ++r)
        most_outputs = std::max(most_outputs, std::min(all.output_tokens[r], plan.rules.max_model_len));
    for (int k = 0; k < plan.replicas; ++k)
        replicas_.push_back(plan.rules.replica({all, out, plan.clock, record, k, tracking, most_outputs}));
    heard_.assign(plan.replicas, 0);
    if (plan.timeout_ns != never || plan.queue_timeout_ns != never) whose_.assign(n, 0);
    const auto starts = [&](i64 r) { return !all.after || all.after[r] < 0; };
    bool sorted = !all.after;
    for (i64 r = 1; sorted && r < n; ++r) sorted = all.arrival_ns[r - 1] <= all.arrival_ns[r];
    if (!sorted) {
        for (i64 r = 0; r < n; ++r)
            if (starts(r)) order_.push_back(static_cast<i32>(r));
        std::stable_sort(order_.begin(), order_.end(),
                         [&](i32 a, i32 b) { return all.arrival_ns[a] < all.arrival_ns[b]; });
    }
    if (all.after) read_parents();
}

// For each request those that wait for its end.
void System::read_parents() {
    const i64 n = all_.count;
    child_offset_.assign(n + 1, 0);
    pending_.assign(n, 0);
    const auto edges = [&](auto visit) {
        for (i64 r = 0; r < n; ++r) {
            if (all_.after[r] < 0) continue;
            visit(all_.after[r], r);
            if (!all_.also_after) continue;
            for (i64 k = all_.also_offset[r]; k < all_.also_offset[r + 1]; ++k) visit(all_.also_after[k], r);
        }
    };
    edges([&](i64 parent, i64 child) { ++child_offset_[parent + 1], ++pending_[child]; });
    std::partial_sum(child_offset_.begin(), child_offset_.end(), child_offset_.begin());
    children_.resize(child_offset_[n]);
    std::vector<i32> at(child_offset_.begin(), child_offset_.end() - 1);
    edges([&](i64 parent, i64 child) { children_[at[parent]++] = static_cast<i32>(child); });
}

Ending System::run(const volatile bool& stop, std::atomic<i64>& finished) {
    Ending ending = all_served;
    for (u64 turn = 0;; ++turn) {
        if ((turn & 63) == 0 && stop) return interrupted;
        coast();
        i64 now = next_arrival();
        const i64 deadline = next_deadline();
        if (plan_.signal_age_ns > 0 && now != never) { // the last time the router hears of loads before it
            const i64 heard = now / plan_.signal_age_ns * plan_.signal_age_ns;
            if (heard > heard_at_) now = heard;
        }
        now = std::min(now, deadline);
        for (const auto& one : replicas_) now = std::min(now, one->next_ns());
        if (now == never) break;
        if (now > plan_.horizon_ns) {
            ending = at_horizon;
            break;
        }
        step(now, finished);
        if (needs_tracking()) return all_served;
    }
    if (ending == all_served)
        for (const auto& one : replicas_)
            if (one->waiting() + one->running() > 0) ending = blocked;
    close(ending);
    return ending;
}

// Replicas to which nothing happens go on by themselves, up to the next thing that could reach them.
void System::coast() {
    const i64 until = std::min({next_arrival(), plan_.horizon_ns, next_deadline()});
    for (const auto& one : replicas_) {
        i64 own = until;
        if (all_.after) // an end elsewhere may bring an arrival
            for (const auto& other : replicas_)
                if (other != one) own = std::min(own, other->next_ns());
        one->coast(own);
    }
}

// All that happens at one time: outputs, then arrivals, then calls of the schedulers.
void System::step(i64 now, std::atomic<i64>& finished) {
    i64 left = 0;
    for (const auto& one : replicas_) {
        if (one->next_ns() > now) continue;
        ended_.clear();
        one->process(ended_);
        left += static_cast<i64>(ended_.size());
        if (all_.after)
            for (const i32 request : ended_) release(request, now);
    }
    if (left > 0) finished.fetch_add(left, std::memory_order_relaxed);
    expire(now);
    hear(now);
    deliver(now);
    for (const auto& one : replicas_) one->schedule(now);
}

i64 System::next_arrival() const {
    i64 next = later_.empty() ? never : later_.front().at;
    const std::size_t n =
        order_.empty() && !all_.after ? static_cast<std::size_t>(all_.count) : order_.size();
    if (at_ < n) next = std::min(next, all_.arrival_ns[order_.empty() ? static_cast<i32>(at_) : order_[at_]]);
    return next;
}

i32 System::take_arrival() {
    const std::size_t n =
        order_.empty() && !all_.after ? static_cast<std::size_t>(all_.count) : order_.size();
    if (at_ < n) {
        const i32 request = order_.empty() ? static_cast<i32>(at_) : order_[at_];
        const Arrival own{all_.arrival_ns[request], request};
        if (later_.empty() || later_.front() > own) {
            ++at_;
            out_.arrival_ns[request] = own.at;
            return request;
        }
    }
    std::pop_heap(later_.begin(), later_.end(), std::greater<>{});
    const Arrival taken = later_.back();
    later_.pop_back();
    out_.arrival_ns[taken.request] = taken.at;
    return taken.request;
}

void System::deliver(i64 now) {
    while (next_arrival() <= now) {
        const i32 request = take_arrival();
        if (replicas_[0]->refuses(request)) { // before it is routed: all have the same rules
            turn_away(request, rejected, out_.arrival_ns[request]);
            continue;
        }
        const int k = route(request);
        if (!has_place(*replicas_[k], request)) {
            turn_away(request, shed, out_.arrival_ns[request]);
            continue;
        }
        if (!whose_.empty()) whose_[request] = k;
        replicas_[k]->deliver(request);
        timeouts_.add(request);
        queue_timeouts_.add(request);
    }
}

// Its client is told so then, and goes on.
void System::turn_away(i32 request, Status status, i64 at) {
    out_.status[request] = status;
    out_.last_token_ns[request] = at;
    if (all_.after) release(request, at);
}

// Whether a replica's queue takes a request; those that are less urgent give way to it.
bool System::has_place(Engine& one, i32 request) {
    const Rules& rules = plan_.rules;
    while (one.waiting() + 1 > rules.queued_requests ||
           one.waiting_tokens() + all_.input_tokens[request] > rules.queued_tokens) {
        const i32 last = one.last_in_line();
        const auto urgency = [&](i32 r) { return all_.priority ? all_.priority[r] : 0; };
        if (last < 0 || urgency(last) <= urgency(request)) return false;
        one.drop(last);
        turn_away(last, shed, out_.arrival_ns[request]);
    }
    return true;
}

// Clients give up.
void System::expire(i64 now) {
    for (Deadlines* which : {&timeouts_, &queue_timeouts_}) {
        for (i64 at = which->next_ns(); at <= now; at = which->next_ns()) {
            const i32 request = which->take();
            replicas_[whose_[request]]->drop(request);
            turn_away(request, timed_out, at);
        }
    }
}

void System::release(i32 parent, i64 at) {
    for (i32 k = child_offset_[parent]; k < child_offset_[parent + 1]; ++k) {
        const i32 child = children_[k];
        if (--pending_[child] > 0) continue;
        later_.push_back({at + (all_.think_ns ? all_.think_ns[child] : 0), child});
        std::push_heap(later_.begin(), later_.end(), std::greater<>{});
    }
}

// --- the router -------------------------------------------------------------------------------------------

// Four for each that waits, one for each that runs. [vllm/v1/engine/core_client.py]
i64 System::load_of(int replica) const {
    return 4 * replicas_[replica]->waiting() + replicas_[replica]->running();
}

void System::hear(i64 now) {
    if (plan_.signal_age_ns <= 0 || now / plan_.signal_age_ns * plan_.signal_age_ns <= heard_at_) return;
    heard_at_ = now / plan_.signal_age_ns * plan_.signal_age_ns;
    for (int k = 0; k < plan_.replicas; ++k) heard_[k] = load_of(k);
}

int System::route(i32 request) {
    if (plan_.replicas == 1) return 0;
    const auto turn = static_cast<int>(turn_++ % plan_.replicas);
    if (plan_.route == Route::round_robin) return turn;
    const bool live = plan_.signal_age_ns <= 0;
    int best = 0;
    i64 least = never;
    for (int i = 0; i < plan_.replicas; ++i) { // of equals, the next in turn
        const int k = (turn + i) % plan_.replicas;
        const i64 load = live ? load_of(k) : heard_[k];
        const i64 own = plan_.route == Route::prefix_aware ? replicas_[k]->cached(request) : 0;
        // a replica that holds more of the prompt wins, unless it is busier by more than those blocks are
        // worth
        const i64 cost = load * 4 * plan_.rules.block_size - own;
        if (cost < least) least = cost, best = k;
    }
    heard_[best] += 4; // what was sent is known at once
    return best;
}

// --- the end ----------------------------------------------------------------------------------------------

void System::close(Ending ending) {
    if (ending == all_served) return;
    const Status status = ending == blocked ? stuck : unfinished;
    for (const auto& one : replicas_) one->close(status);
    for (i64 r = 0; r < all_.count; ++r)
        if (out_.status[r] == waiting_for_arrival) out_.status[r] = status;
}

bool System::needs_tracking() const {
    for (const auto& one : replicas_)
        if (one->needs_tracking()) return true;
    return false;
}

Totals System::totals() const {
    Totals sum;
    for (const auto& one : replicas_) sum.add(one->totals());
    return sum;
}

} // namespace tokenroof::simulate
