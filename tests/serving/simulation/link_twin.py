"""The link between pools once more, in plain Python: who is in flight, and what each gets."""

import math

NEVER = 2**62


class Link:
    """Transfers that share what each replica can send, and take."""

    def __init__(self, near, far, hop, fair):
        self.ends = [near, far]  # bytes a nanosecond of each replica
        self.hop, self.fair = hop, fair
        self.flows, self.coming, self.last = [], [], 0

    def start(self, now, who, sender, receiver, size):
        self.coming.append([now + self.hop, {"who": who, "at": (sender, receiver), "left": size}])

    def next(self):
        return min(
            [at for at, _ in self.coming[:1]] + [f["end"] for f in self.flows], default=NEVER
        )

    def advance(self, now):
        if self.next() > now:
            return []
        through = [f["who"] for f in self.flows if f["end"] <= now]
        self.flows = [f for f in self.flows if f["end"] > now]
        for f in self.flows:
            f["left"] = max(0.0, f["left"] - f["rate"] * (now - self.last))
        self.last = now
        while self.coming and self.coming[0][0] <= now:
            self.flows.append(self.coming.pop(0)[1])
        room = [list(self.ends[0]), list(self.ends[1])]
        (self.share_fairly if self.fair else self.share_in_order)(room)
        for f in self.flows:
            f["end"] = now + math.floor(f["left"] / f["rate"] + 0.5) if f["rate"] > 0 else NEVER
        return through

    def share_in_order(self, room):
        for f in self.flows:
            a, b = f["at"]
            f["rate"] = min(room[0][a], room[1][b])
            room[0][a] -= f["rate"]
            room[1][b] -= f["rate"]

    def share_fairly(self, room):
        """The end that has the least for each of its flows first."""
        left = list(self.flows)
        while left:
            shares = {}
            for side in (0, 1):
                for k in range(len(room[side])):
                    many = sum(f["at"][side] == k for f in left)
                    if many:
                        shares[side, k] = room[side][k] / many
            (side, k), each = min(shares.items(), key=lambda x: x[1])
            for f in [f for f in left if f["at"][side] == k]:
                f["rate"] = each
                for s in (0, 1):
                    room[s][f["at"][s]] = max(0.0, room[s][f["at"][s]] - each)
                left.remove(f)
