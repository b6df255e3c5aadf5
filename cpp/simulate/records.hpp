// What one run of the simulator takes and gives, as plain arrays that the caller owns.
#pragma once
#include <cstdint>
#include <limits>
#include <vector>

namespace tokenroof::simulate {

using i32 = std::int32_t;
using i64 = std::int64_t;
using u64 = std::uint64_t;

constexpr i64 never = std::numeric_limits<i64>::max();

inline i64 blocks_for(i64 tokens, i64 block) { return (tokens + block - 1) / block; }

// Knobs of vLLM's scheduler, by its own names [vllm/config/scheduler.py, cache.py].
struct Config {
    i64 max_num_batched_tokens, max_num_scheduled_tokens, max_num_active_seqs, block_size, num_blocks;
    i64 stages; // of a pipeline: so many batches are in flight, each in another
    i64 max_model_len, long_prefill_token_threshold, prefill_schedule_interval, watermark_blocks;
    bool enable_chunked_prefill, enable_prefix_caching, scheduler_reserve_full_isl;
    bool long_prefill_token_threshold_adaptive, priority, asynchronous;
    bool before_0_20;      // the rules of 0.19: freed blocks, victims, the threshold
    bool in_group;         // of data-parallel ranks, whose rounds say when prompts may be taken
    bool refuse_oversized; // what can never fit the pool is refused instead of blocking the queue for ever
    i32 path;              // 0: counters where they serve; 1: every sequence at every step
};

// Requests, and what their tokens are: nothing known (all different), runs of ids, or hashes of blocks.
struct Requests {
    i64 count;
    const i64 *arrival_ns, *input_tokens, *output_tokens;
    const i64* declared_tokens;                   // or null: ends are known beforehand
    const i64 *priority, *after, *think_ns;       // or null
    const i64 *also_after, *also_offset;          // further parents
    const i64 *content_offset, *runs, *output_id; // runs: pairs (first id, count)
    const i64* block_hashes;                      // one an id of hash_block tokens
    i64 hash_block;
    bool has_content() const { return runs || block_hashes; }
};

enum Status : signed char { waiting_for_arrival = 0, done = 1, rejected = 2, stuck = 3, unfinished = 4, timed_out = 5, shed = 6 };

// One entry a request; times in whole nanoseconds, -1 where it never happened.
struct Results {
    i64 *arrival_ns, *scheduled_ns, *first_token_ns, *last_token_ns;
    i32 *output_tokens, *cached_tokens, *cached_total, *loaded_tokens, *preemptions, *replica;
    signed char* status;
    double* joules; // or null: no energy
};

struct Row {
    i64 scheduled_ns, start_ns, end_ns;
    i32 replica, free_blocks, running, waiting, cached_hashes, tokens;
    double joules;
};
struct RowEntry {
    i64 step, request, tokens, before;
};
struct RowVictim {
    i64 step, request;
};
// Tokens that a step gave a request.
struct RowGiven {
    i64 end_ns, request, tokens;
};

// What was decided at each step: rows alone, or with their entries.
struct Record {
    bool rows_wanted = false, entries_wanted = false;
    std::vector<Row> rows;
    std::vector<RowEntry> entries;
    std::vector<RowVictim> preempted;
    std::vector<RowGiven> given;
};

// Totals of a run.
struct Totals {
    i64 steps = 0, tokens = 0, busy_ns = 0, end_ns = 0, preemptions = 0, counted_steps = 0;
    i64 peak_running = 0, peak_waiting = 0, least_free = never;
    double busy_j = 0.0;
    bool metered = false; // whether the engine knows the energy of its steps
    i64 dummy_rounds = 0; // of a group of ranks: that carried nothing
    i64 drafted = 0, kept = 0; // tokens
    i64 loaded_bytes = 0, stored_bytes = 0, load_ns = 0, store_ns = 0, host_evicted = 0; // of the host's memory

    void add(const Totals& t) {
        steps += t.steps;
        counted_steps += t.counted_steps;
        tokens += t.tokens;
        busy_ns += t.busy_ns;
        busy_j += t.busy_j;
        metered = metered || t.metered;
        preemptions += t.preemptions;
        dummy_rounds += t.dummy_rounds;
        drafted += t.drafted;
        kept += t.kept;
        loaded_bytes += t.loaded_bytes;
        stored_bytes += t.stored_bytes;
        load_ns += t.load_ns;
        store_ns += t.store_ns;
        host_evicted += t.host_evicted;
        end_ns = end_ns > t.end_ns ? end_ns : t.end_ns;
        peak_running = peak_running > t.peak_running ? peak_running : t.peak_running;
        peak_waiting = peak_waiting > t.peak_waiting ? peak_waiting : t.peak_waiting;
        least_free = least_free < t.least_free ? least_free : t.least_free;
    }
};

} // namespace tokenroof::simulate
