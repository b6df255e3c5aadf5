// TensorRT-LLM's knobs as Python hands them over.
#include "simulate/engines.hpp"
#include "simulate/trtllm.hpp"

namespace tokenroof::simulate {

namespace py = pybind11;

Rules trtllm_rules(const py::dict& d) {
    TrtllmConfig c{};
#define TR_NUMBER(name) c.name = py::cast<i64>(d[#name]);
#define TR_FLAG(name) c.name = py::cast<bool>(d[#name]);
    TR_NUMBER(max_num_tokens)
    TR_NUMBER(max_batch_size)
    TR_NUMBER(tokens_per_block)
    TR_NUMBER(num_blocks)
    TR_NUMBER(max_seq_len)
    TR_NUMBER(batch_wait_timeout_iters)
    TR_FLAG(enable_chunked_prefill)
    TR_FLAG(equal_progress)
    TR_FLAG(enable_block_reuse)
    TR_FLAG(enable_partial_reuse)
    TR_FLAG(copy_on_partial_reuse)
    TR_FLAG(enable_prefix_aware_scheduling)
    TR_FLAG(overlap)
    TR_FLAG(refuse_oversized)
#undef TR_NUMBER
#undef TR_FLAG
    c.batch_wait_max_tokens_ratio = py::cast<double>(d["batch_wait_max_tokens_ratio"]);
    c.policy = static_cast<Capacity>(py::cast<int>(d["capacity"]));
    c.path = py::cast<i32>(d["path"]);
    const Drafting drafting = drafting_of(d);
    Rules rules{c.max_seq_len, c.tokens_per_block, c.enable_block_reuse,
                [c, drafting](const Surroundings& around) { return std::make_unique<Trtllm>(c, drafting, around); }};
    rules.shares_work = rules.drops_late = true;
    rules.sends_whole = !c.enable_block_reuse; // [cacheFormatter.cpp: getBlockRangeForReceiving]
    return rules;
}

} // namespace tokenroof::simulate
