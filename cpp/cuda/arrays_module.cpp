#include "parts.hpp"

namespace tokenroof {
namespace arrays_part {
namespace {

} // namespace
} // namespace arrays_part

void add_arrays(pybind11::module_&) {}

} // namespace tokenroof
