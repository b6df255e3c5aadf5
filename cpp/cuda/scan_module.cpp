// Header scans on devices, from Python: without the GIL, Ctrl-C seen within 50 ms.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>

#include "hash/rolled.hpp"
#include "parts.hpp"
#include "python/workers.hpp"
#include "scan_work.hpp"

namespace tokenroof {
namespace scan_part {
namespace {

namespace py = pybind11;

// From so many versions on they are the lanes: a launch's nonces are few.
constexpr long long least_rolled = 256;
// Versions of a scan at most: each has 64 bytes on the device.
constexpr long long most_lanes = 1 << 16;

// (hits, hashes, seconds, cpu seconds, failure, whether memory was what failed): of a scan that failed, what
// was found by then.
py::tuple scan(const py::bytes& header_bytes, std::uint32_t start, long long count, const py::bytes& target_bytes,
               std::uint32_t step, long long versions, const std::vector<int>& devices, const py::object& progress,
               unsigned capacity, u32 mask) {
    const std::string header = header_bytes, target = target_bytes;
    if (header.size() != 80) throw py::value_error("header has " + std::to_string(header.size()) + " bytes; allowed: 80");
    if (target.size() != 32) throw py::value_error("target has " + std::to_string(target.size()) + " bytes; allowed: 32");
    if (count < 0 || count > (1LL << 32) - start) throw py::value_error("start + count exceeds 2**32");
    if (versions < 1 || versions > most_lanes || step + versions > versions_within(mask))
        throw py::value_error("versions is outside 1..65536, or beyond what the mask has");
    if (devices.empty()) throw py::value_error("devices is empty");
    if (capacity < 1 || capacity > 1u << 24) throw py::value_error("capacity is outside 1..2**24");
    CudaScan s{reinterpret_cast<const unsigned char*>(header.data()), reinterpret_cast<const unsigned char*>(target.data()),
               start, step, count, versions, versions >= least_rolled, capacity, mask, {}};
    std::atomic<std::size_t> next{0};
    const auto began = std::chrono::steady_clock::now();
    run_workers(
        int(devices.size()), s.stop, [&] { scan_on_device(s, devices[next++]); },
        [&](bool) {
            if (!progress.is_none()) progress(s.hashes.load(), count * versions);
        });
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - began;
    std::sort(s.hits.begin(), s.hits.end()); // by version, then by nonce
    u32 version = 0;
    for (int i = 3; i >= 0; --i) version = version << 8 | static_cast<unsigned char>(header[static_cast<std::size_t>(i)]);
    py::list hits;
    for (const auto& [stepped, nonce] : s.hits) hits.append(py::make_tuple(nonce, rolled_version(version, stepped, mask)));
    std::string failure;
    for (const std::string& one : s.failures) failure += (failure.empty() ? "" : "; ") + one;
    return py::make_tuple(hits, s.hashes.load(), wall.count(), s.cpu_seconds, failure, s.out_of_memory);
}

// Which of `count` nonces from `nonce` on (or steps from 0, of that nonce) one kernel takes for candidates if one in
// eight is: for tests of a variant that the device at hand would not choose.
std::vector<u32> scan_hashes(const py::bytes& header_bytes, u32 nonce, unsigned count, bool roll, int variant) {
    const std::string header = header_bytes;
    if (header.size() != 80) throw py::value_error("header has " + std::to_string(header.size()) + " bytes; allowed: 80");
    if (count < 1 || count > most_lanes) throw py::value_error("count is outside 1..65536");
    if (variant < 0 || variant >= cuda_variants) throw py::value_error("variant is no kernel");
    return candidates(reinterpret_cast<const unsigned char*>(header.data()), nonce, count, roll, variant, 1u << 29);
}

} // namespace
} // namespace scan_part

void add_scan(pybind11::module_& m) {
    namespace py = pybind11;
    m.def("scan", &scan_part::scan, py::arg("header"), py::arg("start"), py::arg("count"), py::arg("target"),
          py::arg("step"), py::arg("versions"), py::arg("devices"), py::arg("progress") = py::none(),
          py::arg("capacity") = 1u << 16, py::arg("mask") = u32(rolled_mask));
    m.def("scan_variant", [](int device, bool roll) {
        const py::gil_scoped_release release;
        const OnDevice here(device);
        return best_variant(device, roll);
    }, py::arg("device"), py::arg("roll"));
    m.def("scan_hashes", &scan_part::scan_hashes, py::arg("header"), py::arg("nonce"), py::arg("count"), py::arg("roll"),
          py::arg("variant"));
    m.attr("SCAN_LEAST_ROLLED") = scan_part::least_rolled;
}

} // namespace tokenroof
