// Registers the simulation of a factory's cash in the module.
#pragma once
#include <pybind11/pybind11.h>

namespace tokenroof {

void register_cash_paths(pybind11::module_& m);

} // namespace tokenroof
