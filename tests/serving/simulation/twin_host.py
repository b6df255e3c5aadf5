"""The plain scheduler with blocks of the host's memory: `twin.Engine` with lists for what is there and under way.

A trace's ``host`` has ``blocks``, ``block_bytes`` and ``bytes_per_s`` (0: transfers take no time).
"""

import twin


class Link:
    """One direction: a transfer after the other."""

    def __init__(self, speed):
        self.speed, self.free, self.bytes = speed, 0, 0

    def send(self, start, count):
        self.bytes += count
        took = -(-count * 10**9 // self.speed) if self.speed else 0
        self.free = max(start, self.free) + took
        return self.free


class Early:
    """Who was set aside: `at` is None where another request's load brings its blocks."""

    def __init__(self, r, turn, at=None, keys=()):
        self.r, self.turn, self.at, self.keys, self.here = r, turn, at, keys, False


class Engine(twin.Engine):
    def __init__(self, trace):
        super().__init__(trace)
        self.host = trace["host"]
        self.loads, self.saves = (Link(self.host["bytes_per_s"]) for _ in range(2))
        self.there = {}  # key: [readers, when its copy is over]; the least recently used first
        self.aside, self.jobs, self.leaving = [], [], []
        self.noticed = self.turn = self.flush = self.ran = self.evicted = 0
        self.at_once = False
        self.stored, self.over = {}, {}  # of requests: blocks, and when the last copy is over
        self.loaded = dict.fromkeys(range(len(self.requests)), 0)

    def queued(self):
        return len(self.waiting) + len(self.aside)

    def touch(self, keys):
        for key in reversed(keys):
            if key in self.there:
                self.there[key] = self.there.pop(key)

    # --- a call
    def call(self, now):
        for one in [x for x in self.leaving if x[0] <= self.noticed]:
            self.leaving.remove(one)
            for key in one[2]:
                self.there[key][0] -= 1
            self.blocks.release(one[1])
        return super().call(now) if self.running or self.queued() else None

    def phase_a(self, rows, limit, defer):
        super().phase_a(rows, limit, defer)
        self.ran = len(rows)

    def phase_b(self, rows, limit, defer, now):
        most = self.c.get("max_num_active_seqs") or self.c["max_num_seqs"]
        for one in list(self.aside):
            if self.budget <= 0 or len(self.running) >= most:
                return
            if one.at is None:
                answer = self.try_one(one.r, one, rows, limit, defer, now)
            elif one.at > self.noticed or one.turn == self.turn:
                continue
            else:
                answer = self.resume(one, rows, limit, defer, now)
            if answer == "no room":
                return
            if answer == "runs":
                self.aside.remove(one)
        while self.waiting and self.budget > 0 and len(self.running) < most:
            if self.try_one(self.waiting[0], None, rows, limit, defer, now) == "no room":
                return

    def try_one(self, r, one, rows, limit, defer, now):
        found = self.lookup(r)
        keys = [self.key(r, i) for i in range(r.known // self.c["block_size"])]
        self.touch(keys)
        have = []
        for key in keys[len(found) :]:
            if key not in self.there or self.there[key][1] > self.noticed:
                break
            have.append(key)
        if not have:
            return "runs" if self.admit(r, rows, limit, defer, now) else "no room"
        if any(self.there[key][0] for key in have):
            if one is None:
                self.waiting.remove(r)
                self.aside.append(Early(r, self.turn))
            return "later"
        beside = self.watermark() + sum(self.blocks.refs.get(b, 0) == 0 for b in found) - len(found)
        if not self.has_room(r, (len(found) + len(have)) * self.c["block_size"], beside):
            return "no room"
        for block in found:
            self.blocks.touch(block)
        r.blocks = found + [self.blocks.pop() for _ in have]
        r.entered, r.computed = len(found), len(found) * self.c["block_size"]
        self.stored[r] = len(r.blocks)
        self.loaded[r.id] += len(have) * self.c["block_size"]
        for key in have:
            self.there[key][0] += 1
        at = self.loads.send(max(now, self.end), len(have) * self.host["block_bytes"])
        self.at_once = self.at_once or at <= now
        load = Early(r, self.turn, at, have)
        if one is None:
            self.waiting.remove(r)
            self.aside.append(load)
        else:
            self.aside[self.aside.index(one)] = load
        return "later"

    def resume(self, one, rows, limit, defer, now):
        r = one.r
        if not one.here:
            one.here = True
            for key in one.keys:
                self.there[key][0] -= 1
            tokens = len(r.blocks) * self.c["block_size"]
            r.computed = min(tokens, r.known - 1)
            self.enter(r, tokens)
        n = self.piece(r, r.computed, limit, defer)
        slots = min(r.computed + n + self.drafting["lookahead"], self.c["max_model_len"])
        if not n or not self.has_room(r, slots, self.watermark() - len(r.blocks)):
            return "no room"
        more = max(0, self.count(slots) - len(r.blocks))
        r.blocks += [self.blocks.pop() for _ in range(more)]
        self.begin(r, n, rows, now)
        return "runs"

    # --- copies
    def after_call(self, rows):
        super().after_call(rows)
        self.jobs = []
        later = rows[self.ran :]
        order = [row for row in later if not row[0].preempted] + rows[: self.ran]
        for r, n, before in order + [row for row in later if row[0].preempted]:
            full = min(before + n, r.known) // self.c["block_size"]
            first = self.stored.get(r, 0)
            keys = [self.key(r, i) for i in range(full)]
            fresh = [key for key in keys[first:] if key not in self.there]
            if full <= first or not self.make_place(fresh, keys[first:]):
                continue
            self.stored[r] = full
            for key in fresh:
                self.there[key] = [0, 2**63]
            if fresh:
                self.touch(keys)
                self.jobs.append((r, fresh))

    def make_place(self, fresh, asked):
        more = len(fresh) - (self.host["blocks"] - len(self.there))
        idle = [
            key
            for key, (readers, over) in self.there.items()
            if readers == 0 and over <= self.noticed and key not in asked
        ]
        if more > len(idle):
            return False
        for key in idle[: max(more, 0)]:
            del self.there[key]
            self.evicted += 1
        return True

    def when(self, now, took):
        start = max(now, self.end, self.flush)
        self.end = start + took
        self.send_jobs(self.end)
        return start, self.end

    def send_jobs(self, end):
        for r, keys in self.jobs:
            over = self.saves.send(end, len(keys) * self.host["block_bytes"])
            for key in keys:
                self.there[key][1] = over
            self.over[r] = max(self.over.get(r, 0), over)

    def preempt(self, r):
        super().preempt(r)
        self.flush = max(self.flush, self.over.get(r, 0))

    def let_go(self, r, at):
        if r in self.running and self.over.get(r, 0) > at:
            self.leaving.append((self.over[r], r.blocks, ()))
            r.blocks = []
        else:
            super().let_go(r, at)

    # --- the loop
    def run(self):
        now, queue = 0, []
        for _ in range(twin.MOST_TURNS):
            self.deliver(now)
            self.at_once = True
            while self.at_once:
                if not queue:
                    self.noticed, self.turn = now, self.turn + 1
                self.at_once = False
                self.fill(now, queue)
                self.at_once = self.at_once and not queue
            if queue:
                oldest = queue.pop(0)
                now = max(now, oldest[1])
                self.noticed, self.turn = oldest[1], self.turn + 1
                self.output(oldest)
                continue
            times = [self.later[0][0]] if self.later else []
            times += [x.at for x in self.aside if x.at is not None and x.at > self.noticed]
            times += [one[0] for one in self.leaving if one[0] > self.noticed and self.queued()]
            if not times:
                return self.outcome()
            now = max(now, min(times))
        raise twin.Circles

    def fill(self, now, queue):
        while len(queue) < self.depth:
            self.victims = []
            batch = self.call(now)
            if batch:
                queue.append(batch)
            elif queue or not self.victims:
                return
