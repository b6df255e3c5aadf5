"""
A card of your own goes wherever a name goes
============================================

A device is a file of its record's fields; what nobody measured is borrowed from others,
and the band says so.
"""

import tempfile
from pathlib import Path

import tokenroof as tr

card = """
name = "Card 9000"
memory_bandwidth = 2.4e12      # B/s
memory_bytes = 64e9
tdp_w = 450
[peak]                         # dense FLOP/s
bf16 = 400e12
fp8 = 800e12
"""
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "card.toml"
    path.write_text(card)
    mine = tr.device(path)
plan = tr.Plan(weights="fp8")
steps = [
    tr.decode(d, "Llama-3.1-8B", plan, batch=8, context=2048)
    for d in (mine, "L40S", "H100-SXM")
]
assert steps[1].time_s > steps[0].time_s > steps[2].time_s  # as their memories are
assert steps[0].error_band > steps[2].error_band
tr.plot.roofline([mine, "L40S", "H100-SXM"], dtype="fp8").show()
