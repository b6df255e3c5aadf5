#include "parts.hpp"

namespace tokenroof {
namespace scan_part {
namespace {

} // namespace
} // namespace scan_part

void add_scan(pybind11::module_&) {}

} // namespace tokenroof
