// Pools of replicas and the link between them, driven from one event to the next.
#pragma once
#include <algorithm>
#include <atomic>
#include <memory>

#include "python/stop_flag.hpp"
#include "simulate/arrivals.hpp"
#include "simulate/deadlines.hpp"
#include "simulate/link.hpp"
#include "simulate/pool.hpp"

namespace tokenroof::simulate {

// One pool for whole requests; or one for prompts, one for answers, and the link that caches cross.
struct Plan {
    std::vector<PoolPlan> pools;
    i64 signal_age_ns = 0; // how often routers hear of replicas; 0: they see them as they are
    i64 horizon_ns = never;
    i64 timeout_ns = never, queue_timeout_ns = never; // of a request: until it is answered, or scheduled
    LinkPlan link;
    const double* cache_bytes = nullptr; // of each request's prompt
    // of each request: when its blocks were set aside, the first of its cache was sent, and all was there; how many tokens and bytes came
    i64 *reserved_ns = nullptr, *sending_ns = nullptr, *received_ns = nullptr, *sent_tokens = nullptr;
    double* sent_bytes = nullptr;

    bool apart() const { return pools.size() > 1; }
    const Requests& requests() const { return pools.back().requests; }
    // What clients see: of the pool that answers.
    const Results& results() const { return pools.back().results; }
};

// How a run ended.
enum Ending : int { all_served = 0, blocked = 1, at_horizon = 2, interrupted = 3 };

class System {
  public:
    System(const Plan& plan, std::vector<Record>& records, bool tracking);

    // Plays all; `finished` counts requests that left, `stop` ends early.
    Ending run(const StopFlag& stop, std::atomic<i64>& finished);
    bool needs_tracking() const;
    const Pool& pool(std::size_t k) const { return *pools_[k]; }
    i64 start_ns() const { return start_ns_; }
    i64 end_ns() const;

  private:
    i64 next_event();
    void hear(i64 now, bool at_once);
    void deliver(i64 now);
    bool has_place(Engine& one, i32 request);
    void turn_away(i32 request, Status status, i64 at);
    void give_up(i32 request, i64 at);
    void expire(i64 now);
    Results waits_for() const;
    i64 next_deadline() { return std::min(timeouts_.next_ns(), queue_timeouts_.next_ns()); }
    void coast(const StopFlag& stop);
    void coast_one(Engine& one, i64 until);
    void step(i64 now, std::atomic<i64>& finished);
    i64 process(i64 now);
    void schedule(i64 now);
    void close(Ending ending);
    bool refused(i32 request) const;

    // system_apart.cpp
    void hand_over(i64 now);
    void send(i64 now, Engine& to);
    void receive(i64 now);
    void drop_apart(i32 request);
    bool forget();
    bool together() const { return plan_.apart() && plan_.pools.front().rules.together; }
    void expect(i32 request, i64 at);
    void schedule_together(i64 now);
    void send_pieces(i64 now, Engine& from);
    void send_piece(i64 now, i32 request);

    const Plan& plan_;
    const Requests& all_;
    const Results& out_;
    Arrivals arrivals_;
    std::vector<std::unique_ptr<Pool>> pools_;
    Link link_;
    i64 start_ns_, heard_at_ = -1;
    std::vector<i32> ended_;
    struct Handed {
        i32 request;
        int from;
    };
    std::vector<Handed> handed_; // prompts that are computed
    std::vector<i32> from_, to_; // replica of each request in each pool, where they are apart
    std::vector<Reserved> reserved_;
    // A cache that is sent piece by piece: tokens that may be sent, those that were, and whether one is under way.
    struct Way {
        i64 until = 0, begun = 0;
        bool last = false, flying = false;
    };
    std::vector<Way> ways_;
    std::vector<Sent> sent_;
    std::vector<i32> through_, forgotten_;
    Results patience_; // what clients wait for: arrivals and first calls where prompts are, answers where these are
    Deadlines timeouts_, queue_timeouts_;
    std::vector<i32> whose_; // replica of each request, where requests can be taken out
};

} // namespace tokenroof::simulate
