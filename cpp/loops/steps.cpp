// Seconds of a step over packed records: what depends on the records alone is prepared once and kept while they
// stay the same; the loads along the inner dimension run as vectors.
#include "steps.hpp"

#include "kinds.hpp"
#include "records.hpp"

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

// The loads of element k: as they come, or with the one prompt of the kernels that take no number of them.
template <int K, bool One, class V, class Load> TR_HD void read_loads(V* x, char** args, const Size* steps, Size k, Load load) {
    constexpr int prompts = K == prompts_kind ? 0 : 2;
    for (int i = 0, operand = 4; i < loads_of<K>; ++i) {
        if (One && i == prompts) {
            x[i] = splat<V>(1.0);
            continue;
        }
        x[i] = load(args[operand] + k * steps[operand], steps[operand]);
        ++operand;
    }
}

// Elements from k on of records that stay, as many lanes at once as there are; whether one is NaN. Answers wait in
// a block that nothing else points to: the compiler then knows that no store changes the terms.
template <int K, bool One> bool time_of_lanes(const Prepared& r, char** args, const Size* steps, Size n, Size& k) {
    constexpr int loads = loads_of<K>, out = 4 + loads - One;
    constexpr Size block = 32;
    Lanes total = splat<Lanes>(0.0); // no load is negative: NaN stays
    while (n - k >= lanes) {
        const Size whole = (n - k) / lanes, m = whole < block ? whole : block;
        Lanes done[block];
        for (Size j = 0; j < m; ++j) {
            Lanes x[loads] = {};
            read_loads<K, One>(x, args, steps, k + j * lanes, load_lanes);
            done[j] = seconds<K, Lanes>(r, x);
        }
        for (Size j = 0; j < m; ++j) {
            store_lanes(args[out] + (k + j * lanes) * steps[out], steps[out], done[j]);
            total += done[j];
        }
        k += m * lanes;
    }
    const double check = sum_of(total);
    return check != check;
}

template <int K> TR_HOST_ONCE double time_of_one(const Prepared& r, const double* x) { return seconds_of_one<K>(r, x); }

template <int K, bool One = false> void time_loop(char** args, const Size* dims, const Size* steps) {
    constexpr int loads = loads_of<K>, out = 4 + loads - One;
    const InvalidFlag flag;
    const Size n = dims[0];
    const Size* core = steps + out + 1;
    const bool steady = steps[0] == 0 && steps[1] == 0 && steps[2] == 0 && steps[3] == 0;
    Records r;
    bool some_nan = false;
    Size k = 0;
    if constexpr (K == decode_kind) {
        const Size largest = steady ? largest_count(args[4], steps[4], n) : -1;
        if (steady && n > 0) update(r, args, steps, core, 0, false);
        if (r.prepared.cap < 1.0) {
        } else if (largest >= 0) {
            some_nan = decode_by_table(r.prepared, args, steps, n, largest);
            k = n / lanes * lanes;
        } else if (steady && n > 0) {
            const Size rows = largest_sequences(r.prepared, args[4], steps[4], n);
            if (rows >= 0) {
                some_nan = decode_by_products(r.prepared, args, steps, n, rows);
                k = n / lanes * lanes;
            }
        }
    }
    while (k < n) {
        update(r, args, steps, core, k, false);
        if (!steady || n - k < lanes || r.prepared.cap < 1.0) { // and the last few: the same numbers, one at a time
            double x[loads];
            read_loads<K, One>(x, args, steps, k, [](const char* from, Size) TR_INLINE { return at(from); });
            const double t = time_of_one<K>(r.prepared, x);
            some_nan = some_nan || t != t;
            *reinterpret_cast<double*>(args[out] + k * steps[out]) = t;
            ++k;
            continue;
        }
        some_nan = time_of_lanes<K, One>(r.prepared, args, steps, n, k) || some_nan;
    }
    settle(flag, some_nan, args, steps, n, 4, out);
}

} // namespace

#define TR_TIME_LOOP(name, ...) \
    void name##_time_loop(char** a, const Size* n, const Size* s, void*) { time_loop<__VA_ARGS__>(a, n, s); }
TR_TIME_LOOP(decode, decode_kind)
TR_TIME_LOOP(prefill, prompts_kind, true)
TR_TIME_LOOP(mixed, mixed_prompts_kind, true)
TR_TIME_LOOP(prompts, prompts_kind)
TR_TIME_LOOP(mixed_prompts, mixed_prompts_kind)

} // namespace TR_ISA
} // namespace tokenroof
