"""TensorRT-LLM's replicas of prompts and of answers once more, as an event loop asks them.

Written from the rules. A context server keeps the blocks of a prompt, which are in its tree, until they were read. A
generation server sets blocks aside for the prompts of those that wait, under its own rule of memory, before the
step's; while a cache is on its way its request is no part of any decision. Once it is there the request is an
answer in progress, and its first token, which came along, is the client's when it is scheduled. Who gives up is taken
out when the outputs of the step after are handled, and not while its cache comes; a context that nobody waits for any more
is kept for nobody.
"""

import trtllm_twin
from link_twin import NEVER

Request = trtllm_twin.Request


class Prompts(trtllm_twin.Engine):
    def __init__(self, trace):
        super().__init__(trace)
        self.c = {"enable_block_reuse": True, **trace["config"]}
        self.later, self.flying, self.ended, self.told = [], [], [], []
        self.holding, self.asked, self.inits, self.waiting = {}, [], [], []
        self.depth = 1 if self.c["disable_overlap_scheduler"] else 2
        self.processed, self.at = False, NEVER
        self.gone, self.pending, self.forgot = [], [], []

    @staticmethod
    def longest(config):
        """The first length of a prompt that is refused."""
        whole = config["max_num_tokens"] + 1
        return min(config["max_seq_len"], 2**60 if config["enable_chunked_prefill"] else whole)

    def follow(self, parent, at):
        self.ended.append(parent)

    # --- the router and the autoscaler
    def aim(self, at):
        return self

    def take(self, r):
        self.active.append(r)

    def begun(self):
        return sum(r.phase != "waiting" for r in self.active)

    def queued(self):
        return len(self.active) - self.begun()

    def load(self):
        return 4 * self.queued() + self.begun()

    def busy(self):
        return bool(self.active or self.flying or self.holding or self.told)

    def share(self):
        return 1.0 - len(self.pool.free) / len(self.pool.refs)

    # --- events
    def next(self):
        return self.at if self.told else self.flying[0][1] if self.flying else NEVER

    def process(self, now):
        if self.told:
            self.ended += self.told
            self.told = []
            return
        self.processed = True
        self.output(self.flying.pop(0))
        self.frees()
        self.gone, self.pending = self.gone + self.pending, []

    def schedule(self, now):
        if self.flying and not self.processed:
            return
        self.processed = False
        self.fill(now)
        if not self.flying and self.gone:
            self.frees()
            self.fill(now)

    def fill(self, now):
        while len(self.flying) < self.depth and self.active:
            self.at, self.changed = now, False
            batch = self.call(now)
            if batch:
                self.flying.append(batch)
            elif self.flying or not self.changed:
                break

    # --- clients that give up
    def give_up(self, r):
        r.delivered, idle = r.outputs, not self.flying and not self.processed
        (self.gone if idle or self.processed else self.pending).append(r)
        if idle:
            self.frees()

    def frees(self):
        """Takes out whose turn it is; a cache that comes is there first."""
        held = [r for r in self.gone if r.phase == "coming"]
        for r in self.gone:
            if r not in held and r in self.active:
                if self.comes(r):
                    self.forgot.append(r)
                trtllm_twin.Engine.take_out(self, r)
        self.gone = held

    def comes(self, r):
        return False

    # --- caches that are read
    def take_out(self, r):
        if r.status != "waiting":
            super().take_out(r)
            return
        self.active.remove(r)
        r.gone = True
        if self.reuse:
            self.pool.store(r.tokens(r.ready), r.blocks, True)
        self.holding[r.id] = r.blocks

    def read(self, i):
        self.pool.release(self.holding.pop(i))


class Answers(Prompts):
    def comes(self, r):
        return r.phase == "waiting" and r.preempted == 0

    def skips(self, r, computed):
        return not self.comes(r) and super().skips(r, computed)

    def max_utilization(self):
        for r in self.active:  # who waits for a cache is passed over, as who waits for a last token
            if r.phase == "coming":
                r.phase = "last"
                r.away = True
        found = super().max_utilization()
        for r in self.active:
            if getattr(r, "away", False):
                r.phase, r.away = "coming", False
        return found

    def micro(self, prompts, answers):
        self.inits = [r for r in prompts if self.comes(r)]
        chosen = super().micro([r for r in prompts if not self.comes(r)], answers)
        self.set_aside()
        return chosen

    def set_aside(self):
        for r in self.inits:
            if self.up(r.known + self.beside) - self.shared(r) > len(self.pool.free):
                break
            self.begin(r, None)
            self.changed = True
            found = r.position // self.size * self.size
            r.hit = found
            r.phase, r.position, r.cache = "coming", r.prompt, r.prompt
            self.asked.append(r)

    def receive(self, r):
        r.phase, r.ready, r.fresh = "answer", r.prompt, True

    def pause(self, r):
        super().pause(r)
        r.fresh = False

    def leave_early(self, r, now):
        """Its first token is its last."""
        self.take_out(r)
        if r.status == "waiting":
            r.status, r.last = "done", now
            self.told.append(r.id)
        self.changed = True

    def take_out(self, r):
        trtllm_twin.Engine.take_out(self, r)

    def answers(self, r, now):
        """Whether it gets a token in this step: not if the one that came with the cache was its last."""
        if not getattr(r, "fresh", False):
            return True
        r.fresh = False
        r.outputs, r.sampled, r.told = 1, r.prompt + 1, 1
        r.scheduled = now
        r.first = now if r.status == "waiting" else None
        if r.outputs >= r.wanted or r.known >= self.c["max_seq_len"]:
            self.leave_early(r, now)
            return False
        return True
