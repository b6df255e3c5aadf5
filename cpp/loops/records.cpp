// Records prepared once and kept while they stay the same.
#include "records.hpp"

#include "tokenroof/inference/prepare.hpp"

namespace tokenroof {
inline namespace TR_ISA {

void update(Records& r, char** args, const Size* steps, const Size* core, Size k, bool bare) {
    bool same = true;
    for (int i = 0; i < record_count; ++i) {
        const char* now = args[i] + k * steps[i];
        same = same && now == r.from[i];
        r.from[i] = now;
    }
    if (same) return;
    read_record<device::count>(r.d, r.from[0], core[0]);
    read_record<calibration::count>(r.c, r.from[1], core[1]);
    read_record<model::count>(r.m, r.from[2], core[2]);
    read_record<plan::count>(r.p, r.from[3], core[3]);
    if (!bare) {
        prepare(r.prepared, r.d, r.c, r.m, r.p);
        return;
    }
    double c[calibration::count];
    for (int i = 0; i < calibration::count; ++i) c[i] = r.c[i];
    without_gaps(c);
    prepare(r.prepared, r.d, c, r.m, r.p);
}

} // namespace TR_ISA
} // namespace tokenroof
