// The simulation of pools over threads: without the GIL, in chunks that any thread may take.
#include "montecarlo/pool_module.hpp"

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "isa.hpp"
#include "montecarlo/pool_table.hpp"
#include "python/buffers.hpp"
#include "python/workers.hpp"

namespace py = pybind11;

namespace tokenroof {

#ifdef TR_HAS_x86_64_v4
namespace x86_64_v4 { extern const PoolTable pool_table; }
#endif
#ifdef TR_HAS_x86_64_v3
namespace x86_64_v3 { extern const PoolTable pool_table; }
#endif
inline namespace generic { extern const PoolTable pool_table; }

namespace {

constexpr const char* pool_fields[] = {
#define TR_QUOTE(name) #name,
    TR_POOL_FIELDS(TR_QUOTE)
#undef TR_QUOTE
};
constexpr std::size_t field_count = sizeof pool_fields / sizeof pool_fields[0];

const PoolTable& table_of(const std::string& name) {
    const PoolTable *v4 = nullptr, *v3 = nullptr;
#ifdef TR_HAS_x86_64_v4
    v4 = &x86_64_v4::pool_table;
#endif
#ifdef TR_HAS_x86_64_v3
    v3 = &x86_64_v3::pool_table;
#endif
    return table_of_isa<PoolTable>(name, v4, v3, generic::pool_table);
}

void simulate_pool(const std::string& isa, const py::buffer& model, unsigned long long seed, unsigned long long first_path,
                   const py::buffer& income, const py::buffer& ruin_time, int threads, const py::object& progress) {
    const PoolTable& table = table_of(isa);
    if (threads < 1 || threads > 4096)
        throw py::value_error("threads is " + std::to_string(threads) + "; allowed: 1 to 4096");
    py::buffer_info held[3];
    const double* fields = numbers<double>(model, "model", field_count, false, held[0]);
    const long long n = income.request().size;
    double* out = numbers<double>(income, "income", n, true, held[1]);
    double* ruin = numbers<double>(ruin_time, "ruin_time", n, true, held[2]);
    PoolModel m;
    const double* from = fields;
#define TR_READ(name) m.name = *from++;
    TR_POOL_FIELDS(TR_READ)
#undef TR_READ
    // some thousand events in a chunk: few enough for a quick stop, enough to be worth an atomic
    const double events = std::max(1.0, m.block_rate * m.horizon_s);
    const long long chunk = std::max<long long>(1, static_cast<long long>(16384.0 / events)) * table.lanes;
    const int ring_size = m.window_s > 0.0 ? pool_ring_size(m) : 0;
    std::atomic<long long> next{0}, finished{0};
    StopFlag stop;
    auto work = [&] {
        std::vector<double> ring(static_cast<std::size_t>(3 * ring_size) * static_cast<std::size_t>(table.lanes));
        while (!stop) {
            const long long start = next.fetch_add(chunk);
            if (start >= n) break;
            const long long size = std::min(chunk, n - start);
            const PoolJob job{fields,       seed,        first_path + static_cast<unsigned long long>(start), size, out + start,
                              ruin + start, ring.data(), ring_size, &stop};
            table.paths(&job);
            finished.fetch_add(size, std::memory_order_relaxed);
        }
    };
    auto tell = [&](bool) {
        if (!progress.is_none()) progress(finished.load(), n);
    };
    run_workers(threads, stop, work, tell);
}

void philox_words(const std::string& isa, const py::buffer& counters, const py::buffer& key, const py::buffer& out) {
    py::buffer_info held[3];
    const long long n = counters.request().size / 4;
    table_of(isa).philox_words(numbers<unsigned int>(counters, "counters", 4 * n, false, held[0]),
                               numbers<unsigned int>(key, "key", 2, false, held[1]),
                               numbers<unsigned int>(out, "out", 4 * n, true, held[2]), n);
}

void variates(const std::string& isa, const py::buffer& u, const py::buffer& v, const py::buffer& mean,
              const py::buffer& first, const py::buffer& second, const py::buffer& poisson) {
    py::buffer_info held[6];
    const long long n = u.request().size;
    table_of(isa).variates(numbers<double>(u, "u", n, false, held[0]), numbers<double>(v, "v", n, false, held[1]),
                           numbers<double>(mean, "mean", n, false, held[2]),
                           numbers<double>(first, "first", n, true, held[3]),
                           numbers<double>(second, "second", n, true, held[4]),
                           numbers<double>(poisson, "poisson", n, true, held[5]), n);
}

} // namespace

void register_montecarlo(py::module_& m) {
    py::tuple names(field_count);
    for (std::size_t i = 0; i < field_count; ++i) names[i] = py::str(pool_fields[i]);
    m.attr("POOL_FIELDS") = names;
    m.def("simulate_pool", &simulate_pool, py::arg("isa"), py::arg("model"), py::arg("seed"), py::arg("first_path"),
          py::arg("income"), py::arg("ruin_time"), py::arg("threads"), py::arg("progress") = py::none());
    m.def("philox_words", &philox_words, py::arg("isa"), py::arg("counters"), py::arg("key"), py::arg("out"));
    m.def("variates", &variates, py::arg("isa"), py::arg("u"), py::arg("v"), py::arg("mean"), py::arg("first"),
          py::arg("second"), py::arg("poisson"));
}

} // namespace tokenroof
