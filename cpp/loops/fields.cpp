// All fields of a step, and serving, over packed records: a load an element.
#include "kinds.hpp"
#include "records.hpp"
#include "steps.hpp"
#include "tokenroof/serving/serving.hpp"
#include "tokenroof/serving/system.hpp"
#include "vector.hpp"

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

// A step's parts, for as many loads at once as there are lanes: the same numbers as one at a time.
template <int K> Vector parts_of(const Prepared& r, const Vector* x, Parts<Vector>& out) {
    const Vector none = splat<Vector>(0.0);
    if constexpr (K == decode_kind) return evaluate<Vector, true, false, true>(r, x[0], x[1], none, none, none, out);
    if constexpr (K == prompts_kind) return evaluate<Vector, false, true, true>(r, none, none, x[0], x[1], x[2], out);
    if constexpr (K == mixed_prompts_kind) return evaluate<Vector, true, true, true>(r, x[0], x[1], x[2], x[3], x[4], out);
}

// Those of one lane.
Parts<double> of_lane(const Parts<Vector>& all, int l) {
    constexpr int count = sizeof(Parts<double>) / sizeof(double);
    static_assert(sizeof(Parts<Vector>) == count * sizeof(Vector));
    double numbers[count * lanes], own[count];
    __builtin_memcpy(numbers, &all, sizeof all);
    for (int i = 0; i < count; ++i) own[i] = numbers[i * lanes + l];
    Parts<double> out;
    __builtin_memcpy(&out, own, sizeof out);
    return out;
}

// The fields of lanes of loads.
template <int K> void fields_of_lanes(const Prepared& r, const Vector* x, double (*f)[step::count]) {
    Parts<Vector> all{};
    const Vector time = parts_of<K>(r, x, all);
    for (int l = 0; l < lanes; ++l) {
        Parts<double> own = of_lane(all, l);
        fields_of_parts<K != prompts_kind>(r, lane(x[0], l), own, lane(time, l), f[l]);
    }
}

template <int K> void step_loop(char** args, const Size* dims, const Size* steps) {
    constexpr int loads = loads_of<K>, out = 4 + loads;
    constexpr bool wide = lanes > 2; // fewer are not worth the time of compilers
    const InvalidFlag flag;
    const Size n = dims[0];
    const Size* core = steps + out + 1;
    const bool steady = steps[0] == 0 && steps[1] == 0 && steps[2] == 0 && steps[3] == 0;
    Records r;
    bool some_nan = false;
    for (Size k = 0; k < n;) {
        update(r, args, steps, core, k, false);
        double f[wide ? lanes : 1][step::count];
        Size done = 1;
        if constexpr (wide) {
            if (steady && n - k >= lanes) {
                alignas(Vector) double each[loads][lanes];
                for (int i = 0; i < loads; ++i)
                    for (int l = 0; l < lanes; ++l) each[i][l] = at(args[4 + i] + (k + l) * steps[4 + i]);
                Vector x[loads];
                __builtin_memcpy(x, each, sizeof x);
                fields_of_lanes<K>(r.prepared, x, f);
                done = lanes;
            }
        }
        if (done == 1) {
            double x[loads];
            for (int i = 0; i < loads; ++i) x[i] = at(args[4 + i] + k * steps[4 + i]);
            fields<K>(r.prepared, x, f[0]);
        }
        for (Size l = 0; l < done; ++l, ++k) {
            some_nan = some_nan || f[l][step::time] != f[l][step::time];
            char* to = args[out] + k * steps[out];
            for (int i = 0; i < step::count; ++i) *reinterpret_cast<double*>(to + i * core[4]) = f[l][i];
        }
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
