"""SGLang's servers of prompts with memory of the host, in plain Python; those of answers have none."""

import random

import pool_scenarios
import sglang_fleet_twin
import sglang_pools_twin as servers
from link_twin import NEVER
from sglang_twin_host import Hosted


class Prompts(Hosted, servers.Prompts):
    """What a batch found on its device is sent when its step begins, unless it loads something."""

    def launch(self, batch, now):
        batch.loads = self.layered is not None
        return super().launch(batch, now)

    def begins(self, batch):
        for r, _, before in [] if batch.loads else batch.prompts:
            found = before - r.hosted
            if found > 0 and found % self.page == 0:
                self.send(r, found)

    def next(self):
        soon = super().next()
        if soon == NEVER and (self.queued() or any(r.holds for r in self.mine)):
            soon = min([one[0] for one in [*self.writing, *self.loading]], default=NEVER)
        return soon

    def process(self, now):
        if self.told or self.queue:
            super().process(now)
            self.send_writes()

    def schedule(self, now):
        super().schedule(now)
        if not self.queue:
            self.at = now
            self.send_writes()

    def turned(self):
        servers.Prompts.turned(self)


class Fleet(sglang_fleet_twin.Fleet):
    def kinds(self, first, second):
        _, *others = super().kinds(first, second)
        return (Prompts, *others)


def play(scene):
    return Fleet(scene).run()


def draw(seed, scaled=False, hurried=False):
    """As `draw_sglang`, with prompts that begin alike."""
    scene = pool_scenarios.draw_sglang(seed, scaled, hurried=hurried)
    rng, first = random.Random(seed + 13), scene["pools"][0]
    config, page = first["config"], first["config"]["page_size"]
    config["disable_radix_cache"] = False
    config["hicache_write_policy"] = rng.choice(
        ["write_through", "write_through_selective", "write_back"]
    )
    beginnings, longest = rng.choice([2, 4, 8]), 0
    for row in scene["requests"]:
        tokens, alike = row["prompt_tokens"], rng.random()
        longest = max(longest, tokens + row["max_tokens"])
        if alike < 0.7:
            same = round(tokens * min(1.0, 2.0 * alike))
            runs = [
                [10**6 * rng.randrange(beginnings), same],
                [10**9 + row["id"] * 10**6, tokens - same],
            ]
            row["prompt"] = [run for run in runs if run[1]]
    size = (longest // page + 3) * page
    config["max_total_tokens"] = max(16, round(size * rng.choice([1.0, 1.2, 1.5, 3.0])))
    first["host"] = {
        "pages": max(1, rng.choice([3, 60, 300, 10_000]) // page), "page_bytes": page * rng.choice([1, 1000]),
        "bytes_per_s": rng.choice([0, 10**4, 10**6, 10**9]), "layers": rng.choice([1, 3, 40]),
        "replicas": rng.choice([1, 2]),
    }  # fmt: skip
    return scene
