// tokenroof._cuda: loads where there is neither a device nor a driver, and says why nothing runs there.
#include "parts.hpp"

PYBIND11_MODULE(_cuda, m, pybind11::mod_gil_not_used()) { tokenroof::add_parts(m); }
