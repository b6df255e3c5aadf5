// Replicas behind a router, driven from one event to the next.
#pragma once
#include <algorithm>
#include <atomic>
#include <memory>

#include "simulate/deadlines.hpp"
#include "simulate/engine.hpp"

namespace tokenroof::simulate {

enum class Route : int { round_robin = 0, least_loaded = 1, prefix_aware = 2 };

struct Plan {
    Rules rules;
    StepClock clock;
    int replicas = 1;
    Route route = Route::round_robin;
    i64 signal_age_ns = 0; // how often the router hears of the replicas; 0: it sees them as they are
    i64 horizon_ns = never;
    i64 timeout_ns = never, queue_timeout_ns = never; // of a request: until it is answered, or scheduled
};

// How a run ended.
enum Ending : int { all_served = 0, blocked = 1, at_horizon = 2, interrupted = 3 };

class System {
  public:
    System(const Plan& plan, const Requests& all, const Results& out, Record* record, bool tracking);

    // Plays all; `finished` counts requests that left, `stop` ends early.
    Ending run(const volatile bool& stop, std::atomic<i64>& finished);
    bool needs_tracking() const;
    Totals totals() const;

  private:
    struct Arrival {
        i64 at;
        i32 request;
        bool operator>(const Arrival& other) const {
            return std::pair{at, request} > std::pair{other.at, other.request};
        }
    };

    i64 next_arrival() const;
    i32 take_arrival();
    void deliver(i64 now);
    bool has_place(Engine& one, i32 request);
    void turn_away(i32 request, Status status, i64 at);
    void expire(i64 now);
    i64 next_deadline() { return std::min(timeouts_.next_ns(), queue_timeouts_.next_ns()); }
    int route(i32 request);
    void release(i32 parent, i64 at);
    void read_parents();
    i64 load_of(int replica) const;
    void hear(i64 now);
    void coast();
    void step(i64 now, std::atomic<i64>& finished);
    void close(Ending ending);

    const Plan& plan_;
    const Requests& all_;
    const Results& out_;
    std::vector<std::unique_ptr<Engine>> replicas_;
    std::vector<i32> order_; // by arrival, where the caller's is another
    std::size_t at_ = 0;
    std::vector<i32> child_offset_, children_, pending_; // whom an end lets go on, and for how many they wait
    std::vector<Arrival> later_;                         // a heap: arrivals that an end brought
    std::vector<i64> heard_; // loads as the router last heard of them, with what it sent since
    i64 heard_at_ = -1;
    i64 turn_ = 0;
    std::vector<i32> ended_;
    Deadlines timeouts_, queue_timeouts_;
    std::vector<i32> whose_; // replica of each request, where requests can be taken out
};

} // namespace tokenroof::simulate
