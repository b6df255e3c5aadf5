// All fields of a step, and serving, over packed records: a load an element.
#include "kinds.hpp"
#include "records.hpp"
#include "steps.hpp"
#include "tokenroof/serving/serving.hpp"
#include "tokenroof/serving/system.hpp"

namespace tokenroof {
inline namespace TR_ISA {
namespace {

// F fills N outputs from the records and a load of concurrency, input and output tokens.
template <int N, class F> void loads_loop(char** args, const Size* dims, const Size* steps, F f) {
    const InvalidFlag flag;
    const Size* core = steps + record_count + 4;
    Records r;
    bool some_nan = false;
    for (Size k = 0; k < dims[0]; ++k) {
        update(r, args, steps, core, k, true);
        double x[3], out[N];
        for (int i = 0; i < 3; ++i) x[i] = at(args[record_count + i] + k * steps[record_count + i]);
        f(r, x, out);
        char* to = args[record_count + 3] + k * steps[record_count + 3];
        for (int i = 0; i < N; ++i) {
            some_nan = some_nan || out[i] != out[i];
            *reinterpret_cast<double*>(to + i * core[record_count]) = out[i];
        }
    }
    settle(flag, some_nan, args, steps, dims[0], record_count, record_count + 3);
}

template <int K> void step_loop(char** args, const Size* dims, const Size* steps) {
    constexpr int loads = loads_of<K>, out = 4 + loads;
    const InvalidFlag flag;
    const Size n = dims[0];
    const Size* core = steps + out + 1;
    Records r;
    bool some_nan = false;
    for (Size k = 0; k < n; ++k) {
        update(r, args, steps, core, k, false);
        double x[loads], f[step::count];
        for (int i = 0; i < loads; ++i) x[i] = at(args[4 + i] + k * steps[4 + i]);
        fields<K>(r.prepared, x, f);
        some_nan = some_nan || f[step::time] != f[step::time];
        char* to = args[out] + k * steps[out];
        for (int i = 0; i < step::count; ++i) *reinterpret_cast<double*>(to + i * core[4]) = f[i];
    }
    settle(flag, some_nan, args, steps, n, 4, 4 + loads);
}

} // namespace

void decode_step_loop(char** a, const Size* n, const Size* s, void*) { step_loop<decode_kind>(a, n, s); }
void prompts_step_loop(char** a, const Size* n, const Size* s, void*) { step_loop<prompts_kind>(a, n, s); }
void mixed_prompts_step_loop(char** a, const Size* n, const Size* s, void*) { step_loop<mixed_prompts_kind>(a, n, s); }
void prefill_step_loop(char** args, const Size* dims, const Size* steps, void* data) {
    OnePrompt with(args, steps, 4, 7, 5);
    prompts_step_loop(with.args, dims, with.steps, data);
}
void mixed_step_loop(char** args, const Size* dims, const Size* steps, void* data) {
    OnePrompt with(args, steps, 6, 9, 5);
    mixed_prompts_step_loop(with.args, dims, with.steps, data);
}

void serving_loop(char** args, const Size* dims, const Size* steps, void*) {
    loads_loop<serving_field::count>(args, dims, steps, [](const Records& r, const double* x, double* out) TR_INLINE {
        serving(r.prepared, r.d, r.c, r.m, r.p, x[0], x[1], x[2], out);
    });
}

void serving_terms_loop(char** args, const Size* dims, const Size* steps, void*) {
    loads_loop<term::count>(args, dims, steps, [](const Records& r, const double* x, double* out) TR_INLINE {
        serving_terms(r.prepared, r.d, r.c, r.m, r.p, x[0], x[1], x[2], out);
    });
}

void serving_of_terms_loop(char** args, const Size* dims, const Size* steps, void*) {
    const InvalidFlag flag;
    const Size* core = steps + 5;
    bool some_nan = false;
    for (Size k = 0; k < dims[0]; ++k) {
        double c[calibration::count], t[term::count], out[serving_field::count];
        read_record<calibration::count>(c, args[0] + k * steps[0], core[0]);
        read_record<term::count>(t, args[1] + k * steps[1], core[1]);
        serving_of_terms(c, t, at(args[2] + k * steps[2]), at(args[3] + k * steps[3]), out);
        for (int i = 0; i < serving_field::count; ++i) {
            some_nan = some_nan || out[i] != out[i];
            *reinterpret_cast<double*>(args[4] + k * steps[4] + i * core[2]) = out[i];
        }
    }
    settle(flag, some_nan, args, steps, dims[0], 2, 4);
}

void serving_system_loop(char** args, const Size* dims, const Size* steps, void*) {
    const InvalidFlag flag;
    const Size* core = steps + 3;
    bool some_nan = false;
    for (Size k = 0; k < dims[0]; ++k) {
        double t[system_term::count], out[system_field::count];
        read_record<system_term::count>(t, args[0] + k * steps[0], core[0]);
        serving_system(t, at(args[1] + k * steps[1]), out);
        for (int i = 0; i < system_field::count; ++i) {
            some_nan = some_nan || out[i] != out[i];
            *reinterpret_cast<double*>(args[2] + k * steps[2] + i * core[1]) = out[i];
        }
    }
    settle(flag, some_nan, args, steps, dims[0], 1, 2);
}

} // namespace TR_ISA
} // namespace tokenroof
