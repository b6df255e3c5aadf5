// Times rather than rates: a load that waits for the one before, a thread that is woken or started, a page
// that is touched for the first time, and the clock itself.
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <new>
#include <numeric>
#include <string>
#include <utility>

#include "probe/probe_module.hpp"
#include "probe/windows.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace py = pybind11;

namespace tokenroof {
namespace {

// One cache line: where the next one is, and which of the cycle's lines this is.
struct alignas(64) Line {
    const Line* next;
    long long number;
};

struct FreeLines {
    void operator()(Line* p) const { std::free(p); }
};

// A random cycle through all lines: Sattolo's shuffle, by SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
void link_lines(Line* lines, long long n, const std::atomic<bool>& stop) {
    std::vector<unsigned> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), 0u);
    unsigned long long state = 1;
    for (long long i = n - 1; i > 0 && !stop; --i) {
        unsigned long long z = (state += 0x9e3779b97f4a7c15ULL);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        std::swap(order[std::size_t(i)], order[std::size_t((z ^ (z >> 31)) % (unsigned long long)i)]);
    }
    for (long long i = 0; i < n && !stop; ++i) {
        const long long after = i + 1 < n ? i + 1 : 0;
        lines[order[std::size_t(i)]] = {&lines[order[std::size_t(after)]], i};
    }
}

// Loads per second of one thread, each waiting for the one before.
py::tuple probe_latency(long long bytes, double seconds, int repeats) {
    if (bytes < 1024 || bytes > (1LL << 36))
        throw py::value_error("bytes is " + std::to_string(bytes) + "; allowed: 1024 to 2**36");
    check_windows(seconds, 1, repeats);
    const long long n = bytes / long(sizeof(Line));
    const bool huge = bytes >= (4LL << 20);
    const std::size_t align = huge ? std::size_t(2) << 20 : 4096;
    std::unique_ptr<Line, FreeLines> lines(
        static_cast<Line*>(std::aligned_alloc(align, (std::size_t(bytes) + align - 1) / align * align)));
    if (!lines) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (huge) madvise(lines.get(), std::size_t(bytes), MADV_HUGEPAGE);
#endif
    const Line* at = lines.get();
    long long first = 0, steps = 0;
    Job job;
    job.before = [&](int) {
        first = at->number;
        steps = 0;
    };
    job.piece = [&](int) {
        constexpr long long loads = 4096;
        const Line* p = at;
        for (long long i = 0; i < loads; ++i) p = p->next;
        at = p;
        steps += loads;
        return double(loads);
    };
    job.right = [&](int) { return at->number == (first + steps) % n; };
    const auto found =
        run_windows(1, seconds, repeats,
                    [&](int, const std::atomic<bool>& stop) { link_lines(lines.get(), n, stop); }, {job});
    return as_tuple(found[0]);
}

// Seconds from waking a sleeping thread until it runs: half of a ping and pong of two threads.
double thread_wake(int turns) {
    if (turns < 1 || turns > 100000)
        throw py::value_error("turns is " + std::to_string(turns) + "; allowed: 1 to 100000");
    const py::gil_scoped_release release;
    std::mutex mutex;
    std::condition_variable to_other, to_first;
    int said = 0, answered = 0;
    std::thread other([&] {
        for (int i = 1; i <= turns; ++i) {
            std::unique_lock<std::mutex> lock(mutex);
            to_other.wait(lock, [&] { return said >= i; });
            answered = i;
            lock.unlock();
            to_first.notify_one();
        }
    });
    const auto start = ProbeClock::now();
    for (int i = 1; i <= turns; ++i) {
        std::unique_lock<std::mutex> lock(mutex);
        said = i;
        lock.unlock();
        to_other.notify_one();
        lock.lock();
        to_first.wait(lock, [&] { return answered >= i; });
    }
    const double seconds = seconds_between(start, ProbeClock::now());
    other.join();
    return seconds / (2.0 * turns);
}

// Seconds to start a thread and to wait for its end.
double thread_start(int count) {
    if (count < 1 || count > 10000)
        throw py::value_error("count is " + std::to_string(count) + "; allowed: 1 to 10000");
    const py::gil_scoped_release release;
    std::atomic<int> ran{0};
    const auto start = ProbeClock::now();
    for (int i = 0; i < count; ++i) std::thread([&] { ++ran; }).join();
    const double seconds = seconds_between(start, ProbeClock::now()) / count;
    if (ran.load() != count) throw std::runtime_error("a thread did not run");
    return seconds;
}

// Processor seconds per byte of fresh memory written once, in small pages or in large ones; 0 where the
// system does not let one choose.
double first_touch(long long bytes, bool huge) {
    if (bytes < 4096 || bytes > (1LL << 36))
        throw py::value_error("bytes is " + std::to_string(bytes) + "; allowed: 4096 to 2**36");
#if defined(__linux__) && defined(MADV_HUGEPAGE) && defined(MADV_NOHUGEPAGE)
    const py::gil_scoped_release release;
    constexpr std::size_t large = std::size_t(2) << 20;
    const std::size_t size = (std::size_t(bytes) + large - 1) / large * large + large;
    void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    double seconds = 0.0;
    if (madvise(p, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) == 0) {
        char* begin = reinterpret_cast<char*>((reinterpret_cast<std::size_t>(p) + large - 1) / large * large);
        const double before = thread_seconds();
        for (long long i = 0; i < bytes; i += 4096) *static_cast<volatile char*>(begin + i) = 1;
        seconds = (thread_seconds() - before) / double(bytes);
    }
    munmap(p, size);
    return seconds;
#else
    (void)huge;
    return 0.0;
#endif
}

} // namespace

void register_latency(py::module_& m) {
    m.def("probe_latency", &probe_latency, py::arg("bytes"), py::arg("seconds"), py::arg("repeats"));
    m.def("probe_thread_wake", &thread_wake, py::arg("turns"));
    m.def("probe_thread_start", &thread_start, py::arg("count"));
    m.def("probe_first_touch", &first_touch, py::arg("bytes"), py::arg("huge"));
}

} // namespace tokenroof
