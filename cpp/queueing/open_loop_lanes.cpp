// Open loops over lanes, compiled once per instruction set; no physics here, and no std:: templates.
#include "queueing/open_loop_table.hpp"
#include "vector.hpp"

namespace tokenroof {
inline namespace TR_ISA {
namespace {

constexpr int fields = open_loop_field::count;

void rates(const OpenLoopJob* job) {
    for (long long start = 0; start < job->n; start += lanes) {
        const int used = job->n - start < lanes ? int(job->n - start) : lanes;
        Vector rate = splat<Vector>(job->rates[start]), found[fields];
        for (int l = 0; l < used; ++l) put(rate, l, job->rates[start + l]);
        open_loop<Vector>(job->steps, job->prompts, job->work, job->places, job->inputs, rate, found);
        for (int l = 0; l < used; ++l)
            for (int i = 0; i < fields; ++i) job->out[(start + l) * fields + i] = lane(found[i], l);
    }
}

} // namespace

extern const OpenLoopTable open_loop_table;
const OpenLoopTable open_loop_table = {rates};

} // namespace TR_ISA
} // namespace tokenroof
