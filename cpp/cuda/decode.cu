// Decode steps. Over whole batch counts all but attention depends on the count alone: a table of counts is
// filled first, and an element looks its own up. The sums run in the same order: the same bits. Elements whose
// batch is not in the table are left to a kernel of their own: the long way needs four times the registers, and
// would leave the short one with a quarter of the threads that hide its waits.
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

__device__ __forceinline__ bool in_table(double batch, unsigned counts) {
    return batch >= 0.0 && batch < double(counts) && double(unsigned(batch)) == batch;
}

// left: whether a batch was not in the table.
__global__ void __launch_bounds__(256)
    decode_by_table(const __grid_constant__ Span<double, 7> s, Part part, unsigned combination, const Prepared* prepared,
                    const double* table, unsigned counts, unsigned* left) {
    TR_GRID_LOOP(k, part.count) {
        const unsigned n = part.first + k, which = s.inner(n) - combination;
        Size offset[7];
        s.locate(n, offset);
        const double batch = s.load(4, offset), context = s.load(5, offset);
        if (!in_table(batch, counts)) {
            if (!*left) *left = 1; // few write: a word that all write would be their queue
            continue;
        }
        const Prepared& r = prepared[which];
        Parts<double> unused;
        double time = table[which * counts + unsigned(batch)];
        add_decode_attention<double, false>(time, unused, r, share(share(batch, r.pp), r.dp), context);
        s.at(6, offset) = context >= 0.0 ? time : not_a_number();
    }
}

// The long way, for what the table left.
__global__ void __launch_bounds__(256)
    decode_left(const __grid_constant__ Span<double, 7> s, Part part, unsigned combination, const Prepared* prepared,
                unsigned counts, const unsigned* left) {
    if (!*left) return;
    TR_GRID_LOOP(k, part.count) {
        const unsigned n = part.first + k;
        Size offset[7];
        s.locate(n, offset);
        const double x[2] = {s.load(4, offset), s.load(5, offset)};
        if (in_table(x[0], counts)) continue;
        s.at(6, offset) = seconds<decode_kind, double>(prepared[s.inner(n) - combination], x);
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
        const Scratch memory(call.device, sizeof(unsigned), call.stream);
        auto* left = static_cast<unsigned*>(memory.data());
        for_prepared(p, false, counts * sizeof(double),
                     [&](unsigned first, unsigned count, const Prepared* prepared, void* extra) {
                         auto* table = static_cast<double*>(extra);
                         const Part part(p, first, count);
                         const Grid grid = grid_for(part.count, 256);
                         if (!counts)
                             return launch(step_seconds<decode_kind>, grid_for(part.count, 128), call.stream, span, part,
                                           first, prepared);
                         check(cudaMemsetAsync(left, 0, sizeof(unsigned), call.stream), "clearing a flag");
                         launch(fill_counts, grid_for(count * counts, 128), call.stream, prepared, table, counts,
                                count * counts);
                         launch(decode_by_table, grid, call.stream, span, part, first, prepared, table, counts, left);
                         launch(decode_left, grid_for(part.count, 256, 1024), call.stream, span, part, first, prepared,
                                counts, left);
                     });
    });
}
void decode_step_float64(const Call& call) { run_fields<decode_kind>(call); }

} // namespace tokenroof
