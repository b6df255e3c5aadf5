// Who pays for the energy of steps: what prompts add to a step is theirs by tokens, the rest is shared evenly by
// the sequences past their prompt. Those that get a token a call pay the difference of one running sum.
#pragma once
#include <vector>

#include "simulate/records.hpp"
#include "simulate/step_clock.hpp"

namespace tokenroof::simulate {

// Whom the call that is being decided concerns, and the running sum.
struct Meter {
    struct Piece {
        i32 request;
        i64 tokens;
    };
    struct Left {
        i32 request;
        double mark;
    };
    double* joules = nullptr; // by request; none: no energy
    double sum = 0.0;         // of what a sequence that was there throughout paid
    std::vector<Piece> prompts;
    std::vector<i32> generating; // requests that are looked at one by one
    std::vector<i32> joined;     // slots that pay by the sum from the next call on
    std::vector<Left> left;      // who does so for the last time

    void open() {
        prompts.clear();
        generating.clear();
        joined.clear();
        left.clear();
    }
    // A step's energy: who was looked at pays, and the sum goes on.
    void pay(const Load& load, const Joules& step) {
        const double each = load.generating ? step.generating / static_cast<double>(load.generating) : 0.0;
        sum += each;
        for (const i32 request : generating) joules[request] += each;
        for (const Piece& p : prompts)
            joules[p.request] +=
                step.prompts * (static_cast<double>(p.tokens) / static_cast<double>(load.prompt_tokens));
    }
    // What the sum came to since a mark.
    void settle(i32 request, double mark) {
        if (joules) joules[request] += sum - mark;
    }
};

} // namespace tokenroof::simulate
