// Kernels over records that are prepared first: a thread per combination of records prepares them into
// device memory, then a thread per element evaluates its load.
#pragma once
#include "scratch.hpp"
#include "span.hpp"
#include "tokenroof/serving/serving.hpp"

namespace tokenroof {

constexpr std::size_t prepared_bytes_at_once = std::size_t(128) << 20;

// The records of combinations first ... first + count - 1 into prepared[0 ... count - 1]; bare: without an
// engine's gaps, which serving adds.
void prepare_records(const Piece& piece, unsigned first, unsigned count, bool bare, Prepared* prepared);

// f(first combination, combinations, prepared) over parts of a piece that fit the memory set aside; `extra`
// bytes a combination are for f, which gets them too.
template <class F> void for_prepared(const Piece& piece, bool bare, std::size_t extra, F f) {
    const unsigned combinations = piece.count / piece.inner;
    const std::size_t each = sizeof(Prepared) + extra;
    const auto most = static_cast<unsigned>(prepared_bytes_at_once / each);
    const unsigned part = combinations < most ? combinations : most;
    const Scratch memory(piece.call->device, part * each, piece.call->stream);
    auto* prepared = static_cast<Prepared*>(memory.data());
    for (unsigned first = 0; first < combinations; first += part) {
        const unsigned count = combinations - first < part ? combinations - first : part;
        prepare_records(piece, first, count, bare, prepared);
        f(first, count, prepared, static_cast<void*>(prepared + part));
    }
}

// Elements of combinations first ... first + count - 1.
struct Part {
    unsigned first, count; // elements
    Part(const Piece& piece, unsigned combination, unsigned combinations)
        : first(combination * piece.inner), count(combinations * piece.inner) {}
};

} // namespace tokenroof
