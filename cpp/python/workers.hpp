// Threads over work without the GIL, while the caller's thread looks for Ctrl-C and reports progress.
#pragma once
#include "python/stop_flag.hpp"

#include <pybind11/pybind11.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace tokenroof {

// Runs work() on `threads` threads until each returns; `stop` tells them to return early. tell(over) is
// called with the GIL, every 100 ms and at the end. The first exception of a thread, of Python's signal
// handlers or of tell() ends all and is thrown. Call with the GIL held.
// A device looks at a flag of its own.
template <class Stop, class Work, class Tell> void run_workers(int threads, Stop& stop, Work work, Tell tell) {
    std::mutex mutex;
    std::condition_variable done;
    std::exception_ptr failure;
    int running = 0;
    std::vector<std::thread> pool;
    auto run = [&] {
        std::exception_ptr mine;
        try {
            work();
        } catch (...) {
            mine = std::current_exception();
        }
        const std::lock_guard<std::mutex> lock(mutex);
        if (mine && !failure) failure = mine;
        if (mine) stop = true;
        --running;
        done.notify_one();
    };
    pybind11::gil_scoped_release release;
    auto finish = [&] {
        for (std::thread& one : pool) one.join();
    };
    try {
        for (int i = 0; i < threads; ++i) {
            {
                const std::lock_guard<std::mutex> lock(mutex);
                ++running;
            }
            try {
                pool.emplace_back(run);
            } catch (...) { // the system has no more threads: go on with those there are
                const std::lock_guard<std::mutex> lock(mutex);
                --running;
                if (pool.empty()) throw;
                break;
            }
        }
        auto told = std::chrono::steady_clock::now();
        for (bool over = false; !over;) {
            {
                std::unique_lock<std::mutex> lock(mutex);
                over = done.wait_for(lock, std::chrono::milliseconds(20), [&] { return running == 0; });
            }
            const pybind11::gil_scoped_acquire acquire;
            if (PyErr_CheckSignals() != 0) throw pybind11::error_already_set();
            const auto now = std::chrono::steady_clock::now();
            if (over || now - told > std::chrono::milliseconds(100)) {
                told = now;
                if (!(over && failure)) tell(over);
            }
        }
    } catch (...) {
        stop = true;
        finish();
        throw;
    }
    finish();
    if (failure) std::rethrow_exception(failure);
}

} // namespace tokenroof
