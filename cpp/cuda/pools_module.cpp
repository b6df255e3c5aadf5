// The simulation of pools on a device: without the GIL, in chunks of paths.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <atomic>
#include <chrono>

#include "parts.hpp"
#include "pools.hpp"
#include "python/workers.hpp"
#include "scratch.hpp"

namespace tokenroof {
namespace pools_part {
namespace {

namespace py = pybind11;

constexpr std::size_t most_ring_bytes = std::size_t(1) << 28; // of all threads, where one needs less

struct Stream {
    cudaStream_t handle = nullptr;
    Stream() { check(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), "making a stream"); }
    ~Stream() {
        cudaStreamDestroy(handle);
        cudaGetLastError();
    }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
};

// A flag of the host that the device reads too.
struct Flag {
    volatile bool* on = nullptr;
    Flag() {
        bool* p = nullptr;
        check(cudaMallocHost(&p, sizeof(bool)), "allocating a flag on the host");
        *p = false;
        on = p;
    }
    ~Flag() {
        cudaFreeHost(const_cast<bool*>(on));
        cudaGetLastError();
    }
    Flag(const Flag&) = delete;
    Flag& operator=(const Flag&) = delete;
};

double* numbers(const py::buffer& buffer, const char* name, long long n, bool writable, py::buffer_info& info) {
    info = buffer.request(writable);
    if (info.format != py::format_descriptor<double>::format() || info.ndim != 1 || info.size != n ||
        (n > 0 && info.strides[0] != py::ssize_t(sizeof(double))))
        throw py::value_error(std::string(name) + " is not a contiguous array of " + std::to_string(n) + " numbers");
    return static_cast<double*>(info.ptr);
}

constexpr long long field_count = sizeof(PoolModel) / sizeof(double);

void simulate(int device, const PoolModel& model, unsigned long long seed, unsigned long long first, long long n,
              double* income, double* ruin_time, volatile bool* stop, std::atomic<long long>& finished) {
    const OnDevice here(device);
    const Stream stream;
    PoolLaunch job{};
    job.model = model;
    job.key0 = static_cast<unsigned>(seed), job.key1 = static_cast<unsigned>(seed >> 32);
    job.ring_size = model.window_s > 0.0 ? pool_ring_size(model) : 0;
    job.stop = stop;
    const std::size_t ring_bytes = 3 * sizeof(double) * static_cast<std::size_t>(job.ring_size);
    long long threads = std::min<long long>(n, most_pool_threads);
    if (ring_bytes) threads = std::min<long long>(threads, std::max<long long>(1, static_cast<long long>(most_ring_bytes / ring_bytes)));
    const unsigned most = pool_threads_for(static_cast<unsigned>(threads));
    // a block has whole warps also where one ring alone fits: rings for all its threads
    const Scratch rings(device, ring_bytes * most, stream.handle);
    const std::size_t most_paths = static_cast<std::size_t>(std::min<long long>(n, most_pool_threads));
    const Scratch out(device, 2 * sizeof(double) * most_paths, stream.handle);
    job.rings = static_cast<double*>(rings.data());
    job.income = static_cast<double*>(out.data());
    job.ruin_time = job.income + most_paths;
    long long chunk = 1 << 12; // grows until a launch takes some 20 ms
    for (long long start = 0; start < n && !*stop;) {
        const auto began = std::chrono::steady_clock::now();
        job.n = static_cast<unsigned>(std::min<long long>({chunk, n - start, static_cast<long long>(most_paths)}));
        job.first = first + static_cast<unsigned long long>(start);
        launch_pools(job, std::min(job.n, most), stream.handle);
        check(cudaStreamSynchronize(stream.handle), "waiting for paths");
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
        if (*stop) return;
        check(cudaMemcpyAsync(income + start, job.income, job.n * sizeof(double), cudaMemcpyDeviceToHost, stream.handle),
              "copying incomes");
        check(cudaMemcpyAsync(ruin_time + start, job.ruin_time, job.n * sizeof(double), cudaMemcpyDeviceToHost,
                              stream.handle),
              "copying times of ruin");
        check(cudaStreamSynchronize(stream.handle), "copying");
        start += job.n;
        finished.store(start, std::memory_order_relaxed);
        if (took.count() < 0.01) chunk *= 2;
        else if (took.count() > 0.04 && chunk > 256) chunk /= 2;
    }
}

void simulate_pool(const py::buffer& model, unsigned long long seed, unsigned long long first_path,
                   const py::buffer& income, const py::buffer& ruin_time, int device, const py::object& progress) {
    py::buffer_info held[3];
    const double* from = numbers(model, "model", field_count, false, held[0]);
    const long long n = income.request().size;
    double* out = numbers(income, "income", n, true, held[1]);
    double* ruin = numbers(ruin_time, "ruin_time", n, true, held[2]);
    PoolModel m;
#define TR_READ(name) m.name = *from++;
    TR_POOL_FIELDS(TR_READ)
#undef TR_READ
    const OnDevice here(device);
    const Flag stop;
    std::atomic<long long> finished{0};
    run_workers(
        1, *const_cast<volatile bool*>(stop.on), [&] { simulate(device, m, seed, first_path, n, out, ruin, stop.on, finished); },
        [&](bool) {
            if (!progress.is_none()) progress(finished.load(), n);
        });
}

} // namespace
} // namespace pools_part

void add_pools(pybind11::module_& m) {
    namespace py = pybind11;
    m.def("simulate_pool", &pools_part::simulate_pool, py::arg("model"), py::arg("seed"), py::arg("first_path"),
          py::arg("income"), py::arg("ruin_time"), py::arg("device"), py::arg("progress") = py::none());
}

} // namespace tokenroof
