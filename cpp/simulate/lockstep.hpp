// Data-parallel ranks of vLLM that share a mixture's experts: each schedules by itself, all step together.
#pragma once
#include <memory>
#include <vector>

#include "simulate/engine.hpp"

namespace tokenroof::simulate {

struct LockstepRules {
    int ranks = 1;
    bool asynchronous = false; // two rounds in flight
    i64 prefill_interval = 1;  // rounds: prompts are taken in each of that number alone
    i64 report_ns = 0;         // how often the coordinator tells the router; 0: it sees the ranks as they are
};

// A round is a step of every rank: those that have nothing to do run a dummy step, as all meet at the experts.
// Rounds are counted from the end of a pause; every 32nd, ranks ask each other whether anybody has work, and
// pause if nobody has. [vllm/v1/engine/core.py: DPEngineCoreProc]
class Lockstep final : public Engine {
  public:
    Lockstep(const LockstepRules& rules, const Surroundings& around, std::vector<std::unique_ptr<Rank>> ranks);

    void deliver(i32 request) override;
    void aim(i32 request) override;
    i64 queued() const override { return ranks_[aimed_]->waiting(); }
    i64 waiting_tokens() const override { return ranks_[aimed_]->waiting_tokens(); }
    i32 gives_way_to(i32 request) const override { return ranks_[aimed_]->gives_way_to(request); }
    void drop(i32 request) override;
    void schedule(i64 now) override;
    void process(std::vector<i32>& ended) override;
    void coast(i64) override {}
    i64 next_ns() const override { return rounds_ == 0 ? never : queue_[0].end_ns; }
    i64 running() const override;
    i64 waiting() const override;
    i64 cached(i32 request) override;
    bool refuses(i32 request) const override { return ranks_[0]->refuses(request); }
    bool let_go(i32 request) override;
    i64 kept() const override;
    void reserved(std::vector<Reserved>& out) override;
    bool receive(i32 request) override;
    double memory_share() const override;
    void close(Status status) override;
    const Totals& totals() const override;
    bool needs_tracking() const override;

  private:
    struct Round {
        i64 end_ns = 0;
        std::vector<char> works; // whether a rank has a batch in it
    };
    struct Counts {
        i64 waiting = 0, running = 0;
        i64 score() const { return 4 * waiting + running; } // [vllm/v1/engine/core_client.py]
    };

    bool round(i64 now);
    bool decide(i64 now, Round& next);
    void publish(i64 until);
    void report();
    Counts live(std::size_t k) const { return {ranks_[k]->waiting(), ranks_[k]->running()}; }

    const LockstepRules rules_;
    const Results& out_;
    const StepClock& clock_;
    std::vector<std::unique_ptr<Rank>> ranks_;
    std::vector<Load> loads_;
    Round queue_[2];
    int rounds_ = 0;
    bool processed_ = false;
    i64 counter_ = 0, last_end_ = 0, dummies_ = 0;

    std::vector<Counts> reported_, heard_; // by the ranks, and as the router last heard of them
    std::vector<i64> unread_;              // requests that a rank has not looked at yet
    i64 heard_at_ = 0;
    std::size_t aimed_ = 0; // the rank that the router chose last, and for whom
    i32 aimed_for_ = -1;
    mutable Totals totals_;
};

} // namespace tokenroof::simulate
