// Probes of what a core can do at most: a table per instruction set, and per unit that needs its own flags.
#pragma once

namespace tokenroof {

// Independent chains of one operation in registers. run() tells whether the results are those of `rounds`
// rounds of `operations`: a loop that a compiler cut short is found out.
struct ComputeProbe {
    const char* name;
    double operations;      // of a round: FLOP, or operations on `bits` bits
    int bits, instructions; // width of an operation's registers; vector (or scalar) instructions of a round
    bool (*run)(long long rounds);
};

struct ComputeTable {
    const ComputeProbe* probes;
    int count;
};

// Passes over memory; n counts doubles and is a multiple of 64. What an instruction set lacks is null.
struct MemoryTable {
    unsigned long long (*read)(const double* a, long long n, long long passes); // sum of words x passes
    void (*write)(double* a, double s, long long n);                            // a = s
    void (*copy)(double* a, const double* b, long long n);                      // a = b
    void (*triad)(double* a, const double* b, const double* c, double s, long long n); // a = b + s c
    // The same with stores that pass the caches by.
    void (*write_nt)(double* a, double s, long long n);
    void (*copy_nt)(double* a, const double* b, long long n);
    void (*triad_nt)(double* a, const double* b, const double* c, double s, long long n);
};

} // namespace tokenroof
