// Pools of replicas and the link between them, driven from one event to the next.
#include "simulate/system.hpp"

namespace tokenroof::simulate {

System::System(const Plan& plan, std::vector<Record>& records, bool tracking)
    : plan_(plan), all_(plan.requests()), out_(plan.results()),
      arrivals_(all_, plan.pools.front().results.arrival_ns), link_(plan.link),
      start_ns_(arrivals_.next_ns() == never ? 0 : arrivals_.next_ns()),
      patience_(waits_for()), timeouts_(patience_, plan.timeout_ns, false),
      queue_timeouts_(patience_, plan.queue_timeout_ns, true) {
    for (std::size_t k = 0; k < plan.pools.size(); ++k)
        pools_.push_back(
            std::make_unique<Pool>(plan.pools[k], &records[k], tracking, plan.signal_age_ns, start_ns_));
    const auto n = static_cast<std::size_t>(all_.count);
    if (plan.timeout_ns != never || plan.queue_timeout_ns != never) whose_.assign(n, 0);
    if (plan.apart()) {
        from_.assign(n, -1);
        to_.assign(n, -1);
        if (together()) ways_.assign(n, Way{});
    }
}

Results System::waits_for() const {
    Results both = out_;
    both.arrival_ns = plan_.pools.front().results.arrival_ns;
    both.scheduled_ns = plan_.pools.front().results.scheduled_ns;
    return both;
}

Ending System::run(const StopFlag& stop, std::atomic<i64>& finished) {
    Ending ending = all_served;
    for (;;) {
        coast(stop);
        if (stop) return interrupted;
        const i64 now = next_event();
        if (now == never) break;
        if (now > plan_.horizon_ns) {
            ending = at_horizon;
            break;
        }
        step(now, finished);
        if (needs_tracking()) return all_served;
    }
    if (ending == all_served)
        for (const auto& pool : pools_)
            if (pool->works()) ending = blocked;
    close(ending);
    return ending;
}

i64 System::next_event() {
    i64 now = std::min({arrivals_.next_ns(), next_deadline(), link_.next_ns()});
    for (const auto& pool : pools_) now = std::min(now, pool->next_ns());
    if (now == never) return never; // nothing is left that replicas could come or go for
    for (const auto& pool : pools_) now = std::min(now, pool->next_scale_ns());
    return now;
}

// Replicas to which nothing happens go on by themselves, up to the next thing that could reach them.
void System::coast(const StopFlag& stop) {
    i64 until = std::min({arrivals_.next_ns(), plan_.horizon_ns, next_deadline(), link_.next_ns()});
    for (const auto& pool : pools_) until = std::min(until, pool->next_scale_ns());
    if (plan_.apart()) until = std::min(until, pools_.front()->next_ns());
    for (const auto& pool : pools_)
        for (int k = 0; k < pool->size(); ++k)
            if (Engine* one = pool->at(k); one && !stop) coast_one(*one, until);
}

void System::coast_one(Engine& one, i64 until) {
    if (arrivals_.chained()) // an end elsewhere may bring an arrival
        for (const auto& pool : pools_)
            for (int k = 0; k < pool->size(); ++k)
                if (const Engine* other = pool->at(k); other && other != &one)
                    until = std::min(until, other->next_ns());
    one.coast(until);
}

// Routers hear of loads as they were at the last time that they are told, which is before now or now.
void System::hear(i64 now, bool at_once) {
    if (plan_.signal_age_ns <= 0) return;
    const i64 told = now / plan_.signal_age_ns * plan_.signal_age_ns;
    if (told <= heard_at_ || (told == now) != at_once) return;
    heard_at_ = told;
    for (const auto& pool : pools_) pool->hear();
}

// All that happens at one time: outputs, caches that are through, prompts that are handed on, then arrivals,
// then calls of the schedulers.
void System::step(i64 now, std::atomic<i64>& finished) {
    hear(now, false);
    const i64 left = process(now);
    if (left > 0) finished.fetch_add(left, std::memory_order_relaxed);
    if (plan_.apart()) {
        receive(now);
        hand_over(now);
    }
    expire(now);
    forget();
    for (const auto& pool : pools_) pool->scale(now);
    hear(now, true);
    deliver(now);
    do schedule(now);
    while (forget());
}

// Outputs of steps that have run; how many requests left.
i64 System::process(i64 now) {
    i64 left = 0;
    for (const auto& pool : pools_) {
        const bool prompts = pool->plan().role == Role::prompts;
        for (int k = 0; k < pool->size(); ++k) {
            Engine* one = pool->at(k);
            if (!one || one->next_ns() > now) continue;
            ended_.clear();
            one->process(ended_);
            for (const i32 request : ended_)
                if (prompts)
                    handed_.push_back({request, k});
                else if (arrivals_.chained())
                    arrivals_.release(request, now);
            if (!prompts) left += static_cast<i64>(ended_.size());
        }
    }
    return left;
}

void System::schedule(i64 now) {
    if (together()) return schedule_together(now);
    for (const auto& pool : pools_)
        for (int k = 0; k < pool->size(); ++k)
            if (Engine* one = pool->at(k)) {
                one->schedule(now);
                if (pool->plan().role == Role::answers) send(now, *one);
            }
}

bool System::refused(i32 request) const {
    return std::any_of(pools_.begin(), pools_.end(), [&](const auto& pool) { return pool->refuses(request); });
}

void System::deliver(i64 now) {
    Pool& pool = *pools_.front();
    while (arrivals_.next_ns() <= now) {
        const i32 request = arrivals_.take();
        const i64 at = pool.plan().results.arrival_ns[request];
        if (refused(request)) { // before it is routed: all have the same rules
            turn_away(request, rejected, at);
            continue;
        }
        const int k = pool.route(request);
        pool.at(k)->aim(request);
        if (!has_place(*pool.at(k), request)) {
            turn_away(request, shed, at);
            continue;
        }
        if (!whose_.empty()) whose_[request] = k;
        if (plan_.apart()) from_[request] = k;
        pool.at(k)->deliver(request);
        if (together()) expect(request, at);
        timeouts_.add(request);
        queue_timeouts_.add(request);
    }
}

// Its client is told so then, and goes on.
void System::turn_away(i32 request, Status status, i64 at) {
    out_.status[request] = status;
    out_.last_token_ns[request] = at;
    const Results& first = plan_.pools.front().results;
    if (plan_.apart() && first.status[request] == waiting_for_arrival) { // its prompt is not computed
        first.status[request] = status;
        first.last_token_ns[request] = at;
    }
    if (arrivals_.chained()) arrivals_.release(request, at);
}

// Whether a replica's queue takes a request; those that are less urgent give way to it.
bool System::has_place(Engine& one, i32 request) {
    const Rules& rules = plan_.pools.front().rules;
    while (one.queued() + 1 > rules.queued_requests ||
           one.waiting_tokens() + all_.input_tokens[request] > rules.queued_tokens) {
        const i32 last = one.gives_way_to(request);
        if (last < 0) return false;
        one.drop(last);
        if (out_.status[last] == waiting_for_arrival) turn_away(last, shed, plan_.pools.front().results.arrival_ns[request]);
    }
    return true;
}

// Clients give up.
void System::expire(i64 now) {
    for (Deadlines* which : {&timeouts_, &queue_timeouts_}) {
        for (i64 at = which->next_ns(); at <= now; at = which->next_ns()) {
            give_up(which->take(), at);
        }
    }
}

void System::give_up(i32 request, i64 at) {
    if (plan_.apart())
        drop_apart(request);
    else
        pools_.front()->at(whose_[request])->drop(request);
    turn_away(request, timed_out, at);
}

// --- the end ----------------------------------------------------------------------------------------------

void System::close(Ending ending) {
    if (ending == all_served) return;
    const Status status = ending == blocked ? stuck : unfinished;
    for (const auto& pool : pools_) pool->close(status);
    for (i64 r = 0; r < all_.count; ++r)
        if (out_.status[r] == waiting_for_arrival) out_.status[r] = status;
}

bool System::needs_tracking() const {
    return std::any_of(pools_.begin(), pools_.end(), [](const auto& pool) { return pool->needs_tracking(); });
}

i64 System::end_ns() const {
    i64 end = 0;
    for (const auto& pool : pools_) end = std::max(end, pool->totals().end_ns);
    return end;
}

} // namespace tokenroof::simulate
