// Loops of serving.hpp over packed records: a load an element, records prepared when they change.
#include "elements.hpp"
#include "steps.hpp"
#include "tokenroof/serving/serving.hpp"

namespace tokenroof {
inline namespace TR_ISA {
namespace {

constexpr int record_count = 4;

struct Served {
    double d[device::count], c[calibration::count], m[model::count], p[plan::count];
    Prepared prepared;
    const char* from[record_count] = {nullptr, nullptr, nullptr, nullptr};
};

void update(Served& r, char** args, const Size* steps, const Size* core, Size k) {
    bool same = true;
    for (int i = 0; i < record_count; ++i) {
        const char* now = args[i] + k * steps[i];
        same = same && now == r.from[i];
        r.from[i] = now;
    }
    if (same) return;
    read_record<device::count>(r.d, r.from[0], core[0]);
    read_record<calibration::count>(r.c, r.from[1], core[1]);
    read_record<model::count>(r.m, r.from[2], core[2]);
    read_record<plan::count>(r.p, r.from[3], core[3]);
    double bare[calibration::count];
    for (int i = 0; i < calibration::count; ++i) bare[i] = r.c[i];
    without_gaps(bare);
    prepare(r.prepared, r.d, bare, r.m, r.p);
}

// F fills N outputs from the records and a load of concurrency, input and output tokens.
template <int N, class F> void loads_loop(char** args, const Size* dims, const Size* steps, F f) {
    const InvalidFlag flag;
    const Size* core = steps + record_count + 4;
    Served r;
    bool some_nan = false;
    for (Size k = 0; k < dims[0]; ++k) {
        update(r, args, steps, core, k);
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

} // namespace

void serving_loop(char** args, const Size* dims, const Size* steps, void*) {
    loads_loop<serving_field::count>(args, dims, steps, [](const Served& r, const double* x, double* out) TR_INLINE {
        serving(r.prepared, r.d, r.c, r.m, r.p, x[0], x[1], x[2], out);
    });
}

void serving_terms_loop(char** args, const Size* dims, const Size* steps, void*) {
    loads_loop<term::count>(args, dims, steps, [](const Served& r, const double* x, double* out) TR_INLINE {
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

} // namespace TR_ISA
} // namespace tokenroof
