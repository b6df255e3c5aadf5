"""tokenroof: the same flows; every root of each, not one."""

import money_work
import numpy as np
import timing

from tokenroof import economics

timing.work()
flows, days = money_work.flows(), money_work.days()
n = money_work.COUNT
many = np.array(money_work.many())
years = np.array(money_work.years())
answer = {
    "irr_s": timing.least(lambda: [economics.irr(row) for row in flows]) / n,
    "xirr_s": timing.least(lambda: [economics.xirr(row, days) for row in flows]) / n,
    "npv_s": timing.least(lambda: [economics.npv(0.08, row) for row in flows]) / n,
    "irr_batch_s": timing.least(lambda: economics.irr_each(many)) / len(many),
    "xirr_batch_s": timing.least(lambda: economics.xirr_each(many, years)) / len(many),
    "npv_batch_s": timing.least(lambda: economics.npv_each(0.08, many)) / len(many),
    "irr": [economics.irr(row)[0] for row in flows[:200]],
    "xirr": [economics.xirr(row, days)[0] for row in flows[:200]],
    "npv": [float(economics.npv(0.08, row)) for row in flows[:200]],
    "irr_batch": economics.irr_each(many[:200]).tolist(),
    "xirr_batch": economics.xirr_each(many[:200], years).tolist(),
    "npv_batch": economics.npv_each(0.08, many[:200]).tolist(),
}
timing.say(answer)
