"""Pools of replicas once more, in plain Python: prompts apart from answers, the link, replicas that come and go.

Written from the rules. A prompt is computed in the first pool; its blocks stay there until its cache was read.
Then it waits in a replica of the second pool, whose scheduler sets blocks aside for the whole prompt, in its
turn; the transfer begins. When the cache is there, the request goes before all that wait: its prompt's last
token is computed again, and what follows is the first token of the answer.
"""

import heapq
import itertools
import math

import twin
from link_twin import NEVER, Link


class Prompts(twin.Engine):
    """Computes prompts alone."""

    def __init__(self, trace, fleet):
        super().__init__(trace)
        self.holding, self.ended, self.flying, self.processed = {}, [], [], False
        self.coming, self.received, self.asked = [], [], []
        self.later = []

    def output(self, batch):
        for r, _, sampled, _ in batch[0]:
            if sampled and r.status == "waiting":
                self.holding[r.id] = list(r.blocks)
                for block in r.blocks:
                    self.blocks.refs[block] += 1
        super().output(batch)

    def follow(self, parent, at):
        self.ended.append(parent)

    def read(self, i):
        self.blocks.release(self.holding.pop(i))

    def load(self):
        return 4 * self.queued() + len(self.running)

    def busy(self):
        return self.queued() + len(self.running) + len(self.holding) + len(self.flying) > 0

    def schedule(self, now):
        if self.flying and not self.processed:
            return
        self.processed = False
        while len(self.flying) < self.depth and (self.running or self.waiting or self.received):
            batch = self.call(now)
            if not batch:
                return
            self.flying.append(batch)


class Answers(Prompts):
    """Answers to caches that come."""

    output, read = twin.Engine.output, None

    def queued(self):
        return len(self.waiting) + len(self.coming) + len(self.received)

    def phase_b(self, rows, limit, defer, now):
        most = self.c.get("max_num_active_seqs") or self.c["max_num_seqs"]
        while self.budget > 0 and len(self.running) < most:
            if self.received:
                r = self.received.pop(0)
                r.received, r.computed, r.scheduled = True, r.known - 1, now
                self.running.append(r)
                self.budget -= 1
                rows.append((r, 1, r.known - 1))
                continue
            if not self.waiting:
                return
            r = self.head()
            if r.scheduled is None:
                if not self.reserve(r):
                    return
                continue
            others = [w for w in self.waiting if w is not r]  # who was preempted computes all again
            self.waiting = [r]
            super().phase_b(rows, limit, defer, now)
            self.waiting += others
            if r in self.waiting:
                return

    def reserve(self, r):
        c, found = self.c, self.lookup(r)
        beside = int(c.get("watermark", 0) * c["num_blocks"]) if self.running else 0
        beside += sum(self.blocks.refs.get(b, 0) == 0 for b in found)
        need = self.count(r.known) - len(found)
        if need + beside > len(self.blocks.free):
            return False
        self.waiting.remove(r)
        for block in found:
            self.blocks.touch(block)
        r.blocks = found + [self.blocks.pop() for _ in range(need)]
        r.entered, r.hit = len(found), len(found) * c["block_size"]
        self.coming.append(r)
        self.asked.append(r)
        return True

    def receive(self, r):
        self.coming.remove(r)
        self.received.append(r)
        self.enter(r, r.known)

    def preempt(self, r):
        super().preempt(r)
        r.received = False


class Group:
    """A pool: its replicas by place, who serves, its router, and how many there should be."""

    def __init__(self, make, replicas, router, scaling, start):
        self.make, self.router, self.scaling = make, router, scaling
        self.places = [None] * (scaling["most"] if scaling else replicas)
        self.state = ["off"] * len(self.places)
        self.ready, self.heard, self.turn = {}, [0] * len(self.places), 0
        self.asked, self.changes = [], []
        for k in range(replicas):
            self.stand(k)
        self.look_at = start + scaling["interval"] if scaling else NEVER
        if scaling:
            self.changes.append((start, *self.counts()))

    def stand(self, k):
        self.places[k], self.state[k], self.heard[k] = self.make(), "up", 0
        self.ready.pop(k, None)

    def serving(self):
        return [k for k, s in enumerate(self.state) if s == "up"]

    def counts(self):
        return tuple(self.state.count(s) for s in ("up", "starting", "draining"))

    def engines(self):
        return [(k, e) for k, e in enumerate(self.places) if e]

    def route(self, live, size):
        serving = self.serving()
        if len(serving) == 1:
            return serving[0]
        turn = self.turn % len(serving)
        self.turn += 1
        order = serving[turn:] + serving[:turn]
        if self.router == "round_robin":
            return order[0]
        best = min(order, key=lambda k: self.places[k].load() if live else self.heard[k])
        self.heard[best] += 4
        return best

    def hear(self):
        for k in self.serving():
            self.heard[k] = self.places[k].load()

    def next(self):
        return min([self.look_at, *self.ready.values()])

    def scale(self, now):
        if not self.scaling:
            return
        before = self.counts()
        for k in sorted(k for k, at in self.ready.items() if at <= now):
            self.stand(k)
        for k, e in self.engines():
            if self.state[k] == "draining" and not e.busy():
                self.places[k], self.state[k] = None, "off"
        if self.look_at <= now:
            self.look(now)
            self.look_at += self.scaling["interval"]
        if self.counts() != before:
            self.changes.append((now, *self.counts()))

    def look(self, now):
        rule, up = self.scaling, self.serving()
        if rule["signal"] == "queue":
            told = sum(float(self.places[k].queued()) for k in up)
        else:
            told = sum(
                1.0 - len(self.places[k].blocks.free) / (self.places[k].c["num_blocks"] - 1)
                for k in up
            )
        total = len(up) + len(self.ready)
        mean, own = told / (len(up) * rule["target"]), 1.0 + rule["tolerance"]
        desired = total
        if (mean > own and told / (total * rule["target"]) > own) or mean < 1.0 - rule["tolerance"]:
            desired = math.ceil(told / rule["target"])
        desired = min(max(desired, rule["least"]), rule["most"])
        self.asked = [(at, n) for at, n in self.asked if at > now - rule["cooldown"]]
        self.asked.append((now, desired))
        if desired < total:
            desired = min(total, max(n for _, n in self.asked))
        for k, s in enumerate(self.state):
            if total < desired and s == "off":
                self.state[k], self.ready[k] = "starting", now + rule["start"]
                total += 1
        for k in sorted(self.ready, reverse=True):
            if total > desired:
                self.state[k] = "off"
                del self.ready[k]
                total -= 1
        while total > desired:
            self.state[self.serving()[-1]] = "draining"
            total -= 1


class Fleet:
    def __init__(self, scene):
        self.scene, self.given = scene, scene["requests"]
        self.later, self.heard_at, self.age = [], -1, scene["age"]
        for i, r in enumerate(self.given):
            if "after" not in r:
                heapq.heappush(self.later, (r["arrival"], i))
        start = self.later[0][0] if self.later else 0
        first, second = scene["pools"]
        alone = [{**r, "max_tokens": 1, "declared": 1} for r in self.given]
        kinds = (
            (Prompts, {**first, "requests": alone}),
            (Answers, {**second, "requests": self.given}),
        )
        self.pools, self.requests = [], []
        for kind, trace in kinds:
            shared = [twin.Request(r, i) for i, r in enumerate(trace["requests"])]
            self.requests.append(shared)

            def make(kind=kind, trace=trace, shared=shared):
                engine = kind({**trace, "step_time": trace["step_time"]}, self)
                engine.requests = shared
                return engine

            self.pools.append(
                Group(make, trace["replicas"], scene["router"], trace.get("scaling"), start)
            )
        near, far = (
            [p["rate"]] * len(g.places) for p, g in zip(scene["pools"], self.pools, strict=True)
        )
        self.link = Link(near, far, scene["hop"], scene["fair"])
        many = len(self.given)
        self.place = [[None] * many, [None] * many]
        self.reserved, self.through = [None] * many, [None] * many
        self.sent, self.rows, self.turned = [0] * many, [[], []], {}

    # --- one event after the other
    def run(self):
        for turn in itertools.count():
            if turn > 4 * twin.MOST_TURNS:
                raise twin.Circles
            times = [e.flying[0][1] for g in self.pools for _, e in g.engines() if e.flying]
            times += [self.link.next()] + [at for at, _ in self.later[:1]]
            now = min(times)
            if now == NEVER:
                break
            now = min([now] + [g.next() for g in self.pools])
            told = now // self.age * self.age if self.age else -1
            if self.heard_at < told < now:
                self.hear(told)
            self.event(now, told == now)
        return self.outcome()

    def hear(self, told):
        self.heard_at = told
        for group in self.pools:
            group.hear()

    def event(self, now, told):
        handed = self.outputs(now)
        for i in self.link.advance(now):
            self.through[i] = now
            self.pools[0].places[self.place[0][i]].read(i)
            self.pools[1].places[self.place[1][i]].receive(self.requests[1][i])
        for i in handed:
            self.deliver(1, i, now)
        for group in self.pools:
            group.scale(now)
        if told:
            self.hear(now)
        while self.later and self.later[0][0] <= now:
            at, i = heapq.heappop(self.later)
            self.requests[0][i].arrival = at
            if self.given[i]["prompt_tokens"] >= min(
                p["config"]["max_model_len"] for p in self.scene["pools"]
            ):
                self.turned[i] = at
                self.follow(i, at)
            else:
                self.deliver(0, i, at)
        for pool, group in enumerate(self.pools):
            for k, engine in group.engines():
                seen = len(engine.rows)
                engine.schedule(now)
                self.rows[pool] += [(k, row) for row in engine.rows[seen:]]
                self.send(engine, now)

    def outputs(self, now):
        """Prompts that are computed; who was waited for is followed."""
        handed = []
        for pool, group in enumerate(self.pools):
            for _, engine in group.engines():
                if not engine.flying or engine.flying[0][1] > now:
                    continue
                engine.processed = True
                engine.output(engine.flying.pop(0))
                if pool == 0:
                    handed += engine.ended
                else:
                    for i in engine.ended:
                        self.follow(i, now)
                engine.ended = []
        return handed

    def deliver(self, pool, i, at):
        k = self.pools[pool].route(not self.age, None)
        r = self.requests[pool][i]
        r.arrival, self.place[pool][i] = at, k
        self.pools[pool].places[k].waiting.append(r)

    def send(self, engine, now):
        for r in engine.asked:
            self.reserved[r.id], self.sent[r.id] = now, r.known - r.hit
            size = self.scene["bytes"][r.id]
            if r.hit:
                size *= self.sent[r.id] / r.known
            self.link.start(now, r.id, self.place[0][r.id], self.place[1][r.id], size)
        engine.asked = []

    def follow(self, parent, at):
        for i, r in enumerate(self.given):
            if r.get("after", [None])[0] == parent:
                heapq.heappush(self.later, (at + r["after"][1], i))

    def outcome(self):
        results = []
        for i, (a, b) in enumerate(zip(*self.requests, strict=True)):
            status = "done" if b.status == "done" else "rejected" if i in self.turned else "stuck"
            last = self.turned.get(i, b.last)
            results.append([
                i, status, a.arrival, a.scheduled, b.arrival, self.reserved[i], self.through[i], b.scheduled,
                b.first, last, a.preempted + b.preempted, self.sent[i], b.outputs, *(p[i] for p in self.place),
            ])  # fmt: skip
        return {"results": results, "rows": self.rows, "changes": [g.changes for g in self.pools]}


def play(scene):
    return Fleet(scene).run()
