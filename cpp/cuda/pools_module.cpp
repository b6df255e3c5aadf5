// Nothing yet.
#include "parts.hpp"

namespace tokenroof {

void add_pools(pybind11::module_&) {}

} // namespace tokenroof
