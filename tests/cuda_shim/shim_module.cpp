// The module over the shim, and what tests turn: devices, memory, failures, which memory is a device's.
#include <cuda_runtime.h>
#include <pybind11/stl.h>

#include "cuda/parts.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_cuda, m) {
    tokenroof::add_parts(m);
    py::module_ shim = m.def_submodule("shim");
    shim.def("reset", [] {
        auto& s = cuda_shim::state();
        s.devices = 2;
        s.driver = CUDART_VERSION;
        s.capability = 90;
        s.memory = std::size_t(1) << 30;
        s.last = cudaSuccess;
        s.failures.clear();
        s.calls.clear();
    });
    shim.def("set", [](int devices, int driver, std::size_t memory, int capability) {
        auto& s = cuda_shim::state();
        s.devices = devices;
        s.driver = driver;
        s.memory = memory;
        s.capability = capability;
    }, py::arg("devices") = 2, py::arg("driver") = CUDART_VERSION, py::arg("memory") = std::size_t(1) << 30,
       py::arg("capability") = 90);
    shim.def("fail", [](const std::string& call, int code, long after) {
        cuda_shim::state().failures[call] = {after, cudaError_t(code)};
    }, py::arg("call"), py::arg("code"), py::arg("after") = 0);
    shim.def("calls", [] { return cuda_shim::state().calls; });
    shim.def("used", [](int device) { return cuda_shim::state().used[device]; });
    shim.def("register", [](std::uintptr_t p, std::size_t bytes, int device) {
        cuda_shim::state().ranges[p] = {bytes, device, false, cudaMemoryTypeDevice};
    });
    shim.def("unregister", [](std::uintptr_t p) { cuda_shim::state().ranges.erase(p); });
}
