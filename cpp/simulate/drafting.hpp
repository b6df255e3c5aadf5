// Speculation: how many tokens a step drafts for a sequence, and how many of them are kept.
#pragma once
#include "simulate/records.hpp"
#include "tokenroof/core/random.hpp"

namespace tokenroof::simulate {

constexpr int most_drafts = 8;

struct Drafting {
    i64 drafts = 0;           // of each sequence and step; 0: none
    i64 lookahead = 0;        // further slots, which the next drafts are written to
    bool reads_states = false; // a module or a head over the target's states: what is found ends a block, or token, earlier
    u64 seed = 0;
    double survived[most_drafts] = {}; // chance that the token at a position is kept, with all before it

    // Drafts that are kept, of `scheduled` after a request's first `at` outputs: a function of these and the seed.
    i64 kept(i32 request, i64 at, i64 scheduled) const {
        if (scheduled <= 0) return 0;
        double u, other;
        uniforms<double, unsigned long long>(static_cast<u64>(at), stream, static_cast<u64>(request),
                                             static_cast<unsigned>(seed), static_cast<unsigned>(seed >> 32), u, other);
        i64 n = 0;
        while (n < scheduled && u < survived[n]) ++n;
        return n;
    }

  private:
    static constexpr unsigned stream = 0x5bec; // of these draws alone
};

} // namespace tokenroof::simulate
