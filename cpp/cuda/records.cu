// Kernels that read packed records where they are: operators, memory, power, rounds of speculation. A thread
// per element.
#include "span.hpp"

#include "kinds.hpp"
#include "tokenroof/inference/memory.hpp"
#include "tokenroof/inference/layer_kernels.hpp"
#include "tokenroof/inference/speculative.hpp"
#include "tokenroof/serving/system.hpp"

namespace tokenroof {
namespace {

// F::of(records, their length where it is not fixed, loads, outputs)
template <class F> __global__ void over_records(const __grid_constant__ Span<double, F::records + F::loads + 1> s,
                                                Size core, Size core_out) {
    constexpr int out = F::records + F::loads;
    TR_GRID_LOOP(n, s.count) {
        Size offset[out + 1];
        s.locate(n, offset);
        const double* records[F::records];
        double x[F::loads + 1], y[F::fields];
        for (int i = 0; i < F::records; ++i) records[i] = &s.at(i, offset);
        for (int i = 0; i < F::loads; ++i) x[i] = s.load(F::records + i, offset);
        F::of(records, core, x, y);
        char* to = s.data[out] + offset[out];
        for (int i = 0; i < F::fields; ++i) *reinterpret_cast<double*>(to + i * core_out) = y[i];
    }
}

template <int N> void run_over_records(const Call& call, void (*kernel)(Span<double, N>, Size, Size)) {
    for_each_piece(call, [&](const Piece& p) {
        launch(kernel, grid_for(p.count, 128), call.stream, Span<double, N>(p), call.core, call.core_out);
    });
}
template <class F> void run_over_records(const Call& call) {
    run_over_records<F::records + F::loads + 1>(call, over_records<F>);
}

#define TR_OVER(name, record_count, load_count, field_count)                                       \
    struct name##_of {                                                                             \
        static constexpr int records = record_count, loads = load_count, fields = field_count;     \
        static __device__ __forceinline__ void of(const double* const* r, Size n, const double* x, double* y); \
    };                                                                                             \
    __device__ __forceinline__ void name##_of::of([[maybe_unused]] const double* const* r, [[maybe_unused]] Size n, \
                                                  [[maybe_unused]] const double* x, double* y)

#define ELEMENTWISE(name, inputs)
#define STEP(name, signature)
#define OPERATOR(name, arguments) \
    TR_OVER(name, 2, arguments, op::count) { name(r[0], r[1], x, y); }
#include "kernels.def"
#undef OPERATOR

TR_OVER(memory_required, 2, 2, 1) { y[0] = memory_required(r[0], r[1], x[0], x[1]); }
TR_OVER(board_power, 2, 6, 1) { y[0] = board_watts_of(r[0], r[1], x); }
TR_OVER(expected_tokens_by_position, 1, 0, 1) {
    double survived = 1.0;
    y[0] = 1.0;
    for (Size i = 0; i < n; ++i) expected_tokens_add(y[0], survived, r[0][i]);
}

TR_OVER(serving_system, 1, 1, system_field::count) { serving_system(r[0], x[0], y); }

} // namespace

#define OPERATOR(name, arguments) \
    void name##_float64(const Call& call) { run_over_records<name##_of>(call); }
#include "kernels.def"
#undef ELEMENTWISE
#undef STEP
#undef OPERATOR

void memory_required_float64(const Call& call) { run_over_records<memory_required_of>(call); }
void board_power_float64(const Call& call) { run_over_records<board_power_of>(call); }
void expected_tokens_by_position_float64(const Call& call) { run_over_records<expected_tokens_by_position_of>(call); }
void serving_system_float64(const Call& call) { run_over_records<serving_system_of>(call); }

} // namespace tokenroof
