"""tokenroof: the same flows; every root of each, not one."""

import money_work
import timing

from tokenroof import economics

timing.work()
flows, days = money_work.flows(), money_work.days()
n = money_work.COUNT
answer = {
    "irr_s": timing.least(lambda: [economics.irr(row) for row in flows[:300]], 2) / 300,
    "xirr_s": timing.least(lambda: [economics.xirr(row, days) for row in flows[:300]], 2) / 300,
    "npv_s": timing.least(lambda: [economics.npv(0.08, row) for row in flows], 2) / n,
    "irr": [economics.irr(row)[0] for row in flows[:200]],
    "xirr": [economics.xirr(row, days)[0] for row in flows[:200]],
    "npv": [float(economics.npv(0.08, row)) for row in flows[:200]],
}
timing.say(answer)
