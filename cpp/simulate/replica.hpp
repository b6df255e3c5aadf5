// One engine of vLLM: a queue, a list of what runs, blocks of KV memory, one or two batches in flight.
//
// Each call of schedule() is played in one of two ways with the same outcome: *exactly*, sequence by sequence
// (replica_exact.cpp), or by *counters* (replica_counted.cpp). Counters serve while every sequence past its
// prompt gets one token a call: then its progress is a difference of ticks, its end is known beforehand (a
// bucket of the wheel), the blocks that a call needs are those of one residue class modulo the block size,
// and the contexts' sum grows by their number. Where requests share blocks, the sequences of that one class
// are visited, in their order; where none does, the free list is known by lengths alone (extents.hpp).
#pragma once
#include <algorithm>
#include <vector>

#include "simulate/blocks.hpp"
#include "simulate/drafting.hpp"
#include "simulate/engine.hpp"
#include "simulate/extents.hpp"
#include "simulate/host_tier.hpp"
#include "simulate/meter.hpp"
#include "simulate/pages.hpp"
#include "simulate/records.hpp"
#include "simulate/step_clock.hpp"
#include "simulate/waiting.hpp"

namespace tokenroof::simulate {

// A sequence that holds, or held, KV memory: most of the bytes that a request takes while it runs, which
// tests/serving/simulation/test_running_bytes.py counts.
struct Sequence {
    enum Kind : signed char { exact, prefilling, steady, draining };
    i32 slot = -1, request = -1;
    i32 previous = -1, next = -1;             // in the list of what runs
    i32 wheel_next = -1;                      // of those that end at the same tick
    i32 class_next = -1, class_previous = -1; // of those that need a block at the same ticks
    i32 prompt = 0, held = 0, entered = 0, placeholders = 0;
    i32 drafts = 0; // that the next step verifies
    i64 known = 0, computed = 0, total = 0, in_flight = 0, admission = 0;
    i64 last_batch = -1, last_tokens = 0;
    i64 piece = -1;            // of the free list, that it left when it was preempted
    i64 joined = 0, start = 0; // steady: computed = start + tick - joined
    double mark = 0.0;         // of the meter, where it joined
    bool chunk = false, runs = false;
    bool received = false; // its prompt's cache came from elsewhere, but for the last token
    Kind kind = exact;
};

// Its blocks, where they have an identity.
struct Holding {
    Chain chain;
    std::vector<i32> blocks;
    i64 stored = 0, stored_ns = 0; // blocks that the host has, or had; when its last copy is over
};

struct Entry {
    i32 slot, request;
    bool sampled;
    i32 drafts;
    i64 tokens, before;
};
constexpr i64 was_preempted =
    -1; // as `before`, in a batch that is played by counters: a token to who waits again

struct Batch {
    i64 number = 0, end_ns = 0, tick = 0;
    bool counted = false;
    std::vector<Entry> entries; // counted: first tokens, and tokens of who was preempted, alone
};

class Replica final : public Rank {
  public:
    Replica(const Config& config, const Drafting& drafting, const HostRules& host, const Surroundings& around);

    void deliver(i32 request) override;
    void schedule(i64 now) override;
    void process(std::vector<i32>& ended) override;
    bool decide(i64 now, bool throttle) override;
    const Load& load() const override { return load_; }
    void commit(i64 start, i64 end) override;
    void coast(i64 until) override;
    i64 next_ns() const override {
        return batches_ > 0 ? queue_[0].end_ns : tier_.empty() ? never : host_event();
    }
    i64 running() const override { return running_; }
    i64 waiting() const override {
        return waiting_.size() + static_cast<i64>(coming_.size() + received_.size() + early_.size());
    }
    i64 cached(i32 request) override {
        return config_.enable_prefix_caching && tracking_ ? hits(request) * config_.block_size : 0;
    }
    bool refuses(i32 request) const override;
    i64 waiting_tokens() const override { return waiting_.tokens(); }
    i32 gives_way_to(i32 request) const override;
    void drop(i32 request) override { drop_in(request, batches_ >= 2); }
    void drop_in(i32 request, bool full) override;
    i64 not_before() const override { return flush_ns_; }
    void notice(i64 now) override;
    bool pending() const override;
    bool let_go(i32 request) override;
    i64 kept() const override { return static_cast<i64>(kept_.size()); }
    void reserved(std::vector<Reserved>& out) override;
    bool receive(i32 request) override;
    double memory_share() const override;
    void close(Status status) override;
    const Totals& totals() const override { return totals_; }
    // Set where counters alone cannot know which blocks a preempted request finds again.
    bool needs_tracking() const override { return needs_tracking_; }

  private:
    struct Budget {
        i64 left, threshold;
        bool defer;
    };

    // replica.cpp
    Budget opening() const;
    bool call(i64 now);
    void commit_stages(i64 now);
    int depth() const { return config_.asynchronous ? 2 : static_cast<int>(config_.stages); }
    void choose_path(Budget& budget, bool throttle);
    void admit(Budget& budget);
    bool place(i32 request, i64 hit_blocks, Budget& budget);
    void begin(i32 slot, i64 tokens, Budget& budget);
    void hold_found(Sequence& s, i64 hit_blocks);
    i64 beside(i64 hit_blocks) const;
    i64 hits(i32 request);
    i64 admissible(i32 request, i64 hit_blocks, const Budget& budget);
    i32 slot_for(i32 request);
    i32 preempted_slot(i32 request) const;
    i64 known_of(i32 request) const;
    bool carries(i64 now, Batch& batch);
    void note(i64 now, i64 start, const Batch& batch);
    void finish(i32 slot, i64 end_ns, std::vector<i32>& ended);
    void leave_for_good(i32 slot);
    void take_out(i32 request);
    void drop_early(i32 request);
    void flush_dropped();
    void abandon(i32 slot);
    i64 delivered(i32 slot) const;
    i32 slot_of(i32 request) const;
    // Whether somebody still waits for its answer.
    bool awaited(i32 request) const { return out_.status[request] == waiting_for_arrival; }
    void process_exact(Batch& batch, std::vector<i32>& ended);
    Holding& holding(const Sequence& s) { return holdings_[s.slot]; }
    i64 copied_ns(const Sequence& s) const { return tracking_ ? holdings_[s.slot].stored_ns : 0; }
    i64 free_blocks() const { return tracking_ ? pool_.free() : free_; }
    void give_back(Sequence& s, bool kept);
    void enter(Sequence& s, i64 tokens);
    void grow(Sequence& s, i64 count);
    void append(i32 slot);
    void unlink(i32 slot);
    void count(const Sequence& s, i64 tokens, i64 before);
    i64 take_time();
    void pay(const Joules& step);

    // replica_apart.cpp
    bool remote(i32 request) const {
        return role_ == Role::answers && out_.scheduled_ns[request] < 0;
    }
    bool reserve(i32 request);
    void begin_received(Budget& budget);

    // replica_host.cpp
    enum class Found { runs, later, no_room };
    // Who was set aside: its blocks are loaded, from this turn of the loop on, or another's load brings them.
    struct Early {
        i32 request, slot;
        i64 ready_ns, turn;
        std::vector<i32> blocks; // of the host
    };
    struct Stored {
        i32 slot;
        std::vector<i32> blocks;
    };
    struct Leaving {
        i64 at;
        i32 slot;
        std::vector<i32> read; // of the host, for a load that nobody waits for any more
    };
    void host_keys(Chain& chain, i32 request, i64 count);
    void admit_hosted(Budget& budget);
    bool admit_early(Budget& budget);
    Found place_or_load(i32 request, Budget& budget, i64 early);
    bool begin_loaded(Early& one, Budget& budget);
    void store_filled(const Batch& batch, std::size_t ran);
    void send_stores(i64 end);
    void free_stored();
    bool drop_loading(i32 request);
    i64 host_event() const;

    // replica_exact.cpp
    void running_exact(Budget& budget, Batch& batch);
    bool make_room(i32 slot, i64 need, Budget& budget, Batch& batch, i64& skip);
    i32 victim() const;
    void preempt(i32 slot);
    bool withdraw(i32 slot, Budget& budget, Batch& batch);
    void after_exact(Batch& batch);
    void draft(const Batch& batch);
    i64 most_slots(i64 total) const;

    // replica_counted.cpp
    bool try_counted();
    bool regular() const;
    void to_counted();
    void to_exact();
    void running_counted(Budget& budget, Batch& batch);
    bool counted_fits(const Budget& budget);
    bool counted_plan(const Budget& budget);
    void make_room_counted();
    void entered_by(Sequence& s) const;
    void drop_from_wheel(i32 slot, i64 tick);
    void allocate_counted();
    void settle(i32 slot, Batch& batch);
    void join(i32 slot, i64 tick);
    void leave(Sequence& s, i64 computed);
    void end_tick(i64 tick);
    void process_counted(Batch& batch, std::vector<i32>& ended);
    i64 class_of(i64 computed, i64 tick) const {
        const i64 size = config_.block_size;
        if ((size & (size - 1)) == 0) return (computed - tick) & (size - 1); // a division less
        return ((computed - tick) % size + size) % size;
    }

    const Config config_;
    const Drafting drafting_;
    const HostRules host_;
    HostLink* link_;
    const Requests& all_;
    const Results& out_;
    const StepClock& clock_;
    Record* record_;
    i32 number_;
    Role role_;
    i64 unit_blocks_; // of a unit that is hashed together
    bool tracking_, extents_, counted_ = false, needs_tracking_ = false, preempted_in_call_ = false,
                              processed_ = false;

    Waiting waiting_;
    Pages<Sequence> sequences_;
    Pages<Holding> holdings_; // by slot; empty where blocks have no identity
    std::vector<i32> free_slots_;
    std::vector<std::pair<i32, i32>> preempted_slots_; // requests that were preempted, and their slots
    std::vector<std::pair<i32, i32>> kept_;            // answered here, with blocks that another reads
    std::vector<std::pair<i32, i32>> coming_;          // whose caches are on their way, and their slots
    std::vector<i32> received_;                        // slots of those whose caches came
    std::vector<Reserved> reserved_;
    i32 head_ = -1, tail_ = -1;                        // of what runs
    i64 running_ = 0, admissions_ = 0;
    BlockPool pool_; // where blocks have an identity
    Extents list_;   // where only a preempted request can find its own
    i64 free_ = 0;
    i32 looked_up_ = -1; // whose chain chain_ is
    i64 looked_known_ = -1;
    Chain chain_;
    std::vector<i32> hit_;

    std::vector<Batch> queue_; // as many as may be in flight
    int batches_ = 0;
    Batch* batch_ = nullptr; // of the call that is being decided
    i64 now_ = 0, batch_number_ = 0, last_end_ = 0;
    std::vector<i64> stage_end_; // of the last batch in each stage
    Load load_;
    i64 executed_ = 0, last_prefill_ = 0; // of the prefill interval
    Meter meter_;
    Joules step_j_;
    Nearby nearby_; // where its steps lie in the clock's table
    i64 fruitless_ = 0;                   // preemptions since the last token that was sampled
    bool capacity_bound_ = false, prefill_in_call_ = false, sampled_in_call_ = false;
    std::vector<i32> preempted_now_;
    std::vector<i32> dropped_; // who is taken out when the loop turns

    // the host's memory
    HostTier tier_;
    std::vector<Early> early_;
    std::vector<Stored> stores_; // of the call that is being decided
    std::vector<Leaving> leaving_;
    std::vector<u64> keys_;
    std::vector<i32> host_hit_;
    i64 noticed_ns_ = 0, turn_ = 0; // transfers that were over then are known; turns of the loop
    i64 flush_ns_ = 0;              // copies of who was preempted, for which the next step waits
    bool set_aside_ = false, loads_now_ = false;

    // counters
    i64 tick_ = 0, steady_ = 0, contexts_ = 0, draining_ = 0;
    std::vector<i64> class_count_;
    std::vector<i32> class_head_, class_tail_;
    std::vector<i32> wheel_;
    std::vector<i32> prefilling_;
    std::vector<i64> prefill_tokens_;
    std::vector<i32> scratch_;
    i64 need_ = 0, patience_ = 0, backoff_ = 1;

    Totals totals_;
};

} // namespace tokenroof::simulate
