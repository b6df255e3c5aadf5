// Registers the choice of modes by regression in the module.
#pragma once
#include <pybind11/pybind11.h>

namespace tokenroof {

void register_switching(pybind11::module_& m);

} // namespace tokenroof
