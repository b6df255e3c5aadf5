// Packed records to the terms of a step, a thread per combination.
#include "prepared.hpp"

namespace tokenroof {
namespace {

__global__ void prepare_kernel(const __grid_constant__ Span<double, 4> s, unsigned first, unsigned count, bool bare,
                               Prepared* prepared) {
    TR_GRID_LOOP(k, count) {
        Size offset[4];
        s.locate((first + k) * s.inner_size, offset);
        double c[calibration::count];
        for (int i = 0; i < calibration::count; ++i) c[i] = (&s.at(1, offset))[i];
        if (bare) without_gaps(c);
        prepare(prepared[k], &s.at(0, offset), c, &s.at(2, offset), &s.at(3, offset));
    }
}

} // namespace

void prepare_records(const Piece& piece, unsigned first, unsigned count, bool bare, Prepared* prepared) {
    launch(prepare_kernel, grid_for(count, 32), piece.call->stream, Span<double, 4>(piece), first, count, bare,
           prepared);
}

} // namespace tokenroof
