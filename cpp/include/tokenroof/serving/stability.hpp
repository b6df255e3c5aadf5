// Where queues begin to grow: the cache that requests hold over their lives, against the cache that there is.
#pragma once
#include "tokenroof/core/config.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Requests per second below which a replica's queue stays short: its KV tokens over the time of a step, by what a
// request holds from its first output token to its last, a token more each step [Nie, Si, Zhou,
// arXiv:2605.04595, mu = M / (b E[g(s, o)])].
template <class T> TR_HD T stable_request_rate(T kv_tokens, T step_seconds, T input_tokens, T output_tokens) {
    const T token_steps = output_tokens * (input_tokens + (output_tokens + T(1)) / T(2));
    return kv_tokens / (step_seconds * token_steps);
}

} // namespace TR_ISA
} // namespace tokenroof
