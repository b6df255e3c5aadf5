"""One pool of replicas once more, in plain Python: a router, clients that give up, full queues, replicas that come
and go, memory of the host, data-parallel ranks, drafts: any of them together.

Written from the rules. A scene is a trace with ``replicas``, ``router``, ``age`` [ns], and where it has them
``scaling``, ``timeout`` and ``queue_timeout`` [ns], ``caps`` {requests, tokens}, ``host``, ``ranks`` and ``report_ms``.
"""

import heapq
import itertools

import twin
from link_twin import NEVER
from pool_group_twin import Group
from twin_host import Link
from twin_nodes import Hosted, Plain, Ranks, rank

RANKS = {Plain: rank(Plain), Hosted: rank(Hosted)}


class Fleet:
    def __init__(self, scene):
        self.scene, self.given, self.age = scene, scene["requests"], scene["age"]
        self.c, self.later, self.heard_at = scene["config"], [], -1
        for i, r in enumerate(self.given):
            if "after" not in r:
                heapq.heappush(self.later, (r["arrival"], i))
        start = self.later[0][0] if self.later else 0
        self.requests = [twin.Request(r, i) for i, r in enumerate(self.given)]
        host = scene.get("host")
        self.kind, self.links, self.tiers = (Hosted if host else Plain), {}, []
        self.rows = []
        self.group = Group(
            self.make, scene["replicas"], scene["router"], scene.get("scaling"), start
        )
        self.place = [None] * len(self.given)
        self.patience = [(scene.get(name, NEVER), []) for name in ("timeout", "queue_timeout")]
        self.caps = scene.get("caps", {})

    def make(self, k):
        many, kind = self.scene.get("ranks", 1), self.kind
        engines = [(RANKS[kind] if many > 1 else kind)(self.scene) for _ in range(many)]
        for j, engine in enumerate(engines):
            engine.requests, engine.number, engine.seen = self.requests, many * k + j, 0
            if kind is Hosted:
                host = k // self.scene["host"]["replicas"]
                speed = self.scene["host"]["bytes_per_s"]
                engine.loads, engine.saves = self.links.setdefault(host, (Link(speed), Link(speed)))
                self.tiers.append(engine)
        return engines[0] if many == 1 else Ranks(engines, self.scene)

    # --- one event after the other
    def run(self):
        for turn in itertools.count():
            if turn > 4 * twin.MOST_TURNS:
                raise twin.Circles
            times = [e.next() for _, e in self.group.engines()]
            times += [at for at, _ in self.later[:1]] + self.deadlines()
            now = min(times)
            if now == NEVER:
                break
            now = min(now, self.group.next())
            told = now // self.age * self.age if self.age else -1
            if self.heard_at < told < now:
                self.hear(told)
            self.event(now, self.heard_at < told == now)  # once
        return self.outcome()

    def hear(self, told):
        self.heard_at = told
        self.group.hear()

    def event(self, now, told):
        for _, engine in self.group.engines():
            if engine.next() <= now:
                engine.process(now)
                for i in engine.ended:
                    self.follow(i, now)
                engine.ended = []
        self.expire(now)
        self.group.scale(now)
        if told:
            self.hear(now)
        while self.later and self.later[0][0] <= now:
            self.arrive(*heapq.heappop(self.later))
        for _, engine in self.group.engines():
            engine.schedule(now)
            for one in engine.ranks if isinstance(engine, Ranks) else [engine]:
                self.rows += [(one.number, row) for row in one.rows[one.seen :]]
                one.seen = len(one.rows)

    def arrive(self, at, i):
        r = self.requests[i]
        r.arrival = at
        if r.prompt >= self.c["max_model_len"]:
            self.turn_away(r, "rejected", at)
            return
        k = self.group.route(not self.age, None)
        place = self.group.places[k]
        if not self.fits(place.aim(at), r, at):
            self.turn_away(r, "shed", at)
            return
        self.place[i] = k
        place.take(r)
        for patience, queue in self.patience:
            if patience < NEVER:
                queue.append(r)

    # --- who is turned away, or gives up
    def fits(self, engine, r, at):
        """Whether its queue takes it; who is less urgent gives way."""
        while engine.queued() + 1 > self.caps.get("requests", NEVER) or (
            sum(w.prompt for w in engine.waiting) + r.prompt > self.caps.get("tokens", NEVER)
        ):
            fresh = [w for w in engine.waiting if w.scheduled is None]
            last = max(fresh, key=lambda w: (w.priority, w.arrival, w.id), default=None)
            if self.c["policy"] == "fcfs" or last is None or last.priority <= r.priority:
                return False
            engine.give_up(last)
            self.turn_away(last, "shed", at)
        return True

    def turn_away(self, r, status, at):
        r.status, r.last = status, at
        self.follow(r.id, at)

    def deadlines(self):
        first = []
        for kind, (patience, queue) in enumerate(self.patience):
            while queue and self.settled(queue[0], kind):
                queue.pop(0)
            if queue:
                first.append(queue[0].arrival + patience)
        return first

    def settled(self, r, kind):
        return r.status != "waiting" or (kind == 1 and r.scheduled is not None)

    def expire(self, now):
        for kind, (patience, queue) in enumerate(self.patience):
            while queue:
                r = queue[0]
                if self.settled(r, kind):
                    queue.pop(0)
                elif r.arrival + patience <= now:
                    queue.pop(0)
                    self.group.places[self.place[r.id]].give_up(r)
                    self.turn_away(r, "timed_out", r.arrival + patience)
                else:
                    break

    def follow(self, parent, at):
        for i, r in enumerate(self.given):
            if r.get("after", [None])[0] == parent:
                heapq.heappush(self.later, (at + r["after"][1], i))

    def outcome(self):
        results = [
            [r.id, "stuck" if r.status == "waiting" else r.status, r.arrival, r.scheduled, r.first,
             r.last, r.preempted, r.hit, r.hits, r.outputs]
            for r in self.requests
        ]  # fmt: skip
        return {
            "results": results, "rows": self.rows, "changes": self.group.changes,
            "loaded": sum(a.bytes for a, _ in self.links.values()),
            "stored": sum(b.bytes for _, b in self.links.values()),
            "dummies": sum(e.dummies for _, e in self.group.engines() if isinstance(e, Ranks)),
        }  # fmt: skip


def play(scene):
    return Fleet(scene).run()
