"""Orders operations as a core with a given number of pipes would start them.

List scheduling: each cycle starts the ready operations of the longest chains, within a window of the
original order that keeps the registers from running out.
"""

from __future__ import annotations

from description import Graph, Vector

SHIFTS = ("rotate", "right", "left")


def scheduled(
    graph: Graph, order: list[int], window: int, latencies: tuple[int, int], widths: tuple[int, int]
) -> list[int]:
    """`order` again, rearranged within a window.

    `latencies` are those of shifts and of other operations in cycles, `widths` how many of shifts and of
    all start in a cycle.
    """
    ops = graph.ops

    def latency(i: int) -> int:
        kind = ops[i][0]
        return 0 if kind in ("lane", "keyed") else latencies[kind not in SHIFTS]

    inputs = {i: [x.index for x in ops[i] if isinstance(x, Vector)] for i in order}
    users: dict[int, list[int]] = {i: [] for i in order}
    for i in order:
        for x in inputs[i]:
            users[x].append(i)
    height: dict[int, int] = {}  # of the chain of operations that wait for this one
    for i in reversed(order):
        height[i] = latency(i) + max((height[u] for u in users[i]), default=0)
    done: dict[int, int] = {}
    waiting = list(order)
    out: list[int] = []
    cycle = budget = shifts = 0
    shift_width, width = widths
    while waiting:
        budget, shifts = min(budget + width, 2 * width), min(shifts + shift_width, 2 * shift_width)
        while True:
            best = None
            for i in waiting[:window]:
                if ops[i][0] in SHIFTS and shifts < 1:
                    continue
                ready = all(x in done and done[x] <= cycle for x in inputs[i])
                if ready and (best is None or height[i] > height[best]):
                    best = i
            if best is None or (budget < 1 and latency(best)):
                break
            waiting.remove(best)
            out.append(best)
            done[best] = cycle + latency(best)
            if latency(best):
                budget -= 1
                shifts -= ops[best][0] in SHIFTS
        cycle += 1
    return out
