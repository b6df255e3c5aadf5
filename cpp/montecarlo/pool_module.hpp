// Registers the simulation of pools in the module.
#pragma once
#include <pybind11/pybind11.h>

namespace tokenroof {

void register_montecarlo(pybind11::module_& m);

} // namespace tokenroof
