// Runs of the probes, for Python: repeats timed by events, and whether the results are those of the work.
#pragma once
#include <atomic>
#include <string>
#include <vector>

#include "probes.hpp"
#include "python/stop_flag.hpp"

namespace tokenroof {

struct ProbeResult {
    std::vector<double> rates; // per second, or seconds
    bool right = true;
    bool built = true; // for this device
};

using Stop = StopFlag;
ProbeResult run_compute(int device, ProbeKind kind, double window, int repeats, Stop& stop);
ProbeResult run_tensor(int device, TensorKind kind, bool wgmma, double window, int repeats, Stop& stop);
// bytes: of a buffer; for pass_shared of no meaning. Traffic is what is read and what is written.
ProbeResult run_pass(int device, PassKind kind, unsigned long long bytes, double window, int repeats, Stop& stop);
// Seconds of a launch that is waited for, or of one of many in a row.
ProbeResult run_launch(int device, bool waited, int repeats, Stop& stop);
// Bytes per second from or to pinned memory of the host, or to another device.
enum CopyKind : int { copy_to_device, copy_to_host, copy_to_peer };
ProbeResult run_copy(int device, int peer, CopyKind kind, unsigned long long bytes, int repeats, Stop& stop);

} // namespace tokenroof
