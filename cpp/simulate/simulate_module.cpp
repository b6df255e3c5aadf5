// The simulator for Python: many runs over threads, without the GIL.
#include "simulate/simulate_module.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>

#include "python/workers.hpp"
#include "simulate/best_hits.hpp"
#include "simulate/engines.hpp"
#include "simulate/request_rows.hpp"
#include "simulate/system.hpp"

namespace py = pybind11;

namespace tokenroof {
namespace {

using simulate::i32;
using simulate::i64;

// What a pool did.
struct Outcome {
    simulate::Totals totals;
    i64 on_ns = 0, span_ns = 0;
    std::vector<simulate::ScaleRow> scaled;
};

// One run: what it plays, where its outcome goes, and its record of steps.
struct Run {
    simulate::Plan plan;
    std::vector<simulate::Record> records; // of each pool
    std::vector<simulate::Rows> rows;      // of each pool
    std::vector<Outcome> outcomes;
    simulate::Ending ending = simulate::interrupted;
    bool tracking = false;
    std::vector<py::array> held;
};

// A contiguous array of n numbers of type T, or null where there is none.
template <class T> T* numbers(Run& run, const py::dict& from, const char* name, i64 n, bool writable) {
    if (!from.contains(name) || from[name].is_none()) return nullptr;
    auto array = py::cast<py::array>(from[name]);
    if (!py::isinstance<py::array_t<T>>(array))
        throw py::type_error(std::string(name) + " is of another type; allowed: " +
                             py::cast<std::string>(py::str(py::dtype::of<T>())));
    if (!(array.flags() & py::array::c_style) || (n >= 0 && array.size() != n))
        throw py::value_error(std::string(name) + " is not a contiguous array of " + std::to_string(n) +
                              " numbers");
    if (writable && !array.writeable()) throw py::value_error(std::string(name) + " is read-only");
    run.held.push_back(array);
    return static_cast<T*>(const_cast<void*>(array.data()));
}

void read_clock(Run& run, const py::dict& d, simulate::StepClock& clock) {
    if (d.contains("fixed_ns")) {
        clock.fixed_ns = py::cast<i64>(d["fixed_ns"]);
        clock.per_token_ns = py::cast<i64>(d["per_token_ns"]);
        clock.per_context_token_ns = py::cast<i64>(d["per_context_token_ns"]);
        clock.per_draft_ns = py::cast<i64>(d["per_draft_ns"]);
        clock.line_watts = py::cast<double>(d["watts"]);
        clock.metered = clock.line_watts == clock.line_watts; // NaN: not known
        return;
    }
    i64 size = 1;
    const auto axes = py::cast<std::vector<std::vector<double>>>(d["axes"]);
    if (axes.size() != 7) throw py::value_error("axes: there are seven");
    for (int k = 0; k < 7; ++k) {
        if (axes[k].size() < 2) throw py::value_error("axes: at least two points along each");
        clock.axis[k] = axes[k];
        if (k < 4) size *= static_cast<i64>(axes[k].size());
    }
    const auto plane = [&](const char* name, int rows, int columns) {
        const auto count = static_cast<i64>(axes[rows].size() * axes[columns].size());
        const double* found = numbers<double>(run, d, name, count, false);
        if (!found) throw py::value_error(std::string(name) + " is missing");
        return found;
    };
    clock.whole = numbers<double>(run, d, "whole", static_cast<i64>(axes[6].size()), false);
    if (!clock.whole) throw py::value_error("whole is missing");
    clock.alone = numbers<double>(run, d, "alone", static_cast<i64>(axes[6].size()), false);
    if (clock.alone) clock.slower = py::cast<double>(d["slower"]);
    clock.beside = plane("beside", 0, 2);
    clock.cached = plane("cached", 2, 3);
    clock.several = plane("several", 2, 4);
    clock.decode = plane("decode", 5, 1);
    clock.attended = plane("attended", 5, 1);
    if (d.contains("missing")) clock.missing = plane("missing", 2, 0);
    if (d.contains("drafting")) {
        clock.drafting = plane("drafting", 5, 1);
        clock.drafts = py::cast<double>(d["drafts"]);
    }
    clock.padded = py::cast<std::vector<double>>(d["padded"]);
    clock.pads_prompts = py::cast<bool>(d["pads_prompts"]);
    clock.host_ns = py::cast<i64>(d["host_ns"]);
    if (!d.contains("mixed_watts")) return;
    clock.metered = true;
    clock.watts = numbers<double>(run, d, "mixed_watts", size, false);
    clock.several_j = plane("several_j", 2, 4);
    clock.decode_j = plane("decode_j", 5, 1);
    if (clock.drafting) clock.drafting_j = plane("drafting_j", 5, 1);
    clock.idle_watts = py::cast<double>(d["idle_watts"]);
}

void read_requests(Run& run, const py::dict& d, simulate::Requests& r) {
    r.arrival_ns = numbers<i64>(run, d, "arrival_ns", -1, false);
    if (!r.arrival_ns) throw py::value_error("arrival_ns is missing");
    r.count = run.held.back().size();
    r.input_tokens = numbers<i64>(run, d, "input_tokens", r.count, false);
    r.output_tokens = numbers<i64>(run, d, "output_tokens", r.count, false);
    r.declared_tokens = numbers<i64>(run, d, "declared_tokens", r.count, false);
    r.priority = numbers<i64>(run, d, "priority", r.count, false);
    r.after = numbers<i64>(run, d, "after", r.count, false);
    r.think_ns = numbers<i64>(run, d, "think_ns", r.count, false);
    r.also_after = numbers<i64>(run, d, "also_after", -1, false);
    r.also_offset = numbers<i64>(run, d, "also_offset", r.count + 1, false);
    r.content_offset = numbers<i64>(run, d, "content_offset", r.count + 1, false);
    r.runs = numbers<i64>(run, d, "runs", -1, false);
    r.output_id = numbers<i64>(run, d, "output_id", r.count, false);
    r.block_hashes = numbers<i64>(run, d, "block_hashes", -1, false);
    r.hash_block = d.contains("hash_block") ? py::cast<i64>(d["hash_block"]) : 0;
}

// A record per request, whose fields lie where they do in a RequestRow.
void read_rows(Run& run, const py::dict& d, i64 n, simulate::Rows& rows) {
    const auto array = py::cast<py::array>(d["records"]);
    const py::object fields = array.dtype().attr("fields");
    for (const auto& [name, at] : simulate::row_fields)
        if (fields.is_none() || !fields.contains(name) || py::cast<std::size_t>(fields[name][py::int_(1)]) != at)
            throw py::type_error(std::string("records: ") + name + " is not at byte " + std::to_string(at));
    const auto words = py::cast<py::array>(d["status"]);
    const auto holds = [](const py::array& of, std::size_t bytes) {
        return (of.flags() & py::array::c_style) && static_cast<std::size_t>(of.nbytes()) == bytes;
    };
    if (!holds(array, static_cast<std::size_t>(n) * sizeof(simulate::RequestRow)) || !array.writeable())
        throw py::value_error("records: there is a row for each request");
    if (words.dtype().kind() != 'U' || !holds(words, sizeof(char32_t) * simulate::statuses * simulate::status_letters))
        throw py::value_error("status: there is a word for each");
    rows.to = static_cast<simulate::RequestRow*>(const_cast<void*>(array.data()));
    rows.words = static_cast<const char32_t*>(words.data());
    run.held.push_back(array);
    run.held.push_back(words);
}

// Whatever was written of a run is as if it had not been.
void clear(Run& run, const StopFlag& stop) {
    const i64 n = run.plan.requests().count;
    for (const simulate::PoolPlan& pool : run.plan.pools) simulate::clear(pool.results, n, stop);
    if (stop) return;
    if (run.plan.apart())
        for (i64 i = 0; i < n; ++i) {
            run.plan.reserved_ns[i] = run.plan.sending_ns[i] = run.plan.received_ns[i] = -1;
            run.plan.sent_tokens[i] = 0;
            run.plan.sent_bytes[i] = 0.0;
        }
    for (simulate::Record& record : run.records) {
        record.rows.clear();
        record.entries.clear();
        record.preempted.clear();
        record.given.clear();
    }
    run.outcomes.clear();
}

// Counters first; where a preempted request could find its own blocks again, once more with every block. `rooms`
// are a thread's, for each run that it plays.
void play(Run& run, std::array<simulate::Room, 2>& rooms, const StopFlag& stop, std::atomic<i64>& finished) {
    const i64 n = run.plan.requests().count;
    for (std::size_t k = 0; k < run.plan.pools.size(); ++k) run.plan.pools[k].results = rooms[k].of(n);
    for (;;) {
        clear(run, stop);
        const i64 before = finished.load();
        simulate::System system(run.plan, run.records, run.tracking);
        run.ending = system.run(stop, finished);
        const i64 end = system.end_ns(), span = std::max<i64>(0, end - system.start_ns());
        for (std::size_t k = 0; k < run.plan.pools.size(); ++k) {
            const simulate::Pool& pool = system.pool(k);
            run.outcomes.push_back({pool.totals(), pool.on_ns(end), span, pool.scaled()});
        }
        if (!system.needs_tracking()) break;
        finished.fetch_sub(std::min(finished.load() - before, n), std::memory_order_relaxed);
        run.tracking = true;
    }
    for (std::size_t k = 0; k < run.plan.pools.size(); ++k) {
        simulate::PoolPlan& pool = run.plan.pools[k];
        simulate::fill(run.rows[k], pool.requests, pool.results, run.outcomes[k].totals.metered, stop);
        pool.results = {}; // the room is another run's
    }
}

void read_scaling(const py::dict& d, simulate::Scaling& s) {
    s.on = true;
    s.least = py::cast<int>(d["least"]);
    s.most = py::cast<int>(d["most"]);
    s.signal = static_cast<simulate::Signal>(py::cast<int>(d["signal"]));
    s.target = py::cast<double>(d["target"]);
    s.tolerance = py::cast<double>(d["tolerance"]);
    s.start_ns = py::cast<i64>(d["start_ns"]);
    s.interval_ns = py::cast<i64>(d["interval_ns"]);
    s.cooldown_ns = py::cast<i64>(d["cooldown_ns"]);
}

void read_pool(Run& run, const py::dict& d, std::size_t k) {
    simulate::PoolPlan& pool = run.plan.pools[k];
    simulate::Record& record = run.records[k];
    pool.rules = simulate::rules_of(py::cast<py::dict>(d["config"]));
    read_clock(run, py::cast<py::dict>(d["clock"]), pool.clock);
    read_requests(run, py::cast<py::dict>(d["requests"]), pool.requests);
    read_rows(run, d, pool.requests.count, run.rows[k]);
    pool.replicas = py::cast<int>(d["replicas"]);
    pool.host_bytes_per_s = py::cast<i64>(d["link_bytes_per_s"]);
    pool.host_replicas = py::cast<i64>(d["link_replicas"]);
    pool.route = static_cast<simulate::Route>(py::cast<int>(d["route"]));
    pool.role = static_cast<simulate::Role>(py::cast<int>(d["role"]));
    if (pool.role != simulate::Role::whole && !pool.rules.shares_work)
        throw py::value_error("pools of prompts and of answers are not played by this engine; allowed: vllm");
    if (!d["scaling"].is_none()) read_scaling(py::cast<py::dict>(d["scaling"]), pool.scaling);
    record.rows_wanted = py::cast<bool>(d["rows"]);
    record.entries_wanted = py::cast<bool>(d["entries"]);
    run.tracking = run.tracking || (pool.rules.prefix_caching &&
                                    (pool.requests.has_content() || record.rows_wanted ||
                                     py::cast<bool>(d["tracking"])));
}

void read_link(Run& run, const py::dict& d) {
    simulate::Plan& plan = run.plan;
    const i64 n = plan.requests().count;
    plan.link.near.assign(py::cast<std::size_t>(d["senders"]), py::cast<double>(d["near"]));
    plan.link.far.assign(py::cast<std::size_t>(d["receivers"]), py::cast<double>(d["far"]));
    plan.link.hop_ns = py::cast<i64>(d["hop_ns"]);
    plan.link.sharing = static_cast<simulate::Sharing>(py::cast<int>(d["sharing"]));
    plan.cache_bytes = numbers<double>(run, d, "cache_bytes", n, false);
    plan.reserved_ns = numbers<i64>(run, d, "reserved_ns", n, true);
    plan.sending_ns = numbers<i64>(run, d, "sending_ns", n, true);
    plan.received_ns = numbers<i64>(run, d, "received_ns", n, true);
    plan.sent_tokens = numbers<i64>(run, d, "sent_tokens", n, true);
    plan.sent_bytes = numbers<double>(run, d, "sent_bytes", n, true);
}

std::unique_ptr<Run> run_of(const py::dict& d) {
    auto run = std::make_unique<Run>();
    simulate::Plan& plan = run->plan;
    const auto pools = py::cast<py::list>(d["pools"]);
    if (pools.empty() || pools.size() > 2) throw py::value_error("pools: one or two");
    plan.pools.resize(pools.size());
    run->records.resize(pools.size());
    run->rows.resize(pools.size());
    for (std::size_t k = 0; k < pools.size(); ++k) read_pool(*run, py::cast<py::dict>(pools[k]), k);
    plan.signal_age_ns = py::cast<i64>(d["signal_age_ns"]);
    plan.horizon_ns = py::cast<i64>(d["horizon_ns"]);
    plan.timeout_ns = py::cast<i64>(d["timeout_ns"]);
    plan.queue_timeout_ns = py::cast<i64>(d["queue_timeout_ns"]);
    const bool hurried = std::min(plan.timeout_ns, plan.queue_timeout_ns) != simulate::never;
    for (simulate::PoolPlan& pool : plan.pools) pool.hurried = hurried;
    if (plan.apart()) read_link(*run, py::cast<py::dict>(d["link"]));
    return run;
}

template <class T, int columns> py::array table_of(const std::vector<T>& rows) {
    static_assert(sizeof(T) == columns * sizeof(i64));
    py::array_t<i64> out({static_cast<py::ssize_t>(rows.size()), static_cast<py::ssize_t>(columns)});
    if (!rows.empty()) std::memcpy(out.mutable_data(), rows.data(), rows.size() * sizeof(T));
    return out;
}

void rows_of(const simulate::Record& record, py::dict& out) {
    py::array_t<i64> rows({static_cast<py::ssize_t>(record.rows.size()), py::ssize_t(9)});
    py::array_t<double> joules(static_cast<py::ssize_t>(record.rows.size()));
    i64* to = rows.mutable_data();
    double* energy = joules.mutable_data();
    for (const simulate::Row& r : record.rows) {
        const i64 row[9] = {r.scheduled_ns, r.start_ns, r.end_ns,        r.replica, r.free_blocks,
                            r.running,      r.waiting,  r.cached_hashes, r.tokens};
        to = std::copy(std::begin(row), std::end(row), to);
        *energy++ = r.joules;
    }
    out["rows"] = rows;
    out["row_joules"] = joules;
    out["entries"] = table_of<simulate::RowEntry, 4>(record.entries);
    out["preempted"] = table_of<simulate::RowVictim, 2>(record.preempted);
    out["given"] = table_of<simulate::RowGiven, 3>(record.given);
}

py::dict pool_of(const simulate::Record& record, const Outcome& of) {
    const simulate::Totals& t = of.totals;
    py::dict out;
    rows_of(record, out);
    out["busy_j"] = t.busy_j;
    out["metered"] = t.metered;
    out["drafted"] = t.drafted;
    out["loaded_bytes"] = t.loaded_bytes;
    out["stored_bytes"] = t.stored_bytes;
    out["load_ns"] = t.load_ns;
    out["store_ns"] = t.store_ns;
    out["host_evicted"] = t.host_evicted;
    out["kept"] = t.kept;
    out["steps"] = t.steps;
    out["counted_steps"] = t.counted_steps;
    out["tokens"] = t.tokens;
    out["busy_ns"] = t.busy_ns;
    out["end_ns"] = t.end_ns;
    out["preemptions"] = t.preemptions;
    out["dummy_rounds"] = t.dummy_rounds;
    out["peak_running"] = t.peak_running;
    out["peak_waiting"] = t.peak_waiting;
    out["least_free"] = t.steps ? t.least_free : -1;
    out["on_ns"] = of.on_ns;
    out["span_ns"] = of.span_ns;
    py::list scaled;
    for (const simulate::ScaleRow& row : of.scaled)
        scaled.append(py::make_tuple(row.at, row.up, row.starting, row.draining, row.signal));
    out["scaled"] = scaled;
    return out;
}

py::dict outcome_of(const Run& run) {
    py::dict out;
    py::list pools;
    for (std::size_t k = 0; k < run.outcomes.size(); ++k) pools.append(pool_of(run.records[k], run.outcomes[k]));
    out["pools"] = pools;
    out["ending"] = static_cast<int>(run.ending);
    return out;
}

py::list play_all(const py::list& what, int threads, const py::object& progress) {
    if (threads < 1 || threads > 4096)
        throw py::value_error("threads is " + std::to_string(threads) + "; allowed: 1 to 4096");
    std::vector<std::unique_ptr<Run>> runs;
    i64 total = 0;
    for (const py::handle& one : what) {
        runs.push_back(run_of(py::cast<py::dict>(one)));
        total += runs.back()->plan.requests().count;
    }
    std::atomic<std::size_t> next{0};
    std::atomic<i64> finished{0};
    StopFlag stop;
    auto work = [&] {
        std::array<simulate::Room, 2> rooms;
        while (!stop) {
            const std::size_t mine = next.fetch_add(1);
            if (mine >= runs.size()) break;
            play(*runs[mine], rooms, stop, finished);
        }
    };
    auto tell = [&](bool over) {
        if (!progress.is_none()) progress(over ? total : finished.load(), total);
    };
    run_workers(std::min<int>(threads, std::max<int>(1, static_cast<int>(runs.size()))), stop, work, tell);
    py::list out;
    for (const auto& run : runs) out.append(outcome_of(*run));
    return out;
}

// Blocks of each request that the best possible eviction finds.
py::array best_hits(const py::dict& requests, i64 block, i64 places) {
    Run run;
    simulate::Requests all{};
    read_requests(run, requests, all);
    py::array_t<i64> hits(static_cast<py::ssize_t>(all.count));
    i64* to = hits.mutable_data();
    std::fill(to, to + all.count, 0);
    StopFlag stop;
    auto work = [&] {
        if (all.has_content()) simulate::BestHits(all, block, places).run(stop, to);
    };
    run_workers(1, stop, work, [](bool) {});
    return hits;
}

} // namespace

void register_simulate(py::module_& m) {
    m.def("simulate_requests", &play_all, py::arg("runs"), py::arg("threads"),
          py::arg("progress") = py::none());
    m.def("best_hits", &best_hits, py::arg("requests"), py::arg("block"), py::arg("places"));
}

} // namespace tokenroof
