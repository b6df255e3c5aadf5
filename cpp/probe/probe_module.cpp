// Measured ceilings of this machine, without the GIL: FLOP/s from registers and bytes/s from memory.
#include "probe/probe_module.hpp"

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "isa.hpp"
#include "probe/probe_table.hpp"

namespace py = pybind11;

namespace tokenroof {

#ifdef TR_HAS_x86_64_v4
namespace x86_64_v4 { extern const ProbeTable probe_table; }
#endif
#ifdef TR_HAS_x86_64_v3
namespace x86_64_v3 { extern const ProbeTable probe_table; }
#endif
inline namespace generic { extern const ProbeTable probe_table; }

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

const ProbeTable& table_of(const std::string& name) {
    std::string allowed;
    for (const Isa& isa : isas) {
        if (!isa.supported()) continue;
        if (name == isa.name) {
#ifdef TR_HAS_x86_64_v4
            if (name == "x86_64_v4") return x86_64_v4::probe_table;
#endif
#ifdef TR_HAS_x86_64_v3
            if (name == "x86_64_v3") return x86_64_v3::probe_table;
#endif
            return generic::probe_table;
        }
        allowed += std::string(allowed.empty() ? "" : ", ") + isa.name;
    }
    throw py::value_error("isa is '" + name + "'; on this machine allowed: " + allowed);
}

void check(double seconds, int threads) {
    if (!(seconds > 0) || !std::isfinite(seconds))
        throw py::value_error("seconds is " + std::to_string(seconds) + "; allowed: a positive number");
    if (threads < 1 || threads > 4096)
        throw py::value_error("threads is " + std::to_string(threads) + "; allowed: 1 to 4096");
}

// Calls work(thread) -> amount done, again and again on every thread, for `seconds`; returns the sum of
// the threads' rates. prepare(thread) runs first, on the same thread, outside the time.
template <class Prepare, class Work>
double rate(double seconds, int threads, Prepare prepare, Work work) {
    std::atomic<int> ready{0}, finished{0};
    std::atomic<bool> stop{false};
    std::vector<double> rates(threads, 0.0);
    std::vector<std::thread> pool;
    auto run = [&](int t) {
        prepare(t);
        work(t); // warm: pages, clocks
        ++ready;
        while (ready.load() < threads && !stop.load()) std::this_thread::yield();
        const auto start = Clock::now();
        double done = 0, elapsed = 0;
        do {
            done += work(t);
            elapsed = seconds_since(start);
        } while (elapsed < seconds && !stop.load(std::memory_order_relaxed));
        rates[t] = done / elapsed;
        ++finished;
    };
    bool interrupted = false;
    {
        py::gil_scoped_release release;
        try {
            for (int t = 0; t < threads; ++t) pool.emplace_back(run, t);
        } catch (...) { // no more threads to be had
            stop = true;
            for (auto& thread : pool) thread.join();
            throw;
        }
        auto looked = Clock::now();
        while (finished.load() < threads) {
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
            if (seconds_since(looked) < 0.03 || interrupted) continue;
            looked = Clock::now();
            py::gil_scoped_acquire acquire;
            if (PyErr_CheckSignals() != 0) {
                interrupted = true;
                stop = true;
            }
        }
        for (auto& thread : pool) thread.join();
    }
    if (interrupted) throw py::error_already_set();
    double sum = 0;
    for (double r : rates) sum += r;
    return sum;
}

double probe_flops(const std::string& isa, double seconds, int threads, const std::string& dtype) {
    const ProbeTable& table = table_of(isa);
    check(seconds, threads);
    if (dtype != "float64" && dtype != "float32")
        throw py::value_error("dtype is '" + dtype + "'; allowed: float32, float64");
    const bool wide = dtype == "float64";
    constexpr long long rounds = 256; // some 50 us between looks at the clock
    return rate(seconds, threads, [](int) {}, [&](int) {
        static thread_local double sink64;
        static thread_local float sink32;
        return wide ? table.flops_float64(rounds, &sink64) : table.flops_float32(rounds, &sink32);
    });
}

struct Free {
    void operator()(double* p) const { std::free(p); }
};

py::dict probe_bandwidth(const std::string& isa, long long bytes, double seconds, int threads) {
    const ProbeTable& table = table_of(isa);
    check(seconds, threads);
    constexpr long long block = 64 * sizeof(double);
    // each thread reads the whole of its part, copies half to half, and adds thirds
    const long long third = bytes > 0 ? bytes / threads / (6 * block) * 2 * block : 0;
    if (third < 2 * block || bytes > (1LL << 40))
        throw py::value_error("bytes is " + std::to_string(bytes) + "; allowed: " +
                              std::to_string(6 * block * threads) + " (for " + std::to_string(threads) +
                              " threads) to 2**40");
    const long long n = third / long(sizeof(double));
    std::vector<std::unique_ptr<double[], Free>> parts(threads);
    for (auto& part : parts) {
        void* p = std::aligned_alloc(4096, (3 * third + 4095) / 4096 * 4096);
        if (!p) throw std::bad_alloc();
        part.reset(static_cast<double*>(p));
    }
    // written once by the thread that will use it, so that its pages lie near it
    auto touch = [&](int t) { for (long long i = 0; i < 3 * n; ++i) parts[t][i] = 1.0; };
    auto ready = [](int) {};
    // small parts are passed over many times between looks at the clock
    const long long passes = 3 * third < (1LL << 20) ? (1LL << 20) / (3 * third) + 1 : 1;
    py::dict out;
    out["read"] = rate(seconds, threads, touch, [&](int t) {
        static thread_local double sink;
        for (long long k = 0; k < passes; ++k) sink += table.read(parts[t].get(), 3 * n);
        return 3.0 * double(third) * double(passes);
    });
    const long long half = 3 * n / 2;
    out["copy"] = rate(seconds, threads, ready, [&](int t) {
        double* a = parts[t].get();
        for (long long k = 0; k < passes; ++k) table.copy(a, a + half, half);
        return 2.0 * double(half) * sizeof(double) * double(passes);
    });
    out["triad"] = rate(seconds, threads, ready, [&](int t) {
        double* a = parts[t].get();
        for (long long k = 0; k < passes; ++k) table.triad(a, a + n, a + 2 * n, 0.25, n);
        return 3.0 * double(third) * double(passes);
    });
    return out;
}

} // namespace

void register_probe(py::module_& m) {
    m.def("probe_flops", &probe_flops, py::arg("isa"), py::arg("seconds"), py::arg("threads"),
          py::arg("dtype"));
    m.def("probe_bandwidth", &probe_bandwidth, py::arg("isa"), py::arg("bytes"), py::arg("seconds"),
          py::arg("threads"));
}

} // namespace tokenroof
