// Paths over lanes, compiled once per instruction set; no physics here, and no std:: templates.
#include "cash_table.hpp"
#include "tokenroof/core/pairs.hpp"
#include "vector.hpp"

namespace tokenroof {
inline namespace TR_ISA {
namespace {

// Two vectors of paths in step: while one waits for a root or a sum the other goes on.
#if defined(__GNUC__)
using Paths = Pair<Vector>;
constexpr int paths_in_step = 2 * lanes;
#else
using Paths = Vector;
constexpr int paths_in_step = lanes;
#endif
using PathWords = bits_of<Paths>::type;

// Rows of each lane's path: four numbers of each year.
struct Rows {
    double* rows;
    int years, used;
    void operator()(int year, Paths price, Paths power, Paths supply, Paths cash) const {
        for (int l = 0; l < used; ++l) {
            double* row = rows + (long long)(l) * 4 * years;
            row[year] = lane(price, l);
            row[years + year] = lane(power, l);
            row[2 * years + year] = lane(supply, l);
            row[3 * years + year] = lane(cash, l);
        }
    }
};

void paths(const CashJob* job) {
    CashModel m;
    const double* from = job->model;
#define TR_READ(name) m.name = *from++;
    TR_CASH_FIELDS(TR_READ)
#undef TR_READ
    CashYears y;
    y.years = job->years;
    const double* const* column = job->years_of;
#define TR_READ(name) y.name = *column++;
    TR_CASH_COLUMNS(TR_READ)
#undef TR_READ
    const auto key0 = (unsigned int)job->seed, key1 = (unsigned int)(job->seed >> 32);
    const CashPlan plan = cash_plan(m);
    for (long long start = 0; start < job->n; start += paths_in_step) {
        if (job->stop && *job->stop) return;
        PathWords path = {};
        for (int l = 0; l < paths_in_step; ++l) put(path, l, job->first + (unsigned long long)(start + l));
        const int used = job->n - start < paths_in_step ? int(job->n - start) : paths_in_step;
        CashPath<Paths> got;
        if (job->rows)
            got = cash_path<Paths, PathWords>(plan, y, path, key0, key1, Rows{job->rows + 4 * start * y.years, y.years, used});
        else
            got = cash_path<Paths, PathWords>(plan, y, path, key0, key1, [](int, Paths, Paths, Paths, Paths) {});
        for (int l = 0; l < used; ++l) {
            job->worth[start + l] = lane(got.worth, l);
            job->lowest[start + l] = lane(got.lowest, l);
        }
    }
}

} // namespace

extern const CashTable cash_table;
const CashTable cash_table = {paths_in_step, paths};

} // namespace TR_ISA
} // namespace tokenroof
