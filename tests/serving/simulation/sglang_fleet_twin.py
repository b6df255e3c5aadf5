"""SGLang's pools of prompts and of answers once more, in plain Python: requests that go to both at once, and caches
that cross the link piece by piece."""

import pools_twin
import sglang_pools_twin as servers


class Fleet(pools_twin.Fleet):
    def kinds(self, first, second):
        self.ways, self.sending = {}, [None] * len(self.given)
        each = [
            kind({**trace, "requests": []})
            for kind, trace in ((servers.Prompts, first), (servers.Answers, second))
        ]
        self.never = [any(e.refuses(r["prompt_tokens"]) for e in each) for r in self.given]
        return servers.Prompts, servers.Answers, servers.Request

    def refused(self, i):
        return self.never[i]

    def deliver(self, pool, i, at):
        if pool == 0:
            super().deliver(0, i, at)
            super().deliver(1, i, at)

    def schedule(self, now):
        second, first = self.pools[1], self.pools[0]
        for _, engine in second.engines():
            engine.schedule(now)
            self.note(1, engine)
            for r in engine.asked:
                self.reserved[r.id] = now
                first.places[self.place[0][r.id]].ready.add(r.id)
            engine.asked = []
        for _, engine in first.engines():
            engine.schedule(now)
            self.note(0, engine)
            for i, until, last in engine.sends:
                if i in self.gave_up:
                    continue
                way = self.ways.setdefault(
                    i, {"until": 0, "begun": 0, "last": False, "flying": False}
                )
                way["until"], way["last"] = max(way["until"], until), way["last"] or last
                self.piece(i, way, now)
            engine.sends = []

    def leave(self, i, now):
        if i in self.ways:  # nothing follows what is on its way
            self.ways[i] |= {"until": self.ways[i]["begun"], "last": False}
        a, b = (requests[i] for requests in self.requests)
        if self.through[i] is None:
            self.pools[0].places[self.place[0][i]].give_up(a)
        self.pools[1].places[self.place[1][i]].give_up(b)
        if a.status == "waiting":
            a.status = "timed_out"
        b.status, self.gave_up[i] = "timed_out", now
        self.follow(i, now)

    def piece(self, i, way, now):
        tokens, whole = way["until"] - way["begun"], self.given[i]["prompt_tokens"]
        if way["flying"] or not tokens:
            return
        if not way["begun"]:
            self.sending[i] = now
        way["begun"], way["flying"] = way["until"], True
        self.sent[i] += tokens
        size = self.scene["bytes"][i] * (tokens / whole)
        self.link.start(now, i, self.place[0][i], self.place[1][i], size)

    def through_link(self, now):
        for i in self.link.advance(now):
            way = self.ways[i]
            way["flying"] = False
            self.piece(i, way, now)
            if not way["flying"] and way["last"]:
                self.arrived(i, now)

    def outcome(self):
        found = super().outcome()
        for row, a, b in zip(found["results"], *self.requests, strict=True):
            row[4] = a.last if a.status == "done" else None
            row[1] = "rejected" if b.status == "rejected" else row[1]
        return found | {"sending": self.sending}


def play(scene):
    return Fleet(scene).run()
