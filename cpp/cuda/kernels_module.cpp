// Calls of kernels over arrays, from Python.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <map>
#include <optional>

#include "call.hpp"
#include "parts.hpp"
#include "runtime.hpp"

namespace tokenroof {
namespace kernels_part {
namespace {

namespace py = pybind11;

const std::map<std::string, Launch> launches = {
#define ELEMENTWISE(name, inputs) {#name "_float32", name##_float32}, {#name "_float64", name##_float64},
#define STEP(name, signature) {#name "_float64", name##_float64},
#define OPERATOR(name, arguments) {#name "_float64", name##_float64},
#include "kernels.def"
#undef ELEMENTWISE
#undef STEP
#undef OPERATOR
    {"sha256d_uint8", sha256d_uint8},
    {"convert", convert},
};

// Where an operand is, or its value; its stride along each axis of the call [bytes].
using Operand = std::tuple<std::optional<std::uintptr_t>, double, std::vector<Size>>;

void run(const std::string& kernel, const std::vector<Size>& shape, const std::vector<Operand>& operands, int records,
         Size core, Size core_out, std::pair<int, int> codes, int device, std::uintptr_t stream) {
    const auto found = launches.find(kernel);
    if (found == launches.end()) throw py::key_error("no kernel '" + kernel + "'");
    if (operands.size() > std::size_t(most_operands)) throw py::value_error("too many operands");
    Call call;
    call.operands = int(operands.size());
    call.records = records;
    call.axes.resize(shape.size());
    for (std::size_t k = 0; k < shape.size(); ++k) call.axes[k].size = shape[k];
    for (int i = 0; i < call.operands; ++i) {
        const auto& [data, value, strides] = operands[std::size_t(i)];
        if (strides.size() != shape.size()) throw py::value_error("an operand's strides do not match the axes");
        call.data[i] = data ? reinterpret_cast<char*>(*data) : nullptr;
        call.value[i] = value;
        for (std::size_t k = 0; k < shape.size(); ++k) call.axes[k].stride[i] = strides[k];
    }
    call.core = core;
    call.core_out = core_out;
    call.in_code = codes.first;
    call.out_code = codes.second;
    call.device = device;
    call.stream = reinterpret_cast<cudaStream_t>(stream);
    const py::gil_scoped_release release;
    const OnDevice here(device);
    found->second(call);
}

} // namespace
} // namespace kernels_part

void add_kernels(pybind11::module_& m) {
    namespace py = pybind11;
    m.def("run", &kernels_part::run, py::arg("kernel"), py::arg("shape"), py::arg("operands"), py::arg("records"),
          py::arg("core"), py::arg("core_out"), py::arg("codes"), py::arg("device"), py::arg("stream"));
    py::set names;
    for (const auto& one : kernels_part::launches) names.add(one.first);
    m.attr("KERNELS") = py::frozenset(names);
}

} // namespace tokenroof
