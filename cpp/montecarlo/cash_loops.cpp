// Paths over lanes, compiled once per instruction set; no physics here, and no std:: templates.
#include "cash_table.hpp"
#include "vector.hpp"

namespace tokenroof {
inline namespace TR_ISA {
namespace {

// Rows of each lane's path: four numbers of each year.
struct Rows {
    double* rows;
    int years, used;
    void operator()(int year, Vector price, Vector power, Vector supply, Vector cash) const {
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
    for (long long start = 0; start < job->n; start += lanes) {
        if (job->stop && *job->stop) return;
        Words path = {};
        for (int l = 0; l < lanes; ++l) put(path, l, job->first + (unsigned long long)(start + l));
        const int used = job->n - start < lanes ? int(job->n - start) : lanes;
        CashPath<Vector> got;
        if (job->rows)
            got = cash_path<Vector, Words>(m, y, path, key0, key1, Rows{job->rows + 4 * start * y.years, y.years, used});
        else
            got = cash_path<Vector, Words>(m, y, path, key0, key1, [](int, Vector, Vector, Vector, Vector) {});
        for (int l = 0; l < used; ++l) {
            job->worth[start + l] = lane(got.worth, l);
            job->lowest[start + l] = lane(got.lowest, l);
        }
    }
}

} // namespace

extern const CashTable cash_table;
const CashTable cash_table = {lanes, paths};

} // namespace TR_ISA
} // namespace tokenroof
