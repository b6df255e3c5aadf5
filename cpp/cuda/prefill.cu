// Steps that carry prompts.
#include "step_kernels.hpp"

namespace tokenroof {

void prompts_time_float64(const Call& call) { run_seconds<prompts_kind>(call); }
void prompts_step_float64(const Call& call) { run_fields<prompts_kind>(call); }
void prefill_time_float64(const Call& call) { prompts_time_float64(with_one_prompt(call, 4)); }
void prefill_step_float64(const Call& call) { prompts_step_float64(with_one_prompt(call, 4)); }

} // namespace tokenroof
