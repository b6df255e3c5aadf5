// The simulation of a factory's cash over threads: without the GIL, in chunks that any thread may take.
#include "montecarlo/cash_module.hpp"

#include <algorithm>
#include <atomic>
#include <string>

#include "isa.hpp"
#include "montecarlo/cash_table.hpp"
#include "python/buffers.hpp"
#include "python/workers.hpp"

namespace py = pybind11;

namespace tokenroof {

#ifdef TR_HAS_x86_64_v4
namespace x86_64_v4 { extern const CashTable cash_table; }
#endif
#ifdef TR_HAS_x86_64_v3
namespace x86_64_v3 { extern const CashTable cash_table; }
#endif
inline namespace generic { extern const CashTable cash_table; }

namespace {

constexpr const char* cash_fields[] = {
#define TR_QUOTE(name) #name,
    TR_CASH_FIELDS(TR_QUOTE)
};
constexpr const char* cash_columns[] = {TR_CASH_COLUMNS(TR_QUOTE)
#undef TR_QUOTE
};
constexpr std::size_t cash_field_count = sizeof cash_fields / sizeof cash_fields[0];
constexpr int cash_column_count = int(sizeof cash_columns / sizeof cash_columns[0]);

const CashTable& cash_table_of(const std::string& name) {
    const CashTable *v4 = nullptr, *v3 = nullptr;
#ifdef TR_HAS_x86_64_v4
    v4 = &x86_64_v4::cash_table;
#endif
#ifdef TR_HAS_x86_64_v3
    v3 = &x86_64_v3::cash_table;
#endif
    return table_of_isa<CashTable>(name, v4, v3, generic::cash_table);
}

void simulate_cash(const std::string& isa, const py::buffer& model, const py::buffer& columns, unsigned long long seed,
                   const py::buffer& worth, const py::buffer& lowest, const py::object& rows, int threads,
                   const py::object& progress, unsigned long long first) {
    const CashTable& table = cash_table_of(isa);
    if (threads < 1 || threads > 4096)
        throw py::value_error("threads is " + std::to_string(threads) + "; allowed: 1 to 4096");
    py::buffer_info held[5];
    CashJob whole{};
    whole.model = numbers<double>(model, "model", cash_field_count, false, held[0]);
    const long long years = columns.request().size / cash_column_count;
    const double* of = numbers<double>(columns, "columns", cash_column_count * years, false, held[1]);
    for (int i = 0; i < cash_column_count; ++i) whole.years_of[i] = of + i * years;
    const long long n = worth.request().size;
    whole.years = int(years);
    whole.seed = seed;
    whole.worth = numbers<double>(worth, "worth", n, true, held[2]);
    whole.lowest = numbers<double>(lowest, "lowest", n, true, held[3]);
    whole.rows = rows.is_none() ? nullptr : numbers<double>(rows.cast<py::buffer>(), "rows", 4 * n * years, true, held[4]);
    // some ten thousand years in a chunk: few enough for a quick stop, enough to be worth an atomic
    const long long chunk = std::max<long long>(1, 16384 / std::max<long long>(1, years) / table.lanes) * table.lanes;
    std::atomic<long long> next{0}, finished{0};
    StopFlag stop;
    auto work = [&] {
        while (!stop) {
            const long long start = next.fetch_add(chunk);
            if (start >= n) break;
            CashJob job = whole;
            job.first = first + static_cast<unsigned long long>(start);
            job.n = std::min(chunk, n - start);
            job.worth += start;
            job.lowest += start;
            if (job.rows) job.rows += 4 * start * years;
            job.stop = &stop;
            table.paths(&job);
            finished.fetch_add(job.n, std::memory_order_relaxed);
        }
    };
    auto tell = [&](bool) {
        if (!progress.is_none()) progress(finished.load(), n);
    };
    run_workers(threads, stop, work, tell);
}

} // namespace

void register_cash_paths(py::module_& m) {
    auto names = [](const char* const* from, std::size_t count) {
        py::tuple found(count);
        for (std::size_t i = 0; i < count; ++i) found[i] = py::str(from[i]);
        return found;
    };
    m.attr("CASH_FIELDS") = names(cash_fields, cash_field_count);
    m.attr("CASH_COLUMNS") = names(cash_columns, std::size_t(cash_column_count));
    m.def("simulate_cash", &simulate_cash, py::arg("isa"), py::arg("model"), py::arg("columns"), py::arg("seed"),
          py::arg("worth"), py::arg("lowest"), py::arg("rows"), py::arg("threads"), py::arg("progress") = py::none(),
          py::arg("first") = 0);
}

} // namespace tokenroof
