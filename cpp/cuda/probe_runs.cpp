#include "probe_runs.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <random>

#include "scratch.hpp"

namespace tokenroof {
namespace probe_runs_part {
namespace {

constexpr std::size_t checked_sums = 1 << 14; // of a launch, spread over it

// A stream of its own with two events.
class Timer {
    cudaEvent_t began_ = nullptr, ended_ = nullptr;

public:
    cudaStream_t stream = nullptr;
    Timer() {
        check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
        check(cudaEventCreateWithFlags(&began_, cudaEventDefault), "making an event");
        check(cudaEventCreateWithFlags(&ended_, cudaEventDefault), "making an event");
    }
    ~Timer() {
        if (stream) cudaStreamSynchronize(stream);
        if (began_) cudaEventDestroy(began_);
        if (ended_) cudaEventDestroy(ended_);
        if (stream) cudaStreamDestroy(stream);
        cudaGetLastError();
    }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    template <class F> double seconds(F work) {
        check(cudaEventRecord(began_, stream), "recording an event");
        work();
        check(cudaEventRecord(ended_, stream), "recording an event");
        check(cudaEventSynchronize(ended_), "waiting for a probe");
        float ms = 0;
        check(cudaEventElapsedTime(&ms, began_, ended_), "timing a probe");
        return std::max(1e-3 * double(ms), 1e-9);
    }
};

int attribute(cudaDeviceAttr which, int device) {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, which, device), "reading a device's attributes");
    return value;
}

template <class T> std::vector<T> copied(const void* from, std::size_t n, cudaStream_t stream) {
    std::vector<T> out(n);
    check(cudaMemcpyAsync(out.data(), from, n * sizeof(T), cudaMemcpyDeviceToHost, stream), "copying results");
    check(cudaStreamSynchronize(stream), "copying results");
    return out;
}

// Turns of a loop until a launch takes a window, from `turns` on; one turn more is tried each time.
template <class F> unsigned enough(F seconds, unsigned turns, unsigned most, double window, Stop& stop) {
    while (!stop && turns < most && seconds(turns) < window) turns = std::min(most, 2 * turns);
    return turns;
}

} // namespace
} // namespace probe_runs_part

using namespace probe_runs_part;

ProbeResult run_compute(int device, ProbeKind kind, double window, int repeats, Stop& stop) {
    const OnDevice here(device);
    Timer timer;
    const unsigned blocks = 8 * unsigned(attribute(cudaDevAttrMultiProcessorCount, device));
    const std::size_t threads = std::size_t(blocks) * compute_threads;
    const Scratch out(device, threads * sizeof(double), timer.stream);
    auto* sums = static_cast<double*>(out.data());
    double work = 0;
    auto seconds = [&](unsigned turns) {
        return timer.seconds([&] { work = launch_compute(kind, blocks, turns, sums, timer.stream); });
    };
    const unsigned turns = enough(seconds, 1, compute_most_turns, window, stop); // warms up too
    ProbeResult result;
    double expected[8]; // threads eight apart begin alike
    for (unsigned t = 0; t < 8; ++t) expected[t] = compute_expected(kind, t, turns);
    for (int i = 0; i < repeats && !stop; ++i) {
        check(cudaMemsetAsync(sums, 0xff, threads * sizeof(double), timer.stream), "clearing results");
        const double took = seconds(turns);
        result.rates.push_back(work / took);
        const std::vector<double> found = copied<double>(sums, threads, timer.stream);
        for (std::size_t t = 0; t < threads; ++t) result.right &= found[t] == expected[t & 7];
    }
    return result;
}

// Small numbers whose sums are exact: ones, or at random.
unsigned tensor_element(TensorKind kind, bool ones, std::mt19937& random) {
    const unsigned r = ones ? 4 : unsigned(random());
    const bool negative = !ones && (r >> 8 & 1);
    if (kind == tensor_int8) return ones ? 1 : unsigned(int(r % 255) - 127) & 0xff;
    if (kind == tensor_fp8) return 0x38u | unsigned(negative) << 7;
    const int quarters = ones ? 4 : 1 + int(r % 7);
    const float x = float(quarters) / 4 * (negative ? -1 : 1);
    unsigned as_float;
    std::memcpy(&as_float, &x, 4);
    if (kind == tensor_bf16) return as_float >> 16;
    const unsigned exponent = (as_float >> 23 & 255) - 127 + 15;
    return (as_float >> 31) << 15 | exponent << 10 | (as_float >> 13 & 0x3ff);
}

// Words of such numbers, in groups of A, B, -B: per thread for mma, one for wgmma.
std::vector<unsigned> tensor_operands(TensorKind kind, bool wgmma, std::size_t count, bool ones, std::mt19937& random) {
    const int bits = kind == tensor_bf16 || kind == tensor_fp16 ? 16 : 8;
    auto word = [&] {
        unsigned out = 0;
        for (int at = 0; at < 32; at += bits) out |= tensor_element(kind, ones, random) << at;
        return out;
    };
    auto opposite = [&](unsigned w) -> unsigned {
        if (kind != tensor_int8) return w ^ (bits == 16 ? 0x80008000u : 0x80808080u);
        unsigned out = 0;
        for (int at = 0; at < 32; at += 8) out |= unsigned(-int((signed char)(w >> at & 0xff)) & 0xff) << at;
        return out;
    };
    std::vector<unsigned> words(count);
    const std::size_t b = wgmma ? 2048 : 2, a = wgmma ? 512 : 4, group = a + 2 * b;
    for (std::size_t g = 0; g < words.size(); g += group) {
        for (std::size_t i = 0; i < a; ++i) words[g + i] = word();
        for (std::size_t i = 0; i < b; ++i) words[g + a + i] = word(), words[g + a + b + i] = opposite(words[g + a + i]);
    }
    return words;
}

ProbeResult run_tensor(int device, TensorKind kind, bool wgmma, double window, int repeats, Stop& stop) {
    const OnDevice here(device);
    ProbeResult result;
    const int capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor, device) +
                           attribute(cudaDevAttrComputeCapabilityMinor, device);
    result.built = wgmma ? capability == 90 : capability >= (kind == tensor_fp8 ? 89 : 80);
    if (!result.built) return result;
    Timer timer;
    const TensorShape shape = tensor_shape(kind, wgmma);
    const unsigned blocks = shape.blocks_per_sm * unsigned(attribute(cudaDevAttrMultiProcessorCount, device));
    const std::size_t n = std::size_t(blocks) * shape.threads * shape.accumulators;
    const Scratch out(device, n * sizeof(double), timer.stream), in(device, 4 * shape.in_words, timer.stream);
    auto* sums = static_cast<double*>(out.data());
    auto* operands = static_cast<unsigned*>(in.data());
    double work = 0;
    auto seconds = [&](unsigned turns) {
        return timer.seconds([&] { work = launch_tensor(kind, wgmma, blocks, turns, operands, sums, timer.stream); });
    };
    std::mt19937 random(1);
    auto fill = [&](bool ones) {
        const std::vector<unsigned> words = tensor_operands(kind, wgmma, shape.in_words, ones, random);
        check(cudaMemcpyAsync(operands, words.data(), 4 * words.size(), cudaMemcpyHostToDevice, timer.stream), "copying operands");
        check(cudaStreamSynchronize(timer.stream), "copying operands");
    };
    const double depth = kind == tensor_bf16 || kind == tensor_fp16 ? 16 : 32;
    check(cudaMemsetAsync(sums, 0, n * sizeof(double), timer.stream), "clearing results");
    fill(true);
    seconds(1);
    std::vector<double> first = copied<double>(sums, n, timer.stream);
    result.built = std::any_of(first.begin(), first.end(), [](double x) { return x != 0; });
    if (!result.built) return result; // no machine code of this module for the device has the instruction
    for (double x : first) result.right &= x == depth;
    fill(false);
    seconds(1);
    first = copied<double>(sums, n, timer.stream);
    // of a hundred random sums hardly all are alike
    result.right &= std::any_of(first.begin(), first.end(), [&](double x) { return x != first[0]; });
    const unsigned turns = enough(seconds, 1, shape.most_turns, window, stop);
    const int times = std::clamp(int(window / seconds(turns)), 1, 64); // launches in a row make up a window
    for (int i = 0; i < repeats && !stop; ++i) {
        check(cudaMemsetAsync(sums, 0, n * sizeof(double), timer.stream), "clearing results");
        const double took = timer.seconds([&] {
            for (int k = 0; k < times; ++k) work = launch_tensor(kind, wgmma, blocks, turns, operands, sums, timer.stream);
        });
        result.rates.push_back(work * times / took);
        const std::vector<double> found = copied<double>(sums, n, timer.stream);
        for (std::size_t k = 0; k < n; ++k) result.right &= found[k] == turns * first[k];
    }
    return result;
}

ProbeResult run_shared(int device, double window, int repeats, Stop& stop) {
    const OnDevice here(device);
    Timer timer;
    ProbeResult result;
    const unsigned blocks = 8 * unsigned(attribute(cudaDevAttrMultiProcessorCount, device)); // as many as have room
    const std::size_t threads = std::size_t(blocks) * shared_threads;
    const Scratch out(device, threads * sizeof(unsigned), timer.stream);
    auto* sums = static_cast<unsigned*>(out.data());
    double work = 0;
    auto seconds = [&](unsigned turns) {
        return timer.seconds([&] { work = launch_shared(turns, sums, blocks, timer.stream); });
    };
    const unsigned turns = enough(seconds, 16, 1u << 20, window, stop);
    for (int i = 0; i < repeats && !stop; ++i) {
        check(cudaMemsetAsync(sums, 0, threads * sizeof(unsigned), timer.stream), "clearing results");
        const double took = seconds(turns);
        result.rates.push_back(work / took);
        const auto found = copied<unsigned>(sums, threads, timer.stream);
        for (std::size_t t = 0; t < found.size(); ++t) result.right &= found[t] == shared_expected(unsigned(t), turns);
    }
    return result;
}

// What passes over memory fill it with; upper halves of 2.0, 3.0 and 11.0.
constexpr unsigned pass_factor = 2654435761u, two = 0x40000000u, three = 0x40080000u, eleven = 0x40260000u;

// The sum of the words after a pass, or of those that it summed.
unsigned pass_expected(PassKind kind, unsigned long long words, unsigned round, unsigned passes) {
    if (kind == pass_write) return static_cast<unsigned>(words) * (round + 1);
    if (kind == pass_triad) return fill_sum(words, 0, eleven, 0);
    return passes * fill_sum(words, 1, 1, pass_factor);
}

ProbeResult run_pass(int device, PassKind kind, unsigned long long bytes, double window, int repeats, Stop& stop) {
    if (kind == pass_shared) return run_shared(device, window, repeats, stop);
    const OnDevice here(device);
    Timer timer;
    ProbeResult result;
    const unsigned blocks = 4 * unsigned(attribute(cudaDevAttrMultiProcessorCount, device));
    const std::size_t threads = std::size_t(blocks) * pass_threads;
    const Scratch out(device, threads * sizeof(unsigned), timer.stream);
    auto* sums = static_cast<unsigned*>(out.data());
    auto total = [&] {
        unsigned sum = 0;
        for (unsigned x : copied<unsigned>(sums, threads, timer.stream)) sum += x;
        return sum;
    };
    // whole lines, and an odd number of them: sums keep their low bits
    const unsigned long long words = ((bytes / 64 - 1) | 1) * 16;
    const int buffers = kind == pass_triad ? 3 : kind == pass_copy ? 2 : 1;
    const Scratch memory(device, std::size_t(buffers) * words * 4, timer.stream);
    auto* a = static_cast<unsigned*>(memory.data());
    unsigned *b = a + words, *c = b + words;
    if (kind == pass_triad) {
        launch_fill(b, words, 0, two, 0, blocks, timer.stream);
        launch_fill(c, words, 0, three, 0, blocks, timer.stream);
    } else {
        launch_fill(kind == pass_copy ? b : a, words, 1, 1, pass_factor, blocks, timer.stream);
    }
    unsigned passes = 1;
    auto work = [&](unsigned round) {
        switch (kind) {
        case pass_l2: launch_l2(a, words, passes, sums, blocks, timer.stream); break;
        case pass_read: launch_read(a, words, sums, blocks, timer.stream); break;
        case pass_write: launch_write(a, words, round + 1, blocks, timer.stream); break;
        case pass_copy: launch_copy(b, a, words, blocks, timer.stream); break;
        case pass_triad:
            launch_triad(reinterpret_cast<double*>(b), reinterpret_cast<double*>(c), reinterpret_cast<double*>(a), words / 2,
                         3.0, blocks, timer.stream);
            break;
        default: break;
        }
    };
    auto seconds = [&](unsigned p) {
        passes = p;
        return timer.seconds([&] { work(0); });
    };
    if (kind == pass_l2) passes = enough(seconds, 4, 1u << 20, window, stop) + 1;
    else seconds(1);
    const double moved = 4.0 * double(words) * (kind == pass_copy ? 2 : kind == pass_triad ? 3 : passes);
    for (int i = 0; i < repeats && !stop; ++i) {
        const bool sums_itself = kind == pass_read || kind == pass_l2;
        if (sums_itself) check(cudaMemsetAsync(sums, 0, threads * sizeof(unsigned), timer.stream), "clearing results");
        else check(cudaMemsetAsync(a, 0, words * 4, timer.stream), "clearing results");
        const double took = timer.seconds([&] { work(unsigned(i)); });
        result.rates.push_back(moved / took);
        if (!sums_itself) launch_read(a, words, sums, blocks, timer.stream);
        result.right &= total() == pass_expected(kind, words, unsigned(i), passes);
    }
    return result;
}

ProbeResult run_launch(int device, bool waited, int repeats, Stop& stop) {
    const OnDevice here(device);
    Timer timer;
    ProbeResult result;
    const int times = waited ? 50 : 500;
    auto now = [] { return std::chrono::steady_clock::now(); };
    for (int i = -1; i < repeats && !stop; ++i) { // the first warms up
        const auto began = now();
        for (int k = 0; k < times; ++k) {
            launch_nothing(nullptr, timer.stream);
            if (waited) check(cudaStreamSynchronize(timer.stream), "waiting for a launch");
        }
        check(cudaStreamSynchronize(timer.stream), "waiting for launches");
        const std::chrono::duration<double> took = now() - began;
        if (i >= 0) result.rates.push_back(took.count() / times);
    }
    return result;
}

ProbeResult run_copy(int device, int peer, CopyKind kind, unsigned long long bytes, int repeats, Stop& stop) {
    const OnDevice here(device);
    Timer timer;
    ProbeResult result;
    const std::size_t words = bytes / 64 * 16;
    struct Pinned {
        unsigned* data = nullptr;
        explicit Pinned(std::size_t n) { check(cudaMallocHost(&data, n * 4), "allocating pinned memory"); }
        ~Pinned() { cudaFreeHost(data), cudaGetLastError(); }
    } const host(words);
    const Scratch memory(device, words * 4, timer.stream);
    auto* here_words = static_cast<unsigned*>(memory.data());
    unsigned* there = nullptr; // of the other device
    struct Other {
        int device;
        unsigned*& data;
        ~Other() {
            if (!data) return;
            const OnDevice at(device);
            cudaFree(data), cudaGetLastError();
        }
    } const other{peer, there};
    if (kind == copy_to_peer) {
        const OnDevice at(peer);
        check(cudaMalloc(&there, words * 4), "allocating on the other device");
    }
    constexpr unsigned factor = 2654435761u;
    auto once = [&] {
        if (kind == copy_to_peer) check(cudaMemcpyPeerAsync(there, peer, here_words, device, words * 4, timer.stream), "copying to a device");
        else if (kind == copy_to_device) check(cudaMemcpyAsync(here_words, host.data, words * 4, cudaMemcpyHostToDevice, timer.stream), "copying to the device");
        else check(cudaMemcpyAsync(host.data, here_words, words * 4, cudaMemcpyDeviceToHost, timer.stream), "copying to the host");
    };
    for (int i = -1; i < repeats && !stop; ++i) { // the first warms up
        const unsigned base = unsigned(i) * 77u + 5u;
        for (std::size_t k = 0; k < words; ++k) host.data[k] = base + factor * unsigned(k);
        if (kind != copy_to_device) {
            check(cudaMemcpyAsync(here_words, host.data, words * 4, cudaMemcpyHostToDevice, timer.stream), "copying to the device");
            check(cudaStreamSynchronize(timer.stream), "copying to the device");
        }
        if (kind == copy_to_host) std::memset(host.data, 0, words * 4);
        const double took = timer.seconds(once);
        if (kind != copy_to_host) {
            std::memset(host.data, 0, words * 4);
            const unsigned* from = kind == copy_to_peer ? there : here_words;
            check(cudaMemcpyAsync(host.data, from, words * 4, cudaMemcpyDefault, timer.stream), "copying back");
            check(cudaStreamSynchronize(timer.stream), "copying back");
        }
        for (std::size_t k = 0; k < words; ++k) result.right &= host.data[k] == base + factor * unsigned(k);
        if (i >= 0) result.rates.push_back(4.0 * double(words) / took);
    }
    return result;
}

} // namespace tokenroof
