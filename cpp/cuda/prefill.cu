// Steps that carry prompts.
#include "step_kernels.hpp"

namespace tokenroof {

void prefill_time_float64(const Call& call) { run_seconds<prefill_kind>(call); }
void prefill_step_float64(const Call& call) { run_fields<prefill_kind>(call); }
void prompts_time_float64(const Call& call) { run_seconds<prompts_kind>(call); }
void prompts_step_float64(const Call& call) { run_fields<prompts_kind>(call); }

} // namespace tokenroof
