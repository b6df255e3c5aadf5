// One table of loops per instruction set, in the form that NumPy calls.
#pragma once

namespace tokenroof {

using Size = long long; // npy_intp on every 64-bit platform
using Loop = void (*)(char** args, const Size* dims, const Size* steps, void* data);

struct Kernel {
    const char* name;
    const char* signature; // null: element-wise
    int inputs;
    Loop float32;          // null where there is none
    Loop float64;
};

struct Table {
    const Kernel* kernels;
    int count;
};

} // namespace tokenroof
