"""Orders operations as a core with a given number of pipes would start them.

List scheduling: each cycle starts the ready operations of the longest chains, within a window of the
original order that keeps the registers from running out.
"""

from __future__ import annotations

from description import Graph, Vector

SHIFTS = ("rotate", "right", "left")


def latency(kind: str) -> int:
    import os
    a,b=map(float,os.environ.get('LAT','2,1').split(','))
    return 0 if kind in ("lane", "keyed") else a if kind in SHIFTS else b


def scheduled(graph: Graph, order: list[int], window: int, shift_width: float, width: float) -> list[int]:
    """`order` again, rearranged: `width` operations and `shift_width` shifts start in a cycle."""
    ops = graph.ops
    inputs = {i: [x.index for x in ops[i] if isinstance(x, Vector)] for i in order}
    users: dict[int, list[int]] = {i: [] for i in order}
    for i in order:
        for x in inputs[i]:
            users[x].append(i)
    height: dict[int, int] = {}
    for i in reversed(order):
        height[i] = latency(ops[i][0]) + max((height[u] for u in users[i]), default=0)
    pos = {i: n for n, i in enumerate(order)}
    done: dict[int, float] = {}
    waiting = list(order)
    out: list[int] = []
    cycle = 0.0
    budget = shifts = 0.0
    while waiting:
        budget, shifts = min(budget + width, 2 * width), min(shifts + shift_width, 2 * shift_width)
        while True:
            best = None
            mode = __import__('os').environ.get('PRI','h')
            for i in waiting[:window]:
                kind = ops[i][0]
                if kind in SHIFTS and shifts < 1:
                    continue
                if all(done.get(x, 1e9) <= cycle for x in inputs[i]):
                    if best is None or (mode=='h' and height[i] - float(__import__('os').environ.get('BIAS','0'))*pos[i] > height[best]- float(__import__('os').environ.get('BIAS','0'))*pos[best]):
                        best = i
            if best is None or (budget < 1 and latency(ops[best][0])):
                break
            waiting.remove(best)
            out.append(best)
            done[best] = cycle + latency(ops[best][0])
            if latency(ops[best][0]):
                budget -= 1
                shifts -= ops[best][0] in SHIFTS
        cycle += 1
    return out
