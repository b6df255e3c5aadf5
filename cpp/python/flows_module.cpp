// Worths and rates of one stream of flows. What is a plain list of numbers goes straight to the formulas; of all else
// the answer is None, and Python looks at it.
#include "python/flows_module.hpp"

#include <datetime.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "python/buffers.hpp"
#include "tokenroof/economics/returns.hpp"

namespace py = pybind11;

namespace tokenroof {
namespace {

// A finite number of Python's own types.
bool plain_number(PyObject* item, double& x) {
    if (PyFloat_CheckExact(item)) {
        x = PyFloat_AS_DOUBLE(item);
    } else if (PyLong_CheckExact(item)) {
        x = PyLong_AsDouble(item);
        if (x == -1.0 && PyErr_Occurred()) {
            PyErr_Clear();
            return false;
        }
    } else {
        return false;
    }
    return std::isfinite(x);
}

bool plain_sequence(PyObject* from) { return PyList_CheckExact(from) || PyTuple_CheckExact(from); }

bool plain_numbers(PyObject* from, std::vector<double>& to) {
    if (!plain_sequence(from)) return false;
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(from);
    to.resize(std::size_t(n));
    for (Py_ssize_t k = 0; k < n; ++k)
        if (!plain_number(PySequence_Fast_GET_ITEM(from, k), to[std::size_t(k)])) return false;
    return n > 0;
}

// Days since 1 March of year 0, by the calendar of today (Hinnant, chrono-compatible low-level date algorithms).
long long day_number(int year, int month, int day) {
    const long long y = year - (month <= 2), era = y / 400, of_era = y - era * 400;
    const long long of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
}

// A date, or text "YYYY-MM-DD".
bool plain_day(PyObject* item, long long& day) {
    if (PyDate_CheckExact(item)) {
        day = day_number(PyDateTime_GET_YEAR(item), PyDateTime_GET_MONTH(item), PyDateTime_GET_DAY(item));
        return true;
    }
    if (!PyUnicode_CheckExact(item)) return false;
    Py_ssize_t length = 0;
    const char* text = PyUnicode_AsUTF8AndSize(item, &length);
    if (!text) PyErr_Clear();
    if (!text || length != 10 || text[4] != '-' || text[7] != '-') return false;
    int part[3] = {};
    for (int i = 0, p = 0; i < 10; ++i) {
        if (i == 4 || i == 7) {
            ++p;
            continue;
        }
        if (text[i] < '0' || text[i] > '9') return false;
        part[p] = part[p] * 10 + (text[i] - '0');
    }
    constexpr int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = part[0] % 4 == 0 && (part[0] % 100 != 0 || part[0] % 400 == 0);
    if (part[0] < 1 || part[1] < 1 || part[1] > 12 || part[2] < 1) return false;
    if (part[2] > days[part[1] - 1] + (leap && part[1] == 2)) return false;
    day = day_number(part[0], part[1], part[2]);
    return true;
}

bool plain_years(PyObject* from, std::size_t n, std::vector<double>& years) {
    if (!plain_sequence(from) || PySequence_Fast_GET_SIZE(from) != Py_ssize_t(n)) return false;
    years.resize(n);
    long long first = 0;
    for (std::size_t k = 0; k < n; ++k) {
        long long day = 0;
        if (!plain_day(PySequence_Fast_GET_ITEM(from, Py_ssize_t(k)), day)) return false;
        if (k == 0) first = day;
        if (day < first) return false;
        years[k] = double(day - first) / 365.0;
    }
    return true;
}

// In the order of their years, flows of one day as one.
void in_order(std::vector<double>& flow, std::vector<double>& year) {
    if (std::is_sorted(year.begin(), year.end(), std::less_equal<>())) return;
    std::vector<std::pair<double, double>> days(flow.size());
    for (std::size_t k = 0; k < flow.size(); ++k) days[k] = {year[k], flow[k]};
    std::stable_sort(days.begin(), days.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::size_t kept = 0;
    for (const auto& [when, sum] : days) {
        if (kept > 0 && year[kept - 1] == when) {
            flow[kept - 1] += sum;
        } else {
            year[kept] = when;
            flow[kept++] = sum;
        }
    }
    flow.resize(kept);
    year.resize(kept);
}

// All rates, ascending; `year` null: 0, 1, 2 ... How many numbers were looked at is added to `looked`.
std::vector<double> all_rates(double* flow, const double* year, long long n, long long& looked) {
    std::vector<double> rates;
    const SignChanges<double> signs = sign_changes(flow, n);
    if (!(signs.count >= 1.0)) return rates;
    if (signs.count == 1.0) {
        double found = 0.0;
        const double root = year ? only_root<false, double>(flow, year, n, signs.last, 1.0, found)
                                 : only_root<true, double>(flow, year, n, signs.last, 1.0, found);
        if (found > 0.0) {
            rates.push_back((year ? rate_of(root) : (1.0 - root) / root) + 0.0);
            return rates;
        }
    }
    std::vector<double> room(std::size_t(3 * n));
    FlowTerms terms = flow_terms(flow, year, n, room.data());
    flow_roots(terms, [&](double t) {
        const double rate = rate_of(t);
        if (rate > -1.0 && rate < infinite()) rates.push_back(rate + 0.0);
    });
    looked += terms.looked;
    std::reverse(rates.begin(), rates.end());
    return rates;
}

py::tuple as_tuple(const std::vector<double>& rates) {
    py::tuple out(rates.size());
    for (std::size_t k = 0; k < rates.size(); ++k) out[k] = py::float_(rates[k]);
    return out;
}

py::object plain_rates(py::handle flows) {
    std::vector<double> flow;
    if (!plain_numbers(flows.ptr(), flow)) return py::none();
    long long looked = 0;
    return as_tuple(all_rates(flow.data(), nullptr, (long long)(flow.size()), looked));
}

py::object plain_dated_rates(py::handle flows, py::handle dates) {
    std::vector<double> flow, year;
    if (!plain_numbers(flows.ptr(), flow) || !plain_years(dates.ptr(), flow.size(), year)) return py::none();
    in_order(flow, year);
    long long looked = 0;
    return as_tuple(all_rates(flow.data(), year.data(), (long long)(flow.size()), looked));
}

py::object plain_worth(py::handle rate, py::handle flows) {
    std::vector<double> flow;
    double r = 0.0;
    if (!plain_number(rate.ptr(), r) || !(r > -1.0) || !plain_numbers(flows.ptr(), flow)) return py::none();
    return py::float_(yearly_worth(r, flow.data(), (long long)(flow.size())));
}

py::object plain_dated_worth(py::handle rate, py::handle flows, py::handle dates) {
    std::vector<double> flow, year;
    double r = 0.0;
    if (!plain_number(rate.ptr(), r) || !(r > -1.0) || !plain_numbers(flows.ptr(), flow)) return py::none();
    if (!plain_years(dates.ptr(), flow.size(), year)) return py::none();
    return py::float_(dated_worth(r, flow.data(), year.data(), (long long)(flow.size())));
}

// flows (n), years (n) or none -> all rates, and how many numbers were looked at. Years in any order.
py::tuple rates_of(const py::buffer& flows, const std::optional<py::buffer>& years) {
    py::buffer_info held[2];
    const long long n = flows.request().size;
    const double* flow = numbers<double>(flows, "flows", n, false, held[0]);
    std::vector<double> f(flow, flow + n), y, rates;
    if (years) {
        const double* year = numbers<double>(*years, "years", n, false, held[1]);
        y.assign(year, year + n);
        in_order(f, y);
    }
    long long looked = 0;
    {
        const py::gil_scoped_release free;
        rates = all_rates(f.data(), years ? y.data() : nullptr, (long long)(f.size()), looked);
    }
    return py::make_tuple(as_tuple(rates), looked);
}

} // namespace

void register_flows(py::module_& m) {
    PyDateTime_IMPORT;
    if (!PyDateTimeAPI) throw py::error_already_set();
    m.def("plain_rates", &plain_rates, py::arg("flows"));
    m.def("plain_dated_rates", &plain_dated_rates, py::arg("flows"), py::arg("dates"));
    m.def("plain_worth", &plain_worth, py::arg("rate"), py::arg("flows"));
    m.def("plain_dated_worth", &plain_dated_worth, py::arg("rate"), py::arg("flows"), py::arg("dates"));
    m.def("rates_of", &rates_of, py::arg("flows"), py::arg("years"));
}

} // namespace tokenroof
