// Open loops over plans and rates, on threads, and closed loops over points, without the GIL.
#include "queueing/open_loop_module.hpp"

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "isa.hpp"
#include "python/buffers.hpp"
#include "python/workers.hpp"
#include "queueing/open_loop_table.hpp"
#include "tokenroof/serving/prompt_pool.hpp"

namespace py = pybind11;

namespace tokenroof {

#ifdef TR_HAS_x86_64_v4
namespace x86_64_v4 { extern const OpenLoopTable open_loop_table; }
#endif
#ifdef TR_HAS_x86_64_v3
namespace x86_64_v3 { extern const OpenLoopTable open_loop_table; }
#endif
inline namespace generic { extern const OpenLoopTable open_loop_table; }

namespace {

const OpenLoopTable& open_loop_table_of(const std::string& name) {
    const OpenLoopTable *v4 = nullptr, *v3 = nullptr;
#ifdef TR_HAS_x86_64_v4
    v4 = &x86_64_v4::open_loop_table;
#endif
#ifdef TR_HAS_x86_64_v3
    v3 = &x86_64_v3::open_loop_table;
#endif
    return table_of_isa<OpenLoopTable>(name, v4, v3, generic::open_loop_table);
}

// A contiguous matrix of numbers with so many rows; columns 0: any.
double* matrix(const py::buffer& buffer, const char* name, long long rows, long long columns, bool writable,
               py::buffer_info& info) {
    info = buffer.request(writable);
    const bool packed = info.ndim == 2 && info.format == py::format_descriptor<double>::format() &&
                        info.shape[0] == rows && (columns == 0 || info.shape[1] == columns) &&
                        (info.size == 0 || (info.strides[1] == py::ssize_t(sizeof(double)) &&
                                            info.strides[0] == info.shape[1] * py::ssize_t(sizeof(double))));
    if (!packed)
        throw py::value_error(std::string(name) + " is no contiguous matrix of " + std::to_string(rows) + " x " +
                              (columns ? std::to_string(columns) : std::string("any")) + " numbers");
    return static_cast<double*>(info.ptr);
}

// steps (plans, places + 1), prompts (plans, 7 (places + 1)), inputs (plans, k), rates (plans, n)
// -> out (plans, n * fields).
void open_loop_of(const std::string& isa, const py::buffer& steps, const py::buffer& prompts, const py::buffer& inputs,
                  const py::buffer& rates, const py::buffer& out, int threads) {
    const OpenLoopTable& table = open_loop_table_of(isa);
    if (threads < 1 || threads > 4096)
        throw py::value_error("threads is " + std::to_string(threads) + "; allowed: 1 to 4096");
    py::buffer_info held[5];
    const auto shape = rates.request().shape;
    const long long plans = shape.empty() ? 0 : shape[0];
    const double* r = matrix(rates, "rates", plans, 0, false, held[0]);
    const long long n = held[0].shape[1];
    const double* s = matrix(steps, "steps", plans, 0, false, held[1]);
    const long long places = held[1].shape[1] - 1;
    if (places < 1) throw py::value_error("steps have no place; allowed: at least two numbers a plan");
    constexpr long long numbers = sizeof(Added) / sizeof(double);
    const auto* added =
        reinterpret_cast<const Added*>(matrix(prompts, "prompts", plans, numbers * (places + 1), false, held[4]));
    const double* in = matrix(inputs, "inputs", plans, open_loop_input::count, false, held[2]);
    double* to = matrix(out, "out", plans, n * open_loop_field::count, true, held[3]);
    std::atomic<long long> next{0};
    StopFlag stop;
    const long long chunk = std::max<long long>(8, 65536 / places / 8 * 8), chunks = n ? (n + chunk - 1) / chunk : 0;
    auto run = [&] {
        std::vector<double> work(static_cast<std::size_t>(places));
        for (long long before = -1; !stop;) {
            const long long at = next.fetch_add(1);
            if (at >= plans * chunks) break;
            const long long plan = at / chunks, start = at % chunks * chunk;
            const double* own = in + plan * open_loop_input::count;
            const double* steps_of = s + plan * (places + 1);
            const Added* prompts_of = added + plan * (places + 1);
            if (plan != before)
                for (long long k = 1; k <= places; ++k)
                    work[static_cast<std::size_t>(k - 1)] = own[open_loop_input::output] * steps_of[k] / double(k) +
                                                            prompts_of[k].mean;
            before = plan;
            const OpenLoopJob job{steps_of, prompts_of, work.data(), places, own, r + plan * n + start,
                                  std::min(chunk, n - start), to + (plan * n + start) * open_loop_field::count};
            table.rates(&job);
        }
    };
    if (threads == 1 && plans * n * places < (1LL << 24)) { // some 10 ms: not worth a thread
        const py::gil_scoped_release release;
        run();
        return;
    }
    run_workers(threads, stop, run, [](bool) {});
}

// inputs (points, k) -> out (points, fields).
void closed_loop_of(const py::buffer& inputs, const py::buffer& out) {
    py::buffer_info held[2];
    const auto shape = inputs.request().shape;
    const long long points = shape.empty() ? 0 : shape[0];
    const double* in = matrix(inputs, "inputs", points, closed_loop_input::count, false, held[0]);
    double* to = matrix(out, "out", points, closed_loop_field::count, true, held[1]);
    const py::gil_scoped_release release;
    for (long long k = 0; k < points; ++k)
        closed_loop(in + k * closed_loop_input::count, to + k * closed_loop_field::count);
}

// inputs (rates, k), sizes and seconds (1, points) -> out (rates, fields).
void prompt_pool_of(const py::buffer& inputs, const py::buffer& sizes, const py::buffer& seconds,
                    const py::buffer& out) {
    py::buffer_info held[4];
    const auto shape = inputs.request().shape;
    const long long rates = shape.empty() ? 0 : shape[0];
    const double* in = matrix(inputs, "inputs", rates, prompt_pool_input::count, false, held[0]);
    const double* n = matrix(sizes, "sizes", 1, 0, false, held[1]);
    const long long points = held[1].shape[1];
    if (points < 2) throw py::value_error("sizes has fewer than two points; allowed: two and more");
    const double* s = matrix(seconds, "seconds", 1, points, false, held[2]);
    double* to = matrix(out, "out", rates, prompt_pool_field::count, true, held[3]);
    const PromptTable table{n, s, static_cast<int>(points)};
    const py::gil_scoped_release release;
    for (long long k = 0; k < rates; ++k)
        prompt_pool(in + k * prompt_pool_input::count, table, to + k * prompt_pool_field::count);
}

constexpr const char* prompt_pool_inputs[] = {
#define TR_QUOTE(name) #name,
    TR_PROMPT_POOL_INPUTS(TR_QUOTE)
#undef TR_QUOTE
};
constexpr const char* prompt_pool_fields[] = {
#define TR_QUOTE(name) #name,
    TR_PROMPT_POOL_FIELDS(TR_QUOTE)
#undef TR_QUOTE
};
constexpr const char* closed_loop_inputs[] = {
#define TR_QUOTE(name) #name,
    TR_CLOSED_LOOP_INPUTS(TR_QUOTE)
#undef TR_QUOTE
};
constexpr const char* closed_loop_fields[] = {
#define TR_QUOTE(name) #name,
    TR_CLOSED_LOOP_FIELDS(TR_QUOTE)
#undef TR_QUOTE
};
constexpr const char* open_loop_inputs[] = {
#define TR_QUOTE(name) #name,
    TR_OPEN_LOOP_INPUTS(TR_QUOTE)
#undef TR_QUOTE
};
constexpr const char* open_loop_fields[] = {
#define TR_QUOTE(name) #name,
    TR_OPEN_LOOP_FIELDS(TR_QUOTE)
#undef TR_QUOTE
};

template <std::size_t N> py::tuple quoted(const char* const (&list)[N]) {
    py::tuple out(N);
    for (std::size_t i = 0; i < N; ++i) out[i] = py::str(list[i]);
    return out;
}

} // namespace

void register_queueing(py::module_& m) {
    m.attr("OPEN_LOOP_INPUTS") = quoted(open_loop_inputs);
    m.attr("OPEN_LOOP_FIELDS") = quoted(open_loop_fields);
    m.attr("CLOSED_LOOP_INPUTS") = quoted(closed_loop_inputs);
    m.attr("CLOSED_LOOP_FIELDS") = quoted(closed_loop_fields);
    m.attr("PROMPT_POOL_INPUTS") = quoted(prompt_pool_inputs);
    m.attr("PROMPT_POOL_FIELDS") = quoted(prompt_pool_fields);
    m.def("prompt_pool", &prompt_pool_of, py::arg("inputs"), py::arg("sizes"), py::arg("seconds"), py::arg("out"));
    m.def("closed_loop", &closed_loop_of, py::arg("inputs"), py::arg("out"));
    m.def("open_loop", &open_loop_of, py::arg("isa"), py::arg("steps"), py::arg("prompts"), py::arg("inputs"),
          py::arg("rates"), py::arg("out"), py::arg("threads"));
}

} // namespace tokenroof
