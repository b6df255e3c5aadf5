// One engine of SGLang: a step is a batch of prompts where one can be built, else a token for all that run.
//
// A step of all that run is played by counters: each gets a token, so that how far it is is a difference of
// ticks, its end is known beforehand (a bucket of the wheel), and sums over all of them grow by their number. With
// drafts each is looked at (sglang_drafted.cpp), and ticks stand still.
#pragma once
#include <tuple>
#include <vector>

#include "simulate/drafting.hpp"
#include "simulate/engine.hpp"
#include "simulate/meter.hpp"
#include "simulate/radix.hpp"
#include "simulate/sglang_queue.hpp"

namespace tokenroof::simulate {

// Knobs of SGLang's scheduler [sglang/srt/arg_groups/fields/schedule.py, environ.py].
struct SglangConfig {
    i64 page_size, tokens, max_running_requests, chunked_prefill_size, max_prefill_tokens;
    i64 prefill_max_requests, prefill_decode_interval, prefill_decode_interval_min_bs, max_req_len;
    i64 clip_max_new_tokens, retract_decode_steps, max_queued_requests;
    i64 reserved_decode_tokens, extra_slots; // of a server of answers
    double init_ratio, min_ratio, ratio_decay;
    bool radix_cache, overlap, mixed_chunk, ignore_eos;
    bool by_priority, priorities, low_first, longest_output_first, retract_by_priority, longest_prefix_first;
    Evict eviction;
    Write write_policy;
    i64 host_tokens, host_page_bytes, host_layers; // none: no tier
};

class Sglang final : public Engine {
  public:
    Sglang(const SglangConfig& config, const Drafting& drafting, const Surroundings& around);

    void deliver(i32 request) override;
    void schedule(i64 now) override;
    void process(std::vector<i32>& ended) override;
    void coast(i64 until) override;
    i64 next_ns() const override {
        return !aborted_.empty() ? now_ : batches_ > 0 ? queue_[0].end_ns : tree_.tiered() ? host_event() : never;
    }
    i64 running() const override { return rows_ - holds_aside(); }
    i64 waiting() const override { return waiting_.size() + aside(); }
    i64 cached(i32 request) override;
    bool refuses(i32 request) const override;
    void drop(i32 request) override;
    i32 gives_way_to(i32 request) const override;
    void close(Status status) override;
    const Totals& totals() const override { return totals_; }
    bool let_go(i32 request) override;
    i64 kept() const override { return static_cast<i64>(kept_.size()); }
    void reserved(std::vector<Reserved>& out) override;
    bool receive(i32 request) override;
    void ready(i32 request) override;
    void sent(std::vector<Sent>& out) override;
    double memory_share() const override;

  private:
    // A request that holds KV memory.
    struct Sequence {
        i32 request = -1, node = RadixTree::root;
        i32 wheel_next = -1, cross_next = -1;
        i64 prompt = 0, limit = 0, wanted = 0; // outputs that are declared, and that there will be
        i64 outputs = 0;                       // sampled, in flight among them, when it joined
        i64 fill = 0;                          // tokens that its prompt step computes up to
        i64 prefix = 0, extend_end = 0;        // of its piece: where it starts and ends
        i64 committed = 0, owned_from = 0, inserted = 0;
        i64 allocated = 0; // drafted: tokens that it has memory for
        i64 sampled = 0;   // of who ended, outputs then
        i64 hosted = 0;    // that the host alone had when it was admitted
        double mark = 0.0; // of the running sum of energy, where it joined
        i64 joined = 0, order = 0, order_before = 0, batch = -1;
        bool runs = false, ended = false, frozen = false;
    };
    struct Piece {
        i32 slot, request;
        i64 tokens, before;
        bool last;
    };
    struct Drafted {
        i32 slot, request;
        i64 before, kept;
    };
    struct Batch {
        i64 number = 0, end_ns = 0, tick = -1;
        std::vector<Piece> pieces;
        std::vector<Drafted> drafted;
        bool loads = false; // from the host
    };
    struct Dropped {
        i32 request;
        i64 given; // outputs that its client had
    };
    // What a batch of prompts may still take.
    struct Room {
        i64 input, chunk, reserved, reserved_now;
        double offset; // of outputs to come of those that run
        i64 tokens = 0, held = 0;
    };
    // A request that holds memory and does not run: until it was read, or received.
    struct Aside {
        i32 request, slot;
        bool there;
    };
    enum Verdict { go_on, no_token, other };

    // sglang.cpp
    bool call(i64 now);
    void merge(bool flying);
    void drop_ended();
    void finish_batch(i64 now, Batch& batch);
    i64 take_time();
    void note(i64 now, i64 start, const Batch& batch);
    void process_pieces(const Batch& batch, std::vector<i32>& ended);
    void process_tick(const Batch& batch, std::vector<i32>& ended);
    void finish(i32 slot, i64 end_ns, std::vector<i32>& ended);
    void free_slot(i32 slot);
    i64 declared(i32 request) const;
    void queue_up(i32 request);

    // sglang_prefill.cpp
    bool build_prefill(Batch& batch);
    Room opening();
    double left(const Room& room, i64 pinned) const;
    Verdict state(const Room& room) const;
    bool go_on_with_chunk(Room& room, Batch& batch);
    Verdict admit(i32 request, Room& room, Batch& batch);
    i64 piece_of(i64 extend, const Room& room, const Batch& batch, bool& last) const;
    Verdict fits_for_good(const Room& room, i64 extend, i64 limit, i64 outputs, const Batch& batch);
    void take(Room& room, i64 tokens, i64 outputs);
    i32 enter(i32 request, i32 node, i64 prefix, i64 outputs);
    i32 slot_for(i32 request);
    void allocate(const Room& room, const Batch& batch);
    void refresh_waiting();
    void sort_by_prefix();
    void mix_in(Batch& batch);
    i64 known(i32 request) const { return all_.input_tokens[request] + out_.output_tokens[request]; }
    i64 pages(i64 tokens) const { return blocks_for(tokens, config_.page_size); }
    i64 ceiling(i64 tokens) const { return pages(tokens) * config_.page_size; }

    // sglang_decode.cpp
    bool decode(Batch& batch);
    bool leave_out_ending();
    i64 needed() const;
    bool makes_room();
    void retract();
    void retract_one(i32 slot, i64 left);
    void tick(Batch& batch);
    void advance();
    void join(i32 slot, i64 order);
    void remove(i32 slot);

    // sglang_apart.cpp
    void admit_ready();
    void send_piece(i32 request, i64 until, bool last);
    void send_found(const Batch& batch);
    void keep(i32 slot, i64 end_ns, std::vector<i32>& ended);
    void free_read();
    i64 aside() const;       // requests that wait, but not in the queue
    i64 holds_aside() const; // that hold memory and do not run
    bool call_answers(i64 now, Batch& batch);
    i64 allocatable(i64 single) const;
    i64 most_held() const { return config_.max_running_requests + config_.extra_slots; }
    i32 hold(i32 request, i64 tokens);
    void abandon(i32 slot);
    void resume();
    void set_aside();
    void take_received();
    void join_arrived();

    // sglang_drop.cpp
    bool awaited(i32 request) const { return out_.status[request] == waiting_for_arrival; }
    i32 slot_of(i32 request) const; // of who holds memory; -1 for who does not
    bool leaves(i32 request) const;
    void drop_prompt(i32 request);
    bool drop_aside(i32 request);
    void turn_dropped();
    void left_early(i32 request);
    void leave_with(const Batch& batch);
    void wait_again(i32 request);

    // sglang_host.cpp: a transfer between the device and the host, and what is locked for it.
    struct Moved {
        i64 ready_ns;
        std::vector<std::pair<i32, i64>> nodes; // with the number of its load
    };
    i64 free_for_transfers() const { return std::max({now_, last_end_, held_until_}); }
    i64 move(i64 tokens, i64& free, i64& busy, i64& bytes);
    void send_writes();
    void send_written_back();
    void send_loads();
    void notice_moved();
    bool load_back(i32 node, i64 tokens);
    i64 end_of(i64 start, i64 duration);
    i64 host_event() const;

    // sglang_drafted.cpp
    bool drafts() const { return drafting_.drafts > 0; }
    i64 reach(const Sequence& s) const; // tokens that it has memory for in its next step
    i64 needed_drafted() const;
    void draft_step(Batch& batch);
    void process_drafted(const Batch& batch, std::vector<i32>& ended);
    i64 to_come_drafted() const;
    i64 sampled_of(const Sequence& s) const { // that are known
        return drafts() ? out_.output_tokens[s.request] : outputs_of(s) - in_flight(s);
    }
    void settle(const Sequence& s) {
        if (!drafts()) meter_.settle(s.request, s.mark);
    }

    void unlist(std::vector<i32>& wheel, i32 Sequence::* next, i32 slot, i64 tick);
    i64 flying_short() const;
    i64 in_flight(const Sequence& s) const;
    void checkpoint(Sequence& s, i64 tokens);
    void release(Sequence& s);
    void evict(i64 tokens) {
        if (!config_.radix_cache || tokens <= free_) return;
        free_ += tree_.evict(tokens - free_);
        if (!tree_.written_back().empty()) send_written_back();
    }
    i64 outputs_of(const Sequence& s) const { return s.outputs + (s.runs ? tick_ - s.joined : 0); }
    i64 committed_of(const Sequence& s) const { return s.committed + (s.runs ? tick_ - s.joined : 0); }
    i64 class_of(const Sequence& s) const {
        const i64 size = config_.page_size;
        return ((s.committed - s.joined) % size + size) % size;
    }
    i64 end_tick(const Sequence& s) const { return s.joined + s.wanted - s.outputs - 1; }
    i64 cross_tick(const Sequence& s) const {
        return s.joined + s.limit - s.outputs - config_.clip_max_new_tokens;
    }

    const SglangConfig config_;
    const Drafting drafting_;
    const Requests& all_;
    const Results& out_;
    const StepClock& clock_;
    Record* record_;
    i32 number_;
    Role role_;
    RadixTree tree_, batch_tree_; // the latter of prefixes of those that wait
    SglangQueue waiting_;
    std::vector<Sequence> sequences_;
    std::vector<i32> free_slots_;
    i64 free_, rows_ = 0;                                   // tokens; requests that hold memory
    i32 chunked_ = -1;                                      // the one prompt that is unfinished
    bool full_ = false, processed_ = false, again_ = false; // whether a turn without a batch leads to another
    double ratio_;
    i64 interval_left_ = 0, passes_ = 0;

    Batch queue_[2];
    int batches_ = 0;
    std::vector<Piece> last_; // prompts of the last batch, which are not among those that run yet
    bool last_mixed_ = false;
    i64 flying_pieces_ = 0; // of those that joined with a token in flight, whose outputs are below the clip
    Load load_;
    Meter meter_;
    Joules step_j_;
    i64 now_ = 0, batch_number_ = 0, last_end_ = 0;
    std::vector<i32> gone_, retracted_now_, aborted_, scratch_;
    std::vector<std::pair<double, i64>> states_;
    std::vector<Dropped> dropped_, leaving_; // until the loop turns; until their next token
    std::vector<i64> entered_;               // into the queue, by request, where it may be full
    i64 entries_ = 0;
    std::vector<i64> keys_;

    // prompts apart from answers
    i64 booting_ = 0;         // that wait for memory elsewhere
    std::vector<i32> ready_;  // for which it is there
    std::vector<Sent> sent_;
    std::vector<Aside> kept_; // prompts that were computed
    std::vector<i32> expected_, retracted_; // answers: from first_expected_ on without memory; those that lost it
    i64 first_expected_ = 0;
    std::vector<Aside> coming_, arrived_; // caches on their way; those that are there
    std::vector<Reserved> reserved_;

    // the host's memory
    HostLink* link_;
    std::vector<Moved> writing_, loading_;
    Moved loads_{}; // of the batch that is built
    i64 load_tokens_ = 0, load_number_ = 0;
    i64 held_until_ = 0;                // the loop waits for copies of what has to go
    i64 load_begin_ = -1, load_over_ = -1; // of the batch that is built; -1: none

    // those that run
    i64 running_ = 0, tick_ = 0, contexts_ = 0, next_order_ = 0, front_order_ = 0, renumbered_ = 0;
    i64 short_ = 0, short_left_ = 0, long_ = 0; // outputs to come: below the clip, their sum, above
    std::vector<i64> class_count_;
    std::vector<i32> wheel_, cross_;
    std::vector<i32> drafting_slots_; // in order, where drafts are

    Totals totals_;
};

} // namespace tokenroof::simulate
