// Steps that carry a decode batch and prompts.
#include "step_kernels.hpp"

namespace tokenroof {

void mixed_prompts_time_float64(const Call& call) { run_seconds<mixed_prompts_kind>(call); }
void mixed_prompts_step_float64(const Call& call) { run_fields<mixed_prompts_kind>(call); }
void mixed_time_float64(const Call& call) { mixed_prompts_time_float64(with_one_prompt(call, 6)); }
void mixed_step_float64(const Call& call) { mixed_prompts_step_float64(with_one_prompt(call, 6)); }

} // namespace tokenroof
