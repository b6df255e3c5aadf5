// TensorRT-LLM's executor: who fits the memory, who of them fits the step, and one step ahead of its outputs.
// [cpp/tensorrt_llm/batch_manager/capacityScheduler.cpp, microBatchScheduler.cpp;
// tensorrt_llm/_torch/pyexecutor/py_executor.py]
#pragma once
#include <utility>
#include <vector>

#include "simulate/drafting.hpp"
#include "simulate/engine.hpp"
#include "simulate/meter.hpp"
#include "simulate/trtllm_tree.hpp"

namespace tokenroof::simulate {

enum class Capacity : int { guaranteed_no_evict = 0, max_utilization = 1, static_batch = 2 };

// Knobs by the engine's own names.
struct TrtllmConfig {
    i64 max_num_tokens, max_batch_size, tokens_per_block, num_blocks, max_seq_len;
    i64 batch_wait_timeout_iters;
    double batch_wait_max_tokens_ratio;
    Capacity policy;
    bool enable_chunked_prefill, equal_progress, enable_block_reuse, enable_partial_reuse, copy_on_partial_reuse;
    bool enable_prefix_aware_scheduling, overlap, refuse_oversized;
    i32 path;
};

class Trtllm final : public Rank {
  public:
    Trtllm(const TrtllmConfig& config, const Drafting& drafting, const Surroundings& around);

    void deliver(i32 request) override;
    void schedule(i64 now) override;
    bool decide(i64 now, bool throttle) override;
    const Load& load() const override { return load_; }
    void commit(i64 start, i64 end) override;
    void process(std::vector<i32>& ended) override;
    void coast(i64 until) override;
    i64 next_ns() const override {
        return !answered_.empty() ? now_ : batches_ == 0 ? never : queue_[0].end_ns;
    }
    i64 running() const override { return static_cast<i64>(started_.size()); }
    i64 waiting() const override { return static_cast<i64>(waiting_.size() - first_waiting_); }
    i64 cached(i32 request) override;
    bool refuses(i32 request) const override;
    void drop(i32 request) override;
    void close(Status status) override;
    const Totals& totals() const override { return totals_; }
    // Set where counters met a step whose blocks were not there.
    bool needs_tracking() const override { return needs_tracking_; }
    bool let_go(i32 request) override;
    i64 kept() const override { return static_cast<i64>(kept_.size()); }
    void reserved(std::vector<Reserved>& out) override;
    void forgotten(std::vector<i32>& out) override;
    bool receive(i32 request) override;
    double memory_share() const override;

  private:
    // A request that was admitted at least once: a prompt that is not computed yet, an answer, an answer whose last
    // token is on its way, or one whose prompt's cache is.
    enum Phase : signed char { unstarted, context, generation, draining, coming };
    struct Sequence {
        i32 request = -1;
        Phase phase = unstarted;
        i64 prompt = 0, position = 0;         // tokens of the prompt, with what was answered before a pause
        i64 cache = 0, sampled = 0;           // tokens in the cache, and known, once all launched steps have run
        i64 known = 0, ready = 0;             // known, and in the cache, by steps that have run
        i64 total = 0, limit = 0, blocks = 0; // tokens where it ends, where it ends at the latest; and its blocks
        i64 held = 0, start = 0;              // start: how often it was admitted
        i64 told = 0;                         // drafted: tokens after the prompt, once all launched steps have run
        i64 joined = 0, last = 0;             // counted: ticks of the first answer step and of the last token
        i32 wheel_next = -1;
        double mark = 0.0; // of the meter, where it joined
        bool fresh = false; // its first token came with its prompt's cache, and was not given yet
        std::vector<i32> list;
    };
    struct Entry {
        i32 slot, request;
        i64 tokens, before, start;
        bool sampled, prompt;
        i64 kept = 0; // of the drafts that it verifies
    };
    struct Batch {
        i64 end_ns = 0, tick = 0;
        std::vector<Entry> entries;
    };
    struct Dropped {
        i32 request;
        i64 given; // outputs that its client had
    };
    struct Candidate {
        i32 slot, request; // slot: of who was started
        i64 tokens;        // that its prompt still has to compute
        i64 piece;         // of them in this step
    };

    // trtllm.cpp
    bool counters_serve(const Surroundings& around) const;
    bool call(i64 now);
    i64 take_time();
    i64 free_blocks() const { return tracking_ ? tree_.free() : free_; }
    i64 known_of(i32 request) const { return all_.input_tokens[request] + out_.output_tokens[request]; }
    i64 limit_of(i32 request, bool declared) const;
    const Found& look_up(i32 request);
    i32 slot_for(i32 request);
    bool earlier(i32 a, i32 b) const {
        if (!entered_.empty()) return entered_[a] < entered_[b];
        return std::pair{out_.arrival_ns[a], a} < std::pair{out_.arrival_ns[b], b};
    }
    void add_started(i32 slot);
    void wait_again(i32 request);
    void drop_waiting(i32 request);
    void pause(i32 slot);
    bool start(Candidate& who);
    void allocate(Sequence& s, i64 count);
    void give_back(Sequence& s);
    void finish(i32 slot, i64 end_ns, std::vector<i32>& ended);
    void note(i64 start, i64 end, const Batch& batch);

    // trtllm_capacity.cpp
    void fitting();
    void fit_no_evict();
    void fit_max_utilization();
    bool fits_next_step(Candidate& who, i64& used);
    bool pause_last(i64 after, i64& end);
    bool waits_for_prefix(i32 request);
    void contributions();
    void add_candidate(i32 slot, i32 request);
    void micro_batch();
    void pieces(i64 room);
    bool batch_waits() const;
    void run_contexts();
    void run_generations();
    void sampled_one(Sequence& s);
    void drain_if_known(Sequence& s);
    void rewind(Sequence& s, i64 tokens);
    i64 blocks_held(i64 cache) const { return blocks_for(cache + drafting_.lookahead, config_.tokens_per_block); }
    i64 per_answer() const { return 1 + drafting_.drafts; } // tokens of a step

    // trtllm_apart.cpp
    bool comes(i32 request) const { return role_ == Role::answers && out_.preemptions[request] == 0; }
    void reserve_coming();
    void keep(i32 slot, i64 end_ns, std::vector<i32>& ended);
    bool first_token(i32 slot);

    // trtllm_drop.cpp
    bool awaited(i32 request) const { return out_.status[request] == waiting_for_arrival; }
    void take_out_leaving();
    bool take_out(const Dropped& one);
    void left_early(i32 request);

    // trtllm_counted.cpp
    void fit_counted();
    i64 blocks_of_tick() const;
    void generations_counted();
    void join_counted(i32 slot);
    void leave_counted(Sequence& s);
    void end_tick();
    void process_counted(const Batch& batch, std::vector<i32>& ended);

    const TrtllmConfig config_;
    const Drafting drafting_;
    const Requests& all_;
    const Results& out_;
    const StepClock& clock_;
    Record* record_;
    i32 number_;
    Role role_;
    bool tracking_, counted_, processed_ = false, needs_tracking_ = false;

    std::vector<Sequence> sequences_;
    std::vector<i32> free_slots_;
    std::vector<i32> started_; // slots, by arrival
    std::vector<i32> waiting_; // requests, by arrival, from first_waiting_ on
    std::size_t first_waiting_ = 0;
    std::vector<std::pair<i32, i32>> paused_slots_; // requests that were paused, and their slots
    ReuseTree tree_;
    i64 free_ = 0, promised_ = 0; // promised: blocks that answers in progress will still take
    i64 open_ = 0;                // prompts that were begun
    i32 looked_up_ = -1;
    i64 looked_known_ = -1;
    u64 looked_version_ = 0;
    Found found_;
    std::vector<i32> found_blocks_;

    Batch queue_[2];
    int batches_ = 0;
    Batch* batch_ = nullptr;
    i64 now_ = 0, last_end_ = 0, wait_iters_ = 0, fruitless_ = 0;
    Load load_;
    Meter meter_;
    Joules step_j_;
    std::vector<Candidate> contexts_;   // that fit
    std::vector<i32> generations_;      // that fit, slots
    std::vector<u64> contributed_;      // hashes of blocks that prompts of this step compute
    std::vector<i32> paused_now_;
    std::vector<Candidate> coming_;     // that fit, before their prompts' caches are sent
    std::vector<std::pair<i32, i32>> kept_; // requests whose caches are to be read, and their slots
    std::vector<Reserved> reserved_;
    std::vector<i32> forgotten_; // of answers: taken out before their blocks were set aside
    std::vector<i64> entered_;  // of answers, by request: how many had been handed on before
    i64 entries_ = 0;
    std::vector<i32> answered_; // with their first token
    bool turned_ = false;       // whether a call without a step changed something
    std::vector<Dropped> dropped_, leaving_; // until the loop turns; until the outputs after are handled

    // counters: every answer gets a token a step
    i64 tick_ = 0, steady_ = 0, steady_cache_ = 0, done_tick_ = -1;
    std::vector<i64> class_count_;
    std::vector<i32> wheel_, scratch_;

    Totals totals_;
};

} // namespace tokenroof::simulate
