// Scanners whose vector lanes are whole hashes: the loops around a generated kernel.
#pragma once
#include "scan_common.hpp"

namespace tokenroof {
inline namespace TR_ISA {
namespace {

// What kernels of a vector width have in common: batches side by side of `width` hashes.
template <int width, int nonce_batches, int roll_batches> struct VectorKernel {
    static constexpr int lanes = width * nonce_batches, roll_lanes = width * roll_batches;
    static constexpr int nonces = width, most_groups = 96 / roll_lanes, inputs = lanes, roll_inputs = 16 * roll_lanes;

    TR_HD static void set_nonces(u32* input, u32 first) {
        for (int l = 0; l < lanes; ++l) input[l] = swap_bytes(first + u32(l));
    }
    TR_HD static void set_lane(u32* input, int l, const u32* middle, const u32* early) {
        u32* const at = input + 16 * width * (l / width) + l % width;
        for (int i = 0; i < 8; ++i) at[i * width] = early[i], at[(8 + i) * width] = middle[i];
    }
};

// Kernel: lanes of either mode, nonces a schedule is made for at once, words of its jobs, scratch, and the
// static functions prepare_nonce(middle, tail, job), prepare_roll(job), nonce(job, lanes, scratch, last),
// roll(job, lanes, keyed, scratch, last), and set_lane(lanes, lane, middle, early) for rolling. Words is a
// GCC vector for the schedules (no template's: GCC drops attributes that depend on its arguments).
template <class Kernel> long long scan_nonces(const ScanJob* job, ScanHit* hits) {
    constexpr int lanes = Kernel::lanes;
    alignas(64) u32 prepared[Kernel::nonce_words], scratch[Kernel::nonce_scratch], last[lanes], input[Kernel::inputs];
    u32 middle[8], early[8], tail[3];
    prepare_lane(job, job->step, middle, early);
    header_tail(job, tail);
    Kernel::prepare_nonce(middle, tail, early, prepared, input);
    const u32 limit = limit_of(job);
    long long found = 0;
    for (long long k = 0; k < job->count; k += lanes) {
        const u32 first = job->start + u32(k);
        Kernel::nonce(prepared, input, first, scratch, last);
        if (!any_candidate<lanes>(last, limit)) continue;
        for (int l = 0; l < lanes && k + l < job->count; ++l)
            if (swap_bytes(last[l]) <= limit && confirmed(job, job->step, first + u32(l)))
                hits[found++] = {job->step, first + u32(l)};
    }
    return found;
}

template <class Kernel> long long scan_versions(const ScanJob* job, ScanHit* hits) {
    constexpr int lanes = Kernel::roll_lanes, nonces = Kernel::nonces;
    using Words = typename Kernel::Words;
    static_assert(sizeof(Words) == sizeof(u32) * nonces, "a schedule of each nonce in a vector");
    alignas(64) u32 prepared[Kernel::roll_words], scratch[Kernel::roll_scratch], last[lanes],
        keyed[nonces * 64], input[Kernel::most_groups][Kernel::roll_inputs];
    u32 tail[3];
    header_tail(job, tail);
    Kernel::prepare_roll(prepared);
    const u32 limit = limit_of(job);
    long long found = 0;
    const int groups = job->versions / lanes;
    for (int from = 0; from < groups; from += Kernel::most_groups) {
        const int some = groups - from < Kernel::most_groups ? groups - from : Kernel::most_groups;
        const u32 step = job->step + u32(from * lanes);
        for (int l = 0; l < some * lanes; ++l) {
            u32 middle[8], early[8];
            prepare_lane(job, step + u32(l), middle, early);
            Kernel::set_lane(input[l / lanes], l % lanes, middle, early);
        }
        for (long long k = 0; k < job->count; ++k) {
            const u32 nonce = job->start + u32(k);
            const int i = int(k % nonces);
            if (i == 0) keyed_schedules<Words, nonces>(tail, nonce, keyed);
            for (int g = 0; g < some; ++g) {
                Kernel::roll(prepared, input[g], keyed + 2 * i, nonce, scratch, last);
                if (!any_candidate<lanes>(last, limit)) continue;
                for (int l = 0; l < lanes; ++l) {
                    const u32 own = step + u32(g * lanes + l);
                    if (swap_bytes(last[l]) <= limit && confirmed(job, own, nonce)) hits[found++] = {own, nonce};
                }
            }
        }
    }
    return found;
}

} // namespace
} // namespace TR_ISA
} // namespace tokenroof
