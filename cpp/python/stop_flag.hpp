// What tells threads to return early: one sets it, all look at it between steps.
#pragma once
#include "tokenroof/core/config.hpp"

#include <atomic>

namespace tokenroof {

class StopFlag {
  public:
    // inlined everywhere: loops of several instruction sets look at it
    TR_HD operator bool() const { return set_.load(std::memory_order_relaxed); }
    TR_HD StopFlag& operator=(bool set) {
        set_.store(set, std::memory_order_relaxed);
        return *this;
    }

  private:
    std::atomic<bool> set_{false};
};

} // namespace tokenroof
