// Device, calibration, model and plan of one element, and what follows from them.
#pragma once
#include "elements.hpp"
#include "tokenroof/inference/prepared.hpp"

namespace tokenroof {
inline namespace TR_ISA {

constexpr int record_count = 4;

struct Records {
    double d[device::count], c[calibration::count], m[model::count], p[plan::count];
    Prepared prepared;
    const char* from[record_count] = {nullptr, nullptr, nullptr, nullptr};
};

// Reads the records of element k and prepares them, unless they are where the last one's were (records.cpp).
// bare: prepared without an engine's gaps, which serving adds; `c` has them all the same.
void update(Records& r, char** args, const Size* steps, const Size* core, Size k, bool bare);

// The operands of a call whose steps carry one prompt, as those of steps that carry a number of them: a 1 before
// operand `at`.
struct OnePrompt {
    static constexpr int most = 16; // operands and core dimensions
    double one = 1.0;
    char* args[most];
    Size steps[most];
    OnePrompt(char** from, const Size* strides, int at, int operands, int core) {
        for (int i = 0; i < operands; ++i) args[i + (i >= at)] = from[i];
        for (int i = 0; i < operands + core; ++i) steps[i + (i >= at)] = strides[i];
        args[at] = reinterpret_cast<char*>(&one);
        steps[at] = 0;
    }
};

} // namespace TR_ISA
} // namespace tokenroof
