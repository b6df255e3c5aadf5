// Nothing yet.
#include "parts.hpp"

namespace tokenroof {

void add_probes(pybind11::module_&) {}

} // namespace tokenroof
