// Prompts in one pool, answers in another: who gets a prompt's cache, when it is sent, and when it is there.
// [vllm: docs/features/disagg_prefill, distributed/kv_transfer/kv_connector/v1/nixl]
#include "simulate/system.hpp"

namespace tokenroof::simulate {

// Prompts that are computed go on to a replica that answers, in the order in which they ended.
void System::hand_over(i64 now) {
    Pool& pool = *pools_.back();
    if (together()) handed_.clear(); // they went there when they came
    for (const Handed& one : handed_) {
        const int k = pool.route(one.request);
        out_.arrival_ns[one.request] = now;
        to_[one.request] = k;
        pool.at(k)->deliver(one.request);
    }
    handed_.clear();
}

// Its client gave up: where its prompt is, or where its answer is. A cache that nobody will read is given up with
// it; one that is on its way arrives first, or, of requests that both know, is not followed by more of it.
// [nixl/scheduler.py: request_finished of a remote prefill; sglang: scheduler.py: abort_request]
void System::drop_apart(i32 request) {
    Engine* first = pools_.front()->at(from_[request]);
    if (together()) {
        Way& way = ways_[request];
        way.until = way.begun;
        way.last = false;
        if (plan_.received_ns[request] < 0) first->drop(request);
        return pools_.back()->at(to_[request])->drop(request);
    }
    if (to_[request] < 0) return first->drop(request);
    if (plan_.reserved_ns[request] < 0 && !plan_.pools.back().rules.drops_late) first->let_go(request);
    pools_.back()->at(to_[request])->drop(request);
}

// Who was taken out of the pool of answers before its cache was asked for: its blocks are free. Whether there was one.
bool System::forget() {
    if (whose_.empty() || !plan_.apart() || together()) return false;
    forgotten_.clear();
    Pool& second = *pools_.back();
    for (int k = 0; k < second.size(); ++k)
        if (Engine* one = second.at(k)) one->forgotten(forgotten_);
    for (const i32 request : forgotten_) pools_.front()->at(from_[request])->let_go(request);
    return !forgotten_.empty();
}

// Blocks are set aside: caches may come.
void System::send(i64 now, Engine& to) {
    reserved_.clear();
    to.reserved(reserved_);
    for (const auto& [request, new_tokens] : reserved_) {
        const i64 whole = all_.input_tokens[request];
        const i64 tokens = pools_.front()->plan().rules.sends_whole ? whole : new_tokens;
        double bytes = plan_.cache_bytes[request];
        if (tokens < whole) bytes *= static_cast<double>(tokens) / static_cast<double>(whole);
        plan_.reserved_ns[request] = now;
        if (together()) {
            pools_.front()->at(from_[request])->ready(request);
            continue;
        }
        plan_.sending_ns[request] = now;
        plan_.sent_tokens[request] = tokens;
        plan_.sent_bytes[request] = bytes;
        link_.start(now, request, from_[request], to_[request], bytes);
    }
}

// Caches are there: blocks that held them are free.
void System::receive(i64 now) {
    through_.clear();
    link_.advance(now, through_);
    for (const i32 request : through_) {
        if (together()) {
            Way& way = ways_[request];
            way.flying = false;
            if (way.until > way.begun) send_piece(now, request);
            if (way.flying || !way.last) continue;
        }
        plan_.received_ns[request] = now;
        if (Engine* from = pools_.front()->at(from_[request])) from->let_go(request);
        pools_.back()->at(to_[request])->receive(request);
    }
}

// --- requests that go to both pools at once --------------------------------------------------------------

// Where its answer will be, whose memory comes first.
void System::expect(i32 request, i64 at) {
    Pool& pool = *pools_.back();
    const int k = pool.route(request);
    out_.arrival_ns[request] = at;
    to_[request] = k;
    pool.at(k)->deliver(request);
}

// Answers first: what they set aside lets prompts begin.
void System::schedule_together(i64 now) {
    Pool &first = *pools_.front(), &second = *pools_.back();
    for (int k = 0; k < second.size(); ++k)
        if (Engine* one = second.at(k)) {
            one->schedule(now);
            send(now, *one);
        }
    for (int k = 0; k < first.size(); ++k)
        if (Engine* one = first.at(k)) {
            one->schedule(now);
            send_pieces(now, *one);
        }
}

// What was computed meanwhile; of a request one piece after the other.
void System::send_pieces(i64 now, Engine& from) {
    sent_.clear();
    from.sent(sent_);
    for (const auto& [request, until, last] : sent_) {
        if (out_.status[request] != waiting_for_arrival) continue; // its client gave up
        Way& way = ways_[request];
        way.until = std::max(way.until, until);
        way.last = way.last || last;
        if (!way.flying && way.until > way.begun) send_piece(now, request);
    }
}

void System::send_piece(i64 now, i32 request) {
    Way& way = ways_[request];
    const i64 tokens = way.until - way.begun;
    double bytes = plan_.cache_bytes[request];
    bytes *= static_cast<double>(tokens) / static_cast<double>(all_.input_tokens[request]);
    if (way.begun == 0) plan_.sending_ns[request] = now;
    plan_.sent_tokens[request] += tokens;
    plan_.sent_bytes[request] += bytes;
    way.begun = way.until;
    way.flying = true;
    link_.start(now, request, from_[request], to_[request], bytes);
}

} // namespace tokenroof::simulate
