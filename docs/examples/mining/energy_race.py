"""
Two arms races: joules of a hash, joules of a token
===================================================

Each dot is a machine, and each record beats the one before. The axes are logarithmic:
both fall by half again and again.
"""

import tokenroof as tr
from tokenroof import economics as ec

miners, inference = ec.race("miners"), ec.race("inference")
for run in (miners, inference):
    best = run.joules[run.record]
    assert (best[1:] < best[:-1]).all()  # each record beats the one before
    assert best[0] > 6 * best[-1]
asics = [
    j for j, year in zip(miners.joules, miners.released, strict=True) if year > 2022
]
assert min(asics) < 0.001 * miners.joules.max()
tr.plot.arms_race(miners, inference).show()
