// How long a step takes, in whole nanoseconds.
#pragma once
#include <cmath>
#include <vector>

#include "simulate/records.hpp"

namespace tokenroof::simulate {

// What a step carries: tokens of all; sequences past their prompt and the sum of their contexts, new tokens
// included; prompts, their tokens, and the sum over those of twice the keys that each attends to.
struct Load {
    i64 tokens = 0, generating = 0, context = 0, prompts = 0, prompt_tokens = 0, prompt_keys = 0;
};

// A line for tests, or a table of the step kernels over (sequences, mean context, prompt tokens, cached
// tokens before them), and over (prompt tokens, prompts) what it takes off that they are several: linear
// between points along each axis, and beyond the last.
struct StepClock {
    i64 fixed_ns = 0, per_token_ns = 0, per_context_token_ns = 0;
    std::vector<double> axis[6];   // then prompts; sequences of a step without any
    const double* table = nullptr; // none: the line
    const double* several = nullptr;
    const double* decode = nullptr; // without prompts, over more numbers of sequences, and contexts
    std::vector<double> padded;     // sizes of CUDA graphs, ascending; none: no padding
    i64 host_ns = 0;

    i64 duration(const Load& load) const {
        if (!table) return fixed_ns + per_token_ns * load.tokens + per_context_token_ns * load.context;
        // what pads a captured graph is computed like a sequence without a context
        const double sequences = static_cast<double>(load.generating) + padding(load.tokens);
        const double mean = load.generating ? static_cast<double>(load.context) / sequences : 0.0;
        if (load.prompts == 0)
            return host_ns + std::llround(plane(decode, axis[5], axis[1], sequences, mean));
        const auto prompts = static_cast<double>(load.prompts),
                   tokens = static_cast<double>(load.prompt_tokens);
        const double past = 0.5 * (static_cast<double>(load.prompt_keys) / tokens - tokens / prompts);
        const double at[4] = {sequences, mean, tokens, past > 0.0 ? past : 0.0};
        return host_ns +
               std::llround(interpolate(at) -
                            (load.prompts > 1 ? plane(several, axis[2], axis[4], tokens, prompts) : 0.0));
    }

  private:
    // Tokens that a captured graph computes beyond those that are there.
    double padding(i64 tokens) const {
        const auto n = static_cast<double>(tokens);
        if (padded.empty() || n > padded.back()) return 0.0;
        std::size_t low = 0, high = padded.size() - 1;
        while (low < high) {
            const std::size_t middle = (low + high) / 2;
            if (padded[middle] < n)
                low = middle + 1;
            else
                high = middle;
        }
        return padded[low] - n;
    }

    double interpolate(const double* at) const {
        std::size_t offset[4], stride[4];
        double part[4];
        std::size_t size = 1;
        for (int k = 3; k >= 0; --k) {
            stride[k] = size;
            size *= axis[k].size();
            place(axis[k], at[k], offset[k], part[k]);
        }
        return part_of(offset, stride, part, 0, 0);
    }

    // Over the axes from k on; what has no part is not read: most steps carry no prompt.
    double part_of(const std::size_t* offset, const std::size_t* stride, const double* part, int k,
                   std::size_t index) const {
        if (k == 4) return table[index];
        index += offset[k] * stride[k];
        const double low = part_of(offset, stride, part, k + 1, index);
        if (part[k] == 0.0) return low;
        const double high = part_of(offset, stride, part, k + 1, index + stride[k]);
        return low + part[k] * (high - low);
    }

    static double plane(const double* table, const std::vector<double>& rows,
                        const std::vector<double>& columns, double row, double column) {
        std::size_t i, j;
        double u, v;
        place(rows, row, i, u);
        place(columns, column, j, v);
        const double* at = table + i * columns.size() + j;
        const double* next = at + columns.size();
        const double low = at[0] + v * (at[1] - at[0]), high = next[0] + v * (next[1] - next[0]);
        return low + u * (high - low);
    }

    static void place(const std::vector<double>& axis, double x, std::size_t& offset, double& part) {
        std::size_t low = 0, high = axis.size() - 2;
        while (low < high) {
            const std::size_t middle = (low + high + 1) / 2;
            if (axis[middle] <= x)
                low = middle;
            else
                high = middle - 1;
        }
        offset = low;
        part = (x - axis[low]) / (axis[low + 1] - axis[low]);
    }
};

} // namespace tokenroof::simulate
