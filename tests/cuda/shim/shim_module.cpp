// The module over the shim, and what tests turn: devices, memory, failures, which memory is a device's.
#include <cuda_runtime.h>
#include <pybind11/stl.h>

#include "cuda/element_types.hpp"
#include "cuda/parts.hpp"
#include "cuda/span.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_cuda, m) {
    tokenroof::add_parts(m);
    py::module_ shim = m.def_submodule("shim");
    shim.def("reset", [] {
        auto& s = cuda_shim::state();
        s.devices = 2;
        s.driver = CUDART_VERSION;
        s.capability = 90;
        s.pools = 1;
        s.memory = std::size_t(1) << 30;
        s.last = cudaSuccess;
        s.skip = false;
        s.failures.clear();
        s.calls.clear();
        s.log.clear();
    });
    shim.def("set", [](int devices, int driver, std::size_t memory, int capability, int pools) {
        auto& s = cuda_shim::state();
        s.devices = devices;
        s.driver = driver;
        s.memory = memory;
        s.capability = capability;
        s.pools = pools;
    }, py::arg("devices") = 2, py::arg("driver") = CUDART_VERSION, py::arg("memory") = std::size_t(1) << 30,
       py::arg("capability") = 90, py::arg("pools") = 1);
    shim.def("skip", [](bool skip) { cuda_shim::state().skip = skip; });
    shim.def("fail", [](const std::string& call, int code, long after) {
        cuda_shim::state().failures[call] = {after, cudaError_t(code)};
    }, py::arg("call"), py::arg("code"), py::arg("after") = 0);
    shim.def("calls", [] { return cuda_shim::state().calls; });
    shim.def("log", [] { return std::exchange(cuda_shim::state().log, {}); });
    shim.def("used", [](int device) { return cuda_shim::state().used[device]; });
    shim.def("register", [](std::uintptr_t p, std::size_t bytes, int device) {
        cuda_shim::state().ranges[p] = {bytes, device, false, cudaMemoryTypeDevice};
    });
    shim.def("half", [](double x) { return tokenroof::to_half(x); });
    shim.def("from_half", [](unsigned short h) { return tokenroof::from_half(h); });
    shim.def("divide", [](unsigned n, unsigned d) { return tokenroof::Divisor(d)(n); });
    // (count, inner, record axes, sizes, first operand's offset, all of the output's offsets if there are few)
    shim.def("pieces", [](const std::vector<long long>& shape, const std::vector<std::vector<long long>>& strides,
                          int records) {
        tokenroof::Call call;
        call.operands = int(strides.size());
        call.records = records;
        call.axes.resize(shape.size());
        char* const base = reinterpret_cast<char*>(std::uintptr_t(1) << 40);
        for (int i = 0; i < call.operands; ++i) call.data[i] = base;
        for (std::size_t k = 0; k < shape.size(); ++k) {
            call.axes[k].size = shape[k];
            for (int i = 0; i < call.operands; ++i) call.axes[k].stride[i] = strides[std::size_t(i)][k];
        }
        py::list out;
        tokenroof::for_each_piece(call, [&](const tokenroof::Piece& p) {
            py::list sizes, offsets;
            for (const tokenroof::Axis& axis : p.axes) sizes.append(axis.size);
            const tokenroof::Span<double, 2> span(p); // as a kernel would see the first two operands
            for (unsigned n = 0; n < p.count && p.count <= 4096; ++n) {
                tokenroof::Size offset[2];
                span.locate(n, offset);
                offsets.append(py::make_tuple(p.data[0] - base + offset[0], p.data[1] - base + offset[1]));
            }
            out.append(py::make_tuple(p.count, p.inner, p.record_axes, sizes, p.data[0] - base, offsets));
        });
        return out;
    });
    shim.def("unregister", [](std::uintptr_t p) { cuda_shim::state().ranges.erase(p); });
}
