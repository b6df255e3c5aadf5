// What the tokens of a request are, as far as it is known: pieces whose tokens are equal or not as a whole.
//
// A token at position p of two requests is the same if their pieces there have the same base: runs of ids
// have their first id less their start, blocks that are hashed together a mix of the hash, and tokens that no
// other request has a mix of its number.
#pragma once
#include "simulate/blocks.hpp"
#include "simulate/records.hpp"

namespace tokenroof::simulate {

// A place in a request's tokens; it moves forward alone.
class Pieces {
  public:
    Pieces() = default;
    Pieces(const Requests& all, i32 request) : request_(request) { load(all, 0); }

    i32 request() const { return request_; }
    u64 base() const { return base_; }
    i64 end() const { return end_; } // of the piece, exclusive

    // To the piece that holds this position, which is not before the one that was asked for last.
    void seek(const Requests& all, i64 position) {
        while (position >= end_) load(all, end_);
    }

  private:
    void load(const Requests& all, i64 start) {
        const i64 input = all.input_tokens[request_];
        if (all.runs) {
            const i64 first = all.content_offset[request_], last = all.content_offset[request_ + 1];
            while (first + piece_ < last && all.runs[2 * (first + piece_) + 1] == 0) ++piece_;
            if (first + piece_ < last) {
                const i64* run = all.runs + 2 * (first + piece_++);
                base_ = static_cast<u64>(run[0] - start);
                end_ = start + run[1];
            } else {
                base_ = static_cast<u64>(all.output_id[request_] - start);
                end_ = never;
            }
            return;
        }
        if (all.block_hashes) { // as far as the prompt goes; the last hash may be left out
            const i64 first = all.content_offset[request_];
            const i64 count = all.content_offset[request_ + 1] - first;
            const i64 known = std::min(input, count * all.hash_block);
            if (start < known) {
                base_ = mix(0x2545f4914f6cdd1du, static_cast<u64>(all.block_hashes[first + piece_++]));
                end_ = std::min(start + all.hash_block, known);
                return;
            }
        }
        base_ = mix(0x6a09e667f3bcc909u, static_cast<u64>(request_));
        end_ = never;
    }

    i32 request_ = -1;
    u64 base_ = 0;
    i64 piece_ = 0, end_ = 0;
};

// Where two requests' tokens differ first, from a position on that both are at, up to a limit.
inline i64 agree(const Requests& all, Pieces& a, Pieces& b, i64 from, i64 limit) {
    while (from < limit) {
        a.seek(all, from);
        b.seek(all, from);
        if (a.base() != b.base()) return from;
        from = std::min({a.end(), b.end(), limit});
    }
    return limit;
}

// One number for the tokens [from, until) of a request that is at `from`: equal where all of them are.
inline u64 fold(const Requests& all, Pieces at, i64 from, i64 until) {
    u64 sum = 0x9ddfea08eb382d69u;
    while (from < until) {
        at.seek(all, from);
        const u64 base = at.base();
        while (from < until) { // pieces that go on as one
            at.seek(all, from);
            if (at.base() != base) break;
            from = std::min(at.end(), until);
        }
        sum = mix(mix(sum, base), static_cast<u64>(from));
    }
    return sum | 1;
}

} // namespace tokenroof::simulate
