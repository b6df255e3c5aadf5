#include "parts.hpp"

namespace tokenroof {
namespace probes_part {
namespace {

} // namespace
} // namespace probes_part

void add_probes(pybind11::module_&) {}

} // namespace tokenroof
