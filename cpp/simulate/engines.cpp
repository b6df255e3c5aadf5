// Engines by name, from the knobs that Python hands over.
#include "simulate/engines.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <vector>

#include "simulate/lockstep.hpp"
#include "simulate/replica.hpp"

namespace tokenroof::simulate {

namespace py = pybind11;

Drafting drafting_of(const py::dict& d) {
    Drafting drafting;
    const auto survived = py::cast<std::vector<double>>(d["survived"]); // by position; none: no drafts
    drafting.drafts = static_cast<i64>(std::min<std::size_t>(survived.size(), most_drafts));
    std::copy_n(survived.begin(), drafting.drafts, drafting.survived);
    drafting.lookahead = py::cast<i64>(d["lookahead"]);
    drafting.reads_states = py::cast<bool>(d["reads_states"]);
    drafting.seed = py::cast<u64>(d["seed"]);
    return drafting;
}

Rules vllm_rules(const py::dict& d) {
    Config c{};
#define TR_NUMBER(name) c.name = py::cast<i64>(d[#name]);
#define TR_FLAG(name) c.name = py::cast<bool>(d[#name]);
    TR_NUMBER(max_num_batched_tokens)
    TR_NUMBER(max_num_scheduled_tokens)
    TR_NUMBER(max_num_active_seqs)
    TR_NUMBER(block_size)
    TR_NUMBER(num_blocks)
    TR_NUMBER(max_model_len)
    TR_NUMBER(stages)
    TR_NUMBER(long_prefill_token_threshold)
    TR_NUMBER(prefill_schedule_interval)
    TR_NUMBER(watermark_blocks)
    TR_FLAG(enable_chunked_prefill)
    TR_FLAG(enable_prefix_caching)
    TR_FLAG(scheduler_reserve_full_isl)
    TR_FLAG(long_prefill_token_threshold_adaptive)
    TR_FLAG(priority)
    TR_FLAG(asynchronous)
    TR_FLAG(before_0_20)
    TR_FLAG(refuse_oversized)
    c.path = py::cast<i32>(d["path"]);
#undef TR_NUMBER
#undef TR_FLAG
    const Drafting drafting = drafting_of(d);
    HostRules host;
    host.blocks = py::cast<i64>(d["host_blocks"]);
    host.block_bytes = py::cast<i64>(d["host_block_bytes"]);
    LockstepRules group;
    group.ranks = py::cast<int>(d["ranks"]);
    group.asynchronous = c.asynchronous;
    group.prefill_interval = c.prefill_schedule_interval;
    group.report_ns = py::cast<i64>(d["report_ns"]);
    c.in_group = group.ranks > 1;
    const auto cap = [&](const char* name) { return py::cast<i64>(d[name]); };
    return {c.max_model_len, c.block_size, c.enable_prefix_caching,
            [c, drafting, host, group](const Surroundings& around) -> std::unique_ptr<Engine> {
                if (group.ranks == 1) return std::make_unique<Replica>(c, drafting, host, around);
                std::vector<std::unique_ptr<Rank>> ranks;
                for (int k = 0; k < group.ranks; ++k)
                    ranks.push_back(std::make_unique<Replica>(
                        c, drafting, host, Surroundings{around.all, around.out, around.clock, around.record,
                                        around.number * group.ranks + k, around.tracking,
                                        around.most_outputs, around.role, around.link, around.hurried}));
                return std::make_unique<Lockstep>(group, around, std::move(ranks));
            },
            cap("max_num_queued_reqs"), cap("max_num_queued_tokens"), true};
}

Rules rules_of(const py::dict& config) {
    const auto name = py::cast<std::string>(config["engine"]);
    if (name == "vllm") return vllm_rules(config);
    if (name == "sglang") return sglang_rules(config);
    if (name == "trtllm") return trtllm_rules(config);
    throw py::value_error("engine is " + name + "; allowed: vllm, sglang, trtllm");
}

} // namespace tokenroof::simulate
