// Decode steps. Over whole batch counts all but attention depends on the count alone: a table of counts is
// filled first, and an element looks its own up. The sums run in the same order: the same bits.
#include "step_kernels.hpp"

namespace tokenroof {
namespace {

constexpr unsigned least_counts = 256; // fewer are not worth a launch

__global__ void fill_counts(const Prepared* prepared, double* table, unsigned counts, unsigned total) {
    TR_GRID_LOOP(k, total) {
        const double none = 0.0, count = double(k % counts);
        Parts<double> unused;
        table[k] = evaluate<double, true, false, false, false>(prepared[k / counts], count, none, none, none, none,
                                                               unused);
    }
}

// counts: of the table; 0 for none.
__global__ void decode_by_table(const __grid_constant__ Span<double, 7> s, Part part, unsigned combination,
                                const Prepared* prepared, const double* table, unsigned counts) {
    TR_GRID_LOOP(k, part.count) {
        const unsigned n = part.first + k, which = s.inner(n) - combination;
        Size offset[7];
        s.locate(n, offset);
        const double x[2] = {s.load(4, offset), s.load(5, offset)};
        const Prepared& r = prepared[which];
        // a batch that is not in the table goes the long way
        const bool inside = x[0] >= 0.0 && x[0] < double(counts);
        const unsigned count = inside ? unsigned(x[0]) : 0u;
        double time;
        if (inside && double(count) == x[0]) {
            Parts<double> unused;
            time = table[which * counts + count];
            const double sequences = share(share(x[0], r.pp), r.dp);
            add_decode_attention<double, false>(time, unused, r, sequences, x[1]);
            time = x[1] >= 0.0 ? time : not_a_number();
        } else {
            time = seconds<decode_kind, double>(r, x);
        }
        s.at(6, offset) = time;
    }
}

// The largest power of two of counts that a quarter of the elements pays for; 0: no table.
unsigned counts_for(unsigned inner, bool one_batch) {
    unsigned counts = table_counts;
    while (counts > inner / 4) counts /= 2;
    return counts < least_counts || one_batch ? 0 : counts;
}

} // namespace

void decode_time_float64(const Call& call) {
    for_each_piece(call, [&](const Piece& p) {
        const unsigned counts = counts_for(p.inner, !p.data[4]);
        const Span<double, 7> span(p);
        for_prepared(p, false, counts * sizeof(double),
                     [&](unsigned first, unsigned count, const Prepared* prepared, void* extra) {
                         auto* table = static_cast<double*>(extra);
                         const Part part(p, first, count);
                         if (counts)
                             launch(fill_counts, grid_for(count * counts, 128), call.stream, prepared, table, counts,
                                    count * counts);
                         launch(decode_by_table, grid_for(part.count, 256), call.stream, span, part, first, prepared,
                                table, counts);
                     });
    });
}
void decode_step_float64(const Call& call) { run_fields<decode_kind>(call); }

} // namespace tokenroof
