"""Pools of replicas once more, in plain Python: prompts apart from answers, the link, replicas that come and go.

Written from the rules. A prompt is computed in the first pool; its blocks stay there until its cache was read.
Then it waits in a replica of the second pool, whose scheduler sets blocks aside for the whole prompt, in its
turn; the transfer begins. When the cache is there, the request goes before all that wait: its prompt's last
token is computed again, and what follows is the first token of the answer.
"""

import heapq
import itertools

import hosted_pools_twin
import trtllm_pools_twin
import twin
from link_twin import NEVER, Link
from pool_group_twin import Group
from pool_places_twin import SomeRanks, staged
from twin_nodes import Plain, rank


class Prompts(Plain):
    """Computes prompts alone."""

    @staticmethod
    def longest(config):
        """The first length of a prompt that is refused."""
        return config["max_model_len"]

    def __init__(self, trace):
        super().__init__(trace)
        self.holding, self.coming, self.received, self.asked = {}, [], [], []

    def output(self, batch):
        for r, _, sampled, _ in batch[0]:
            if sampled and r.status == "waiting":
                self.hold(r)
        super().output(batch)

    def hold(self, r):
        self.holding[r.id] = list(r.blocks)
        for block in r.blocks:
            self.blocks.refs[block] += 1

    def read(self, i):
        self.blocks.release(self.holding.pop(i))

    def busy(self):
        return super().busy() or bool(self.holding)

    def try_call(self, now):
        return self.call(now) if self.running or self.waiting or self.received else None


class Answers(Prompts):
    """Answers to caches that come."""

    def hold(self, r):
        pass

    def give_up(self, r, full=None):
        if r in self.received:
            self.received.remove(r)
            self.blocks.release(r.blocks)
        elif r not in self.coming:
            super().give_up(r, full)

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
        if r.status != "waiting":
            self.blocks.release(r.blocks)
            return
        self.received.append(r)
        self.enter(r, r.known)

    def preempt(self, r):
        super().preempt(r)
        r.received = False


def kinds_of(engine):
    """Of an engine: who computes prompts, who answers, and a request."""
    if "trtllm" in engine:
        return trtllm_pools_twin.Prompts, trtllm_pools_twin.Answers, trtllm_pools_twin.Request
    return Prompts, Answers, twin.Request


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
        prompts, answers, request = self.kinds(first, second)
        kinds = (
            (prompts, {**first, "requests": alone}),
            (answers, {**second, "requests": self.given}),
        )
        self.whole = not first["config"].get("enable_block_reuse", True)
        self.late = "trtllm" in first["engine"]
        self.pools, self.requests, self.links = [], [], {}
        for kind, trace in kinds:
            shared = [request(r, i) for i, r in enumerate(trace["requests"])]
            self.requests.append(shared)

            def make(k, kind=kind, trace=trace, shared=shared):
                many = trace.get("ranks", 1)
                one = staged(kind) if trace.get("stages", 1) > 1 else kind
                engines = [(one if many == 1 else rank(kind))(trace) for _ in range(many)]
                for j, engine in enumerate(engines):
                    engine.requests, engine.number, engine.seen = shared, many * k + j, 0
                    if "host" in trace:
                        hosted_pools_twin.attach(engine, self.links, k, trace["host"])
                return engines[0] if many == 1 else SomeRanks(engines, trace)

            self.pools.append(
                Group(make, trace["replicas"], scene["router"], trace.get("scaling"), start)
            )
        near, far = (
            [p["rate"]] * len(g.places) for p, g in zip(scene["pools"], self.pools, strict=True)
        )
        self.link = Link(near, far, scene["hop"], scene["fair"])
        many = len(self.given)
        self.place = [[None] * many, [None] * many]
        self.numbers = [[None] * many, [None] * many]  # of ranks through all replicas
        self.reserved, self.through = [None] * many, [None] * many
        self.sent, self.rows, self.turned = [0] * many, [[], []], {}
        self.patience = [(scene.get(name, NEVER), []) for name in ("timeout", "queue_timeout")]
        self.gave_up, self.caps = {}, scene.get("caps", {})

    def kinds(self, first, second):
        found = kinds_of(first["engine"])
        self.longest = min(found[0].longest(p["config"]) for p in (first, second))
        return (hosted_pools_twin.HostedPrompts, *found[1:]) if "host" in first else found

    def refused(self, i):
        return self.given[i]["prompt_tokens"] >= self.longest

    # --- one event after the other
    def run(self):
        for turn in itertools.count():
            if turn > 4 * twin.MOST_TURNS:
                raise twin.Circles
            times = [e.next() for g in self.pools for _, e in g.engines()]
            times += [self.link.next()] + [at for at, _ in self.later[:1]] + self.deadlines()
            now = min(times)
            if now == NEVER:
                break
            now = min([now] + [g.next() for g in self.pools])
            told = now // self.age * self.age if self.age else -1
            if self.heard_at < told < now:
                self.hear(told)
            self.event(now, self.heard_at < told == now)  # once
        return self.outcome()

    def hear(self, told):
        self.heard_at = told
        for group in self.pools:
            group.hear()

    # --- clients that give up
    def deadlines(self):
        """When the first one of each kind does, of those that still wait."""
        first = []
        for kind, (patience, queue) in enumerate(self.patience):
            while queue and self.settled(queue[0], kind):
                queue.pop(0)
            if queue:
                first.append(self.requests[0][queue[0]].arrival + patience)
        return first

    def settled(self, i, kind):
        a, b = (requests[i] for requests in self.requests)
        over = i in self.turned or i in self.gave_up or b.status != "waiting"
        return over or (kind == 1 and a.scheduled is not None)

    def expire(self, now):
        for kind, (patience, queue) in enumerate(self.patience):
            while queue:
                i = queue[0]
                if self.settled(i, kind):
                    queue.pop(0)
                elif self.requests[0][i].arrival + patience <= now:
                    self.leave(queue.pop(0), now)
                else:
                    break

    def leave(self, i, now):
        engine = self.pools[0].places[self.place[0][i]]
        if self.place[1][i] is None:
            engine.give_up(self.requests[0][i])
            self.requests[0][i].status = "timed_out"
        else:
            if self.reserved[i] is None and not self.late:
                engine.read(i)
            self.pools[1].places[self.place[1][i]].give_up(self.requests[1][i])
            self.requests[1][i].status = "timed_out"
        self.gave_up[i] = now
        self.follow(i, now)

    def forget(self):
        """Who was taken out before its cache was asked for is kept no longer; whether there was one."""
        gone = []
        for _, engine in self.pools[1].engines():
            gone += getattr(engine, "forgot", [])
            engine.forgot = []
        for r in gone:
            self.pools[0].places[self.place[0][r.id]].read(r.id)
        return bool(gone)

    def full(self, engine, i):
        """Whether the queue where it would wait takes it not."""
        tokens = sum(w.prompt for w in engine.waiting) + self.given[i]["prompt_tokens"]
        caps = self.caps
        return engine.queued() + 1 > caps.get("requests", NEVER) or tokens > caps.get(
            "tokens", NEVER
        )

    def event(self, now, told):
        handed = self.outputs(now)
        self.through_link(now)
        for i in handed:
            self.deliver(1, i, now)
        self.expire(now)
        self.forget()
        for group in self.pools:
            group.scale(now)
        if told:
            self.hear(now)
        while self.later and self.later[0][0] <= now:
            at, i = heapq.heappop(self.later)
            self.requests[0][i].arrival = at
            if self.refused(i):
                self.turned[i] = at
                self.follow(i, at)
            else:
                self.deliver(0, i, at)
                for patience, queue in self.patience:
                    if patience < NEVER:
                        queue.append(i)
        self.schedule(now)
        while self.forget():
            self.schedule(now)

    def through_link(self, now):
        for i in self.link.advance(now):
            self.arrived(i, now)

    def arrived(self, i, now):
        self.through[i] = now
        self.pools[0].places[self.place[0][i]].read(i)
        self.pools[1].places[self.place[1][i]].receive(self.requests[1][i])

    def schedule(self, now):
        for pool, group in enumerate(self.pools):
            for _, engine in group.engines():
                engine.schedule(now)
                self.note(pool, engine)
                self.send(engine, now)

    def note(self, pool, engine):
        for one in getattr(engine, "ranks", [engine]):
            self.rows[pool] += [(one.number, row) for row in one.rows[one.seen :]]
            one.seen = len(one.rows)

    def outputs(self, now):
        """Prompts that are computed; who was waited for is followed."""
        handed = []
        for pool, group in enumerate(self.pools):
            for _, engine in group.engines():
                if engine.next() > now:
                    continue
                engine.process(now)
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
        engine = self.pools[pool].places[k].aim(at)
        if pool == 0 and self.full(engine, i):
            self.place[0][i], self.turned[i], r.status = None, at, "shed"
            self.follow(i, at)
            return
        self.pools[pool].places[k].take(r)
        self.numbers[pool][i] = engine.number

    def send(self, engine, now):
        for r in engine.asked:
            self.reserved[r.id], self.sent[r.id] = now, r.known - (0 if self.whole else r.hit)
            size = self.scene["bytes"][r.id]
            if self.sent[r.id] < r.known:
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
            status = "shed" if a.status == "shed" else "rejected" if i in self.turned else "stuck"
            status = "done" if b.status == "done" else "timed_out" if i in self.gave_up else status
            last = self.turned.get(i, self.gave_up.get(i, b.last))
            outputs = getattr(b, "delivered", None)
            outputs = b.outputs if outputs is None else outputs
            results.append([
                i, status, a.arrival, a.scheduled, b.arrival, self.reserved[i], self.through[i], b.scheduled,
                b.first, last, a.preempted + b.preempted, self.sent[i], outputs, *(p[i] for p in self.numbers),
            ])  # fmt: skip
        return {
            "results": results, "rows": self.rows, "changes": [g.changes for g in self.pools],
            "loaded": sum(a.bytes for a, _ in self.links.values()),
            "stored": sum(b.bytes for _, b in self.links.values()),
        }  # fmt: skip


def play(scene):
    return Fleet(scene).run()
