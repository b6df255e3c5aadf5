// Nothing yet.
#include "parts.hpp"

namespace tokenroof {

void add_scan(pybind11::module_&) {}

} // namespace tokenroof
