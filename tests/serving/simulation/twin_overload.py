"""The plain scheduler with clients that give up and a queue that is full: `twin.Engine` with a clock of its own.

A trace's ``overload`` has ``timeout``, ``queue_timeout`` [ns], ``requests``, ``tokens``: each may be left out.
"""

import heapq

import twin

NEVER = 2**63


class Engine(twin.Engine):
    def __init__(self, trace):
        super().__init__(trace)
        self.limits = {"timeout": NEVER, "queue_timeout": NEVER, "requests": NEVER, "tokens": NEVER}
        self.limits |= trace["overload"]
        self.deadlines, self.flying, self.deferred = [], [], []

    def advance(self, until):
        """Clients that give up and requests that arrive, in the order of time, the former first."""
        while True:
            arrival = self.later[0][0] if self.later else NEVER
            deadline = self.deadlines[0][0] if self.deadlines else NEVER
            if min(arrival, deadline) > until:
                return
            if deadline <= arrival:
                at, kind, i = heapq.heappop(self.deadlines)
                r = self.requests[i]
                if r.status == "waiting" and (kind == 0 or r.scheduled is None):
                    self.give_up(r, at, "timed_out")
            else:
                self.arrive(*heapq.heappop(self.later))

    def give_up(self, r, at, status):
        r.status, r.last = status, at
        if r.scheduled is not None and len(self.flying) > 1:
            self.deferred.append(r)
        else:
            self.take_out(r)
        self.follow(r.id, at)

    def take_out(self, r):
        (self.running if r in self.running else self.waiting).remove(r)
        self.blocks.release(r.blocks)
        r.blocks = []
        for rows, _ in self.flying:
            rows[:] = [row for row in rows if row[0] is not r]

    def arrive(self, at, i):
        r = self.requests[i]
        r.arrival = at
        if r.prompt >= self.c["max_model_len"]:
            r.status, r.last = "rejected", at
            self.follow(i, at)
            return
        while (
            len(self.waiting) + 1 > self.limits["requests"]
            or sum(w.prompt for w in self.waiting) + r.prompt > self.limits["tokens"]
        ):
            fresh = [w for w in self.waiting if w.scheduled is None]
            last = max(fresh, key=lambda w: (w.priority, w.arrival, w.id), default=None)
            if self.c["policy"] == "fcfs" or last is None or last.priority <= r.priority:
                r.status, r.last = "shed", at
                self.follow(i, at)
                return
            self.give_up(last, at, "shed")
        self.waiting.append(r)
        heapq.heappush(self.deadlines, (at + self.limits["timeout"], 0, i))
        heapq.heappush(self.deadlines, (at + self.limits["queue_timeout"], 1, i))

    def output(self, batch):
        alive = [row for row in batch[0] if row[0].status == "waiting"]
        super().output((alive, batch[1]))
        for r in self.deferred:
            self.take_out(r)
        self.deferred = []

    def run(self):
        now, depth = 0, 2 if self.asynchronous else 1
        for _ in range(twin.MOST_TURNS):
            self.advance(now)
            while len(self.flying) < depth and (self.running or self.waiting):
                self.victims = []
                batch = self.call(now)
                if batch:
                    self.flying.append(batch)
                elif self.flying or not self.victims:
                    break
            times = [self.flying[0][1]] if self.flying else []
            times += [q[0][0] for q in (self.later, self.deadlines) if q and q[0][0] < NEVER]
            if not times:
                break
            now = max(now, self.flying[0][1] if self.flying else min(times))
            if self.flying:
                self.advance(now - 1)
                self.output(self.flying.pop(0))
        else:
            raise twin.Circles
        return self.outcome()


def play(trace):
    return Engine(trace).run()
