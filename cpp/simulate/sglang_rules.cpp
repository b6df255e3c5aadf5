// SGLang's knobs as Python hands them over.
#include "simulate/engines.hpp"
#include "simulate/sglang.hpp"

namespace tokenroof::simulate {

namespace py = pybind11;

Rules sglang_rules(const py::dict& d) {
    SglangConfig c{};
#define TR_NUMBER(name) c.name = py::cast<i64>(d[#name]);
#define TR_REAL(name) c.name = py::cast<double>(d[#name]);
#define TR_FLAG(name) c.name = py::cast<bool>(d[#name]);
    TR_NUMBER(page_size)
    TR_NUMBER(tokens)
    TR_NUMBER(max_running_requests)
    TR_NUMBER(chunked_prefill_size)
    TR_NUMBER(max_prefill_tokens)
    TR_NUMBER(prefill_max_requests)
    TR_NUMBER(prefill_decode_interval)
    TR_NUMBER(prefill_decode_interval_min_bs)
    TR_NUMBER(max_req_len)
    TR_NUMBER(clip_max_new_tokens)
    TR_NUMBER(retract_decode_steps)
    TR_NUMBER(max_queued_requests)
    TR_NUMBER(reserved_decode_tokens)
    TR_NUMBER(extra_slots)
    TR_REAL(init_ratio)
    TR_REAL(min_ratio)
    TR_REAL(ratio_decay)
    TR_FLAG(radix_cache)
    TR_FLAG(overlap)
    TR_FLAG(mixed_chunk)
    TR_FLAG(ignore_eos)
    TR_FLAG(by_priority)
    TR_FLAG(priorities)
    TR_FLAG(low_first)
    TR_FLAG(longest_output_first)
    TR_FLAG(retract_by_priority)
    TR_FLAG(longest_prefix_first)
#undef TR_NUMBER
#undef TR_REAL
#undef TR_FLAG
    c.eviction = static_cast<Evict>(py::cast<int>(d["eviction"]));
    c.write_policy = static_cast<Write>(py::cast<int>(d["write_policy"]));
    c.host_tokens = py::cast<i64>(d["host_blocks"]) * c.page_size;
    c.host_page_bytes = py::cast<i64>(d["host_block_bytes"]);
    c.host_layers = py::cast<i64>(d["host_layers"]);
    const Drafting drafting = drafting_of(d);
    const i64 weighed = std::max<i64>(c.page_size, 16); // tokens, as of a router before other engines
    Rules rules{c.max_req_len, weighed, c.radix_cache,
                [c, drafting](const Surroundings& around) { return std::make_unique<Sglang>(c, drafting, around); },
                c.max_queued_requests};
    rules.shares_work = rules.together = true;
    return rules;
}

} // namespace tokenroof::simulate
