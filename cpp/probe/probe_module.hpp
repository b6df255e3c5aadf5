// Registers probe_flops and probe_bandwidth in the module.
#pragma once
#include <pybind11/pybind11.h>

namespace tokenroof {

void register_probe(pybind11::module_& m);

} // namespace tokenroof
