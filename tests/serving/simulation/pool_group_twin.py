"""A pool of replicas once more, in plain Python: its router, and replicas that come and go."""

import math

from link_twin import NEVER


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
        self.places[k], self.state[k], self.heard[k] = self.make(k), "up", 0
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
            told = sum(self.places[k].share() for k in up)
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
