"""SGLang's scheduler once more, in plain Python: a list for each list of the engine, from its rules.

With a trace's ``drafting`` each that runs verifies all its drafts in a step, and has memory for two such steps
beyond what is known to be kept; no end is known beforehand, and the last in order is retracted first.
"""

import heapq
import itertools

from sglang_twin_memory import Memory, Request, Tree
from sglang_twin_prompts import Prompts
from twin import kept_of

MOST_TURNS = 20000


class Circles(Exception):
    """It does not come to an end."""


class Batch:
    def __init__(self):
        self.prompts, self.decodes, self.middle, self.end = [], [], set(), 0
        self.kept, self.before = {}, {}


class Engine(Memory, Prompts):
    def __init__(self, trace):
        given = {
            "page_size": 1, "max_prefill_tokens": 16384, "chunked_prefill_size": 8192,
            "max_running_requests": 2048, "prefill_max_requests": None, "context_length": 2**40,
            "prefill_decode_interval": 0, "prefill_decode_interval_min_bs": 0,
            "schedule_policy": "fcfs", "schedule_conservativeness": 1.0, "enable_mixed_chunk": False,
            "disable_overlap_schedule": False, "disable_radix_cache": False,
            "radix_eviction_policy": "lru", "retraction_policy": "length",
            "enable_priority_scheduling": False, "schedule_low_priority_values_first": False,
            "init_new_token_ratio": 0.7, "min_new_token_ratio_factor": 0.14,
            "new_token_ratio_decay_steps": 600, "retract_decode_steps": 20,
            "clip_max_new_tokens_estimation": 4096, "ignore_eos": False,
        } | trace["config"]  # fmt: skip
        self.c = c = given | {"clip": given["clip_max_new_tokens_estimation"]}
        self.page, self.radix = c["page_size"], not c["disable_radix_cache"]
        size = c["max_total_tokens"] // self.page * self.page
        self.most_rows = min(c["max_running_requests"], size // 2)
        self.most_tokens = min(c["context_length"], size) - 1
        self.chunks = c["chunked_prefill_size"] > 0
        self.mixed = c["enable_mixed_chunk"] and self.chunks
        self.overlap = not c["disable_overlap_schedule"]
        self.start_ratio = min(c["init_new_token_ratio"] * c["schedule_conservativeness"], 1.0)
        self.least_ratio = min(self.start_ratio * c["min_new_token_ratio_factor"], 1.0)
        self.decay = (self.start_ratio - self.least_ratio) / c["new_token_ratio_decay_steps"]
        self.ratio = self.start_ratio
        self.pages = size // self.page
        self.free = set(range(self.pages))
        self.drafting = trace.get("drafting", {"acceptance": [], "states": False, "seed": 0})
        self.wide, self.given_out = 1 + len(self.drafting["acceptance"]), []
        self.tree = Tree(self.page, c["radix_eviction_policy"], self.drafting["states"])
        self.step_time = trace["step_time"]
        self.given = trace["requests"]
        self.requests = [Request(r, i) for i, r in enumerate(self.given)]
        self.running, self.waiting, self.rows, self.later, self.queue = [], [], [], [], []
        self.chunked = self.last = None
        self.full, self.interval, self.passes, self.end = False, 0, 0, 0
        for i, r in enumerate(self.given):
            if "after" not in r:
                heapq.heappush(self.later, (r["arrival"], i))

    # --- a turn of the loop
    def call(self, now):
        self.victims, batch, self.again = [], Batch(), False
        if self.chunked and self.chunked.end > self.chunked.prefix:
            self.checkpoint(self.chunked, self.chunked.end)
            self.chunked.prefix = self.chunked.end
        if self.last and self.last.prompts:
            whole = [r for r, _, _ in self.last.prompts if r not in self.last.middle]
            members = [r for r, _, _ in self.last.prompts] + self.last.decodes
            kept = [r for r in [*whole, *self.last.decodes] if not r.finished]
            if len(kept) < len(members):
                self.full = False
            if kept:
                if not self.running:
                    self.full = False
                self.running = self.running + kept
        self.last = None
        alive = [r for r in self.running if not r.finished]
        if len(alive) < len(self.running):
            self.full = False
        self.running = alive
        defer = self.interval > 0
        if defer and len(self.running) < self.c["prefill_decode_interval_min_bs"]:
            self.interval, defer = 0, False
        if defer:
            self.interval -= 1
            self.again = True
        if not defer and self.prefill(batch, now):
            self.interval = self.c["prefill_decode_interval"]
        elif self.running:
            self.decode(batch, now)
        return self.launch(batch, now)

    def launch(self, batch, now):
        entries = [[r.id, n, before] for r, n, before in batch.prompts]
        last = [(r, batch.before.get(r, r.committed - 1)) for r in batch.decodes]
        entries += [[r.id, self.wide, before] for r, before in last]
        total = sum(n for _, n, _ in entries)
        contexts = sum(before + self.wide for _, before in last)
        a, b, s = (self.step_time[k] for k in "abc")
        d = self.step_time.get("d", 0) * (self.wide - 1) * len(last)
        start = self.starts(now) if total else now
        batch.end = self.ends(start, a + b * total + s * contexts + d) if total else start
        if total:
            self.end, self.last = batch.end, batch
        self.check()
        if total or self.victims:
            there = len(self.free) * self.page + self.tree.evictable()
            self.rows.append([
                now, start, batch.end, entries, self.victims, there // self.page,
                sum(r.holds for r in self.requests), len(self.waiting), self.tree.size() // self.page,
            ])  # fmt: skip
        return batch if total else None

    def starts(self, now):
        return max(now, self.end)

    def ends(self, start, took):
        return start + took

    # --- those that run
    def without_ending(self):
        """Takes out whose last output, as declared, is in flight."""
        flying = []
        if self.overlap and self.queue and self.wide == 1:
            flying = [r for r, _, _ in self.queue[0].prompts if r not in self.queue[0].middle]
            flying += self.queue[0].decodes
        left = [r for r in self.running if not (r in flying and r.outputs + 1 >= r.most)]
        some = len(left) < len(self.running)
        self.running = left
        return some

    def fits(self, requests):
        need = self.need(requests)
        self.make_free(need)
        return len(self.free) * self.page >= need

    def need(self, requests):
        if self.wide == 1:
            return sum(r.committed % self.page == 0 for r in requests) * self.page
        return sum(max(0, self.count(self.reach(r)) - len(r.row)) for r in requests) * self.page

    def reach(self, r):
        return r.committed + 2 * self.wide

    def drafts_each(self, batch):
        more = len(self.running) * self.page if self.page > 1 else 0
        self.make_free(self.need(self.running) + more)
        for r in self.running:
            known = r.committed
            self.grow(r, self.reach(r))
            r.committed = known
            batch.before[r] = r.prompt + r.true - 1
            batch.kept[r] = kept_of(self.drafting, r.id, r.true, self.wide - 1)
            r.true += 1 + batch.kept[r]

    def a_token_each(self):
        extra = self.page if self.page > 1 else 1
        self.make_free(len(self.running) * extra)
        for r in self.running:
            self.grow(r, r.committed + 1)

    def decode(self, batch, now):
        before = len(self.running)
        ending = self.without_ending()
        if not self.running:
            self.full = False
            return
        if self.fits(self.running):
            self.ratio = max(self.ratio - self.decay, self.least_ratio)
        elif ending:
            self.full = False
            return
        else:
            self.retract(now)
        if len(self.running) < before:
            self.full = False
        if self.running:
            batch.decodes = self.running
            if self.wide > 1:
                self.drafts_each(batch)
            else:
                self.a_token_each()
            self.running = list(self.running)

    def retract(self, now):
        sign = -1 if self.c["schedule_low_priority_values_first"] else 1
        weight = sign * (self.c["retraction_policy"] == "priority")
        kept = sorted(
            self.running, key=lambda r: (weight * r.priority, r.outputs, -r.prompt), reverse=True
        )
        kept = list(self.running) if self.wide > 1 else kept
        first = True
        while first or not self.fits(kept):
            if len(kept) == 1:
                break
            first = False
            r = kept.pop()
            self.release(r)
            r.retracted = True
            r.preempted += 1
            self.victims.append(r.id)
            self.make_free(len(kept) * self.c["retract_decode_steps"])
            self.join(r, now)
        if len(kept) == 1 and not self.fits(kept):
            r = kept.pop()
            self.release(r)
            self.make_free(0)
            r.retracted = self.again = True
            self.settle(r, "rejected", now)
        self.running = kept
        steps = self.c["retract_decode_steps"] * len(kept)
        self.ratio = min(
            1.0, (sum(r.outputs for r in kept) + steps) / (sum(r.most for r in kept) + 1)
        )

    # --- outputs and arrivals
    def output(self, batch):
        for r in [*(r for r, _, _ in batch.prompts), *batch.decodes]:
            if r.finished or r.retracted or r in batch.middle:
                continue
            given = 1
            if r in batch.kept:
                given = min(1 + batch.kept[r], r.wanted - r.outputs)
                r.committed += 1 + batch.kept[r]
                self.given_out.append([batch.end, r.id, given])
            r.outputs += given
            if r.first is None and r.status == "waiting":
                r.first = batch.end
            if r.outputs >= r.wanted or r.leaving:
                r.finished = True
                self.release(r, r.committed if self.wide > 1 else min(r.committed, r.known))
                self.settle(r, "done", batch.end)
            elif r not in batch.decodes:
                self.checkpoint(r, r.end)

    def settle(self, r, status, at):
        """Its client is told so, if it is there."""
        if r.status == "waiting":
            r.status, r.last = status, at
            self.follow(r.id, at)

    def join(self, r, at):
        self.waiting.append(r)

    def follow(self, parent, at):
        for i, r in enumerate(self.given):
            if r.get("after", [None])[0] == parent:
                heapq.heappush(self.later, (at + r["after"][1], i))

    def deliver(self, now):
        while self.later and self.later[0][0] <= now:
            self.arrive(*heapq.heappop(self.later))

    def arrive(self, at, i):
        r = self.requests[i]
        r.arrival = at
        size = self.pages * self.page
        room = size - self.ceil(r.prompt) - self.page
        r.most = max(1, min(r.said, self.most_tokens - r.prompt - 1, room - 1))
        exact = self.c["ignore_eos"] and not self.radix
        if (
            r.prompt >= self.most_tokens - 5
            or r.prompt + 1 + self.page >= size
            or (exact and room - r.most <= 1)
        ):
            self.settle(r, "rejected", at)
            return
        r.wanted = min(r.given_outputs, r.most)
        self.join(r, at)

    # --- what clients that give up change
    def before(self, now):
        """What happens while a step runs that ends then."""

    def turned(self):
        """The loop has handled a step's outputs."""

    def next_time(self):
        return self.later[0][0] if self.later else None

    def run(self):
        now, depth = 0, 2 if self.overlap else 1
        for turn in itertools.count():
            if turn > MOST_TURNS:
                raise Circles
            self.deliver(now)
            work = self.waiting or any(r.holds for r in self.requests)
            batch = self.call(now) if work else None
            if batch:
                self.queue.append(batch)
                if len(self.queue) < depth:
                    continue
            if self.queue:
                oldest = self.queue.pop(0)
                now = max(now, oldest.end)
                self.before(now)
                self.output(oldest)
                self.turned()
            elif work and self.again:
                continue
            else:
                if not self.waiting and not any(r.holds for r in self.requests):
                    self.ratio = self.start_ratio
                if self.next_time() is None:
                    break
                now = max(now, self.next_time())
        stuck = bool(self.waiting or any(r.holds for r in self.requests))
        results = [
            [r.id, "stuck" if r.status == "waiting" else r.status, r.arrival, r.scheduled, r.first,
             r.last, r.preempted, r.hit, r.hits, r.outputs if r.delivered is None else r.delivered]
            for r in self.requests
        ]  # fmt: skip
        return {"stuck": stuck, "steps": self.rows, "results": results}


def play(trace):
    """What the scheduler decides over a trace's requests."""
    return Engine(trace).run()
