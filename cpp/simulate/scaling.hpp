// How many replicas a pool should have: the rule of Kubernetes' horizontal autoscaler.
// [kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale; pkg/controller/podautoscaler]
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "simulate/records.hpp"

namespace tokenroof::simulate {

enum class Signal : int { queue = 0, utilisation = 1 };

struct Scaling {
    bool on = false;
    int least = 1, most = 1;
    Signal signal = Signal::queue;
    double target = 1.0, tolerance = 0.1; // of the signal's mean over replicas
    i64 start_ns = 0;                     // until a replica serves
    i64 interval_ns = never, cooldown_ns = 0;
};

// A change, or the look that led to none.
struct ScaleRow {
    i64 at;
    i64 up, starting, draining;
    double signal;
};

class Advice {
  public:
    explicit Advice(const Scaling& rule) : rule_(rule) {}

    // Replicas that there should be: `sum` of the signal over those that serve, `up` of them, `total` with
    // those that start. More are wanted at once, fewer once nothing asked for more during the cooldown.
    int wanted(i64 now, double sum, int up, int total) {
        int desired = total;
        const double ratio = sum / (up * rule_.target), all = sum / (total * rule_.target);
        const bool grows = ratio > 1.0 + rule_.tolerance && all > 1.0 + rule_.tolerance;
        if (grows || ratio < 1.0 - rule_.tolerance) desired = static_cast<int>(std::min(std::ceil(sum / rule_.target), 1e6));
        desired = std::clamp(desired, rule_.least, rule_.most);
        std::erase_if(asked_, [&](const Asked& one) { return one.at <= now - rule_.cooldown_ns; });
        asked_.push_back({now, desired});
        if (desired >= total) return desired;
        int most = 0;
        for (const Asked& one : asked_) most = std::max(most, one.desired);
        return std::min(most, total);
    }

  private:
    struct Asked {
        i64 at;
        int desired;
    };
    const Scaling& rule_;
    std::vector<Asked> asked_;
};

} // namespace tokenroof::simulate
