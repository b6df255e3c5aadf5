// Experts that see a token through fewer values (LatentMoE: Nemotron 3, Kimi K3), and experts that compute
// nothing (LongCat-Flash, arXiv:2509.01322, section 2.1: a token that chooses one is given back as it is).
#pragma once
#include "tokenroof/records/records.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Width of what the routed experts see.
TR_HD double expert_width(const double* m) {
    return m[model::moe_latent] > 0.0 ? m[model::moe_latent] : m[model::hidden];
}

// Of topk choices among experts that compute and `zero` that do not, evenly, those that fall on the former.
TR_HD double computed_topk(double topk, double experts, double zero) {
    return zero > 0.0 ? topk * (experts / (experts + zero)) : topk + (zero - zero);
}
TR_HD double routed_topk(const double* m) {
    return computed_topk(m[model::topk], m[model::experts], m[model::zero_experts]);
}

} // namespace TR_ISA
} // namespace tokenroof
