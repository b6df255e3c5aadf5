// Serving in closed loop: a thread per load.
#include "prepared.hpp"

namespace tokenroof {
namespace {

// The terms of a load, or what follows from them: one kernel, most of which is the terms.
__global__ void serving_kernel(const __grid_constant__ Span<double, 8> s, Part part, unsigned combination,
                               const Prepared* prepared, Size core_out, bool terms) {
    TR_GRID_LOOP(k, part.count) {
        const unsigned n = part.first + k;
        Size offset[8];
        s.locate(n, offset);
        const Prepared& r = prepared[s.inner(n) - combination];
        const double *d = &s.at(0, offset), *c = &s.at(1, offset), *m = &s.at(2, offset), *p = &s.at(3, offset);
        double x[3], t[term::count], y[serving_field::count];
        for (int i = 0; i < 3; ++i) x[i] = s.load(4 + i, offset);
        serving_terms(r, d, c, m, p, x[0], x[1], x[2], t);
        if (!terms) serving_of_terms(c, t, x[0], x[2], y);
        char* to = s.data[7] + offset[7];
        const int fields = terms ? int(term::count) : int(serving_field::count);
        for (int i = 0; i < fields; ++i) *reinterpret_cast<double*>(to + i * core_out) = terms ? t[i] : y[i];
    }
}

void run_serving(const Call& call, bool terms) {
    for_each_piece(call, [&](const Piece& p) {
        const Span<double, 8> span(p);
        for_prepared(p, true, 0, [&](unsigned first, unsigned count, const Prepared* prepared, void*) {
            const Part part(p, first, count);
            launch(serving_kernel, grid_for(part.count, 128), call.stream, span, part, first, prepared, call.core_out,
                   terms);
        });
    });
}

__global__ void of_terms(const __grid_constant__ Span<double, 5> s, Size core_out) {
    TR_GRID_LOOP(n, s.count) {
        Size offset[5];
        s.locate(n, offset);
        double y[serving_field::count];
        serving_of_terms(&s.at(0, offset), &s.at(1, offset), s.load(2, offset), s.load(3, offset), y);
        char* to = s.data[4] + offset[4];
        for (int i = 0; i < serving_field::count; ++i) *reinterpret_cast<double*>(to + i * core_out) = y[i];
    }
}

} // namespace

void serving_float64(const Call& call) { run_serving(call, false); }
void serving_terms_float64(const Call& call) { run_serving(call, true); }
void serving_of_terms_float64(const Call& call) {
    for_each_piece(call, [&](const Piece& p) {
        launch(of_terms, grid_for(p.count, 128), call.stream, Span<double, 5>(p), call.core_out);
    });
}

} // namespace tokenroof
