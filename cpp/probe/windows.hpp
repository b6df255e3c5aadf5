// Timed windows on threads that start each one together, while the caller's thread looks for Ctrl-C.
#pragma once
#include <pybind11/pybind11.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

namespace tokenroof {

// Threads of several stay on processors of their own, as their memory does; where there are fewer, they roam.
inline void settle(int thread, int threads) {
#if defined(__linux__) && defined(CPU_SETSIZE)
    cpu_set_t allowed, own;
    if (threads < 2 || sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < threads)
        return;
    for (int cpu = 0, seen = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed) || seen++ != thread) continue;
        CPU_ZERO(&own);
        CPU_SET(cpu, &own);
        sched_setaffinity(0, sizeof own, &own); // of this thread; what fails changes nothing
        return;
    }
#else
    (void)thread;
    (void)threads;
#endif
}

using ProbeClock = std::chrono::steady_clock;

inline double seconds_between(ProbeClock::time_point a, ProbeClock::time_point b) {
    return std::chrono::duration<double>(b - a).count();
}

// Processor time of this thread [s], which a busy machine does not stretch; the clock where there is none.
inline double thread_seconds() {
#ifdef CLOCK_THREAD_CPUTIME_ID
    timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0) return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
#endif
    return seconds_between(ProbeClock::time_point{}, ProbeClock::now());
}

// Work of one window by one thread, in pieces of at most some milliseconds.
struct Job {
    std::function<void(int)> before;  // untimed, may be empty
    std::function<double(int)> piece; // amount of work done
    std::function<bool(int)> right;   // untimed; whether the results are those of the work
};

struct Window {
    // work per second: of all threads together; summed over threads by their own time
    double wall = 0, cpu = 0;
    bool right = true;
};

// out[job][repeat]. prepare(thread, stop) runs first, on the thread that will use what it fills; it returns
// early once `stop` is set.
inline std::vector<std::vector<Window>>
run_windows(int threads, double seconds, int repeats,
            const std::function<void(int, const std::atomic<bool>&)>& prepare, const std::vector<Job>& jobs) {
    namespace py = pybind11;
    struct Lap {
        ProbeClock::time_point begin, end;
        double done = 0, cpu = 0;
        bool right = true;
    };
    std::vector<std::vector<Window>> out(jobs.size(), std::vector<Window>(repeats));
    std::vector<Lap> laps(threads);
    std::atomic<bool> stop{false};
    bool halt = false; // what all threads of a window agree on
    std::mutex mutex;
    std::condition_variable over;
    std::exception_ptr failure;
    int running = threads;
    auto agree = [&]() noexcept { halt = stop.load(); };
    std::barrier together(threads, agree);
    auto all = [&](int t) {
        settle(t, threads);
        prepare(t, stop);
        for (int k = -1; k < repeats; ++k) // the first one warms clocks, pages and caches
            for (std::size_t j = 0; j < jobs.size(); ++j) {
                const Job& job = jobs[j];
                if (job.before && !stop) job.before(t);
                together.arrive_and_wait();
                if (halt) return;
                Lap lap;
                const double most = k < 0 ? seconds / 4 : seconds;
                const double cpu = thread_seconds();
                lap.begin = ProbeClock::now();
                do {
                    lap.done += job.piece(t);
                    lap.end = ProbeClock::now();
                } while (seconds_between(lap.begin, lap.end) < most && !stop.load(std::memory_order_relaxed));
                lap.cpu = thread_seconds() - cpu;
                lap.right = job.right(t);
                laps[t] = lap;
                together.arrive_and_wait();
                if (halt) return;
                if (t == 0 && k >= 0) {
                    Window& w = out[j][k];
                    auto first = laps[0].begin, last = laps[0].end;
                    double done = 0;
                    for (const Lap& one : laps) {
                        first = std::min(first, one.begin);
                        last = std::max(last, one.end);
                        done += one.done;
                        w.cpu += one.done / std::max(one.cpu, 1e-9);
                        w.right = w.right && one.right;
                    }
                    w.wall = done / std::max(seconds_between(first, last), 1e-9);
                }
                together.arrive_and_wait(); // laps are free again
                if (halt) return;
            }
    };
    auto run = [&](int t) {
        try {
            all(t);
        } catch (...) {
            const std::lock_guard<std::mutex> lock(mutex);
            if (!failure) failure = std::current_exception();
            stop = true;
            together.arrive_and_drop();
        }
        const std::lock_guard<std::mutex> lock(mutex);
        --running;
        over.notify_one();
    };
    std::vector<std::thread> pool;
    bool interrupted = false;
    {
        const py::gil_scoped_release release;
        try {
            for (int t = 0; t < threads; ++t) pool.emplace_back(run, t);
        } catch (...) { // no more threads to be had: those there are wait at the barrier
            stop = true;
            for (int t = int(pool.size()); t < threads; ++t) together.arrive_and_drop();
            for (auto& thread : pool) thread.join();
            throw;
        }
        for (bool done = false; !done;) {
            {
                std::unique_lock<std::mutex> lock(mutex);
                done = over.wait_for(lock, std::chrono::milliseconds(15), [&] { return running == 0; });
            }
            if (interrupted || done) continue;
            const py::gil_scoped_acquire acquire;
            if (PyErr_CheckSignals() != 0) interrupted = stop = true;
        }
        for (auto& thread : pool) thread.join();
    }
    if (interrupted) throw py::error_already_set();
    if (failure) std::rethrow_exception(failure);
    return out;
}

inline void check_windows(double seconds, int threads, int repeats) {
    if (!(seconds > 0) || !(seconds <= 60))
        throw pybind11::value_error("seconds is " + std::to_string(seconds) +
                                    "; allowed: a number > 0, at most 60");
    if (threads < 1 || threads > 4096)
        throw pybind11::value_error("threads is " + std::to_string(threads) + "; allowed: 1 to 4096");
    if (repeats < 1 || repeats > 100000)
        throw pybind11::value_error("repeats is " + std::to_string(repeats) + "; allowed: 1 to 100000");
}

// (wall, cpu) rates of each repeat, and whether every window's results were right.
inline pybind11::tuple as_tuple(const std::vector<Window>& windows) {
    pybind11::list wall, cpu;
    bool right = true;
    for (const Window& w : windows) {
        wall.append(w.wall);
        cpu.append(w.cpu);
        right = right && w.right;
    }
    return pybind11::make_tuple(wall, cpu, right);
}

} // namespace tokenroof
