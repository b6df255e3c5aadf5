// What the CUDA module is made of: each part registers itself from a host file of its own,
// <part>_module.cpp; its device code is in <part>.cu, which sees neither pybind11 nor NumPy. The host files
// are compiled as one (pybind11 takes seconds a file): each keeps its names in namespace <part>_part.
#pragma once
#include <pybind11/pybind11.h>

namespace tokenroof {

void add_devices(pybind11::module_& m); // which devices there are, and why none
void add_arrays(pybind11::module_& m);  // device memory, streams, DLPack
void add_kernels(pybind11::module_& m); // every entry of cpp/loops/kernels.def
void add_scan(pybind11::module_& m);    // headers of double SHA-256
void add_pools(pybind11::module_& m);   // Monte Carlo of mining pools
void add_probes(pybind11::module_& m);  // measured ceilings

inline void add_parts(pybind11::module_& m) {
    add_devices(m);
    add_arrays(m);
    add_kernels(m);
    add_scan(m);
    add_pools(m);
    add_probes(m);
}

} // namespace tokenroof
