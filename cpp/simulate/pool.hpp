// Replicas alike behind a router: all of a system, or those that compute prompts or answers.
#pragma once
#include <memory>
#include <vector>

#include "simulate/engine.hpp"
#include "simulate/scaling.hpp"

namespace tokenroof::simulate {

enum class Route : int { round_robin = 0, least_loaded = 1, prefix_aware = 2 };

struct PoolPlan {
    Rules rules;
    StepClock clock;
    Requests requests{};
    Results results{};
    int replicas = 1;
    Route route = Route::round_robin;
    Role role = Role::whole;
    Scaling scaling;
    bool hurried = false; // whether clients may give up
    i64 host_bytes_per_s = 0, host_replicas = 1; // the link to a host's memory, and replicas that share it
};

class Pool {
  public:
    Pool(const PoolPlan& plan, Record* record, bool tracking, i64 signal_age_ns, i64 start);

    const PoolPlan& plan() const { return plan_; }
    int size() const { return static_cast<int>(slots_.size()); }
    // Null where none stands.
    Engine* at(int k) const { return slots_[k].engine.get(); }
    bool refuses(i32 request) const;
    // Which replica gets a request.
    int route(i32 request);
    // The router hears of loads.
    void hear();
    // Replicas that get ready, leave or are called for; when that happens next.
    void scale(i64 now);
    i64 next_scale_ns() const { return plan_.scaling.on ? next_change() : never; }
    i64 next_ns() const {
        i64 next = never;
        for (const Slot& one : slots_)
            if (one.engine) next = std::min(next, one.engine->next_ns());
        return next;
    }
    bool works() const; // somebody waits or runs
    void close(Status status);
    bool needs_tracking() const;
    Totals totals() const;
    // Time that replicas stood, summed over them, up to the end.
    i64 on_ns(i64 end) const;
    const std::vector<ScaleRow>& scaled() const { return scaled_; }

  private:
    enum State : signed char { off, starting, up, draining };
    struct Slot {
        std::unique_ptr<Engine> engine;
        State state = off;
        i64 since = 0, ready = never;
    };

    i64 load_of(int k) const { return 4 * at(k)->waiting() + at(k)->running(); } // [vllm/v1/engine/core_client.py]
    void stand(int k, i64 now);
    void leave(int k, i64 now);
    i64 next_change() const;
    void look(i64 now);
    void note(i64 now, double signal);
    int count(State state) const;
    double signal_of(const Engine& one) const;

    const PoolPlan& plan_;
    Record* record_;
    bool tracking_;
    i64 signal_age_ns_, most_outputs_ = 1;
    std::vector<HostLink> links_; // of each host
    std::vector<Slot> slots_;
    std::vector<int> serving_; // slots that get requests
    std::vector<i64> heard_;   // loads as the router last heard of them, with what it sent since
    i64 turn_ = 0;
    Advice advice_;
    i64 next_look_ = never, on_ns_ = 0;
    Totals past_; // of replicas that left
    std::vector<ScaleRow> scaled_;
};

} // namespace tokenroof::simulate
