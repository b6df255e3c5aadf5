"""Engines of the plain twins as an event loop asks them: what happens next, outputs, calls, who is taken out."""

import twin
import twin_host
from link_twin import NEVER
from lockstep_twin import Coordinator


def single(base):
    """An engine by itself; `base` is `twin.Engine` or `twin_host.Engine`."""

    class Single(base):
        def __init__(self, trace):
            super().__init__(trace)
            self.later, self.flying, self.deferred, self.ended = [], [], [], []
            self.processed = False

        def follow(self, parent, at):
            self.ended.append(parent)

        # --- the router and the autoscaler
        def aim(self, at):
            return self

        def take(self, r):
            self.waiting.append(r)

        def load(self):
            return 4 * self.queued() + len(self.running)

        def busy(self):
            return self.queued() + len(self.running) + len(self.flying) > 0

        def share(self):
            return 1.0 - len(self.blocks.free) / (self.c["num_blocks"] - 1)

        # --- events
        def next(self):
            return self.flying[0][1] if self.flying else self.idle_until()

        def idle_until(self):
            return NEVER

        def notice(self, now):
            pass

        def try_call(self, now):
            return self.call(now) if self.running or self.queued() else None

        def process(self, now):
            self.processed = True
            if self.flying:
                oldest = self.flying.pop(0)
                self.notice(oldest[1])
                self.output(oldest)

        def output(self, batch):
            super().output(([row for row in batch[0] if row[0].status == "waiting"], *batch[1:]))
            self.flush_deferred()

        def schedule(self, now):
            if self.flying and not self.processed:
                return
            self.processed, self.at_once = False, True
            while self.at_once:
                if not self.flying:
                    self.notice(now)
                self.at_once = False
                while len(self.flying) < self.depth:
                    self.victims = []
                    batch = self.try_call(now)
                    if batch:
                        self.flying.append(batch)
                    elif self.flying or not self.victims:
                        break  # else the loop turns: who was preempted waits
                self.at_once = self.at_once and not self.flying

        # --- who is taken out
        def give_up(self, r, full=None):
            """Its client gave up, or another has its place; it goes when the loop turns."""
            full = len(self.flying) > 1 if full is None else full
            if self.drop_aside(r):
                return
            if r.scheduled is not None and full:
                self.deferred.append(r)
            else:
                self.take_out(r)

        def flush_deferred(self):
            for r in self.deferred:
                self.take_out(r)
            self.deferred = []

        def drop_aside(self, r):
            return False

        def take_out(self, r):
            self.let_go(r, getattr(self, "noticed", 0))
            (self.running if r in self.running else self.waiting).remove(r)
            for batch in self.flying:
                batch[0][:] = [row for row in batch[0] if row[0] is not r]

        def rows_since(self, count):
            return [(0, row) for row in self.rows[count:]]

    return Single


class Plain(single(twin.Engine)):
    """Without memory of the host."""


class Hosted(single(twin_host.Engine)):
    """With memory of the host, over a link that others may share."""

    def notice(self, now):
        self.noticed, self.turn = now, self.turn + 1

    def try_call(self, now):
        return self.call(now)

    def idle_until(self):
        times = [x.at for x in self.aside if x.at is not None and x.at > self.noticed]
        times += [one[0] for one in self.leaving if one[0] > self.noticed and self.queued()]
        return min(times, default=NEVER)

    def pending(self):
        """Whether something is under way that lets somebody go on who waits."""
        loads = any(
            x.at is not None and (x.at > self.noticed or x.turn == self.turn) for x in self.aside
        )
        return loads or any(one[0] > self.noticed and self.queued() for one in self.leaving)

    def drop_aside(self, r):
        for one in self.aside:
            if one.r is r:
                self.aside.remove(one)
                if one.at is not None:  # its blocks are free once they came
                    keys = [] if one.here else one.keys
                    self.leaving.append((one.at, r.blocks, keys))
                    r.blocks = []
                return True
        return False


def rank(base):
    """An engine whose steps a group times."""

    class Rank(base):
        throttle = False

        def early(self, interval):
            return self.throttle

        def when(self, now, took):
            self.took = took
            return now, now

        def pending(self):
            comes = getattr(self, "coming", None) or getattr(self, "received", None)
            return bool(comes) or (hasattr(self, "aside") and super().pending())

    return Rank


class Ranks(Coordinator):
    """Data-parallel ranks that step together: see `lockstep_twin`, here one event after the other."""

    def __init__(self, ranks, trace):
        self.ranks, self.c = ranks, trace["config"]
        self.depth = 2 if trace["engine"]["loop"] == "async" else 1
        a, b, c = (trace["step_time"][k] for k in "abc")
        self.dummy = a + b + c
        self.counter = self.end = self.dummies = 0
        self.listen(ranks, trace)
        self.flying, self.processed, self.ended, self.rows = [], False, [], []

    # --- who gets a request
    def counts(self):
        return [[k.queued(), len(k.running)] for k in self.ranks]

    def aim(self, at):
        self.hear(at)
        scores = [4 * w + n for w, n in self.heard]
        self.best = scores.index(min(scores))
        self.heard[self.best][0] += 1
        return self.ranks[self.best]

    def take(self, r):
        self.unread[self.best] += 1
        r.rank = self.best
        self.ranks[self.best].take(r)

    def queued(self):
        return sum(k.queued() for k in self.ranks)

    def load(self):
        return 4 * self.queued() + sum(len(k.running) for k in self.ranks)

    def busy(self):
        return any(k.busy() for k in self.ranks) or bool(self.flying)

    def share(self):
        return sum(k.share() for k in self.ranks) / len(self.ranks)

    # --- rounds
    def next(self):
        return self.flying[0][1] if self.flying else NEVER

    def round(self, now):
        """One step of every rank, or None."""
        interval = self.c.get("prefill_schedule_interval", 1)
        batches = []
        for k in self.ranks:
            if not self.flying:
                k.notice(now)
            k.throttle = interval > 1 and self.counter % interval != 0
            batches.append(k.try_call(now))
        if not any(batches):
            if self.flying:
                return None
            if any(k.running or k.queued() for k in self.ranks):
                if not any(k.pending() for k in self.ranks):
                    return None
            elif self.counter % 32 == 0:
                self.counter = 0
                return None
            self.dummies += 1
        works = [k for k, batch in zip(self.ranks, batches, strict=True) if batch]
        start = max([now, self.end] + [getattr(k, "flush", 0) for k in works])
        took = [k.took for k in works] + [self.dummy] * (len(works) < len(self.ranks))
        self.end = start + max(took)
        for k in works:
            k.rows[-1][2:4] = start, self.end
            k.end = self.end
            if hasattr(k, "send_jobs"):
                k.send_jobs(self.end)
        self.counter += 1
        return [batch and [batch[0], self.end] for batch in batches], self.end

    def schedule(self, now):
        if self.flying and not self.processed:
            return
        self.processed = False
        while len(self.flying) < self.depth:
            self.unread = [0] * len(self.ranks)
            found = self.round(now)
            if not found:
                break
            self.flying.append(found)
            for k, batch in zip(self.ranks, found[0], strict=True):
                if batch:
                    k.flying.append(batch)
            if len(self.flying) < self.depth:
                self.report(now)

    def process(self, now):
        self.processed = True
        batches, end = self.flying.pop(0)
        self.hear_before(end)
        for k, batch in zip(self.ranks, batches, strict=True):
            k.notice(end)
            if batch:
                k.flying.remove(batch)
                k.output(batch)
            else:
                k.flush_deferred()
            self.ended += k.ended
            k.ended = []
        self.report(end)

    def hear_before(self, end):
        if self.interval:
            self.hear(end - 1)

    def give_up(self, r):
        self.ranks[r.rank].give_up(r, len(self.flying) > 1)

    def rows_since(self, counts):
        raise NotImplementedError  # ranks have rows of their own
