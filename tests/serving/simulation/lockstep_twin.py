"""vLLM's data-parallel ranks once more, in plain Python: every rank is an engine of `twin`, and all step together.

Written from the rules: a round is a step of every rank, as long as the slowest one's; who has nothing to do takes
part with a token of its own; rounds go on to a multiple of 32 when nobody has work; a request goes to the least of
4 for each that waits and 1 for each that runs, as the coordinator said last, with what was sent since.
"""

import heapq
import itertools

import twin


class Rank(twin.Engine):
    """An engine whose steps a group times, and whose requests a group hands out."""

    group, throttle = None, False

    def early(self, interval):
        return self.throttle

    def follow(self, parent, at):
        self.group.follow(parent, at)

    def line(self, batch):
        """How long the step would take by itself; one token of nobody's where there is none."""
        a, b, c = (self.step_time[k] for k in "abc")
        if batch is None:
            return a + b + c
        return self.rows[-1][3] - self.rows[-1][2]


class Coordinator:
    """What is told of the ranks, and what was heard last."""

    def listen(self, ranks, trace):
        self.interval = 10**6 * trace["report_ms"]
        self.reports = [(0, [[0, 0] for _ in ranks])]  # (time, counts) of all reports so far
        self.heard, self.heard_at = [[0, 0] for _ in ranks], 0
        self.unread = [0] * len(ranks)

    def counts(self):
        return [[len(k.waiting), len(k.running)] for k in self.ranks]

    def report(self, now):
        seen = [[w - u, r] for (w, r), u in zip(self.counts(), self.unread, strict=True)]
        self.reports.append((now, seen))

    def hear(self, now):
        if not self.interval:
            self.heard = self.counts()
            return
        told = now // self.interval * self.interval
        if told > self.heard_at:
            self.heard_at = told
            self.heard = [list(x) for x in [c for at, c in self.reports if at <= told][-1]]


class Group(Coordinator):
    def __init__(self, trace):
        self.trace, self.c = trace, trace["config"]
        self.depth = 2 if trace["engine"]["loop"] == "async" else 1
        self.ranks = [Rank(trace) for _ in range(trace["ranks"])]
        for rank in self.ranks:
            rank.group, rank.requests, rank.later = self, self.ranks[0].requests, []
        self.given, self.later = trace["requests"], []
        for i, r in enumerate(self.given):
            if "after" not in r:
                heapq.heappush(self.later, (r["arrival"], i))
        self.counter = self.end = self.dummies = 0
        self.listen(self.ranks, trace)

    # --- who gets a request
    def follow(self, parent, at):
        for i, r in enumerate(self.given):
            if r.get("after", [None])[0] == parent:
                heapq.heappush(self.later, (at + r["after"][1], i))

    def deliver(self, now):
        while self.later and self.later[0][0] <= now:
            at, i = heapq.heappop(self.later)
            r = self.ranks[0].requests[i]
            r.arrival = at
            if r.prompt >= self.c["max_model_len"]:
                r.status, r.last = "rejected", at
                self.follow(i, at)
                continue
            self.hear(at)
            scores = [4 * w + n for w, n in self.heard]
            best = scores.index(min(scores))
            self.heard[best][0] += 1
            self.unread[best] += 1
            r.rank = best
            self.ranks[best].waiting.append(r)

    # --- rounds
    def work(self):
        return any(k.running or k.waiting for k in self.ranks)

    def round(self, now, in_flight):
        """One step of every rank, or None."""
        interval = self.c.get("prefill_schedule_interval", 1)
        batches = []
        for k in self.ranks:
            k.throttle = interval > 1 and self.counter % interval != 0
            batches.append(k.call(now) if k.running or k.waiting else None)
        if not any(batches):
            if in_flight or self.work():
                return None
            if self.counter % 32 == 0:
                self.counter = 0
                return None
            self.dummies += 1
        start = max(now, self.end)
        self.end = start + max(k.line(b) for k, b in zip(self.ranks, batches, strict=True))
        for k, batch in zip(self.ranks, batches, strict=True):
            if batch:
                k.rows[-1][2:4] = start, self.end
        self.counter += 1
        return [batch and (batch[0], self.end) for batch in batches], self.end

    def run(self):
        now, queue = 0, []
        for turn in itertools.count():
            if turn > 2 * twin.MOST_TURNS:
                raise twin.Circles
            self.deliver(now)
            self.unread = [0] * len(self.ranks)
            found = self.round(now, bool(queue))
            if found:
                queue.append(found)
                if len(queue) < self.depth:
                    self.report(now)
                    continue
            if queue:
                batches, end = queue.pop(0)
                now = max(now, end)
                self.deliver(now - 1)  # by what was known when they came
                for k, batch in zip(self.ranks, batches, strict=True):
                    if batch:
                        k.output(batch)
                self.report(now)
            elif self.later:
                now = max(now, self.later[0][0])
            else:
                break
        results = [
            [r.id, "stuck" if r.status == "waiting" else r.status, r.arrival, r.scheduled, r.first,
             r.last, r.preempted, r.hit, r.hits, r.outputs]
            for r in self.ranks[0].requests
        ]  # fmt: skip
        return {
            "steps": [k.rows for k in self.ranks], "results": results, "dummies": self.dummies,
            "ranks": [getattr(r, "rank", -1) for r in self.ranks[0].requests],
        }  # fmt: skip


def play(trace):
    return Group(trace).run()
