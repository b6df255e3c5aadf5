// One device's part of a header scan: launches in flight, hits confirmed, chunks as long as a stop may take.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "python/stop_flag.hpp"
#include "scan.hpp"

namespace tokenroof {

// What all devices of a scan share.
struct CudaScan {
    const unsigned char* header; // 80 bytes
    const unsigned char* target; // 32 bytes
    u32 start, step;             // the first nonce and the first version's step
    long long count, versions;   // nonces, and versions of each
    bool roll;                   // lanes are versions
    unsigned capacity;           // hits of a launch
    u32 mask;                    // bits of the version that steps count in

    std::mutex mutex;
    long long next_nonce = 0, next_version = 0;
    std::atomic<long long> hashes{0};
    std::vector<std::pair<u32, u32>> hits{}; // step, nonce
    StopFlag stop;
    double cpu_seconds = 0.0;
    std::vector<std::string> failures{}; // of devices
    bool out_of_memory = false;
};

// Works until the scan is over, stopped or failed; what was found is in it at any end.
void scan_on_device(CudaScan& scan, int device);

// The fastest variant of a mode on a device by short runs, once per process.
int best_variant(int device, bool roll);

// Nonces from `nonce` on, or steps of versions with that nonce, whose last word is below `limit`, in order, by one
// kernel on the current device.
std::vector<u32> candidates(const unsigned char* header, u32 nonce, unsigned count, bool roll, int variant, u32 limit);

} // namespace tokenroof
