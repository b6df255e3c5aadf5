// What a run wrote while it was played, and the rows that callers get of it: a record per request.
#pragma once
#include <cstddef>
#include <memory>
#include <utility>

#include "python/stop_flag.hpp"
#include "simulate/records.hpp"

namespace tokenroof::simulate {

constexpr int status_letters = 10, statuses = 7;

// A row, as NumPy lays it out. Times are -1 [ns] and NaN [s] where a thing never happened.
struct RequestRow {
    i64 arrival_ns, scheduled_ns, first_token_ns, last_token_ns;
    double arrival_s, scheduled_s, first_token_s, last_token_s;
    i32 input_tokens, output_tokens, cached_tokens, cached_total, preemptions, replica;
    char32_t status[status_letters];
    double joules;
    i32 priority, loaded_tokens;
};
static_assert(sizeof(RequestRow) == 144);

// Its fields by name, and where they lie.
#define TR_ROW_FIELD(name) {#name, offsetof(RequestRow, name)}
constexpr std::pair<const char*, std::size_t> row_fields[] = {
    TR_ROW_FIELD(arrival_ns),    TR_ROW_FIELD(scheduled_ns),  TR_ROW_FIELD(first_token_ns), TR_ROW_FIELD(last_token_ns),
    TR_ROW_FIELD(arrival_s),     TR_ROW_FIELD(scheduled_s),   TR_ROW_FIELD(first_token_s),  TR_ROW_FIELD(last_token_s),
    TR_ROW_FIELD(input_tokens),  TR_ROW_FIELD(output_tokens), TR_ROW_FIELD(cached_tokens),  TR_ROW_FIELD(cached_total),
    TR_ROW_FIELD(preemptions),   TR_ROW_FIELD(replica),       TR_ROW_FIELD(status),         TR_ROW_FIELD(joules),
    TR_ROW_FIELD(priority),      TR_ROW_FIELD(loaded_tokens),
};
#undef TR_ROW_FIELD

// Where the rows of a pool go, and the words for each status.
struct Rows {
    RequestRow* to = nullptr;
    const char32_t* words = nullptr; // `statuses` of `status_letters` each
};

// Room for the results of a pool's requests, which runs use one after the other: memory that was touched.
class Room {
  public:
    Results of(i64 requests);

  private:
    std::unique_ptr<std::byte[]> bytes_;
    std::size_t size_ = 0;
};

// Nothing has happened yet.
void clear(const Results& r, i64 requests, const StopFlag& stop);

// The rows of a pool's results; without energy where it was not metered.
void fill(const Rows& rows, const Requests& all, const Results& r, bool metered, const StopFlag& stop);

} // namespace tokenroof::simulate
