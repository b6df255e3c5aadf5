// The scan over threads: without the GIL, in chunks short enough that Ctrl-C is seen within 50 ms.
#include "scan_module.hpp"

#include "python/workers.hpp"
#include "scan_backends.hpp"
#include "scan_common.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace py = pybind11;

namespace tokenroof {
namespace {

// Hashes of a chunk, a few milliseconds of work: a scan can stop between two.
long long chunk_hashes(const ScanTable* table) { return table->lanes > 1 ? 1 << 17 : 1 << 14; }

const ScanTable* find_backend(const std::string& name) {
    std::string allowed;
    for (const ScanBackend& b : scan_backends) {
        if (!b.table || !b.supported()) continue;
        if (name == b.name) return b.table;
        if (!allowed.empty()) allowed += ", ";
        allowed += b.name;
    }
    throw py::value_error("backend is '" + name + "'; allowed on this machine: " + allowed);
}

double thread_cpu_seconds() {
#ifdef CLOCK_THREAD_CPUTIME_ID
    timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0) return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
#endif
    return double(std::clock()) / CLOCKS_PER_SEC;
}

// The work of a scan, cut into chunks: columns of versions (those that fill the lanes of roll mode, and the
// rest one by one) by rows of nonces.
struct Chunks {
    const ScanTable* table;
    std::uint32_t start;
    long long count;
    std::uint32_t step; // of the first version
    long long versions;
    long long rolled = 0;   // versions that go by roll mode
    int wide = 0;           // of them in a chunk
    long long tall = 0, tall_one = 0; // nonces in a chunk of either kind
    long long columns = 0, rows = 0, rows_one = 0;

    Chunks(const ScanTable* t, std::uint32_t s, long long n, std::uint32_t first_step, long long v)
        : table(t), start(s), count(n), step(first_step), versions(v) {
        if (versions > 1) rolled = versions - versions % table->roll_lanes;
        // a chunk pays for the schedule of each nonce (so it is wide) and the midstate of each version (tall)
        const int most = table->roll_lanes > 1 ? 96 : 16;
        wide = static_cast<int>(std::min<long long>(rolled, most));
        if (wide) {
            tall = std::max(chunk_hashes(table) / wide, 1LL);
            columns = (rolled + wide - 1) / wide;
            rows = (count + tall - 1) / tall;
        }
        tall_one = chunk_hashes(table);
        rows_one = (count + tall_one - 1) / tall_one;
    }
    long long size() const { return columns * rows + (versions - rolled) * rows_one; }
    // Chunk i, and whether it is for roll mode.
    bool get(long long i, ScanJob& job) const {
        const bool roll = i < columns * rows;
        long long column = 0, row = 0;
        if (roll) {
            column = i / rows, row = i % rows;
            job.step = static_cast<std::uint32_t>(step + column * wide);
            job.versions = static_cast<int>(std::min<long long>(wide, rolled - column * wide));
        } else {
            i -= columns * rows;
            column = i / rows_one, row = i % rows_one;
            job.step = static_cast<std::uint32_t>(step + rolled + column);
            job.versions = 1;
        }
        const long long height = roll ? tall : tall_one;
        job.start = static_cast<std::uint32_t>(start + row * height);
        job.count = std::min(height, count - row * height);
        return roll;
    }
};

struct Shared {
    std::atomic<long long> next{0}, hashes{0};
    StopFlag stop;
    std::mutex mutex;
    double cpu_seconds = 0.0;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> hits; // version step, nonce
};

// One thread's: chunks until there are none, or until it is told to stop.
void work(Shared& shared, const Chunks& chunks, const unsigned char* header, const unsigned char* target, std::uint32_t mask) {
    const double before = thread_cpu_seconds();
    std::vector<std::pair<std::uint32_t, std::uint32_t>> hits;
    std::unique_ptr<ScanHit[]> found; // not set to zero: most of it is never touched
    long long room = 0;
    ScanJob job{header, target, 0, 0, 0, 0, mask};
    while (!shared.stop) {
        const long long chunk = shared.next.fetch_add(1, std::memory_order_relaxed);
        if (chunk >= chunks.size()) break;
        const bool roll = chunks.get(chunk, job);
        const long long tries = job.count * job.versions;
        if (room < tries) {
            found.reset(new ScanHit[static_cast<std::size_t>(tries)]);
            room = tries;
        }
        const long long n = (roll ? chunks.table->roll : chunks.table->nonce)(&job, found.get());
        for (const ScanHit* hit = found.get(); hit != found.get() + n; ++hit) hits.emplace_back(hit->step, hit->nonce);
        shared.hashes.fetch_add(tries, std::memory_order_relaxed);
    }
    const double used = thread_cpu_seconds() - before;
    const std::lock_guard<std::mutex> lock(shared.mutex);
    shared.hits.insert(shared.hits.end(), hits.begin(), hits.end());
    shared.cpu_seconds += used;
}

py::tuple scan(const py::bytes& header_bytes, std::uint32_t start, long long count, const py::bytes& target_bytes,
               std::uint32_t step, long long versions, int threads, const std::string& backend, const py::object& progress,
               std::uint32_t mask) {
    const std::string header = header_bytes, target = target_bytes;
    if (header.size() != 80) throw py::value_error("header has " + std::to_string(header.size()) + " bytes; allowed: 80");
    if (target.size() != 32) throw py::value_error("target has " + std::to_string(target.size()) + " bytes; allowed: 32");
    if (count < 0 || count > (1LL << 32) - start) throw py::value_error("start + count exceeds 2**32");
    if (versions < 1 || step + versions > versions_within(mask)) throw py::value_error("versions is beyond what the mask has");
    if (threads < 1 || threads > 4096) throw py::value_error("threads is outside 1..4096");
    const Chunks chunks(find_backend(backend), start, count, step, versions);

    Shared shared;
    const auto* h = reinterpret_cast<const unsigned char*>(header.data());
    const auto* t = reinterpret_cast<const unsigned char*>(target.data());
    const auto began = std::chrono::steady_clock::now();
    try {
        run_workers(threads, shared.stop, [&] { work(shared, chunks, h, t, mask); }, [&](bool) {
            if (!progress.is_none()) progress(shared.hashes.load(), count * versions);
        });
    } catch (const std::bad_alloc&) {
        PyErr_SetString(PyExc_MemoryError, "no memory for the hits");
        throw py::error_already_set();
    }
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - began;
    // the same order on any number of threads: by version, then by nonce
    std::sort(shared.hits.begin(), shared.hits.end());
    std::uint32_t version = 0;
    for (int i = 3; i >= 0; --i) version = version << 8 | static_cast<unsigned char>(header[static_cast<std::size_t>(i)]);
    py::list hits;
    for (const auto& [step, nonce] : shared.hits) hits.append(py::make_tuple(nonce, rolled_version(version, step, mask)));
    return py::make_tuple(hits, shared.hashes.load(), wall.count(), shared.cpu_seconds);
}

struct OperationCount {
    const char* kernel;
    const char* kind;
    int count;
};
#include "counts.inc"

// The processor's clock while it works: a chain of additions that wait for each other, one a cycle.
double measured_clock_hz() {
#if defined(__GNUC__)
    double best = 0.0;
    for (int repeat = 0; repeat < 4; ++repeat) {
        constexpr long long links = 1 << 20;
        unsigned long long x = 1, step = 3;
        const double before = thread_cpu_seconds();
        for (long long i = 0; i < links; i += 64) // written out: a loop of few would add its own cycles
#if defined(__x86_64__)
            // of a register: some processors add small constants without executing anything
            __asm__ volatile(".rept 64\n\tadd %1, %0\n\t.endr" : "+r"(x) : "r"(step));
#elif defined(__aarch64__)
            __asm__ volatile(".rept 64\n\tadd %0, %0, %1\n\t.endr" : "+r"(x) : "r"(step));
#else
            for (int k = 0; k < 64; ++k) {
                x += step;
                __asm__ volatile("" : "+r"(x)); // keeps the compiler from adding them up
            }
#endif
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
    m.def("scan", &scan, py::arg("header"), py::arg("start"), py::arg("count"), py::arg("target"), py::arg("step"), py::arg("versions"),
          py::arg("threads"), py::arg("backend"), py::arg("progress") = py::none(),
          py::arg("mask") = static_cast<std::uint32_t>(rolled_mask));
    m.def("measured_clock_hz", &measured_clock_hz);
    py::dict lanes; // name -> nonces and versions hashed at once, of those that run here
    py::list known; // those of other processors and builds too
    for (const ScanBackend& b : scan_backends) {
        known.append(b.name);
        if (b.table && b.supported()) lanes[b.name] = py::make_tuple(b.table->lanes, b.table->roll_lanes);
    }
    m.attr("HASH_BACKENDS") = lanes;
    m.attr("HASH_BACKENDS_KNOWN") = py::tuple(known);
    // operations of a batch by kernel, as the generator counted them
    py::dict counts;
    for (const OperationCount& c : operation_counts) {
        if (!counts.contains(c.kernel)) counts[c.kernel] = py::dict();
        counts[c.kernel][c.kind] = c.count;
    }
    m.attr("HASH_OPERATIONS") = counts;
}

} // namespace tokenroof
