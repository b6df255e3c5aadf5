// Element-wise loops, compiled once per instruction set. No physics here, and no std:: templates: an
// inline function of theirs, built for a newer processor, could win over the older table's at link time.
#define TR_KERNEL_HEADERS
#include "kernels.def"

#include "flags.hpp"
#include "steps.hpp"
#include "table.hpp"

namespace tokenroof {
inline namespace TR_ISA {
namespace {

constexpr Size block = 256;

// NaN somewhere in the output whose inputs have none.
template <class T, int N>
TR_HD bool made_nan(char** args, const Size* steps, Size n) {
    for (Size k = 0; k < n; ++k) {
        const T y = *reinterpret_cast<const T*>(args[N] + k * steps[N]);
        if (y == y) continue;
        bool given = false;
        for (int i = 0; i < N; ++i) {
            const T x = *reinterpret_cast<const T*>(args[i] + k * steps[i]);
            given = given || x != x;
        }
        if (!given) return true;
    }
    return false;
}

// Outputs of m elements from inputs of unit stride.
template <class T> using Block = void (*)(const T* const* in, T* out, Size m);

// Inputs of unit stride are read where they are, others through a block that is gathered first, so
// that one vectorised loop serves them all. One for all kernels of as many inputs: what differs is the block.
template <class T, int N>
void elementwise(char** args, const Size* dims, const Size* steps, Block<T> f) {
    const InvalidFlag flag;
    const Size n = dims[0];
    T gathered[N + 1][block];
    bool in_place = false;
    for (int i = 0; i < N; ++i) {
        in_place = in_place || args[i] == args[N];
        if (steps[i] != 0) continue;
        const T x = *reinterpret_cast<const T*>(args[i]);
        const Size used = n < block ? n : block;
        for (Size k = 0; k < used; ++k) gathered[i][k] = x;
    }
    for (Size start = 0; start < n; start += block) {
        const Size m = n - start < block ? n - start : block;
        const T* in[N];
        for (int i = 0; i < N; ++i) {
            const char* from = args[i] + start * steps[i];
            if (steps[i] == Size(sizeof(T))) {
                in[i] = reinterpret_cast<const T*>(from);
                continue;
            }
            in[i] = gathered[i];
            if (steps[i] == 0) continue;
            for (Size k = 0; k < m; ++k) gathered[i][k] = *reinterpret_cast<const T*>(from + k * steps[i]);
        }
        char* to = args[N] + start * steps[N];
        const bool direct = steps[N] == Size(sizeof(T));
        T* out = direct ? reinterpret_cast<T*>(to) : gathered[N];
        f(in, out, m);
        if (!direct)
            for (Size k = 0; k < m; ++k) *reinterpret_cast<T*>(to + k * steps[N]) = out[k];
    }
    // in place the inputs are gone: the flag stays as it is
    if (flag.raised() && !in_place) flag.settle(made_nan<T, N>(args, steps, n));
}

#define TR_ARGS_1 in[0][k]
#define TR_ARGS_2 TR_ARGS_1, in[1][k]
#define TR_ARGS_3 TR_ARGS_2, in[2][k]
#define TR_ARGS_4 TR_ARGS_3, in[3][k]
#define TR_ARGS_5 TR_ARGS_4, in[4][k]
#define TR_ARGS_6 TR_ARGS_5, in[5][k]

// ivdep: NumPy copies operands that overlap other than element on element.
#define ELEMENTWISE(name, inputs)                                                                   \
    template <class T> void name##_block(const T* const* in, T* out, Size m) {                      \
        _Pragma("GCC ivdep") for (Size k = 0; k < m; ++k) out[k] = name<T>(TR_ARGS_##inputs);       \
    }                                                                                               \
    template <class T> void name##_loop(char** args, const Size* dims, const Size* steps, void*) {  \
        elementwise<T, inputs>(args, dims, steps, name##_block<T>);                                 \
    }
#define STEP(name, signature)
#define OPERATOR(name, arguments)
#include "kernels.def"
#undef ELEMENTWISE
#undef STEP
#undef OPERATOR

#define TR_OPERATOR_SIGNATURE(n) TR_OPERATOR_SIGNATURE_##n
#define TR_OPERATOR_SIGNATURE_2 "(d),(c),(),()->(o)"
#define TR_OPERATOR_SIGNATURE_3 "(d),(c),(),(),()->(o)"
#define TR_OPERATOR_SIGNATURE_5 "(d),(c),(),(),(),(),()->(o)"
#define TR_OPERATOR_SIGNATURE_6 "(d),(c),(),(),(),(),(),()->(o)"
#define TR_OPERATOR_SIGNATURE_7 "(d),(c),(),(),(),(),(),(),()->(o)"
#define TR_OPERATOR_SIGNATURE_8 "(d),(c),(),(),(),(),(),(),(),()->(o)"
#define TR_OPERATOR_SIGNATURE_9 "(d),(c),(),(),(),(),(),(),(),(),()->(o)"
#define TR_OPERATOR_SIGNATURE_10 "(d),(c),(),(),(),(),(),(),(),(),(),()->(o)"
#define TR_OPERATOR_SIGNATURE_11 "(d),(c),(),(),(),(),(),(),(),(),(),(),()->(o)"
#define TR_OPERATOR_SIGNATURE_12 "(d),(c),(),(),(),(),(),(),(),(),(),(),(),()->(o)"
#define TR_OPERATOR_SIGNATURE_13 "(d),(c),(),(),(),(),(),(),(),(),(),(),(),(),()->(o)"

const Kernel kernels[] = {
#define ELEMENTWISE(name, inputs) {#name, nullptr, inputs, name##_loop<float>, name##_loop<double>},
#define STEP(name, signature) {#name, signature, 0, nullptr, name##_loop},
#define OPERATOR(name, arguments) {#name, TR_OPERATOR_SIGNATURE(arguments), 0, nullptr, name##_loop},
#include "kernels.def"
};

} // namespace

extern const Table table;
const Table table = {kernels, int(sizeof kernels / sizeof kernels[0])};

} // namespace TR_ISA
} // namespace tokenroof
