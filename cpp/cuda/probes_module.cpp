// Measured ceilings of a device, from Python: without the GIL, Ctrl-C between repeats.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <map>

#include "parts.hpp"
#include "probe_runs.hpp"
#include "python/workers.hpp"

namespace tokenroof {
namespace probes_part {
namespace {

namespace py = pybind11;

// (rates, whether the results were right, whether this build has it for the device)
template <class F> py::tuple run(F probe) {
    ProbeResult result;
    StopFlag stop;
    run_workers(1, stop, [&] { result = probe(stop); }, [](bool) {});
    return py::make_tuple(result.rates, result.right, result.built);
}

template <class Kind> Kind kind_of(const std::map<std::string, Kind>& kinds, const std::string& name) {
    const auto found = kinds.find(name);
    if (found != kinds.end()) return found->second;
    std::string allowed;
    for (const auto& one : kinds) allowed += (allowed.empty() ? "" : ", ") + one.first;
    throw py::value_error("kind is '" + name + "'; allowed: " + allowed);
}

const std::map<std::string, ProbeKind> compute_kinds = {{"fp64", probe_fp64}, {"fp32", probe_fp32},
    {"fp16", probe_fp16}, {"add32", probe_add32}, {"logic32", probe_logic32}, {"shift32", probe_shift32}};
const std::map<std::string, TensorKind> tensor_names = {{"bf16", tensor_bf16}, {"fp16", tensor_fp16},
    {"fp8", tensor_fp8}, {"int8", tensor_int8}};
const std::map<std::string, PassKind> pass_names = {{"read", pass_read}, {"write", pass_write}, {"copy", pass_copy},
    {"triad", pass_triad}, {"l2", pass_l2}, {"shared", pass_shared}};
const std::map<std::string, CopyKind> copy_names = {{"to_device", copy_to_device}, {"to_host", copy_to_host},
    {"to_peer", copy_to_peer}};

void check_numbers(double window, int repeats, unsigned long long bytes = 1 << 20) {
    if (!(window > 0 && window < 10)) throw py::value_error("window is outside 0..10 s");
    if (repeats < 1 || repeats > 10000) throw py::value_error("repeats is outside 1..10000");
    if (bytes < 4096) throw py::value_error("bytes is below 4096");
}

} // namespace
} // namespace probes_part

void add_probes(pybind11::module_& m) {
    namespace py = pybind11;
    using namespace probes_part;
    m.def("probe_compute", [](int device, const std::string& kind, double window, int repeats) {
        check_numbers(window, repeats);
        const ProbeKind k = kind_of(compute_kinds, kind);
        return run([=](Stop& stop) { return run_compute(device, k, window, repeats, stop); });
    }, py::arg("device"), py::arg("kind"), py::arg("window"), py::arg("repeats"));
    m.def("probe_tensor", [](int device, const std::string& kind, bool wgmma, double window, int repeats) {
        check_numbers(window, repeats);
        const TensorKind k = kind_of(tensor_names, kind);
        return run([=](Stop& stop) { return run_tensor(device, k, wgmma, window, repeats, stop); });
    }, py::arg("device"), py::arg("kind"), py::arg("wgmma"), py::arg("window"), py::arg("repeats"));
    m.def("probe_pass", [](int device, const std::string& kind, unsigned long long bytes, double window, int repeats) {
        check_numbers(window, repeats, bytes);
        const PassKind k = kind_of(pass_names, kind);
        return run([=](Stop& stop) { return run_pass(device, k, bytes, window, repeats, stop); });
    }, py::arg("device"), py::arg("kind"), py::arg("bytes"), py::arg("window"), py::arg("repeats"));
    m.def("probe_launch", [](int device, bool waited, int repeats) {
        check_numbers(1, repeats);
        return run([=](Stop& stop) { return run_launch(device, waited, repeats, stop); });
    }, py::arg("device"), py::arg("waited"), py::arg("repeats"));
    m.def("probe_copy", [](int device, const std::string& kind, int peer, unsigned long long bytes, int repeats) {
        check_numbers(1, repeats, bytes);
        const CopyKind k = kind_of(copy_names, kind);
        return run([=](Stop& stop) { return run_copy(device, peer, k, bytes, repeats, stop); });
    }, py::arg("device"), py::arg("kind"), py::arg("peer"), py::arg("bytes"), py::arg("repeats"));
}

} // namespace tokenroof
