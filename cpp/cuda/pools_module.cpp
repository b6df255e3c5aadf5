#include "parts.hpp"

namespace tokenroof {
namespace pools_part {
namespace {

} // namespace
} // namespace pools_part

void add_pools(pybind11::module_&) {}

} // namespace tokenroof
