// Splits of power over rows of uses, without the GIL.
#include "python/power_split_module.hpp"

#include "python/buffers.hpp"
#include "tokenroof/economics/power_split.hpp"

namespace py = pybind11;

namespace tokenroof {
namespace {

// value, slope, low, high and x are rows of n numbers; power and price one number a row.
void split_power(int n, const py::buffer& value, const py::buffer& slope, const py::buffer& low, const py::buffer& high,
                 const py::buffer& power, const py::buffer& x, const py::buffer& price) {
    if (n < 0) throw py::value_error("n is " + std::to_string(n) + "; allowed: 0 and more");
    py::buffer_info held[7];
    const long long rows = power.request().size, size = rows * n;
    PowerSplit split{n,
                     numbers<double>(value, "value", size, false, held[0]),
                     numbers<double>(slope, "slope", size, false, held[1]),
                     numbers<double>(low, "low", size, false, held[2]),
                     numbers<double>(high, "high", size, false, held[3])};
    const double* mw = numbers<double>(power, "power", rows, false, held[4]);
    double* out = numbers<double>(x, "x", size, true, held[5]);
    double* worth = numbers<double>(price, "price", rows, true, held[6]);
    py::gil_scoped_release free;
    for (long long row = 0; row < rows; ++row) {
        worth[row] = power_split(split, mw[row], out);
        split = {n, split.value + n, split.slope + n, split.low + n, split.high + n};
        out += n;
    }
}

} // namespace

void register_power_split(py::module_& m) {
    m.def("split_power", &split_power, py::arg("n"), py::arg("value"), py::arg("slope"), py::arg("low"),
          py::arg("high"), py::arg("power"), py::arg("x"), py::arg("price"));
}

} // namespace tokenroof
