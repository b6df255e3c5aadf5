// Open loops over lanes of rates, one table per instruction set.
#pragma once
#include "tokenroof/serving/open_loop.hpp"

namespace tokenroof {

// Rates of one plan.
struct OpenLoopJob {
    const double* steps; // s(0) .. s(places)
    const Added* prompts; // of as many
    const double* work;  // of 1 .. places
    long long places;
    const double* inputs; // TR_OPEN_LOOP_INPUTS
    const double* rates;
    long long n;
    double* out; // TR_OPEN_LOOP_FIELDS of each rate
};

struct OpenLoopTable {
    void (*rates)(const OpenLoopJob* job);
};

} // namespace tokenroof
