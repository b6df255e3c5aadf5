// Replicas alike behind a router.
#include "simulate/pool.hpp"

#include <algorithm>

namespace tokenroof::simulate {

Pool::Pool(const PoolPlan& plan, Record* record, bool tracking, i64 signal_age_ns, i64 start)
    : plan_(plan), record_(record), tracking_(tracking), signal_age_ns_(signal_age_ns), advice_(plan.scaling) {
    for (i64 r = 0; r < plan.requests.count; ++r)
        most_outputs_ = std::max(most_outputs_, std::min(plan.requests.output_tokens[r], plan.rules.max_model_len));
    slots_.resize(static_cast<std::size_t>(plan.scaling.on ? plan.scaling.most : plan.replicas));
    heard_.assign(slots_.size(), 0);
    links_.assign(static_cast<std::size_t>(blocks_for(size(), plan.host_replicas)), {plan.host_bytes_per_s});
    for (int k = 0; k < plan.replicas; ++k) stand(k, start);
    if (plan.scaling.on) {
        next_look_ = start + plan.scaling.interval_ns;
        note(start, 0.0);
    }
}

// A replica serves from now on.
void Pool::stand(int k, i64 now) {
    Slot& slot = slots_[k];
    slot.engine = plan_.rules.replica(
        {plan_.requests, plan_.results, plan_.clock, record_, k, tracking_, most_outputs_, plan_.role,
         &links_[static_cast<std::size_t>(k / plan_.host_replicas)], plan_.hurried});
    if (slot.state == off) slot.since = now;
    slot.state = up;
    slot.ready = never;
    heard_[k] = 0;
    serving_.insert(std::lower_bound(serving_.begin(), serving_.end(), k), k);
}

// All have the same rules.
bool Pool::refuses(i32 request) const { return at(serving_[0])->refuses(request); }

// --- the router -------------------------------------------------------------------------------------------

void Pool::hear() {
    for (const int k : serving_) heard_[k] = load_of(k);
}

int Pool::route(i32 request) {
    if (serving_.size() == 1) return serving_[0];
    const auto n = static_cast<i64>(serving_.size()), turn = turn_++ % n;
    if (plan_.route == Route::round_robin) return serving_[turn];
    const bool live = signal_age_ns_ <= 0;
    int best = 0;
    i64 least = never;
    for (i64 i = 0; i < n; ++i) { // of equals, the next in turn
        const int k = serving_[(turn + i) % n];
        const i64 load = live ? load_of(k) : heard_[k];
        const i64 own = plan_.route == Route::prefix_aware ? at(k)->cached(request) : 0;
        // a replica that holds more of the prompt wins, unless it is busier by more than those blocks are
        // worth
        const i64 cost = load * 4 * plan_.rules.block_size - own;
        if (cost < least) least = cost, best = k;
    }
    heard_[best] += 4; // what was sent is known at once
    return best;
}

// --- replicas that come and go ----------------------------------------------------------------------------

i64 Pool::next_change() const {
    i64 next = next_look_;
    for (const Slot& one : slots_) next = std::min(next, one.ready);
    return next;
}

void Pool::scale(i64 now) {
    if (!plan_.scaling.on) return;
    const int before[3] = {count(up), count(starting), count(draining)};
    for (int k = 0; k < size(); ++k)
        if (slots_[k].ready <= now) stand(k, now);
    for (int k = 0; k < size(); ++k) {
        const Engine* one = at(k);
        if (slots_[k].state == draining && one->running() + one->waiting() + one->kept() == 0 &&
            one->next_ns() == never)
            leave(k, now);
    }
    double signal = 0.0;
    if (next_look_ <= now) {
        for (const int k : serving_) signal += signal_of(*at(k));
        look(now);
        next_look_ += plan_.scaling.interval_ns;
    }
    if (before[0] != count(up) || before[1] != count(starting) || before[2] != count(draining)) note(now, signal);
}

double Pool::signal_of(const Engine& one) const {
    return plan_.scaling.signal == Signal::queue ? static_cast<double>(one.waiting()) : one.memory_share();
}

// As many start or leave as the rule says: of those that leave the last ones, those that still start before
// others; what serves finishes first.
void Pool::look(i64 now) {
    double sum = 0.0;
    for (const int k : serving_) sum += signal_of(*at(k));
    int total = count(up) + count(starting);
    const int wanted = advice_.wanted(now, sum, count(up), total);
    for (int k = 0; k < size() && total < wanted; ++k) {
        if (slots_[k].state != off) continue;
        slots_[k].state = starting;
        slots_[k].since = now;
        slots_[k].ready = now + plan_.scaling.start_ns;
        ++total;
    }
    for (int k = size() - 1; k >= 0 && total > wanted; --k) {
        if (slots_[k].state != starting) continue;
        leave(k, now);
        --total;
    }
    for (; total > wanted; --total) {
        slots_[serving_.back()].state = draining;
        serving_.pop_back();
    }
}

void Pool::leave(int k, i64 now) {
    Slot& slot = slots_[k];
    on_ns_ += now - slot.since;
    slot.state = off;
    slot.ready = never;
    if (!slot.engine) return;
    past_.add(slot.engine->totals());
    slot.engine.reset();
}

void Pool::note(i64 now, double signal) {
    scaled_.push_back({now, count(up), count(starting), count(draining), signal});
}

int Pool::count(State state) const {
    return static_cast<int>(std::count_if(slots_.begin(), slots_.end(), [&](const Slot& s) { return s.state == state; }));
}

i64 Pool::on_ns(i64 end) const {
    i64 sum = on_ns_;
    for (const Slot& one : slots_)
        if (one.state != off) sum += std::max<i64>(0, end - one.since);
    return sum;
}

// --- sums over the replicas -------------------------------------------------------------------------------

bool Pool::works() const {
    return std::any_of(slots_.begin(), slots_.end(), [](const Slot& one) {
        return one.engine && one.engine->waiting() + one.engine->running() > 0;
    });
}

void Pool::close(Status status) {
    for (const Slot& one : slots_)
        if (one.engine) one.engine->close(status);
}

bool Pool::needs_tracking() const {
    return std::any_of(slots_.begin(), slots_.end(),
                       [](const Slot& one) { return one.engine && one.engine->needs_tracking(); });
}

Totals Pool::totals() const {
    Totals sum = past_;
    for (const Slot& one : slots_)
        if (one.engine) sum.add(one.engine->totals());
    return sum;
}

} // namespace tokenroof::simulate
