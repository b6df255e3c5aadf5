// Measured ceilings of this machine, without the GIL: operations in registers, and bytes through the caches.
#include "probe/probe_module.hpp"

#include <pybind11/stl.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "isa.hpp"
#include "probe/probe_table.hpp"
#include "probe/windows.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace py = pybind11;

namespace tokenroof {

#ifdef TR_HAS_x86_64_v4
namespace x86_64_v4 {
extern const ComputeTable compute_probes;
extern const MemoryTable memory_probes;
} // namespace x86_64_v4
#endif
#ifdef TR_HAS_x86_64_v3
namespace x86_64_v3 {
extern const ComputeTable compute_probes;
extern const MemoryTable memory_probes;
} // namespace x86_64_v3
#endif
inline namespace generic {
extern const ComputeTable compute_probes;
extern const MemoryTable memory_probes;
} // namespace generic
#ifdef TR_HAS_PROBE_dot
namespace avx512_dot {
extern const ComputeTable vnni_probes, bf16_probes;
}
#endif

namespace {

// --- the tables that this processor can run ---------------------------------------------------------

struct Units {
    std::string name;
    const ComputeTable* compute;
    const MemoryTable* memory; // null: a unit that computes only
};

// A probe that claims work which it does not do: proves that results are looked at.
bool idle(long long) { return false; }
constexpr ComputeProbe self_test[] = {{"idle", 1e6, 64, 1, idle}};
constexpr ComputeTable self_test_probes = {self_test, 1};

std::vector<Units> usable_units() {
    std::vector<Units> out;
#ifdef TR_HAS_PROBE_dot
    if (processor().avx512_vnni) out.push_back({"avx512_vnni", &avx512_dot::vnni_probes, nullptr});
    if (processor().avx512_bf16) out.push_back({"avx512_bf16", &avx512_dot::bf16_probes, nullptr});
#endif
    for (const Isa& isa : isas) {
        if (!isa.supported()) continue;
        const std::string name = isa.name;
        Units one{name, &generic::compute_probes, &generic::memory_probes};
#ifdef TR_HAS_x86_64_v4
        if (name == "x86_64_v4") one = {name, &x86_64_v4::compute_probes, &x86_64_v4::memory_probes};
#endif
#ifdef TR_HAS_x86_64_v3
        if (name == "x86_64_v3") one = {name, &x86_64_v3::compute_probes, &x86_64_v3::memory_probes};
#endif
        out.push_back(one);
    }
    return out;
}

Units units_of(const std::string& name, bool memory) {
    if (name == "self_test" && !memory) return {name, &self_test_probes, nullptr};
    std::string allowed;
    for (const Units& one : usable_units()) {
        if (memory && !one.memory) continue;
        if (one.name == name) return one;
        if (!allowed.empty()) allowed += ", ";
        allowed += one.name;
    }
    throw py::value_error("isa is '" + name + "'; on this machine allowed: " + allowed);
}

py::dict compute_kinds() {
    py::dict out;
    for (const Units& one : usable_units()) {
        py::dict row;
        for (int i = 0; i < one.compute->count; ++i) {
            const ComputeProbe& p = one.compute->probes[i];
            row[p.name] = py::make_tuple(p.operations, p.bits, p.instructions);
        }
        out[one.name.c_str()] = row;
    }
    return out;
}

py::tuple probe_compute(const std::string& isa, const std::string& kind, double seconds, int threads,
                        int repeats) {
    const Units units = units_of(isa, false);
    check_windows(seconds, threads, repeats);
    const ComputeProbe* probe = nullptr;
    std::string allowed;
    for (int i = 0; i < units.compute->count; ++i) {
        if (kind == units.compute->probes[i].name) probe = &units.compute->probes[i];
        if (i > 0) allowed += ", ";
        allowed += units.compute->probes[i].name;
    }
    if (!probe) throw py::value_error("kind is '" + kind + "'; of " + isa + " allowed: " + allowed);
    // some 50 us between looks at the clock; odd, as a round's steps are: twice the same logic undoes itself
    constexpr long long rounds = 257;
    std::vector<char> right(threads, 1);
    Job job;
    job.before = [&](int t) { right[t] = 1; };
    job.piece = [&](int t) {
        if (!probe->run(rounds)) right[t] = 0;
        return double(rounds) * probe->operations;
    };
    job.right = [&](int t) { return right[t] != 0; };
    return as_tuple(run_windows(threads, seconds, repeats, [](int, const std::atomic<bool>&) {}, {job})[0]);
}

// --- memory ----------------------------------------------------------------------------------------

struct Free {
    void operator()(double* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<double[], Free>;

Buffer allocate(long long bytes, bool huge) {
    const std::size_t align = huge ? std::size_t(2) << 20 : 4096;
    void* p = std::aligned_alloc(align, (std::size_t(bytes) + align - 1) / align * align);
    if (!p) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (huge) madvise(p, std::size_t(bytes), MADV_HUGEPAGE); // a wish: without, pages are small
#endif
    return Buffer(static_cast<double*>(p));
}

// Arrays a, b, c of one thread, passed over in chunks. What a chunk of `a` should hold is known.
struct Arrays {
    static constexpr long long sample = 512; // a double in each page is looked at
    Buffer memory;
    long long n = 0, chunk = 0, passes = 1, next = 0, done = 0;
    double *a = nullptr, *b = nullptr, *c = nullptr, scale = 0.25;
    std::vector<unsigned long long> sums; // of the chunks of b and c together
    bool read_right = true;

    long long chunks() const { return n / chunk; }
    // b is 1 and c is 2 but for one value in each page, different everywhere
    static double b_at(long long i) { return i % sample ? 1.0 : double(1 + i / sample % 1024); }
    static double c_at(long long i) { return i % sample ? 2.0 : double(4 + 4 * (i / sample % 512)); }
    void fill(const std::atomic<bool>& stop) {
        sums.assign(std::size_t(2 * chunks()), 0);
        for (long long k = 0; k < chunks() && !stop; ++k)
            for (long long i = k * chunk; i < (k + 1) * chunk; ++i) {
                a[i] = 0.0;
                b[i] = b_at(i);
                c[i] = c_at(i);
                sums[std::size_t(k)] += word(b[i]);
                sums[std::size_t(chunks() + k)] += word(c[i]);
            }
    }
    static unsigned long long word(double x) {
        unsigned long long bits;
        std::memcpy(&bits, &x, sizeof bits);
        return bits;
    }
    void spoil() {
        for (long long i = 0; i < n; i += sample) a[i] = std::numeric_limits<double>::quiet_NaN();
        next = done = 0;
        read_right = true;
        scale = scale == 0.25 ? 0.5 : 0.25;
    }
    template <class Value> bool holds(Value value) const {
        const long long end = std::min(done, chunks()) * chunk;
        for (long long i = 0; i < end; i += sample)
            if (!(a[i] == value(i))) return false;
        return true;
    }
};

const char* const memory_kinds[] = {"read", "write", "copy", "triad", "write_nt", "copy_nt", "triad_nt"};

py::dict probe_memory(const std::string& isa, long long bytes, double seconds, int threads, int repeats,
                      const std::vector<std::string>& kinds) {
    const MemoryTable* table = units_of(isa, true).memory;
    check_windows(seconds, threads, repeats);
    constexpr long long block = 64 * sizeof(double);
    long long part = bytes > 0 ? bytes / threads / (3 * block) * block : 0; // of one array of one thread
    if (part < block || bytes > (1LL << 40))
        throw py::value_error("bytes is " + std::to_string(bytes) +
                              "; allowed: " + std::to_string(3 * block * threads) + " (for " +
                              std::to_string(threads) + " threads) to 2**40");
    constexpr long long most = 1LL << 18; // bytes of a chunk of one array
    const long long chunk = std::min(part, most);
    part = part / chunk * chunk;
    std::vector<Arrays> all(threads);
    for (Arrays& one : all) {
        one.n = part / long(sizeof(double));
        one.chunk = chunk / long(sizeof(double));
        one.passes =
            std::max(1LL, (most / 2) / chunk); // a small one is passed over often between looks at the clock
        one.memory = allocate(3 * part, 3 * part >= (4LL << 20));
        one.a = one.memory.get();
        one.b = one.a + one.n;
        one.c = one.b + one.n;
    }
    std::vector<Job> jobs;
    std::vector<std::string> names;
    auto add = [&](const std::string& kind, double per_element, auto pass, auto value) {
        Job job;
        job.before = [&all](int t) { all[t].spoil(); };
        job.piece = [&all, pass, per_element](int t) {
            Arrays& x = all[t];
            for (long long k = 0; k < x.passes; ++k) pass(x, x.next);
            x.next = x.next + 1 < x.chunks() ? x.next + 1 : 0;
            ++x.done;
            return per_element * double(x.chunk) * double(x.passes);
        };
        job.right = [&all, value](int t) {
            const Arrays& x = all[t];
            return x.read_right && x.holds([&](long long i) { return value(x, i); });
        };
        jobs.push_back(job);
        names.push_back(kind);
    };
    constexpr double word = sizeof(double);
    for (const std::string& kind : kinds) {
        const bool nt = kind.size() > 3 && kind.compare(kind.size() - 3, 3, "_nt") == 0;
        if (kind == "read") {
            Job job;
            job.before = [&all](int t) { all[t].spoil(); };
            job.piece = [&all, table](int t) { // over b and c, that lie one behind the other
                Arrays& x = all[t];
                const unsigned long long sum = table->read(x.b + x.next * x.chunk, x.chunk, x.passes);
                if (sum != x.sums[std::size_t(x.next)] * (unsigned long long)x.passes) x.read_right = false;
                const double bytes_read = word * double(x.chunk) * double(x.passes);
                x.next = x.next + 1 < 2 * x.chunks() ? x.next + 1 : 0;
                return bytes_read;
            };
            job.right = [&all](int t) { return all[t].read_right; };
            jobs.push_back(job);
            names.push_back(kind);
        } else if (kind == "write" || kind == "write_nt") {
            auto f = nt ? table->write_nt : table->write;
            if (!f) continue;
            add(
                kind, word, [f](Arrays& x, long long i) { f(x.a + i * x.chunk, x.scale, x.chunk); },
                [](const Arrays& x, long long) { return x.scale; });
        } else if (kind == "copy" || kind == "copy_nt") {
            auto f = nt ? table->copy_nt : table->copy;
            if (!f) continue;
            add(
                kind, 2 * word,
                [f](Arrays& x, long long i) { f(x.a + i * x.chunk, x.b + i * x.chunk, x.chunk); },
                [](const Arrays&, long long i) { return Arrays::b_at(i); });
        } else if (kind == "triad" || kind == "triad_nt") {
            auto f = nt ? table->triad_nt : table->triad;
            if (!f) continue;
            add(
                kind, 3 * word,
                [f](Arrays& x, long long i) {
                    f(x.a + i * x.chunk, x.b + i * x.chunk, x.c + i * x.chunk, x.scale, x.chunk);
                },
                [](const Arrays& x, long long i) { return Arrays::b_at(i) + x.scale * Arrays::c_at(i); });
        } else {
            std::string allowed;
            for (const char* one : memory_kinds) {
                if (!allowed.empty()) allowed += ", ";
                allowed += one;
            }
            throw py::value_error("kind is '" + kind + "'; allowed: " + allowed);
        }
    }
    const auto found = run_windows(
        threads, seconds, repeats, [&](int t, const std::atomic<bool>& stop) { all[t].fill(stop); }, jobs);
    py::dict out;
    for (std::size_t j = 0; j < names.size(); ++j) out[names[j].c_str()] = as_tuple(found[j]);
    return out;
}

} // namespace

void register_latency(py::module_& m);

void register_probe(py::module_& m) {
    m.def("probe_kinds", &compute_kinds);
    m.def("probe_compute", &probe_compute, py::arg("isa"), py::arg("kind"), py::arg("seconds"),
          py::arg("threads"), py::arg("repeats"));
    m.def("probe_memory", &probe_memory, py::arg("isa"), py::arg("bytes"), py::arg("seconds"),
          py::arg("threads"), py::arg("repeats"), py::arg("kinds"));
    register_latency(m);
}

} // namespace tokenroof
