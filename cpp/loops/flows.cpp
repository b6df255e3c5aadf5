// Worths and rates of rows of flows, for NumPy: a row in each lane; rows whose rate is not sure to be one by one.
#include <stdlib.h>

#include "elements.hpp"
#include "flags.hpp"
#include "tokenroof/economics/returns.hpp"
#include "tokenroof/economics/trends.hpp"
#include "vector.hpp"

namespace tokenroof {
inline namespace TR_ISA {
namespace {

// Memory of a call, aligned for vectors; where there is none, every answer is NaN.
struct Room {
    static constexpr Size least = 256;
    alignas(64) double near[least];
    void* held = nullptr;
    double* first = near;
    explicit Room(Size numbers) {
        if (numbers <= least) return;
        held = malloc(static_cast<size_t>(numbers + 8) * sizeof(double));
        first = held ? reinterpret_cast<double*>((reinterpret_cast<unsigned long long>(held) + 63) & ~63ULL) : nullptr;
    }
    ~Room() { free(held); }
    Room(const Room&) = delete;
    Room& operator=(const Room&) = delete;
};

void gather(Vector* to, const char* from, Size row, Size step, Size n, int used) {
    for (Size k = 0; k < n; ++k) {
        Vector x = splat<Vector>(at(from + k * step));
        for (int l = 1; l < used; ++l) put(x, l, at(from + l * row + k * step));
        to[k] = x;
    }
}

Vector gather_one(const char* from, Size row, int used) {
    Vector x = splat<Vector>(at(from));
    for (int l = 1; l < used; ++l) put(x, l, at(from + l * row));
    return x;
}

bool some_nan(const char* from, Size step, Size n) {
    for (Size k = 0; k < n; ++k)
        if (at(from + k * step) != at(from + k * step)) return true;
    return false;
}

struct Dated {
    double year, flow;
    Size at;
};
int earlier(const void* a, const void* b) {
    const Dated *x = static_cast<const Dated*>(a), *y = static_cast<const Dated*>(b);
    if (x->year != y->year) return x->year < y->year ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

// One row, whatever its flows: the rate nearest to 0; NaN where there is none. `room`: of six numbers a flow.
double one_rate(double* flow, const double* year, Size n, double* room) {
    double best = not_a_number();
    double *flows = room + 4 * n, *years = room + 5 * n;
    if (year) {
        Dated* days = reinterpret_cast<Dated*>(room);
        for (Size k = 0; k < n; ++k) days[k] = {year[k], flow[k], k};
        qsort(days, static_cast<size_t>(n), sizeof(Dated), earlier);
        Size kept = 0;
        for (Size k = 0; k < n; ++k) {
            if (kept > 0 && years[kept - 1] == days[k].year) {
                flows[kept - 1] += days[k].flow;
            } else {
                years[kept] = days[k].year;
                flows[kept++] = days[k].flow;
            }
        }
        n = kept;
        flow = flows;
        year = years;
    }
    const SignChanges<double> signs = sign_changes(flow, n);
    if (!(signs.count >= 1.0)) return best;
    if (signs.count == 1.0) {
        double found = 0.0;
        const double root = year ? only_root<false, double>(flow, year, n, signs.last, 1.0, found)
                                 : only_root<true, double>(flow, year, n, signs.last, 1.0, found);
        if (found > 0.0) return year ? rate_of(root) : (1.0 - root) / root;
    }
    FlowTerms terms = flow_terms(flow, year, n, room);
    flow_roots(terms, [&](double t) TR_INLINE {
        const double rate = rate_of(t);
        if (rate > -1.0 && rate < infinite() && !(size_of(rate) > size_of(best))) best = rate;
    });
    return best + 0.0;
}

template <bool yearly> void rates(char** args, const Size* dims, const Size* steps) {
    const InvalidFlag flag;
    const Size rows = dims[0], n = dims[1], out = yearly ? 1 : 2, *core = steps + out + 1;
    Room flows(n * lanes), years(yearly ? 0 : n * lanes), row(8 * n);
    const bool held = flows.first && years.first && row.first;
    bool made = false;
    const Vector zero = splat<Vector>(0.0), one = splat<Vector>(1.0);
    for (Size start = 0; start < rows; start += lanes) {
        const int used = rows - start < lanes ? int(rows - start) : lanes;
        const char *flow = args[0] + start * steps[0], *year = yearly ? nullptr : args[1] + start * steps[1];
        Vector root = zero, found = zero;
        if (held && n > 1) {
            Vector* f = reinterpret_cast<Vector*>(flows.first);
            Vector* y = yearly ? nullptr : reinterpret_cast<Vector*>(years.first);
            gather(f, flow, steps[0], core[0], n, used);
            const SignChanges<Vector> signs = sign_changes<Vector>(f, n);
            Vector open = signs.count == one ? one : zero;
            if constexpr (!yearly) {
                gather(y, year, steps[1], core[1], n, used);
                for (Size k = 1; k < n; ++k) open = y[k] > y[k - 1] ? open : zero;
            }
            root = only_root<yearly, Vector>(f, y, n, signs.last, open, found);
        }
        for (int l = 0; l < used; ++l) {
            double rate = not_a_number();
            const char *own = flow + l * steps[0], *days = yearly ? nullptr : year + l * steps[1];
            if (lane(found, l) > 0.0) {
                const double x = lane(root, l);
                rate = yearly ? (1.0 - x) / x : rate_of(x);
            } else if (held) {
                double *f = row.first + 6 * n, *y = yearly ? nullptr : row.first + 7 * n, sum = 0.0;
                for (Size k = 0; k < n; ++k) {
                    f[k] = at(own + k * core[0]);
                    sum += f[k] * 0.0;
                    if (!yearly) sum += (y[k] = at(days + k * core[1])) * 0.0;
                }
                if (sum == 0.0) rate = one_rate(f, y, n, row.first); // all are finite
            }
            if (rate != rate && !made)
                made = !some_nan(own, core[0], n) && (yearly || !some_nan(days, core[1], n));
            *reinterpret_cast<double*>(args[out] + (start + l) * steps[out]) = rate;
        }
    }
    flag.settle(made);
    feclearexcept(FE_UNDERFLOW | FE_DIVBYZERO | FE_OVERFLOW);
}

template <bool yearly> void worths(char** args, const Size* dims, const Size* steps) {
    const InvalidFlag flag;
    const Size rows = dims[0], n = dims[1], out = yearly ? 2 : 3, *core = steps + out + 1;
    Room flows(n * lanes), years(yearly ? 0 : n * lanes);
    const bool held = flows.first && years.first;
    bool made = false;
    for (Size start = 0; start < rows; start += lanes) {
        const int used = rows - start < lanes ? int(rows - start) : lanes;
        Vector* f = reinterpret_cast<Vector*>(flows.first);
        Vector* y = reinterpret_cast<Vector*>(years.first);
        Vector worth = splat<Vector>(not_a_number());
        if (held) {
            const Vector rate = gather_one(args[0] + start * steps[0], steps[0], used);
            gather(f, args[1] + start * steps[1], steps[1], core[0], n, used);
            if constexpr (!yearly) gather(y, args[2] + start * steps[2], steps[2], core[1], n, used);
            worth = yearly ? yearly_worth<Vector>(rate, f, n) : dated_worth<Vector>(rate, f, y, n);
        }
        for (int l = 0; l < used; ++l) {
            const double x = lane(worth, l), rate = at(args[0] + (start + l) * steps[0]);
            if (x != x && !made)
                made = rate == rate && !some_nan(args[1] + (start + l) * steps[1], core[0], n) &&
                       (yearly || !some_nan(args[2] + (start + l) * steps[2], core[1], n));
            *reinterpret_cast<double*>(args[out] + (start + l) * steps[out]) = x;
        }
    }
    flag.settle(made);
    feclearexcept(FE_UNDERFLOW | FE_DIVBYZERO);
}

template <bool slope> void lines(char** args, const Size* dims, const Size* steps) {
    const InvalidFlag flag;
    const Size rows = dims[0], n = dims[1], *core = steps + 3;
    Room years(n), amounts(n);
    bool made = false;
    for (Size row = 0; row < rows; ++row) {
        const char *year = args[0] + row * steps[0], *amount = args[1] + row * steps[1];
        double found = not_a_number();
        if (years.first && amounts.first) {
            for (Size k = 0; k < n; ++k) {
                years.first[k] = at(year + k * core[0]);
                amounts.first[k] = at(amount + k * core[1]);
            }
            const LogLine line = log_line(years.first, amounts.first, n);
            found = slope ? line.slope : line.error;
        }
        if (found != found && !made) made = !some_nan(year, core[0], n) && !some_nan(amount, core[1], n);
        *reinterpret_cast<double*>(args[2] + row * steps[2]) = found;
    }
    flag.settle(made);
    feclearexcept(FE_UNDERFLOW | FE_DIVBYZERO);
}

void irr_each_loop(char** a, const Size* n, const Size* s, void*) { rates<true>(a, n, s); }
void xirr_each_loop(char** a, const Size* n, const Size* s, void*) { rates<false>(a, n, s); }
void npv_each_loop(char** a, const Size* n, const Size* s, void*) { worths<true>(a, n, s); }
void xnpv_each_loop(char** a, const Size* n, const Size* s, void*) { worths<false>(a, n, s); }
void log_slope_each_loop(char** a, const Size* n, const Size* s, void*) { lines<true>(a, n, s); }
void log_slope_error_each_loop(char** a, const Size* n, const Size* s, void*) { lines<false>(a, n, s); }

const Kernel kernels[] = {
    {"irr_each", "(n)->()", 0, nullptr, irr_each_loop},
    {"log_slope_each", "(n),(n)->()", 0, nullptr, log_slope_each_loop},
    {"log_slope_error_each", "(n),(n)->()", 0, nullptr, log_slope_error_each_loop},
    {"npv_each", "(),(n)->()", 0, nullptr, npv_each_loop},
    {"xirr_each", "(n),(n)->()", 0, nullptr, xirr_each_loop},
    {"xnpv_each", "(),(n),(n)->()", 0, nullptr, xnpv_each_loop},
};

} // namespace

extern const Table flow_table;
const Table flow_table = {kernels, int(sizeof kernels / sizeof kernels[0])};

} // namespace TR_ISA
} // namespace tokenroof
