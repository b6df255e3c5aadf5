"""vLLM's scheduler once more, in plain Python: lists and dictionaries, no counters, written from its rules.

Reads and writes the layout of recorded traces, so that it can also be held against recordings of the engine.
"""

import heapq
import itertools

from twin_blocks import Blocks

from tokenroof.reference.core.random import uniforms

MOST_TURNS = 5000


class Circles(Exception):
    """The engine preempts for ever, and nobody makes headway."""


def kept_of(drafting, request, outputs, drafted):
    """Drafts that survive, one after the other, each with its own chance given those before it."""
    if not drafted:
        return 0
    u, _ = uniforms(outputs, 0x5BEC, request, drafting["seed"])
    chance = 1.0
    for n, acceptance in enumerate(drafting["acceptance"][:drafted]):
        chance *= acceptance
        if u >= chance:
            return n
    return drafted


class Request:
    def __init__(self, given, index):
        self.id, self.priority = index, given.get("priority", 0)
        self.prompt, self.outputs_wanted = given["prompt_tokens"], given["max_tokens"]
        self.declared = given.get("declared", self.outputs_wanted)
        self.ids = [start + k for start, n in given["prompt"] for k in range(n)]
        self.output_id = given.get("output_id", 10**12 + index * 10**6)
        self.computed = self.placeholders = self.flying = self.outputs = self.drafts = 0
        self.chunk, self.blocks, self.entered = False, [], 0
        self.received = False  # its prompt's cache came from elsewhere, but for the last token
        self.arrival = self.scheduled = self.first = self.last = self.hit = None
        self.preempted = self.hits = 0
        self.status = "waiting"

    @property
    def known(self):
        return self.prompt + self.outputs

    def token(self, i):
        return self.ids[i] if i < self.prompt else self.output_id + i - self.prompt


class Engine:
    def __init__(self, trace):
        self.c, self.asynchronous = trace["config"], trace["engine"]["loop"] == "async"
        self.old = trace["engine"]["vllm"].startswith("0.19")
        self.step_time = trace["step_time"]
        self.requests = [Request(r, i) for i, r in enumerate(trace["requests"])]
        self.given = trace["requests"]
        self.blocks = Blocks(self.c["num_blocks"], self.old)
        self.keys, self.named = {}, {}  # by ids, and by request and block
        self.drafting = trace.get(
            "drafting", {"acceptance": [], "lookahead": 0, "states": False, "seed": 0}
        )
        self.given_out = []
        self.running, self.waiting, self.rows, self.later = [], [], [], []
        self.executed, self.last_prefill = 0, -self.c.get("prefill_schedule_interval", 1)
        self.bound = False
        self.end, self.depth = 0, 2 if self.asynchronous else 1
        for i, r in enumerate(self.given):
            if "after" not in r:
                heapq.heappush(self.later, (r["arrival"], i))

    # --- blocks
    def key(self, request, i):
        """Blocks are equal if their ids and all before are: a number for each such beginning."""
        size, at = self.c["block_size"], (request.id, i)
        if at not in self.named:
            before = self.key(request, i - 1) if i else -1
            ids = tuple(request.token(k) for k in range(i * size, (i + 1) * size))
            self.named[at] = self.keys.setdefault((before, ids), len(self.keys))
        return self.named[at]

    def enter(self, request, tokens):
        if not self.c["enable_prefix_caching"]:
            return
        for i in range(request.entered, tokens // self.c["block_size"]):
            self.blocks.enter(request.blocks[i], self.key(request, i))
            request.entered = i + 1

    def lookup(self, request):
        found = []
        if self.c["enable_prefix_caching"]:
            for i in range((request.known - 1) // self.c["block_size"]):
                same = self.blocks.table.get(self.key(request, i))
                if not same:
                    break
                found.append(same[0])
        return found[:-1] if self.drafting["states"] else found

    def count(self, tokens):
        return -(-tokens // self.c["block_size"])

    # --- a call
    def call(self, now):
        c, rows = self.c, []
        self.budget = min(c.get("max_num_scheduled_tokens") or 2**60, c["max_num_batched_tokens"])
        eligible = len(self.running) + self.queued()
        limit = c["long_prefill_token_threshold"]
        if not self.old and eligible <= 1:
            limit = 0
        if limit and c.get("long_prefill_token_threshold_adaptive"):
            limit = max(limit, c["max_num_batched_tokens"] // eligible)
        limit = limit or 2**60
        interval = c.get("prefill_schedule_interval", 1)
        defer = (
            interval > 1
            and not self.bound
            and self.early(interval)
            and any(not r.chunk for r in self.running)
        )
        self.victims, self.prefill = [], False
        self.phase_a(rows, limit, defer)
        new, resumed = [], []
        if not self.victims:
            self.phase_b(rows, limit, defer, now)
            if not defer:
                self.bound = self.queued() > 0
        total = sum(n for _, n, _ in rows)
        contexts = 0
        drafted = {}
        for r, n, before in rows:
            contexts += before + n if before >= r.prompt - r.received else 0
            drafted[r] = max(0, before + n - r.known - r.placeholders)
            r.computed += n
            r.flying += n
            r.chunk = r.computed < r.known + r.placeholders
            if self.asynchronous and not r.chunk:
                r.placeholders += 1 + drafted[r]
        self.after_call(rows)
        if total:
            self.executed += 1
            if self.prefill:
                self.last_prefill = self.executed
        a, b, s = (self.step_time[k] for k in "abc")
        d = self.step_time.get("d", 0) * sum(drafted.values())
        start, end = self.when(now, a + b * total + s * contexts + d) if total else (now, now)
        if total or self.victims:
            self.rows.append([
                len(self.rows), now, start, end, [[r.id, n, before] for r, n, before in rows],
                new, resumed, [v.id for v in self.victims], [], len(self.blocks.free),
                len(self.running), self.queued(), len(self.blocks.table),
            ])  # fmt: skip
        return ([(r, n, not r.chunk, drafted[r]) for r, n, _ in rows], end) if total else None

    def after_call(self, rows):
        """Drafts that an asynchronous loop counts on for the next call; of 0.33 for that one alone."""
        if not self.asynchronous:
            return
        for r in self.running if not self.old else []:
            r.drafts = 0
        for r, _, _ in rows:
            if not r.chunk:
                r.drafts = len(self.drafting["acceptance"])

    def queued(self):
        return len(self.waiting)

    def early(self, interval):
        return self.executed + 1 - self.last_prefill < interval

    def when(self, now, took):
        start = max(now, self.end)
        self.end = start + took
        return start, self.end

    def phase_a(self, rows, limit, defer):
        c, at = self.c, 0
        while at < len(self.running) and self.budget > 0:
            r = self.running[at]
            last = (
                self.asynchronous
                and r.placeholders > 0
                and r.computed + 2 - r.placeholders >= r.prompt + r.declared
            )
            n = r.known + r.drafts + r.placeholders - r.computed
            n = min(n, limit, self.budget, c["max_model_len"] - 1 - r.computed)
            if last or (defer and r.chunk) or n <= 0:
                at += 1
                continue
            slots = min(r.computed + n + self.drafting["lookahead"], c["max_model_len"])
            need = max(0, self.count(slots) - len(r.blocks))
            out = None
            while need > len(self.blocks.free):
                out = self.victim()
                index = self.running.index(out)
                mine = [row for row in rows if row[0] is out]
                for row in mine:
                    rows.remove(row)
                    self.budget += row[1]
                if index < at and (mine or not self.old):
                    at -= 1
                self.preempt(out)
                if out is r:
                    break
            if out is r:
                if c["policy"] == "priority" and not self.old:
                    continue
                break
            r.blocks += [self.blocks.pop() for _ in range(need)]
            self.enter(r, min(r.computed + n, r.known))
            self.budget -= n
            self.prefill = self.prefill or r.chunk
            rows.append((r, n, r.computed))
            r.drafts = 0
            at += 1

    def victim(self):
        if self.c["policy"] == "fcfs":
            return self.running[-1]
        return max(self.running, key=lambda r: (r.priority, r.arrival))

    def preempt(self, r):
        self.running.remove(r)
        self.blocks.release(r.blocks)
        r.blocks, r.entered, r.computed, r.drafts = [], 0, 0, 0
        if not self.old:
            r.placeholders = 0
        r.preempted += 1
        self.victims.append(r)
        self.waiting.insert(0, r)

    def head(self):
        if self.c["policy"] == "fcfs":
            return self.waiting[0]
        return min(self.waiting, key=lambda r: (r.priority, r.arrival, r.id))

    def phase_b(self, rows, limit, defer, now):
        most = self.c.get("max_num_active_seqs") or self.c["max_num_seqs"]
        while self.waiting and self.budget > 0 and len(self.running) < most:
            if not self.admit(self.head(), rows, limit, defer, now):
                return

    def admit(self, r, rows, limit, defer, now):
        c = self.c
        found = self.lookup(r)
        hit = len(found) * c["block_size"]
        n = self.piece(r, hit, limit, defer)
        beside = self.watermark() + sum(self.blocks.refs.get(b, 0) == 0 for b in found) - len(found)
        if not n or not self.has_room(r, hit + n, beside):
            return False
        if r in self.waiting:
            self.waiting.remove(r)
        for block in found:
            self.blocks.touch(block)
        more = self.count(hit + n) - len(found)
        r.blocks = found + [self.blocks.pop() for _ in range(more)]
        r.entered, r.computed = len(found), hit
        self.begin(r, n, rows, now)
        return True

    def piece(self, r, hit, limit, defer):
        """Tokens of a request that begins; 0 where it has to wait."""
        n = min(r.known - hit, limit)
        if (defer and hit < r.known - 1) or (
            not self.c["enable_chunked_prefill"] and n > self.budget
        ):
            return 0
        return min(n, self.budget)

    def watermark(self):
        return int(self.c.get("watermark", 0) * self.c["num_blocks"]) if self.running else 0

    def has_room(self, r, tokens, beside):
        free, whole = len(self.blocks.free), min(r.known, self.c["max_model_len"])
        fits = not self.c["scheduler_reserve_full_isl"] or self.count(whole) + beside <= free
        return fits and self.count(tokens) + beside <= free

    def begin(self, r, n, rows, now):
        self.enter(r, min(r.computed + n, r.known))
        self.running.append(r)
        self.prefill = self.prefill or r.computed < r.known - 1
        if r.scheduled is None:
            r.scheduled, r.hit = now, r.computed
        r.hits += r.computed
        self.budget -= n
        rows.append((r, n, r.computed))

    # --- outputs and arrivals
    def output(self, batch):
        for r, n, sampled, drafted in batch[0]:
            if r.status == "done":
                continue
            r.flying -= n
            if not sampled:
                continue
            kept = self.kept(r, drafted)
            most = min(r.outputs_wanted, self.c["max_model_len"] - r.prompt)
            given = min(1 + kept, most - r.outputs)
            if r.computed > 0:
                r.computed -= drafted - kept
            r.placeholders = max(0, r.placeholders - (drafted - kept) - given)
            r.outputs += given
            self.given_out.append([batch[1], r.id, given])
            r.first = batch[1] if r.first is None else r.first
            if self.asynchronous and r in self.running:
                self.enter(r, min(r.known, r.computed - (r.placeholders if self.old else r.flying)))
            if not self.asynchronous:
                r.drafts = len(self.drafting["acceptance"])
            if r.outputs >= r.outputs_wanted or r.known >= self.c["max_model_len"]:
                self.let_go(r, batch[1])
                (self.running if r in self.running else self.waiting).remove(r)
                r.status, r.last = "done", batch[1]
                self.follow(r.id, batch[1])

    def let_go(self, r, at):
        self.blocks.release(r.blocks)
        r.blocks = []

    def kept(self, r, drafted):
        return kept_of(self.drafting, r.id, r.outputs, drafted)

    def follow(self, parent, at):
        for i, r in enumerate(self.given):
            if r.get("after", [None])[0] == parent:
                heapq.heappush(self.later, (at + r["after"][1], i))

    def deliver(self, now):
        while self.later and self.later[0][0] <= now:
            at, i = heapq.heappop(self.later)
            r = self.requests[i]
            r.arrival = at
            if r.prompt >= self.c["max_model_len"]:
                r.status, r.last = "rejected", at
                self.follow(i, at)
            else:
                self.waiting.append(r)

    def run(self):
        now, queue = 0, []
        for turn in itertools.count():
            if turn > MOST_TURNS:
                raise Circles
            self.deliver(now)
            self.victims = []
            batch = self.call(now) if self.running or self.waiting else None
            if batch:
                queue.append(batch)
                if len(queue) < self.depth:
                    continue
            if self.victims and not queue:
                continue  # the loop turns: who was preempted waits
            if queue:
                oldest = queue.pop(0)
                now = max(now, oldest[1])
                self.output(oldest)
            elif self.later:
                now = max(now, self.later[0][0])
            else:
                break
        return self.outcome()

    def outcome(self):
        stuck = bool(self.running or self.queued())
        results = [
            [r.id, "stuck" if r.status == "waiting" else r.status, r.arrival, r.scheduled, r.first,
             r.last, r.preempted, r.hit, r.hits, r.outputs]
            for r in self.requests
        ]  # fmt: skip
        return {"stuck": stuck, "steps": self.rows, "results": results}


def play(trace):
    """What the scheduler decides over a trace's requests."""
    return Engine(trace).run()
