"""What stands in a pool of the plain twin beside an engine by itself: a pipeline, and ranks that step together."""

from twin_nodes import Ranks


def staged(base):
    """In a pipeline: as many batches in flight as stages, in each stage behind the batch before."""

    class Staged(base):
        def __init__(self, trace):
            super().__init__(trace)
            self.depth, self.ends = trace["stages"], [0] * trace["stages"]

        def when(self, now, took):
            each = -(-took // self.depth)
            at = start = max(now, self.ends[0])
            for k, end in enumerate(self.ends):
                at = self.ends[k] = max(at, end) + each
            return start, at

    return Staged


class SomeRanks(Ranks):
    """Of either pool: who holds a cache, or waits for one."""

    @property
    def asked(self):
        return [r for k in self.ranks for r in k.asked]

    @asked.setter
    def asked(self, nobody):
        for k in self.ranks:
            k.asked = []

    def read(self, i):
        next(k for k in self.ranks if i in k.holding).read(i)

    def receive(self, r):
        self.ranks[r.rank].receive(r)
