// Plays calls of the loops of one table: reads them from a file, writes what they return to standard output.
// A call: 64 bytes of name; numbers of arguments (the last is the output), of core dimensions, of bytes an
// element; the outer size; the core dimensions; then, for each argument, its core elements and all its bytes.
#include "loops/table.hpp"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

namespace tokenroof {
inline namespace generic { extern const Table table; }
} // namespace tokenroof

using namespace tokenroof;

template <class T>
bool take(std::FILE* file, T* to, std::size_t count = 1) {
    return std::fread(to, sizeof(T), count, file) == count;
}

int main(int, char** arguments) {
    std::FILE* file = std::fopen(arguments[1], "rb");
    if (!file) return 2;
    char name[64];
    while (take(file, name, 64)) {
        std::int64_t count, cores, width, size;
        if (!(take(file, &count) && take(file, &cores) && take(file, &width) && take(file, &size))) return 3;
        std::vector<Size> dims{size}, steps, inner;
        for (std::int64_t i = 0; i < cores; ++i) {
            std::int64_t length;
            if (!take(file, &length)) return 3;
            dims.push_back(length);
        }
        std::vector<std::vector<char>> held;
        for (std::int64_t i = 0; i < count; ++i) {
            std::int64_t elements; // -1: a scalar of each call
            if (!take(file, &elements)) return 3;
            const std::int64_t each = elements < 0 ? 1 : elements;
            steps.push_back(each * width);
            if (elements >= 0) inner.push_back(width);
            held.emplace_back(std::size_t(size * each * width));
            if (i + 1 < count && !take(file, held.back().data(), held.back().size())) return 3;
        }
        steps.insert(steps.end(), inner.begin(), inner.end());
        std::vector<char*> pointers;
        for (auto& bytes : held) pointers.push_back(bytes.data());
        const Kernel* kernel = nullptr;
        for (int k = 0; k < table.count; ++k)
            if (std::strcmp(table.kernels[k].name, name) == 0) kernel = &table.kernels[k];
        if (!kernel) return 4;
        (width == 4 ? kernel->float32 : kernel->float64)(pointers.data(), dims.data(), steps.data(), nullptr);
        std::fwrite(held.back().data(), 1, held.back().size(), stdout);
    }
    return 0;
}
