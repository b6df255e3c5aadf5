// The scan over threads: without the GIL, in chunks short enough that Ctrl-C is seen within 50 ms.
#include "scan_module.hpp"

#include "hash_table.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace py = pybind11;

namespace tokenroof {
namespace {

constexpr std::uint32_t rolled_mask = 0x1fffe000; // BIP 320
constexpr int rolled_shift = 13;
constexpr long long chunk_nonces = 1 << 15;

const HashTable* find_backend(const std::string& name) {
    std::string allowed;
    for (const HashBackend& b : hash_backends) {
        if (!b.supported()) continue;
        if (name == b.name) return b.table;
        allowed += (allowed.empty() ? "" : ", ") + std::string(b.name);
    }
    throw py::value_error("backend is '" + name + "'; allowed on this machine: " + allowed);
}

std::uint32_t rolled_version(std::uint32_t version, std::uint32_t step) {
    const std::uint32_t bits = ((version & rolled_mask) >> rolled_shift) + step;
    return (version & ~rolled_mask) | ((bits << rolled_shift) & rolled_mask);
}

double thread_cpu_seconds() {
#ifdef CLOCK_THREAD_CPUTIME_ID
    timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0) return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
#endif
    return double(std::clock()) / CLOCKS_PER_SEC;
}

struct Shared {
    std::atomic<long long> next{0}, hashes{0};
    std::atomic<bool> stop{false};
    std::mutex mutex;
    std::condition_variable done;
    int running = 0;
    double cpu_seconds = 0.0;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> hits; // version step, nonce
};

void work(Shared& shared, const HashTable* table, const unsigned char* header, const unsigned char* target,
          std::uint32_t start, long long count, long long versions) {
    const double before = thread_cpu_seconds();
    const long long per_version = (count + chunk_nonces - 1) / chunk_nonces;
    const std::uint32_t version = std::uint32_t(header[0]) | std::uint32_t(header[1]) << 8 |
                                  std::uint32_t(header[2]) << 16 | std::uint32_t(header[3]) << 24;
    std::vector<unsigned int> found(static_cast<std::size_t>(std::min(count, chunk_nonces)));
    std::vector<std::pair<std::uint32_t, std::uint32_t>> hits;
    unsigned char own[80];
    std::memcpy(own, header, sizeof own);
    while (!shared.stop.load(std::memory_order_relaxed)) {
        const long long chunk = shared.next.fetch_add(1);
        if (chunk >= per_version * versions) break;
        const auto step = static_cast<std::uint32_t>(chunk / per_version);
        const long long first = (chunk % per_version) * chunk_nonces;
        const std::uint32_t rolled = rolled_version(version, step);
        for (int i = 0; i < 4; ++i) own[i] = static_cast<unsigned char>(rolled >> (8 * i));
        const ScanJob job{own, target, static_cast<std::uint32_t>(start + first), std::min(chunk_nonces, count - first)};
        const long long n = table->scan(&job, found.data());
        for (long long i = 0; i < n; ++i) hits.emplace_back(step, found[static_cast<std::size_t>(i)]);
        shared.hashes.fetch_add(job.count, std::memory_order_relaxed);
    }
    const double used = thread_cpu_seconds() - before;
    const std::lock_guard<std::mutex> lock(shared.mutex);
    shared.hits.insert(shared.hits.end(), hits.begin(), hits.end());
    shared.cpu_seconds += used;
    --shared.running;
    shared.done.notify_one();
}

py::tuple scan(const py::bytes& header_bytes, std::uint32_t start, long long count, const py::bytes& target_bytes,
               long long versions, int threads, const std::string& backend, const py::object& progress) {
    const std::string header = header_bytes, target = target_bytes;
    if (header.size() != 80) throw py::value_error("header has " + std::to_string(header.size()) + " bytes; allowed: 80");
    if (target.size() != 32) throw py::value_error("target has " + std::to_string(target.size()) + " bytes; allowed: 32");
    if (count < 0 || count > (1LL << 32) - start) throw py::value_error("start + count exceeds 2**32");
    if (versions < 1 || versions > 65536) throw py::value_error("versions is outside 1..65536");
    if (threads < 1 || threads > 4096) throw py::value_error("threads is outside 1..4096");
    const HashTable* table = find_backend(backend);

    Shared shared;
    const auto began = std::chrono::steady_clock::now();
    {
        py::gil_scoped_release release;
        std::vector<std::thread> pool;
        const auto* h = reinterpret_cast<const unsigned char*>(header.data());
        const auto* t = reinterpret_cast<const unsigned char*>(target.data());
        auto finish = [&] {
            shared.stop = true;
            for (std::thread& one : pool) one.join();
        };
        try {
            for (int i = 0; i < threads; ++i) {
                {
                    const std::lock_guard<std::mutex> lock(shared.mutex);
                    ++shared.running;
                }
                try {
                    pool.emplace_back(work, std::ref(shared), table, h, t, start, count, versions);
                } catch (...) { // the system has no more threads: go on with those there are
                    const std::lock_guard<std::mutex> lock(shared.mutex);
                    --shared.running;
                    if (pool.empty()) throw;
                    break;
                }
            }
            auto told = began;
            for (bool over = false; !over;) {
                {
                    std::unique_lock<std::mutex> lock(shared.mutex);
                    over = shared.done.wait_for(lock, std::chrono::milliseconds(20), [&] { return shared.running == 0; });
                }
                py::gil_scoped_acquire acquire;
                if (PyErr_CheckSignals() != 0) throw py::error_already_set();
                const auto now = std::chrono::steady_clock::now();
                if (!progress.is_none() && (over || now - told > std::chrono::milliseconds(100))) {
                    told = now;
                    progress(shared.hashes.load(), count * versions);
                }
            }
        } catch (...) {
            finish();
            throw;
        }
        finish();
    }
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - began;
    // the same order on any number of threads: by version, then by nonce
    std::sort(shared.hits.begin(), shared.hits.end());
    std::uint32_t version = 0;
    for (int i = 3; i >= 0; --i) version = version << 8 | static_cast<unsigned char>(header[static_cast<std::size_t>(i)]);
    py::list hits;
    for (const auto& [step, nonce] : shared.hits) hits.append(py::make_tuple(nonce, rolled_version(version, step)));
    return py::make_tuple(hits, shared.hashes.load(), wall.count(), shared.cpu_seconds);
}

// The processor's clock while it works: a chain of additions that wait for each other, one a cycle.
double measured_clock_hz() {
#if defined(__GNUC__)
    double best = 0.0;
    for (int repeat = 0; repeat < 4; ++repeat) {
        constexpr long long links = 1 << 21;
        unsigned long long x = 1;
        const double before = thread_cpu_seconds();
        for (long long i = 0; i < links; i += 8)
            for (int k = 0; k < 8; ++k) {
                x += 3;
                __asm__ volatile("" : "+r"(x)); // keeps the compiler from adding them up
            }
        const double used = thread_cpu_seconds() - before;
        if (used > 0.0) best = std::max(best, double(links) / used);
    }
    return best;
#else
    return 0.0;
#endif
}

} // namespace

void register_mining(py::module_& m) {
    m.def("scan", &scan, py::arg("header"), py::arg("start"), py::arg("count"), py::arg("target"), py::arg("versions"),
          py::arg("threads"), py::arg("backend"), py::arg("progress") = py::none());
    m.def("measured_clock_hz", &measured_clock_hz);
    py::dict backends; // name -> lanes, of those that run here
    for (const HashBackend& b : hash_backends)
        if (b.supported()) backends[b.name] = b.table->lanes;
    m.attr("HASH_BACKENDS") = backends;
}

} // namespace tokenroof
