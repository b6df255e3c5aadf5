// Loops over packed records: what depends on the records alone is prepared once and kept while they
// stay the same; the loads along the inner dimension run as vectors.
#include "steps.hpp"

#include "elements.hpp"
#include "kinds.hpp"
#include "tokenroof/inference/operator_kernels.hpp"
#include "tokenroof/inference/speculative.hpp"

namespace tokenroof {
inline namespace TR_ISA {
namespace {

#if defined(__GNUC__)
#if TR_LANES >= 16
using Lanes = double8;
constexpr int lanes = 8;
#elif TR_LANES >= 8
using Lanes = double4;
constexpr int lanes = 4;
#else
using Lanes = double2;
constexpr int lanes = 2;
#endif
TR_HD void set_lane(Lanes& v, int i, double x) { v[i] = x; }
TR_HD double get_lane(const Lanes& v, int i) { return v[i]; }
#else
using Lanes = double;
constexpr int lanes = 1;
TR_HD void set_lane(Lanes& v, int, double x) { v = x; }
TR_HD double get_lane(const Lanes& v, int) { return v; }
#endif

TR_HD Lanes load_lanes(const char* from, Size stride) {
    Lanes x = {};
    if (stride == Size(sizeof(double)))
        __builtin_memcpy(&x, from, sizeof x);
    else
        for (int l = 0; l < lanes; ++l) set_lane(x, l, at(from + l * stride));
    return x;
}
TR_HD void store_lanes(char* to, Size stride, const Lanes& x) {
    if (stride == Size(sizeof(double)))
        __builtin_memcpy(to, &x, sizeof x);
    else
        for (int l = 0; l < lanes; ++l) *reinterpret_cast<double*>(to + l * stride) = get_lane(x, l);
}

// Device, calibration, model and plan of one element, and what follows from them.
struct Records {
    double d[device::count], c[calibration::count], m[model::count], p[plan::count];
    Prepared prepared;
    const char* from[4] = {nullptr, nullptr, nullptr, nullptr};
};
void update(Records& r, char** args, const Size* steps, const Size* core, Size k) {
    bool same = true;
    for (int i = 0; i < 4; ++i) {
        const char* now = args[i] + k * steps[i];
        same = same && now == r.from[i];
        r.from[i] = now;
    }
    if (same) return;
    read_record<device::count>(r.d, r.from[0], core[0]);
    read_record<calibration::count>(r.c, r.from[1], core[1]);
    read_record<model::count>(r.m, r.from[2], core[2]);
    read_record<plan::count>(r.p, r.from[3], core[3]);
    prepare(r.prepared, r.d, r.c, r.m, r.p);
}

// Decode steps over whole batch counts: all but attention depends on the count alone, so it is worked
// out once per count and looked up. Of batches of any size products alone do. The sums run in the same order:
// the same bits.

// What lanes of counts cost, from 0 to `largest`.
struct Table {
    double seconds[table_counts + lanes];
    template <class F> Table(Size largest, F cost) {
        for (Size i = 0; i <= largest; i += lanes) {
            Lanes count = {};
            for (int l = 0; l < lanes; ++l) set_lane(count, l, double(i + l));
            const Lanes t = cost(count);
            __builtin_memcpy(seconds + i, &t, sizeof t);
        }
    }
    Lanes at(const Lanes& counts) const {
        Lanes t = {};
        for (int l = 0; l < lanes; ++l) set_lane(t, l, seconds[int(get_lane(counts, l))]);
        return t;
    }
};
double sum_of(const Lanes& x) {
    double sum = 0.0;
    for (int l = 0; l < lanes; ++l) sum += get_lane(x, l);
    return sum;
}
double largest_of(const Lanes& x) {
    double most = 0.0;
    for (int l = 0; l < lanes; ++l) most = get_lane(x, l) > most ? get_lane(x, l) : most;
    return most;
}

// The largest batch if all are whole numbers below table_counts and worth a table, else -1.
Size largest_count(const char* batch, Size stride, Size n) {
    if (n < 4096 || stride == 0) return -1;
    const Lanes none = splat<Lanes>(0.0), one = splat<Lanes>(1.0);
    Lanes top = none, odd = none;
    for (Size k = 0; k + lanes <= n; k += lanes) {
        const Lanes x = load_lanes(batch + k * stride, stride);
        top = x > top ? x : top;
        const Lanes whole = (x + round_shift) - round_shift;
        odd += x == whole ? none : one;
        odd += x >= none ? none : one;
    }
    const double largest = largest_of(top);
    return sum_of(odd) == 0.0 && largest < double(table_counts) && Size(largest) < n / 4 ? Size(largest) : -1;
}

// The largest whole number of sequences on a rank, if a table of their products is worth it, else -1.
Size largest_sequences(const Prepared& r, const char* batch, Size stride, Size n) {
    if (n < 4096 || stride == 0 || r.products.n == 0) return -1;
    Lanes top = splat<Lanes>(0.0);
    for (Size k = 0; k + lanes <= n; k += lanes) {
        const Lanes x = load_lanes(batch + k * stride, stride);
        top = x > top ? x : top;
    }
    const double most = share(share(largest_of(top), r.pp), r.dp);
    return most < double(table_counts) && Size(most) < n / 4 ? Size(most) + 1 : -1;
}

// Batches of any size: products, which see whole rows, by table. The first n / lanes * lanes outputs.
bool decode_by_products(const Prepared& r, char** args, const Size* steps, Size n, Size largest) {
    Parts<Lanes> unused;
    const Lanes none = splat<Lanes>(0.0), most = splat<Lanes>(double(largest));
    const Table table(largest, [&](const Lanes& count) TR_INLINE { return decode_products<Lanes>(r, count); });
    Lanes total = none;
    for (Size k = 0; k + lanes <= n; k += lanes) {
        const Lanes batch = load_lanes(args[4] + k * steps[4], steps[4]);
        const Lanes context = load_lanes(args[5] + k * steps[5], steps[5]);
        Lanes rows = ceil_lanes(share(share(batch, r.pp), r.dp));
        rows = rows > none ? rows : none; // a bad batch is NaN all the same
        rows = rows < most ? rows : most;
        const Lanes time = evaluate<Lanes, true, false, false, true, true>(r, batch, context, none, none, none,
                                                                          unused, table.at(rows));
        total += time;
        store_lanes(args[6] + k * steps[6], steps[6], time);
    }
    const double check = sum_of(total);
    return check != check;
}

// Fills the first n / lanes * lanes outputs; whether one of them is NaN.
bool decode_by_table(const Prepared& r, char** args, const Size* steps, Size n, Size largest) {
    Parts<Lanes> unused;
    const Lanes none = splat<Lanes>(0.0), nan = splat<Lanes>(not_a_number());
    const Table table(largest, [&](const Lanes& count) TR_INLINE {
        return evaluate<Lanes, true, false, false, false>(r, count, none, none, none, none, unused);
    });
    Lanes total = none;
    for (Size k = 0; k + lanes <= n; k += lanes) {
        const Lanes batch = load_lanes(args[4] + k * steps[4], steps[4]);
        const Lanes context = load_lanes(args[5] + k * steps[5], steps[5]);
        Lanes time = table.at(batch);
        const Lanes sequences = share(share(batch, r.pp), r.dp);
        add_decode_attention<Lanes, false>(time, unused, r, sequences, context);
        time = context >= none ? time : nan;
        total += time;
        store_lanes(args[6] + k * steps[6], steps[6], time);
    }
    const double check = sum_of(total);
    return check != check;
}

template <int K> void time_loop(char** args, const Size* dims, const Size* steps) {
    constexpr int loads = loads_of<K>, out = 4 + loads;
    const InvalidFlag flag;
    const Size n = dims[0];
    const Size* core = steps + out + 1;
    const bool steady = steps[0] == 0 && steps[1] == 0 && steps[2] == 0 && steps[3] == 0;
    Records r;
    bool some_nan = false;
    Size k = 0;
    if constexpr (K == decode_kind) {
        const Size largest = steady ? largest_count(args[4], steps[4], n) : -1;
        if (largest >= 0) {
            update(r, args, steps, core, 0);
            some_nan = decode_by_table(r.prepared, args, steps, n, largest);
            k = n / lanes * lanes;
        } else if (steady && n > 0) {
            update(r, args, steps, core, 0);
            const Size rows = largest_sequences(r.prepared, args[4], steps[4], n);
            if (rows >= 0) {
                some_nan = decode_by_products(r.prepared, args, steps, n, rows);
                k = n / lanes * lanes;
            }
        }
    }
    while (k < n) {
        update(r, args, steps, core, k);
        if (!steady || n - k < lanes) { // and the last few: the same numbers, one at a time
            double x[loads];
            for (int i = 0; i < loads; ++i) x[i] = at(args[4 + i] + k * steps[4 + i]);
            const double t = seconds<K, double>(r.prepared, x);
            some_nan = some_nan || t != t;
            *reinterpret_cast<double*>(args[out] + k * steps[out]) = t;
            ++k;
            continue;
        }
        for (; n - k >= lanes; k += lanes) {
            Lanes x[loads] = {};
            for (int i = 0; i < loads; ++i) x[i] = load_lanes(args[4 + i] + k * steps[4 + i], steps[4 + i]);
            const Lanes t = seconds<K, Lanes>(r.prepared, x);
            double check = 0.0;
            store_lanes(args[out] + k * steps[out], steps[out], t);
            for (int l = 0; l < lanes; ++l) check += get_lane(t, l); // no load is negative: NaN stays
            some_nan = some_nan || check != check;
        }
    }
    settle(flag, some_nan, args, steps, n, 4, 4 + loads);
}

template <int K> void step_loop(char** args, const Size* dims, const Size* steps) {
    constexpr int loads = loads_of<K>, out = 4 + loads;
    const InvalidFlag flag;
    const Size n = dims[0];
    const Size* core = steps + out + 1;
    Records r;
    bool some_nan = false;
    for (Size k = 0; k < n; ++k) {
        update(r, args, steps, core, k);
        double x[loads], f[step::count];
        for (int i = 0; i < loads; ++i) x[i] = at(args[4 + i] + k * steps[4 + i]);
        fields<K>(r.prepared, x, f);
        some_nan = some_nan || f[step::time] != f[step::time];
        char* to = args[out] + k * steps[out];
        for (int i = 0; i < step::count; ++i) *reinterpret_cast<double*>(to + i * core[4]) = f[i];
    }
    settle(flag, some_nan, args, steps, n, 4, 4 + loads);
}

using Operator = void (*)(const double*, const double*, const double*, double*);
template <int Arguments, Operator F> void operator_loop(char** args, const Size* dims, const Size* steps) {
    constexpr int out = 2 + Arguments;
    const InvalidFlag flag;
    const Size n = dims[0];
    const Size* core = steps + out + 1;
    double d[device::count], c[calibration::count];
    const char *device_now = nullptr, *calibration_now = nullptr;
    bool some_nan = false;
    for (Size k = 0; k < n; ++k) {
        if (args[0] + k * steps[0] != device_now) {
            device_now = args[0] + k * steps[0];
            read_record<device::count>(d, device_now, core[0]);
        }
        if (args[1] + k * steps[1] != calibration_now) {
            calibration_now = args[1] + k * steps[1];
            read_record<calibration::count>(c, calibration_now, core[1]);
        }
        double x[Arguments], f[op::count];
        for (int i = 0; i < Arguments; ++i) x[i] = at(args[2 + i] + k * steps[2 + i]);
        F(d, c, x, f);
        some_nan = some_nan || f[op::time] != f[op::time];
        char* to = args[out] + k * steps[out];
        for (int i = 0; i < op::count; ++i) *reinterpret_cast<double*>(to + i * core[2]) = f[i];
    }
    settle(flag, some_nan, args, steps, n, 2, out);
}

} // namespace

#define TR_STEP_LOOPS(name)                                                                          \
    void name##_time_loop(char** a, const Size* n, const Size* s, void*) { time_loop<name##_kind>(a, n, s); } \
    void name##_step_loop(char** a, const Size* n, const Size* s, void*) { step_loop<name##_kind>(a, n, s); }
TR_STEP_LOOPS(decode)
TR_STEP_LOOPS(prefill)
TR_STEP_LOOPS(mixed)
TR_STEP_LOOPS(prompts)
TR_STEP_LOOPS(mixed_prompts)

void memory_required_loop(char** args, const Size* dims, const Size* steps, void*) {
    const InvalidFlag flag;
    const Size* core = steps + 5;
    bool some_nan = false;
    for (Size k = 0; k < dims[0]; ++k) {
        double m[model::count], p[plan::count];
        read_record<model::count>(m, args[0] + k * steps[0], core[0]);
        read_record<plan::count>(p, args[1] + k * steps[1], core[1]);
        const double y = memory_required(m, p, at(args[2] + k * steps[2]), at(args[3] + k * steps[3]));
        some_nan = some_nan || y != y;
        *reinterpret_cast<double*>(args[4] + k * steps[4]) = y;
    }
    settle(flag, some_nan, args, steps, dims[0], 2, 4);
}

void board_power_loop(char** args, const Size* dims, const Size* steps, void*) {
    const InvalidFlag flag;
    const Size* core = steps + 9;
    bool some_nan = false;
    for (Size k = 0; k < dims[0]; ++k) {
        double d[device::count], c[calibration::count], x[6];
        read_record<device::count>(d, args[0] + k * steps[0], core[0]);
        read_record<calibration::count>(c, args[1] + k * steps[1], core[1]);
        for (int i = 0; i < 6; ++i) x[i] = at(args[2 + i] + k * steps[2 + i]);
        const double y = board_watts_of(d, c, x);
        some_nan = some_nan || y != y;
        *reinterpret_cast<double*>(args[8] + k * steps[8]) = y;
    }
    settle(flag, some_nan, args, steps, dims[0], 2, 8);
}

void expected_tokens_by_position_loop(char** args, const Size* dims, const Size* steps, void*) {
    const InvalidFlag flag;
    bool made = false;
    for (Size k = 0; k < dims[0]; ++k) {
        double expected = 1.0, survived = 1.0;
        bool given = false;
        for (Size i = 0; i < dims[1]; ++i) {
            const double a = at(args[0] + k * steps[0] + i * steps[2]);
            given = given || a != a;
            expected_tokens_add(expected, survived, a);
        }
        made = made || (expected != expected && !given);
        *reinterpret_cast<double*>(args[1] + k * steps[1]) = expected;
    }
    flag.settle(made);
}

#define ELEMENTWISE(name, inputs)
#define STEP(name, signature)
#define OPERATOR(name, arguments) \
    void name##_loop(char** a, const Size* n, const Size* s, void*) { operator_loop<arguments, name>(a, n, s); }
#include "kernels.def"

} // namespace TR_ISA
} // namespace tokenroof
