// Paths over lanes, compiled once per instruction set; no physics here, and no std:: templates.
#include "pool_table.hpp"
#include "vector.hpp"

namespace tokenroof {
inline namespace TR_ISA {
namespace {

void paths(const PoolJob* job) {
    PoolModel m;
    const double* from = job->model;
#define TR_READ(name) m.name = *from++;
    TR_POOL_FIELDS(TR_READ)
#undef TR_READ
    const auto key0 = (unsigned int)job->seed, key1 = (unsigned int)(job->seed >> 32);
    for (long long start = 0; start < job->n; start += lanes) {
        if (job->stop && *job->stop) return;
        Words path = {};
        for (int l = 0; l < lanes; ++l) put(path, l, job->first + (unsigned long long)(start + l));
        const PoolPath<Vector> got =
            m.window_s > 0.0
                ? pplns_path<Vector, Words>(m, path, key0, key1, job->ring, job->ring_size, job->stop)
                : pool_path<Vector, Words>(m, path, key0, key1, job->stop);
        for (int l = 0; l < lanes && start + l < job->n; ++l) {
            job->income[start + l] = lane(got.income, l);
            job->ruin_time[start + l] = lane(got.ruin_time, l);
        }
    }
}

void philox_words(const unsigned int* counters, const unsigned int* key, unsigned int* out, long long n) {
    for (long long start = 0; start < n; start += lanes) {
        Words c[4] = {};
        for (int l = 0; l < lanes && start + l < n; ++l)
            for (int w = 0; w < 4; ++w) put(c[w], l, (unsigned long long)counters[4 * (start + l) + w]);
        philox<Words>(c, key[0], key[1]);
        for (int l = 0; l < lanes && start + l < n; ++l)
            for (int w = 0; w < 4; ++w) out[4 * (start + l) + w] = (unsigned int)word(c[w], l);
    }
}

void variates(const double* u, const double* v, const double* mean, double* first, double* second,
              double* poisson, long long n) {
    for (long long start = 0; start < n; start += lanes) {
        const int used = n - start < lanes ? int(n - start) : lanes;
        Vector x = splat<Vector>(0.5), y = x, z = x, a, b;
        for (int l = 0; l < used; ++l) put(x, l, u[start + l]), put(y, l, v[start + l]), put(z, l, mean[start + l]);
        normals<Vector>(x, y, a, b);
        const Vector c = poisson_count<Vector>(a, z, [&]() TR_INLINE { return x; });
        for (int l = 0; l < used; ++l)
            first[start + l] = lane(a, l), second[start + l] = lane(b, l), poisson[start + l] = lane(c, l);
    }
}

} // namespace

extern const PoolTable pool_table;
const PoolTable pool_table = {lanes, paths, philox_words, variates};

} // namespace TR_ISA
} // namespace tokenroof
