// How long a step takes, in whole nanoseconds.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "simulate/records.hpp"

namespace tokenroof::simulate {

// What a step carries: tokens of all; sequences past their prompt and the sum of their contexts, new tokens
// included; prompts, their tokens, and the sum over those of twice the keys that each attends to; drafts among
// the tokens.
struct Load {
    i64 tokens = 0, generating = 0, context = 0, prompts = 0, prompt_tokens = 0, prompt_keys = 0, drafted = 0;
};

// What a step draws: its sequences past their prompt alone, and what prompts add to them [J].
struct Joules {
    double generating = 0.0, prompts = 0.0;
    double all() const { return generating + prompts; }
};

// Where a replica's last step lay in the table: the next one mostly lies there too.
struct Nearby {
    std::size_t row = 0, column = 0;
    double sequences = -1.0, part = 0.0; // of the row
    i64 tokens = -1;
    double pads = 0.0; // of so many tokens
};

// The nearest whole number, halves away from zero, as std::llround.
inline i64 nearest(double x) {
    if (!(x >= 0.0 && x < 4503599627370496.0)) return std::llround(x);
    const auto below = static_cast<i64>(x);
    return below + (x - static_cast<double>(below) >= 0.5);
}

// A line for tests, or tables of the step kernels, linear between points along each axis and beyond the last. A step
// with prompts is the sum of what it takes as one prompt of all its tokens (products see their sum alone, whose tiles
// end at points), what it takes more that some of them are sequences past their prompt, their contexts, and what
// is cached before the prompts, less that these are several; and what the prompts' kernels take longer in company.
struct StepClock {
    i64 fixed_ns = 0, per_token_ns = 0, per_context_token_ns = 0, per_draft_ns = 0;
    // sequences, mean contexts, prompt tokens, cached tokens before them, prompts, sequences of `decode`, tokens
    std::vector<double> axis[7];
    const double* whole = nullptr;   // over tokens; none: the line
    const double* beside = nullptr;  // over sequences and prompt tokens
    const double* cached = nullptr;  // over prompt tokens and those before them
    const double* several = nullptr; // over prompt tokens and prompts
    const double* decode = nullptr;  // without prompts, over more numbers of sequences, and contexts
    const double* attended = nullptr; // over the same, what contexts add beside prompts
    const double* alone = nullptr;    // over tokens, a prompt's kernels without gaps
    double slower = 0.0;              // share of those, and of what is cached, that company adds
    std::vector<double> padded;     // sizes of CUDA graphs, ascending; none: no padding
    bool pads_prompts = true;       // steps with prompts too
    i64 host_ns = 0;
    // Energy: none where this is false. Of a line its watts.
    bool metered = false;
    const double *several_j = nullptr, *decode_j = nullptr;
    const double* watts = nullptr; // of steps with prompts, over the first four axes
    double line_watts = 0.0, idle_watts = 0.0; // the latter of a replica in which nothing runs
    // of ranks that share experts: what each token takes off that other ranks have less than the slowest, over
    // its prompt tokens and sequences
    const double* missing = nullptr;
    // of speculation: over the numbers of sequences and contexts of `decode`, what so many drafts of each add
    const double *drafting = nullptr, *drafting_j = nullptr;
    double drafts = 1.0;

    i64 duration(const Load& load, Joules* out = nullptr, Nearby* nearby = nullptr) const {
        if (!whole) {
            if (out) share_line(load, line_watts * static_cast<double>(line(load)) / 1e9, *out);
            return line(load);
        }
        if (load.prompts == 0 && load.drafted == 0 && nearby) return host_ns + nearest(decoding(load, out, *nearby));
        const double pads = load.prompts == 0 || pads_prompts ? padding(load.tokens) : 0.0;
        return host_ns + nearest(time(load, pads, out));
    }

    // A step of ranks that meet at the experts: the slowest one's. Where all run captured graphs, all are
    // padded to the size of the largest; else experts see the tokens that there are.
    // [vllm/v1/worker/dp_utils.py]
    i64 round(const std::vector<Load>& ranks) const {
        i64 most = 0, total = 0, slowest = 0;
        double wide = 1.0; // tokens of a sequence in the graphs that all run
        for (const Load& load : ranks) {
            if (load.drafted) wide = std::max(wide, 1.0 + per_sequence(load));
            most = std::max(most, load.tokens);
            total += load.tokens;
            slowest = std::max(slowest, line(load));
        }
        if (!whole) return slowest;
        const double pads = padding(most);
        const bool captured = !padded.empty() && static_cast<double>(most) <= padded.back();
        double longest = 0.0;
        const Load* whose = &ranks[0];
        for (const Load& load : ranks) {
            const double more = captured ? pads + static_cast<double>(most - load.tokens) : 0.0;
            const double own = time(load, more, nullptr, wide);
            if (own > longest) longest = own, whose = &load;
        }
        const i64 fewer = static_cast<i64>(ranks.size()) * whose->tokens - total;
        if (!captured && fewer > 0)
            longest -= static_cast<double>(fewer) *
                       Cell(axis[2], axis[0], static_cast<double>(whose->prompt_tokens),
                            static_cast<double>(whose->generating))
                           .of(missing);
        return host_ns + nearest(longest);
    }

  private:
    static double per_sequence(const Load& load) {
        return static_cast<double>(load.drafted) / static_cast<double>(load.generating);
    }

    i64 line(const Load& load) const {
        return fixed_ns + per_token_ns * load.tokens + per_context_token_ns * load.context +
               per_draft_ns * load.drafted;
    }

    // A step without prompts and drafts near the last one: `time` of it, with less to look for.
    double decoding(const Load& load, Joules* out, Nearby& nearby) const {
        if (load.tokens != nearby.tokens) {
            nearby.tokens = load.tokens;
            nearby.pads = padding(load.tokens);
        }
        const double sequences = static_cast<double>(load.generating) + nearby.pads;
        const double mean = load.generating ? static_cast<double>(load.context) / sequences : 0.0;
        if (sequences != nearby.sequences) {
            nearby.sequences = sequences;
            place(axis[5], sequences, nearby.row, nearby.part);
        }
        const std::vector<double>& columns = axis[1];
        const std::size_t j = nearby.column;
        double part = 0.0;
        if (columns[j] <= mean && mean < columns[j + 1])
            part = (mean - columns[j]) / (columns[j + 1] - columns[j]);
        else
            place(columns, mean, nearby.column, part);
        const Cell cell(nearby.row, nearby.column, columns.size(), nearby.part, part);
        if (out) *out = {cell.of(decode_j) + resting(), 0.0};
        return cell.of(decode);
    }

    // By the table [ns]. What pads a captured graph is computed like a sequence without a context.
    double time(const Load& load, double pads, Joules* out = nullptr, double least_wide = 1.0) const {
        const double wide = std::max(least_wide, load.drafted ? 1.0 + per_sequence(load) : 1.0);
        const double sequences = static_cast<double>(load.generating) + pads / wide;
        const double mean = load.generating ? static_cast<double>(load.context - load.drafted) / sequences : 0.0;
        const double share = load.drafted && drafting ? per_sequence(load) / drafts : 0.0;
        if (load.prompts == 0) {
            const Cell cell(axis[5], axis[1], sequences, mean);
            if (out) *out = {cell.of(decode_j) + resting(), 0.0};
            if (share == 0.0) return cell.of(decode);
            if (out) out->generating += share * cell.of(drafting_j);
            return cell.of(decode) + share * cell.of(drafting);
        }
        const auto prompts = static_cast<double>(load.prompts),
                   tokens = static_cast<double>(load.prompt_tokens);
        const double past = 0.5 * (static_cast<double>(load.prompt_keys) / tokens - tokens / prompts);
        const double at[4] = {sequences, mean, tokens, past > 0.0 ? past : 0.0};
        const Corner corner(axis, at);
        const Cell rows(axis[5], axis[1], sequences, mean);
        const double before = corner.cell(2, 3, axis[3].size()).of(cached);
        double ns = along(axis[6], whole, sequences + tokens) + before;
        if (sequences > 0.0)
            ns += corner.cell(0, 2, axis[2].size()).of(beside) + rows.of(attended);
        const bool longer = alone && load.generating; // the same work in a longer time
        if (longer) ns += slower * (along(axis[6], alone, tokens) + before);
        double joules = out ? 1e-9 * ns * corner.of(watts) + resting() : 0.0;
        double added_j = 0.0;
        if (share != 0.0) {
            ns += share * rows.of(drafting);
            if (out) joules += added_j = share * rows.of(drafting_j);
        }
        if (load.prompts > 1) {
            const Cell cell(axis[2], axis[4], tokens, prompts);
            ns -= (longer ? 1.0 + slower : 1.0) * cell.of(several);
            if (out) joules -= cell.of(several_j);
        }
        if (out) {
            const double own = added_j + (load.generating ? rows.of(decode_j) : 0.0);
            out->generating = own < joules ? own : joules;
            out->prompts = joules - out->generating;
        }
        return ns;
    }

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

    // While the host has not started it [J].
    double resting() const { return 1e-9 * idle_watts * static_cast<double>(host_ns); }

    // A token's part for each sequence past its prompt; all where there is no prompt.
    static void share_line(const Load& load, double joules, Joules& out) {
        const double share = static_cast<double>(load.generating) / static_cast<double>(load.tokens);
        out.generating = load.prompts ? joules * share : joules;
        out.prompts = joules - out.generating;
    }

    // A place among two axes.
    struct Cell {
        std::size_t at, next;
        double u, v;
        Cell(const std::vector<double>& rows, const std::vector<double>& columns, double row_at, double column) {
            std::size_t i, j;
            place(rows, row_at, i, u);
            place(columns, column, j, v);
            *this = Cell(i, j, columns.size(), u, v);
        }
        Cell(std::size_t i, std::size_t j, std::size_t width, double row_part, double column_part)
            : at(i * width + j), next(at + width), u(row_part), v(column_part) {}
        double of(const double* table) const {
            const double low = table[at] + v * (table[at + 1] - table[at]);
            const double high = table[next] + v * (table[next + 1] - table[next]);
            return low + u * (high - low);
        }
    };

    // A place among four axes.
    struct Corner {
        std::size_t offset[4], stride[4];
        double part[4];
        Corner(const std::vector<double>* axis, const double* at) {
            std::size_t size = 1;
            for (int k = 3; k >= 0; --k) {
                stride[k] = size;
                size *= axis[k].size();
                place(axis[k], at[k], offset[k], part[k]);
            }
        }
        // Among two of them.
        Cell cell(int rows, int columns, std::size_t width) const {
            return {offset[rows], offset[columns], width, part[rows], part[columns]};
        }
        double of(const double* table) const { return part_of<0>(table); }
        // Over the axes from K on; what has no part is not read: most steps carry no prompt.
        template <int K> double part_of(const double* table) const {
            table += offset[K] * stride[K];
            const double low = further<K + 1>(table);
            if (part[K] == 0.0) return low;
            const double high = further<K + 1>(table + stride[K]);
            return low + part[K] * (high - low);
        }
        template <int K> double further(const double* table) const {
            if constexpr (K == 4)
                return *table;
            else
                return part_of<K>(table);
        }
    };

    static double along(const std::vector<double>& axis, const double* table, double x) {
        std::size_t i;
        double part;
        place(axis, x, i, part);
        return table[i] + part * (table[i + 1] - table[i]);
    }

    static void place(const std::vector<double>& axis, double x, std::size_t& offset, double& part) {
        const double* point = axis.data();
        for (std::size_t left = axis.size() - 1; left > 1;) { // without a branch: where it goes is anybody's guess
            const std::size_t half = left / 2;
            point += point[half] <= x ? half : 0;
            left -= half;
        }
        const auto low = static_cast<std::size_t>(point - axis.data());
        offset = low;
        part = (x - axis[low]) / (axis[low + 1] - axis[low]);
    }
};

} // namespace tokenroof::simulate
