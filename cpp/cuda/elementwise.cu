// Element-wise kernels: a thread per element, strides and broadcasting by Span. No physics here.
#include "span.hpp"

#define TR_KERNEL_HEADERS
#include "kernels.def"

namespace tokenroof {
namespace {

template <class F, class T, int N> __global__ void elementwise(const __grid_constant__ Span<T, N + 1> s) {
    TR_GRID_LOOP(n, s.count) {
        Size offset[N + 1];
        s.locate(n, offset);
        T x[N];
        for (int i = 0; i < N; ++i) x[i] = s.load(i, offset);
        s.at(N, offset) = F::of(x);
    }
}

template <class T, int N> void run_elementwise(const Call& call, void (*kernel)(Span<T, N>)) {
    for_each_piece(call, [&](const Piece& p) { launch(kernel, grid_for(p.count), call.stream, Span<T, N>(p)); });
}

#define TR_ARGS_1 x[0]
#define TR_ARGS_2 TR_ARGS_1, x[1]
#define TR_ARGS_3 TR_ARGS_2, x[2]
#define TR_ARGS_4 TR_ARGS_3, x[3]
#define TR_ARGS_5 TR_ARGS_4, x[4]
#define TR_ARGS_6 TR_ARGS_5, x[5]

#define ELEMENTWISE(name, inputs)                                                                         \
    struct name##_of {                                                                                    \
        template <class T> static __device__ __forceinline__ T of(const T* x) { return name<T>(TR_ARGS_##inputs); } \
    };
#define STEP(name, signature)
#define OPERATOR(name, arguments)
#include "kernels.def"
#undef ELEMENTWISE

} // namespace

#define ELEMENTWISE(name, inputs)                                                             \
    void name##_float32(const Call& call) {                                                   \
        run_elementwise<float, inputs + 1>(call, elementwise<name##_of, float, inputs>);      \
    }                                                                                         \
    void name##_float64(const Call& call) {                                                   \
        run_elementwise<double, inputs + 1>(call, elementwise<name##_of, double, inputs>);    \
    }
#include "kernels.def"
#undef ELEMENTWISE
#undef STEP
#undef OPERATOR

} // namespace tokenroof
