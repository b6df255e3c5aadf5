// Room for what a run writes, and rows of it.
#include "simulate/request_rows.hpp"

#include <algorithm>

namespace tokenroof::simulate {
namespace {

constexpr i64 between_looks = 65536; // requests between two looks for Ctrl-C: memory that is new takes its time

double seconds(i64 ns) {
    return ns < 0 ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(ns) * 1e-9;
}

} // namespace

Results Room::of(i64 requests) {
    const auto n = static_cast<std::size_t>(requests);
    const std::size_t wanted = n * (4 * sizeof(i64) + sizeof(double) + 6 * sizeof(i32) + 1);
    if (wanted > size_) {
        bytes_.reset(); // before as much is asked for again
        bytes_.reset(new std::byte[wanted]);
        size_ = wanted;
    }
    Results r{};
    std::byte* at = bytes_.get();
    const auto take = [&]<class T>(T*& to) { // the widest first, so that each lies where its type may
        to = reinterpret_cast<T*>(at);
        at += n * sizeof(T);
    };
    for (i64** one : {&r.arrival_ns, &r.scheduled_ns, &r.first_token_ns, &r.last_token_ns}) take(*one);
    take(r.joules);
    for (i32** one : {&r.output_tokens, &r.cached_tokens, &r.cached_total, &r.loaded_tokens, &r.preemptions, &r.replica})
        take(*one);
    take(r.status);
    return r;
}

void clear(const Results& r, i64 requests, const StopFlag& stop) {
    for (i64 from = 0; from < requests && !stop; from += between_looks) {
        const i64 n = std::min(between_looks, requests - from);
        for (i64* one : {r.arrival_ns, r.scheduled_ns, r.first_token_ns, r.last_token_ns}) std::fill_n(one + from, n, i64{-1});
        for (i32* one : {r.output_tokens, r.cached_tokens, r.cached_total, r.loaded_tokens, r.preemptions})
            std::fill_n(one + from, n, 0);
        std::fill_n(r.replica + from, n, -1);
        std::fill_n(r.joules + from, n, 0.0);
        std::fill_n(r.status + from, n, static_cast<signed char>(waiting_for_arrival));
    }
}

void fill(const Rows& rows, const Requests& all, const Results& r, bool metered, const StopFlag& stop) {
    for (i64 i = 0; i < all.count; ++i) {
        if (i % between_looks == 0 && stop) return;
        RequestRow& row = rows.to[i];
        row.arrival_ns = r.arrival_ns[i];
        row.scheduled_ns = r.scheduled_ns[i];
        row.first_token_ns = r.first_token_ns[i];
        row.last_token_ns = r.last_token_ns[i];
        row.arrival_s = seconds(row.arrival_ns);
        row.scheduled_s = seconds(row.scheduled_ns);
        row.first_token_s = seconds(row.first_token_ns);
        row.last_token_s = seconds(row.last_token_ns);
        row.input_tokens = static_cast<i32>(all.input_tokens[i]);
        row.output_tokens = r.output_tokens[i];
        row.cached_tokens = r.cached_tokens[i];
        row.cached_total = r.cached_total[i];
        row.preemptions = r.preemptions[i];
        row.replica = r.replica[i];
        std::copy_n(rows.words + status_letters * r.status[i], status_letters, row.status);
        row.joules = metered ? r.joules[i] : std::numeric_limits<double>::quiet_NaN();
        row.priority = all.priority ? static_cast<i32>(all.priority[i]) : 0;
        row.loaded_tokens = r.loaded_tokens[i];
    }
}

} // namespace tokenroof::simulate
