// Statically scheduled dataflow: many chips, or regions of a wafer, hold one model in SRAM, layer after
// layer, and tokens stream through them on a schedule that a compiler fixed.
//   [A20] Abts et al., Think Fast: a Tensor Streaming Processor, ISCA 2020.
//   [A22] Abts et al., A Software-defined Tensor Streaming Multiprocessor, ISCA 2022.
// Nothing is launched and nothing waits for a queue: a trip takes the same time each time.
#pragma once
#include "tokenroof/core/maths.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Chips that hold so many bytes, of whose SRAM `share` is free for them.
template <class T> TR_HD T dataflow_chips(T nbytes, T sram_bytes, T share) {
    const double ratio = double(nbytes) / (double(sram_bytes) * double(share));
    const double whole = ratio > -2251799813685248.0 ? ceil_lanes<double>(ratio) : ratio;
    return T(max_nan(whole, 1.0));
}

// One trip of a microbatch through all layers: the work of one chip, shared by the chips of a stage
// (chips / stages), for every layer what its dependent operations take however wide it is laid out, and a
// hop between stages.
template <class T>
TR_HD T dataflow_trip(T chip_s, T chips, T stages, T layers, T layer_s, T hop_s) {
    const double n = stages;
    return T(double(chip_s) * n / double(chips) + double(layers) * double(layer_s) + (n - 1.0) * double(hop_s));
}

// Sequences that travel together when `batch` of them keep a pipeline of `stages` busy; at least one whole
// sequence, of which some stages then have none.
template <class T> TR_HD T dataflow_microbatch(T batch, T stages) {
    return max_nan(batch / stages, min_nan(batch, T(1)));
}

} // namespace TR_ISA
} // namespace tokenroof
