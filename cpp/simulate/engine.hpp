// What the event loop asks of a replica, whichever engine's scheduler it plays.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "simulate/host_tier.hpp"
#include "simulate/records.hpp"
#include "simulate/step_clock.hpp"

namespace tokenroof::simulate {

// Preemptions without a token between them, after which an engine is taken to go in circles: what is sampled
// stays, so that whoever makes headway samples sooner or later.
inline constexpr i64 most_fruitless = 20000;
inline constexpr i64 most_coasting = 1024; // steps between two looks for Ctrl-C

// What a replica does for a request: all of it; the prompt alone, whose cache another takes over; or the answer, to
// a prompt whose cache comes from there.
enum class Role : int { whole = 0, prompts = 1, answers = 2 };

// A request whose blocks are set aside, and the tokens of it whose cache may come.
struct Reserved {
    i32 request;
    i64 tokens;
};

// Of a prompt that is computed in pieces: up to which token its cache may be sent, and whether that is all of it.
struct Sent {
    i32 request;
    i64 until;
    bool last;
};

// What a replica stands in: requests, where their outcome goes, the clock of steps, its number.
struct Surroundings {
    const Requests& all;
    const Results& out;
    const StepClock& clock;
    Record* record;
    i32 number;
    bool tracking;    // every block has an identity, whoever asks
    i64 most_outputs; // of one request
    Role role = Role::whole;
    HostLink* link = nullptr; // to the host's memory, where there is a tier
    bool hurried = false;     // whether clients may give up
};

class Engine {
  public:
    Engine() = default;
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;
    virtual ~Engine() = default;

    virtual void deliver(i32 request) = 0;
    // Calls the scheduler, if the loop is at a point where it does.
    virtual void schedule(i64 now) = 0;
    // The oldest batch in flight has run.
    virtual void process(std::vector<i32>& ended) = 0;
    // Steps that nothing outside can reach, until then.
    virtual void coast(i64 until) = 0;
    // When the oldest batch in flight ends; never where nothing is in flight.
    virtual i64 next_ns() const = 0;
    virtual i64 running() const = 0;
    virtual i64 waiting() const = 0;
    // Best guess of the prompt tokens of a request that are cached here.
    virtual i64 cached(i32 request) = 0;
    // Whether it is refused at the door: too long for the model, or for the memory.
    virtual bool refuses(i32 request) const = 0;
    // Where a request will wait, of several queues; what follows is of that one.
    virtual void aim(i32) {}
    virtual i64 queued() const { return waiting(); }
    // Prompt tokens of those that wait.
    virtual i64 waiting_tokens() const { return 0; }
    // Who waits, and gives way to a request that is more urgent; -1 for nobody.
    virtual i32 gives_way_to(i32) const { return -1; }
    // Takes out a request that waits or runs; an engine that cannot is not asked.
    virtual void drop(i32) {}
    // Nothing more will happen.
    virtual void close(Status status) = 0;
    virtual const Totals& totals() const = 0;
    // Of a role of prompts: the blocks of a request that was processed are free. Whether it was here.
    virtual bool let_go(i32) { return false; }
    // Requests whose blocks are kept for another replica.
    virtual i64 kept() const { return 0; }
    // Of a role of answers: those whose blocks were set aside since it was asked last.
    virtual void reserved(std::vector<Reserved>&) {}
    // The cache of one of them is there. Whether it was expected here.
    virtual bool receive(i32) { return false; }
    // Of requests that go to both roles at once: memory for the answer to one is there.
    virtual void ready(i32) {}
    // Of a role of answers: who gave up before blocks were set aside, since it was asked last.
    virtual void forgotten(std::vector<i32>&) {}
    // What may be sent since it was asked last.
    virtual void sent(std::vector<Sent>&) {}
    // Share of its KV memory that is in use.
    virtual double memory_share() const { return 0.0; }
    // Whether the run has to be played once more with every block.
    virtual bool needs_tracking() const { return false; }
};

// An engine whose steps can be those of a group: what a step carries is decided first, and when it runs after.
class Rank : public Engine {
  public:
    // Decides a step; false where there is none. `throttle`: prompts wait, where decoding goes on.
    virtual bool decide(i64 now, bool throttle) = 0;
    // What was decided last carries.
    virtual const Load& load() const = 0;
    // It runs from start to end.
    virtual void commit(i64 start, i64 end) = 0;
    // When it may run at the earliest.
    virtual i64 not_before() const { return 0; }
    // The loop turns, after a step in which it had nothing to do, or of which there was none.
    virtual void notice(i64) {}
    // Whether something is under way that lets somebody go on who waits.
    virtual bool pending() const { return false; }
    // As `drop`; `full`: as many steps are in flight as the loop holds.
    virtual void drop_in(i32, bool) {}
};

// An engine's rules and knobs, and how a replica of it is made.
struct Rules {
    i64 max_model_len = never; // tokens of a request
    i64 block_size = 1;        // tokens
    bool prefix_caching = false;
    std::function<std::unique_ptr<Engine>(const Surroundings&)> replica;
    i64 queued_requests = never, queued_tokens = never; // of a replica, beyond which requests are shed
    bool shares_work = false;                           // whether it plays the roles of prompts and of answers
    bool together = false;                              // requests go to both roles at once
    bool sends_whole = false;                           // of prompts: whatever is found where they are sent to
    bool drops_late = false; // who waits for blocks may get them before it is taken out
};

} // namespace tokenroof::simulate
