// Matrix products of a step: by their measured form where the record has it, as lines elsewhere.
#pragma once
#include "tokenroof/inference/prepared.hpp"
#include "tokenroof/inference/structure.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// `count` products of an amount of rows with [k, n]: by their measured form where the record has it.
TR_HD_ONCE void add_product(Prepared& r, const double* d, const double* c, Group group, Amount amount, double count,
                            double n, double k, int weight, int activation) {
    const bool narrowed = narrowed_before(activation), wide = weight == dtype::bf16 || weight == dtype::fp16;
    const int block = wide ? int(calibration::block_gemm16) : int(calibration::block_gemm);
    if (!measured_form(c, block)) {
        r.common.add(group, amount, times(count, gemm_line(d, c, n, k, weight, activation, narrowed)));
        return;
    }
    Products& all = r.products;
    all.gemm[all.n] = prepare_gemm(d, c + block, n, k, weight, activation, false, narrowed);
    all.count[all.n] = count;
    all.amount[all.n] = amount;
    all.group[all.n] = group;
    ++all.n;
}

// Products of a kind of module: in the layers of its own type, and in those that are left wide.
TR_HD void add_products_of(Prepared& r, const double* d, const double* c, Group group, double count, double n,
                           double k, const ModuleTypes& t) {
    const double wide = count * t.wide_share;
    if (t.wide_share < 1.0)
        add_product(r, d, c, group, rank_tokens, count * (1.0 - t.wide_share), n, k, t.weights, t.activations);
    if (wide > 0.0) add_product(r, d, c, group, rank_tokens, wide, n, k, t.wide, t.wide);
}

} // namespace TR_ISA
} // namespace tokenroof
