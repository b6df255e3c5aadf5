// Registers worths and rates of one stream of flows in the module.
#pragma once
#include <pybind11/pybind11.h>

namespace tokenroof {

void register_flows(pybind11::module_& m);

} // namespace tokenroof
