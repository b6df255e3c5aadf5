"""SGLang's servers of prompts and of answers once more, as an event loop asks them.

Written from the rules. A request comes to both at once. The server of answers sets memory aside for whole prompts,
in the order in which they came, so long as so many tokens stay free for each request that was let in, and lets the
server of prompts begin. That one sends whole pages of what is computed when a step's outcome is seen, what it found in its
tree when the step begins, and keeps its memory until all was read and its loop turns. A request whose cache is
there runs from the next turn on, and the first token, which came along, is the client's then. Who is retracted goes to the
host's memory, and comes back before anybody new. Both hear of who gives up: who waits is taken out, who runs leaves with
its next token, a prompt that was begun is computed to its end, and memory that a cache is sent from or to is free when
the loop looks at it next, whatever is on its way.
"""

import sglang_twin
from link_twin import NEVER

Request = sglang_twin.Request


class Node(sglang_twin.Engine):
    """Either of them."""

    def __init__(self, trace):
        super().__init__(trace)
        self.kept = self.c.get("num_reserved_decode_tokens", 512)
        few = self.c["max_running_requests"]
        self.extra = self.c.get("disaggregation_decode_extra_slots")
        if self.extra is None:
            self.extra = 2 * few if few <= 32 else 0
        self.later, self.queue, self.ended, self.told, self.asked, self.sends = (
            [],
            [],
            [],
            [],
            [],
            [],
        )
        self.depth, self.processed, self.at = 2 if self.overlap else 1, False, NEVER
        self.mine, self.pending = [], []

    def refuses(self, prompt):
        size = self.pages * self.page
        too_long = prompt >= self.most_tokens - 5 or prompt + 1 + self.page >= size
        return too_long or self.never(prompt)

    def follow(self, parent, at):
        self.ended.append(parent)

    def declare(self, r):
        """As `arrive`, of a request that was not refused."""
        room = self.pages * self.page - self.ceil(r.prompt) - self.page
        r.most = max(1, min(r.said, self.most_tokens - r.prompt - 1, room - 1))
        r.wanted = min(r.given_outputs, r.most)

    def aim(self, at):
        return self

    def load(self):
        return 4 * self.queued() + self.runs()

    def busy(self):
        return bool(self.queued() or any(r.holds for r in self.mine) or self.queue or self.told)

    def share(self):
        return 1.0 - (len(self.free) * self.page + self.tree.evictable()) / (self.pages * self.page)

    def next(self):
        return self.at if self.told else self.queue[0].end if self.queue else NEVER

    def process(self, now):
        if self.told:
            self.ended += self.told
            self.told = []
            return
        self.processed = True
        oldest = self.queue.pop(0)
        if self.queue:
            self.begins(self.queue[0])
        self.output(oldest)
        for r in self.pending:
            r.leaving = True
        self.pending = []

    def begins(self, batch):
        pass

    def turned(self):
        pass

    def schedule(self, now):
        if self.queue and not self.processed:
            return
        self.processed = False
        self.turned()
        while len(self.queue) < self.depth and (self.queued() or any(r.holds for r in self.mine)):
            self.at = now
            batch = self.call(now)
            if batch:
                self.queue.append(batch)
                if len(self.queue) == 1:
                    self.begins(batch)
            elif self.queue or not self.again or self.told:
                break

    def launch(self, batch, now):
        there, rows = self.requests, len(self.rows)
        self.requests = self.mine
        found = super().launch(batch, now)
        self.requests = there
        if len(self.rows) > rows:
            self.rows[-1][6:8] = self.runs(), self.queued()
        return found


class Prompts(Node):
    def __init__(self, trace):
        super().__init__(trace)
        self.booting, self.ready, self.inflight = [], set(), []

    def never(self, prompt):
        room = self.pages * self.page - self.ceil(prompt) - self.page
        return self.c["ignore_eos"] and not self.radix and room - 1 <= 1

    def take(self, r):
        self.declare(r)
        self.mine.append(r)
        self.booting.append(r)

    def queued(self):
        return len(self.booting) + len(self.waiting)

    def runs(self):
        return sum(r.holds for r in self.mine) - len(self.inflight)

    def give_up(self, r):
        if r in self.inflight:
            r.read = True
        for queue in (self.booting, self.waiting):
            if r in queue:
                queue.remove(r)

    def room_for(self, held=0):
        return self.most_rows - sum(r.holds for r in self.mine) + held

    def send(self, r, until, last=False):
        self.sends.append((r.id, until if last else until // self.page * self.page, last))

    def begins(self, batch):
        for r, _, before in batch.prompts:
            if before and before % self.page == 0:
                self.send(r, before)

    def call(self, now):
        self.waiting += [r for r in self.booting if r.id in self.ready]
        self.booting = [r for r in self.booting if r.id not in self.ready]
        self.victims, batch, self.again = [], sglang_twin.Batch(), False
        r = self.chunked
        if r and r.end > r.prefix:
            self.checkpoint(r, r.end)
            if not self.overlap:
                self.send(r, r.end)
            r.prefix = r.end
        self.last, self.full = None, False
        self.prefill(batch, now)
        return self.launch(batch, now)

    def output(self, batch):
        for r, n, before in batch.prompts:
            if r in batch.middle:
                if self.overlap:
                    self.send(r, before + n)
                continue
            r.outputs, r.read = 1, r.status != "waiting"
            self.checkpoint(r, r.prompt)
            self.inflight.append(r)
            if r.read:
                continue
            r.first = batch.end
            self.settle(r, "done", batch.end)
            self.send(r, r.prompt, True)

    def read(self, i):
        next(r for r in self.inflight if r.id == i).read = True

    def turned(self):
        for r in [r for r in self.inflight if r.read]:
            self.release(r, r.committed)
            self.inflight.remove(r)


class Answers(Node):
    def __init__(self, trace):
        config = trace["config"] | {"disable_radix_cache": True}
        super().__init__({**trace, "config": config})
        self.expected, self.coming, self.arrived, self.retracted = [], [], [], []

    def never(self, prompt):
        return self.ceil(prompt) + self.kept > self.pages * self.page

    def take(self, r):
        self.declare(r)
        self.mine.append(r)
        self.expected.append(r)

    def queued(self):
        return sum(map(len, (self.expected, self.coming, self.arrived, self.retracted)))

    def runs(self):
        return sum(r.holds for r in self.mine) - len(self.coming) - len(self.arrived)

    def join(self, r, at):
        self.retracted.append(r)

    def give_up(self, r):
        r.delivered = r.outputs
        for queue in (self.expected, self.arrived, self.retracted):
            if r in queue:
                queue.remove(r)
                if r.holds:
                    self.release(r)
                return
        if r in self.coming:
            return
        if self.queue and not self.processed:
            self.pending.append(r)
        else:
            r.leaving = True

    def budget(self, single=0):
        active = len(self.running) + len(self.coming) + len(self.arrived)
        return len(self.free) * self.page - max(active * self.kept, single)

    def slots(self):
        return sum(r.holds for r in self.mine) < self.most_rows + self.extra

    def hold(self, r, tokens):
        r.holds, r.retracted, self.again = True, False, True
        self.grow(r, tokens)

    def call(self, now):
        self.victims, batch, self.again = [], sglang_twin.Batch(), False
        while self.retracted and self.slots():
            r = self.retracted[0]
            if self.ceil(r.known - 1) + self.kept > self.budget():
                break
            self.hold(r, r.known - 1)
            self.arrived.append(self.retracted.pop(0))
        if not self.retracted:
            self.set_aside()
            over = [r for r in self.coming if r.there or r.status != "waiting"]
            self.coming = [r for r in self.coming if r not in over]
            for r in over:
                if r.status != "waiting":
                    self.release(r)
            self.arrived += [r for r in over if r.status == "waiting"]
            self.again = self.again or bool(over)
        self.join_arrived(now)
        alive = [r for r in self.running if not r.finished]
        self.again = self.again or len(alive) < len(self.running)
        self.running = alive
        if self.running:
            self.decode(batch, now)
        return self.launch(batch, now)

    def set_aside(self):
        retractable = sum(r.prompt + r.outputs for r in self.running)
        clip = self.c["clip"]
        single = max([r.prompt + min(r.most, clip) - retractable for r in self.running], default=0)
        while self.expected and self.slots() and len(self.coming) < 2 * self.most_rows:
            r = self.expected[0]
            need = max(self.ceil(r.prompt) + self.kept, r.prompt + min(r.most, clip) - retractable)
            if need > self.budget(single):
                break
            self.hold(r, r.prompt)
            r.there = False
            self.coming.append(self.expected.pop(0))
            self.asked.append(r)

    def join_arrived(self, now):
        room = max(0, self.most_rows - len(self.running))
        joined, self.arrived = self.arrived[:room], self.arrived[room:]
        self.again = self.again or bool(joined)
        for r in joined:
            if not r.outputs:
                r.outputs, r.scheduled, r.first = 1, now, now
            r.true = r.outputs
            if r.outputs < r.wanted:
                self.running = [*self.running, r]
                continue
            r.finished = True
            self.release(r)
            r.status, r.last = "done", now
            self.told.append(r.id)

    def settle(self, r, status, at):
        if status == "rejected" and r.status == "waiting":  # not even alone is there memory for it
            r.status, r.last = status, at
            self.told.append(r.id)
        else:
            super().settle(r, status, at)

    def receive(self, r):
        r.there = True
