// Double SHA-256 of block headers, a thread per header.
#include "span.hpp"
#include "tokenroof/mining/sha256.hpp"

namespace tokenroof {
namespace {

__global__ void sha256d_kernel(const __grid_constant__ Span<double, 2> s, Size core_out) {
    TR_GRID_LOOP(n, s.count) {
        Size offset[2];
        s.locate(n, offset);
        const u8* from = reinterpret_cast<const u8*>(s.data[0] + offset[0]);
        u32 header[20], digest[8];
        if (reinterpret_cast<unsigned long long>(from) % 4 == 0)
            for (int i = 0; i < 20; ++i) header[i] = swap_bytes(reinterpret_cast<const u32*>(from)[i]);
        else
            for (int i = 0; i < 20; ++i) header[i] = load_big_endian(from + 4 * i);
        sha256d_header(header, digest);
        u8* to = reinterpret_cast<u8*>(s.data[1] + offset[1]);
        if (core_out == 1 && reinterpret_cast<unsigned long long>(to) % 4 == 0)
            for (int i = 0; i < 8; ++i) reinterpret_cast<u32*>(to)[i] = swap_bytes(digest[i]);
        else
            for (int i = 0; i < 32; ++i) to[i * core_out] = u8(digest[i / 4] >> (24 - 8 * (i % 4)));
    }
}

} // namespace

void sha256d_uint8(const Call& call) {
    for_each_piece(call, [&](const Piece& p) {
        launch(sha256d_kernel, grid_for(p.count), call.stream, Span<double, 2>(p), call.core_out);
    });
}

} // namespace tokenroof
