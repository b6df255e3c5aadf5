#include "parts.hpp"

namespace tokenroof {

void add_arrays(pybind11::module_&) {}

} // namespace tokenroof
