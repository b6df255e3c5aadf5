"""Clients that give up at SGLang and at TensorRT-LLM, and SGLang's full queue: the plain twins with deadlines.

A trace's ``overload`` has ``timeout``, ``queue_timeout`` [ns], ``requests`` (SGLang's queue): each may be left out. A
loop reads what clients say when it turns. SGLang then flags who holds memory, and ends it with its next token; a
request that waits is taken out. TensorRT-LLM takes all out when the outputs of the step after are handled.
"""

import heapq
import itertools

import sglang_twin
import trtllm_twin

NEVER = 2**63


class Hurried:
    """Deadlines beside arrivals, in the order of time, the former first."""

    def __init__(self, trace):
        super().__init__(trace)
        self.limits = {"timeout": NEVER, "queue_timeout": NEVER, "requests": NEVER}
        self.limits |= trace["overload"]
        self.deadlines, self.pending, self.gone = [], [], []
        self.mid, self.idle, self.handled = False, True, -1

    def deliver(self, now):
        if now > self.handled:  # while a loop fills its places nothing is read
            self.advance(now)
        self.handled = now

    def before(self, now):
        self.mid = True
        self.advance(now - 1)
        self.mid, self.idle, self.handled = False, False, now - 1

    def advance(self, until):
        while True:
            arrival = self.later[0][0] if self.later else NEVER
            deadline = self.deadlines[0][0] if self.live() else NEVER
            if min(arrival, deadline) > until:
                return
            if deadline <= arrival:
                at, _, i = heapq.heappop(self.deadlines)
                r = self.requests[i]
                r.status, r.last, r.delivered = "timed_out", at, r.outputs
                self.follow(i, at)
                self.give_up(r)
            else:
                self.arrive(*heapq.heappop(self.later))

    def live(self):
        """Whether somebody waits who will give up; who will not is forgotten."""
        while self.deadlines:
            _, kind, i = self.deadlines[0]
            r = self.requests[i]
            if r.status == "waiting" and (kind == 0 or r.scheduled is None):
                return True
            heapq.heappop(self.deadlines)
        return False

    def next_time(self):
        self.idle = True
        times = [q[0][0] for q in (self.later, self.deadlines if self.live() else []) if q]
        soon = min(times, default=NEVER)
        return None if soon == NEVER else soon

    def arrive(self, at, i):
        super().arrive(at, i)
        for kind, name in enumerate(("timeout", "queue_timeout")):
            if self.requests[i].status == "waiting" and self.limits[name] < NEVER:
                heapq.heappush(self.deadlines, (at + self.limits[name], kind, i))


class Sglang(Hurried, sglang_twin.Engine):
    entries = itertools.count()

    def give_up(self, r):
        if r in self.waiting:
            self.waiting.remove(r)
        elif self.mid:
            self.pending.append(r)
        else:
            r.leaving = True

    def turned(self):
        for r in self.pending:
            r.leaving = True
        self.pending = []
        super().turned()

    def join(self, r, at):
        if len(self.waiting) + 1 > self.limits["requests"]:
            gone = r
            if self.c["enable_priority_scheduling"]:
                sign = 1 if self.c["schedule_low_priority_values_first"] else -1
                last = max(self.waiting, key=lambda w: (sign * w.priority, w.entered))
                if sign * r.priority < sign * last.priority:
                    self.waiting.remove(last)
                    gone = last
            self.settle(gone, "shed", at)
            if gone is r:
                return
        r.entered = next(self.entries)
        self.waiting.append(r)


class Trtllm(Hurried, trtllm_twin.Engine):
    def give_up(self, r):
        if self.idle and not self.mid:
            self.take_out(r)
        else:
            (self.pending if self.mid else self.gone).append(r)

    def turned(self):
        self.frees()
        self.gone, self.pending = self.pending, []

    def frees(self):
        some = bool(self.gone)
        for r in self.gone:
            if r in self.active:
                self.take_out(r)
        self.gone = []
        return some
