#include "parts.hpp"

namespace tokenroof {
namespace kernels_part {
namespace {

} // namespace
} // namespace kernels_part

void add_kernels(pybind11::module_&) {}

} // namespace tokenroof
