// Registers the simulator in the module.
#pragma once
#include <pybind11/pybind11.h>

namespace tokenroof {

void register_simulate(pybind11::module_& m);

} // namespace tokenroof
