// Registers the split of a site's power in the module.
#pragma once
#include <pybind11/pybind11.h>

namespace tokenroof {

void register_power_split(pybind11::module_& m);

} // namespace tokenroof
