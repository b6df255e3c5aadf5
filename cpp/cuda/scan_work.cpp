#include "scan_work.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>
#include <memory>

#include "hash/scan_common.hpp"

namespace tokenroof {
namespace scan_work_part {
namespace {

constexpr int in_flight = 3;
constexpr double longest_s = 0.008; // from launch to end, others in flight included: a stop waits for it

double cpu_seconds() {
    timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0) return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
    return 0.0;
}

// A part of a scan: nonces of one version, or of all of them.
struct Chunk {
    u32 step, first;
    unsigned count;
};

// A stream with what a launch writes to, on the device and on the host.
class Slot {
    cudaStream_t stream_ = nullptr;
    cudaEvent_t began_ = nullptr, ended_ = nullptr;
    CudaHits out_{};
    unsigned* told_ = nullptr; // the count, on the host
    CudaHit* copied_ = nullptr;

public:
    Chunk chunk{};
    bool busy = false;
    std::chrono::steady_clock::time_point launched{};

    explicit Slot(unsigned capacity) {
        try {
            check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
            check(cudaEventCreateWithFlags(&began_, cudaEventDefault), "making an event");
            check(cudaEventCreateWithFlags(&ended_, cudaEventBlockingSync), "making an event");
            check(cudaMalloc(&out_.hits, capacity * sizeof(CudaHit)), "allocating room for hits");
            check(cudaMalloc(&out_.found, sizeof(unsigned)), "allocating room for hits");
            check(cudaMallocHost(&told_, sizeof(unsigned)), "allocating room for hits on the host");
            check(cudaMallocHost(&copied_, capacity * sizeof(CudaHit)), "allocating room for hits on the host");
        } catch (...) {
            release();
            throw;
        }
        out_.capacity = capacity;
    }
    ~Slot() { release(); }
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;

    cudaStream_t stream() const { return stream_; }
    const CudaHits& out() const { return out_; }

    template <class F> void run(F launch) {
        check(cudaMemsetAsync(out_.found, 0, sizeof(unsigned), stream_), "clearing the count of hits");
        check(cudaEventRecord(began_, stream_), "recording an event");
        launch(out_, stream_);
        check(cudaMemcpyAsync(told_, out_.found, sizeof(unsigned), cudaMemcpyDeviceToHost, stream_), "copying hits");
        check(cudaEventRecord(ended_, stream_), "recording an event");
        busy = true;
        launched = std::chrono::steady_clock::now();
    }
    // Waits, and tells how many hits there are.
    unsigned wait() {
        busy = false;
        check(cudaEventSynchronize(ended_), "waiting for a scan");
        return *told_;
    }
    double seconds() const {
        float ms = 0;
        check(cudaEventElapsedTime(&ms, began_, ended_), "timing a scan");
        return 1e-3 * double(ms);
    }
    const CudaHit* hits(unsigned n) {
        check(cudaMemcpyAsync(copied_, out_.hits, n * sizeof(CudaHit), cudaMemcpyDeviceToHost, stream_), "copying hits");
        check(cudaStreamSynchronize(stream_), "copying hits");
        return copied_;
    }

private:
    void release() { // also where the device is lost: what fails then went with it
        if (stream_) cudaStreamSynchronize(stream_);
        if (out_.hits) cudaFree(out_.hits);
        if (out_.found) cudaFree(out_.found);
        if (told_) cudaFreeHost(told_);
        if (copied_) cudaFreeHost(copied_);
        if (began_) cudaEventDestroy(began_);
        if (ended_) cudaEventDestroy(ended_);
        if (stream_) cudaStreamDestroy(stream_);
        cudaGetLastError();
    }
};

// Device memory of plain words.
class Words {
    u32* data_ = nullptr;

public:
    explicit Words(std::size_t n) { check(cudaMalloc(&data_, n * sizeof(u32)), "allocating room for versions"); }
    ~Words() { cudaFree(data_), cudaGetLastError(); }
    Words(const Words&) = delete;
    Words& operator=(const Words&) = delete;
    u32* data() const { return data_; }
};

CudaHeader header_of(const ScanJob& job, u32 step) {
    CudaHeader h;
    u32 words[20];
    header_words(&job, step, words);
    for (int i = 0; i < 3; ++i) h.tail[i] = words[16 + i];
    initial_state(h.middle);
    sha256_compress(h.middle, words);
    h.step = step;
    h.limit = limit_of(&job);
    return h;
}

class DeviceScan {
    CudaScan& scan;
    const ScanJob job;
    int variant;
    std::unique_ptr<Words> lanes;
    std::vector<std::unique_ptr<Slot>> slots;
    long long size = 1 << 12;         // hashes of the next chunk
    long long most = most_hashes;     // so that its hits fit
    std::vector<std::pair<u32, u32>> hits;
    CudaHeader prepared{};
    bool ready = false;

    // The next part of the scan that nobody has, as long as time and hits allow.
    bool take(Chunk& chunk) {
        const std::lock_guard<std::mutex> lock(scan.mutex);
        const long long left = scan.count - scan.next_nonce;
        if (left <= 0 || (!scan.roll && scan.next_version >= scan.versions)) return false;
        const long long wanted = std::max(1LL, std::min(size, most) / (scan.roll ? scan.versions : 1));
        const long long n = std::min({left, wanted, scan.roll ? static_cast<long long>(most_roll_nonces) : wanted});
        chunk = {static_cast<u32>(scan.step + scan.next_version), static_cast<u32>(scan.start + scan.next_nonce),
                 static_cast<unsigned>(n)};
        scan.next_nonce += n;
        if (!scan.roll && scan.next_nonce == scan.count) scan.next_nonce = 0, ++scan.next_version;
        if (!scan.roll && scan.next_version == scan.versions) scan.next_nonce = scan.count;
        return true;
    }
    long long tries(const Chunk& chunk) const { return chunk.count * (scan.roll ? scan.versions : 1); }

    // versions: of a roll, so many from lane `lane` on.
    void start(Slot& slot, const Chunk& chunk, unsigned lane = 0, unsigned versions = 0) {
        const u32 step = scan.roll ? scan.step + lane : chunk.step;
        if (!ready || prepared.step != step) prepared = header_of(job, step), ready = true;
        slot.chunk = chunk;
        slot.run([&](const CudaHits& out, cudaStream_t stream) {
            if (scan.roll)
                launch_roll(prepared, lanes->data() + lane, unsigned(scan.versions), versions ? versions : unsigned(scan.versions),
                            chunk.first, int(chunk.count), out, variant, stream);
            else
                launch_nonces(prepared, chunk.first, chunk.count, out, variant, stream);
        });
    }

    // A candidate by its last word is hashed whole, by the scalar path, before it counts.
    void confirm(Slot& slot, unsigned n) {
        const CudaHit* found = slot.hits(n);
        for (unsigned i = 0; i < n && !scan.stop; ++i)
            if (confirmed(&job, found[i].step, found[i].nonce)) hits.emplace_back(found[i].step, found[i].nonce);
    }

    // Once more in parts, since the hits did not fit.
    void again(Slot& slot, const Chunk& chunk, unsigned lane, unsigned versions) {
        if (scan.stop) return;
        start(slot, chunk, lane, versions);
        const unsigned n = slot.wait();
        if (n <= slot.out().capacity) return confirm(slot, n);
        split(slot, chunk, lane, versions);
    }
    void split(Slot& slot, const Chunk& chunk, unsigned lane, unsigned versions) {
        if (chunk.count > 1) {
            const unsigned half = chunk.count / 2;
            again(slot, {chunk.step, chunk.first, half}, lane, versions);
            again(slot, {chunk.step, chunk.first + half, chunk.count - half}, lane, versions);
        } else { // one nonce with more versions than hits fit
            const unsigned half = versions / 2;
            again(slot, chunk, lane, half);
            again(slot, chunk, lane + half, versions - half);
        }
    }

    void finish(Slot& slot) {
        const unsigned n = slot.wait();
        const Chunk chunk = slot.chunk;
        const long long tried = tries(chunk);
        if (n > slot.out().capacity) {
            most = std::max(1LL, static_cast<long long>(0.5 * double(slot.out().capacity) * double(tried) / double(n)));
            split(slot, chunk, 0, scan.roll ? unsigned(scan.versions) : 0);
        } else {
            const double took = slot.seconds();
            if (took < 0.5 * longest_s) size = std::min<long long>(4 * std::max(size, tried), most_hashes);
            else if (took > longest_s) size = std::max<long long>(size / 2, 256);
            if (n) confirm(slot, n);
        }
        if (scan.stop) return; // perhaps in the middle of the hits
        keep();
        scan.hashes.fetch_add(tried, std::memory_order_relaxed);
    }
    void keep() {
        if (hits.empty()) return;
        const std::lock_guard<std::mutex> lock(scan.mutex);
        scan.hits.insert(scan.hits.end(), hits.begin(), hits.end());
        hits.clear();
    }

public:
    DeviceScan(CudaScan& s, int device)
        : scan(s), job{s.header, s.target, 0, 0, 0, 0, s.mask}, variant(best_variant(device, s.roll)) {
        for (int i = 0; i < in_flight; ++i) slots.push_back(std::make_unique<Slot>(scan.capacity));
        if (!scan.roll) return;
        lanes = std::make_unique<Words>(static_cast<std::size_t>(roll_lane_words) * static_cast<std::size_t>(scan.versions));
        u32 words[20];
        header_words(&job, 0, words);
        launch_roll_lanes(words, scan.step, scan.mask, unsigned(scan.versions), lanes->data(), slots[0]->stream());
        check(cudaStreamSynchronize(slots[0]->stream()), "preparing versions");
    }
    void run() {
        std::size_t next = 0, busy = 0;
        for (bool more = true; more || busy;) {
            Chunk chunk;
            Slot& slot = *slots[next % slots.size()];
            if (slot.busy) {
                --busy;
                finish(slot);
            }
            more = more && !scan.stop && take(chunk);
            if (more) {
                start(slot, chunk);
                ++busy;
            }
            ++next;
        }
    }
};

} // namespace
} // namespace scan_work_part

void scan_on_device(CudaScan& scan, int device) {
    const double before = scan_work_part::cpu_seconds();
    std::string failure;
    bool memory = false;
    try {
        const OnDevice here(device);
        scan_work_part::DeviceScan(scan, device).run();
    } catch (const CudaError& e) {
        failure = "device " + std::to_string(device) + ": " + e.what();
        memory = e.code == cudaErrorMemoryAllocation;
        scan.stop = true;
    }
    const std::lock_guard<std::mutex> lock(scan.mutex);
    scan.cpu_seconds += scan_work_part::cpu_seconds() - before;
    if (!failure.empty()) scan.failures.push_back(failure);
    scan.out_of_memory |= memory;
}

int best_variant(int device, bool roll) {
    using namespace scan_work_part;
    static std::mutex& mutex = *new std::mutex;
    static auto& known = *new std::map<std::pair<int, bool>, int>;
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = known.find({device, roll});
    if (found != known.end()) return found->second;
    const unsigned char header[80] = {}, target[32] = {};
    const ScanJob job{header, target, 0, 0, 0, 0, rolled_mask};
    const CudaHeader h = header_of(job, 0);
    Slot slot(16);
    const unsigned versions = 4096;
    Words lanes(roll ? roll_lane_words * versions : 1);
    if (roll) {
        u32 words[20];
        header_words(&job, 0, words);
        launch_roll_lanes(words, 0, rolled_mask, versions, lanes.data(), slot.stream());
    }
    auto seconds = [&](int variant, unsigned n) {
        slot.run([&](const CudaHits& out, cudaStream_t stream) {
            if (roll) launch_roll(h, lanes.data(), versions, std::min(n, versions), 0, int(std::max(n / versions, 1u)), out, variant, stream);
            else launch_nonces(h, 0, n, out, variant, stream);
        });
        slot.wait();
        return slot.seconds();
    };
    // long enough to tell, and no longer: 4,096 hashes on a processor that plays a device
    const unsigned limit = roll ? versions * 64 : 1u << 24;
    unsigned n = 1024;
    while (n < limit && seconds(0, n) < 1e-3) n *= 4;
    double least[cuda_variants];
    for (double& x : least) x = 1e30;
    for (int repeat = 0; repeat < 3; ++repeat) // in turns: clocks may still rise
        for (int v = 0; v < cuda_variants; ++v) least[v] = std::min(least[v], seconds(v, n));
    const int best = int(std::min_element(least, least + cuda_variants) - least);
    return known[{device, roll}] = best;
}

std::vector<u32> candidates(const unsigned char* header, u32 nonce, unsigned count, bool roll, int variant, u32 limit) {
    using namespace scan_work_part;
    const unsigned char target[32] = {};
    const ScanJob job{header, target, 0, 0, 0, 0, rolled_mask};
    CudaHeader h = header_of(job, 0);
    h.limit = limit - 1;
    Slot slot(count);
    Words lanes(roll ? roll_lane_words * count : 1);
    if (roll) {
        u32 words[20];
        header_words(&job, 0, words);
        launch_roll_lanes(words, 0, rolled_mask, count, lanes.data(), slot.stream());
    }
    slot.run([&](const CudaHits& out, cudaStream_t stream) {
        if (roll) launch_roll(h, lanes.data(), count, count, nonce, 1, out, variant, stream);
        else launch_nonces(h, nonce, count, out, variant, stream);
    });
    const unsigned n = slot.wait();
    const CudaHit* found = slot.hits(n);
    std::vector<u32> out;
    for (unsigned i = 0; i < n; ++i) out.push_back(roll ? found[i].step : found[i].nonce);
    std::sort(out.begin(), out.end());
    return out;
}

} // namespace tokenroof
