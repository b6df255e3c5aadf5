"""Replicas that compute prompts alone, with memory of the host, in plain Python."""

from twin_host import Link
from twin_nodes import Hosted


class HostedPrompts(Hosted):
    """Computes prompts: blocks are free when both their reader and their copies are through."""

    def __init__(self, trace):
        super().__init__(trace)
        self.holding, self.coming, self.received, self.asked = {}, [], [], []

    def output(self, batch):
        for r, _, sampled, _ in batch[0]:
            if sampled and r.status == "waiting":
                self.holding[r.id], r.blocks = (r, r.blocks), []
        super().output(batch)

    def let_go(self, r, at):
        if r.id not in self.holding:
            super().let_go(r, at)

    def read(self, i):
        r, blocks = self.holding.pop(i)
        if self.over.get(r, 0) > self.noticed:
            self.leaving.append((self.over[r], blocks, ()))
        else:
            self.blocks.release(blocks)

    def busy(self):
        return super().busy() or bool(self.holding)


def attach(engine, links, k, host):
    """The link to the memory of its host."""
    place, speed = k // host["replicas"], host["bytes_per_s"]
    engine.loads, engine.saves = links.setdefault(place, (Link(speed), Link(speed)))
