// One table of probes per instruction set: what this machine can do at most, measured.
#pragma once

namespace tokenroof {

struct ProbeTable {
    // Independent chains of multiply-adds in registers; returns the FLOPs done in `rounds` rounds.
    double (*flops_float64)(long long rounds, double* sink);
    double (*flops_float32)(long long rounds, float* sink);
    // Passes over memory; n counts doubles and is a multiple of 64.
    double (*read)(const double* a, long long n);                                       // sum of a
    void (*copy)(double* a, const double* b, long long n);                              // a = b
    void (*triad)(double* a, const double* b, const double* c, double s, long long n);  // a = b + s c
};

} // namespace tokenroof
