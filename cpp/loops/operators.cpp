// Operators and small kernels over packed records, one element at a time.
#include "elements.hpp"
#include "kinds.hpp"
#include "steps.hpp"
#include "tokenroof/inference/layer_kernels.hpp"
#include "tokenroof/inference/speculative.hpp"

namespace tokenroof {
inline namespace TR_ISA {
namespace {

using Operator = void (*)(const double* device, const double* calibration, const double* arguments, double* fields);
template <int Arguments, Operator F> void operator_loop(char** args, const Size* dims, const Size* steps) {
    constexpr int out = 2 + Arguments;
    const InvalidFlag flag;
    const Size n = dims[0];
    const Size* core = steps + out + 1;
    double d[device::count], c[calibration::count];
    const char *device_now = nullptr, *calibration_now = nullptr;
    bool some_nan = false;
    for (Size k = 0; k < n; ++k) {
        if (args[0] + k * steps[0] != device_now) {
            device_now = args[0] + k * steps[0];
            read_record<device::count>(d, device_now, core[0]);
        }
        if (args[1] + k * steps[1] != calibration_now) {
            calibration_now = args[1] + k * steps[1];
            read_record<calibration::count>(c, calibration_now, core[1]);
        }
        double x[Arguments], f[op::count];
        for (int i = 0; i < Arguments; ++i) x[i] = at(args[2 + i] + k * steps[2 + i]);
        F(d, c, x, f);
        some_nan = some_nan || f[op::time] != f[op::time];
        char* to = args[out] + k * steps[out];
        for (int i = 0; i < op::count; ++i) *reinterpret_cast<double*>(to + i * core[2]) = f[i];
    }
    settle(flag, some_nan, args, steps, n, 2, out);
}

} // namespace

void memory_required_loop(char** args, const Size* dims, const Size* steps, void*) {
    const InvalidFlag flag;
    const Size* core = steps + 5;
    bool some_nan = false;
    for (Size k = 0; k < dims[0]; ++k) {
        double m[model::count], p[plan::count];
        read_record<model::count>(m, args[0] + k * steps[0], core[0]);
        read_record<plan::count>(p, args[1] + k * steps[1], core[1]);
        const double y = memory_required(m, p, at(args[2] + k * steps[2]), at(args[3] + k * steps[3]));
        some_nan = some_nan || y != y;
        *reinterpret_cast<double*>(args[4] + k * steps[4]) = y;
    }
    settle(flag, some_nan, args, steps, dims[0], 2, 4);
}

void board_power_loop(char** args, const Size* dims, const Size* steps, void*) {
    const InvalidFlag flag;
    const Size* core = steps + 9;
    bool some_nan = false;
    for (Size k = 0; k < dims[0]; ++k) {
        double d[device::count], c[calibration::count], x[6];
        read_record<device::count>(d, args[0] + k * steps[0], core[0]);
        read_record<calibration::count>(c, args[1] + k * steps[1], core[1]);
        for (int i = 0; i < 6; ++i) x[i] = at(args[2 + i] + k * steps[2 + i]);
        const double y = board_watts_of(d, c, x);
        some_nan = some_nan || y != y;
        *reinterpret_cast<double*>(args[8] + k * steps[8]) = y;
    }
    settle(flag, some_nan, args, steps, dims[0], 2, 8);
}

void expected_tokens_by_position_loop(char** args, const Size* dims, const Size* steps, void*) {
    const InvalidFlag flag;
    bool made = false;
    for (Size k = 0; k < dims[0]; ++k) {
        double expected = 1.0, survived = 1.0;
        bool given = false;
        for (Size i = 0; i < dims[1]; ++i) {
            const double a = at(args[0] + k * steps[0] + i * steps[2]);
            given = given || a != a;
            expected_tokens_add(expected, survived, a);
        }
        made = made || (expected != expected && !given);
        *reinterpret_cast<double*>(args[1] + k * steps[1]) = expected;
    }
    flag.settle(made);
}

#define ELEMENTWISE(name, inputs)
#define STEP(name, signature)
#define OPERATOR(name, arguments) \
    void name##_loop(char** a, const Size* n, const Size* s, void*) { operator_loop<arguments, name>(a, n, s); }
#include "kernels.def"

} // namespace TR_ISA
} // namespace tokenroof
