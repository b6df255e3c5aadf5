// Registers queues in closed form in the module.
#pragma once
#include <pybind11/pybind11.h>

namespace tokenroof {

void register_queueing(pybind11::module_& m);

} // namespace tokenroof
