// Which devices there are, and if none, why.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "parts.hpp"
#include "runtime.hpp"

namespace tokenroof {
namespace devices_part {
namespace {

namespace py = pybind11;

int attribute(cudaDeviceAttr which, int device) {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, which, device), "reading a device's attributes");
    return value;
}

std::string version(int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); }

constexpr int oldest = 75; // whose PTX the module carries

// Empty where something can run.
std::string why_not() {
    int count = 0, driver = 0, runtime = 0;
    const cudaError_t code = cudaGetDeviceCount(&count);
    if (code == cudaSuccess && count > 0) {
        for (int i = 0; i < count; ++i)
            if (10 * attribute(cudaDevAttrComputeCapabilityMajor, i) + attribute(cudaDevAttrComputeCapabilityMinor, i) >=
                oldest)
                return "";
        return "no device of compute capability 7.5 or later";
    }
    cudaGetLastError();
    if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
    if (cudaRuntimeGetVersion(&runtime) != cudaSuccess) runtime = 0;
    cudaGetLastError();
    if (code == cudaErrorInsufficientDriver && driver == 0) return "no NVIDIA driver was found (libcuda.so.1)";
    if (code == cudaErrorInsufficientDriver)
        return "the NVIDIA driver is too old: it knows CUDA " + version(driver) + ", this module needs " +
               version(runtime);
    if (code == cudaErrorNoDevice || code == cudaSuccess)
        return "the NVIDIA driver sees no device (is CUDA_VISIBLE_DEVICES set?)";
    return std::string("the NVIDIA driver does not start: ") + cudaGetErrorString(code) + " (" +
           cudaGetErrorName(code) + ")";
}

py::list devices() {
    py::list out;
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess) {
        cudaGetLastError();
        return out;
    }
    for (int i = 0; i < count; ++i) {
        cudaDeviceProp p;
        check(cudaGetDeviceProperties(&p, i), "reading a device's properties");
        char bus[32] = "";
        check(cudaDeviceGetPCIBusId(bus, sizeof bus, i), "reading a device's bus");
        py::dict one;
        one["index"] = i;
        one["name"] = std::string(p.name);
        one["compute_capability"] = py::make_tuple(p.major, p.minor);
        one["memory_bytes"] = static_cast<unsigned long long>(p.totalGlobalMem);
        one["sm_count"] = p.multiProcessorCount;
        one["l2_bytes"] = p.l2CacheSize;
        one["clock_hz"] = 1e3 * attribute(cudaDevAttrClockRate, i);
        one["memory_clock_hz"] = 1e3 * attribute(cudaDevAttrMemoryClockRate, i);
        one["memory_bus_bits"] = attribute(cudaDevAttrGlobalMemoryBusWidth, i);
        one["pci_bus"] = std::string(bus);
        out.append(one);
    }
    return out;
}

} // namespace
} // namespace devices_part

void add_devices(pybind11::module_& m) {
    using namespace devices_part;
    m.def("why_not", &why_not);
    m.def("devices", &devices);
    m.def("versions", [] {
        int driver = 0, runtime = 0;
        if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
        if (cudaRuntimeGetVersion(&runtime) != cudaSuccess) runtime = 0;
        cudaGetLastError();
        return py::make_tuple(driver, runtime);
    });
    static py::exception<CudaError> failed(m, "CudaError", PyExc_RuntimeError);
    py::register_local_exception_translator([](std::exception_ptr p) {
        try {
            if (p) std::rethrow_exception(p);
        } catch (const CudaError& e) {
            if (e.code == cudaErrorMemoryAllocation) py::set_error(PyExc_MemoryError, e.what());
            else py::set_error(failed, e.what());
        }
    });
}

} // namespace tokenroof
