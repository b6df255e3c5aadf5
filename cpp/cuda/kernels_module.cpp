#include "parts.hpp"

namespace tokenroof {

void add_kernels(pybind11::module_&) {}

} // namespace tokenroof
