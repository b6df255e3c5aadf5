"""pyxirr (Rust) and numpy-financial: internal rates, rates on days, present values."""

from datetime import date

import money_work
import numpy as np
import numpy_financial as npf
import pyxirr
import timing

timing.work()
flows, days = money_work.flows(), [date.fromisoformat(day) for day in money_work.days()]
table = np.array(flows)
many, long_days = money_work.many()[:20_000], money_work.long_days()


def npf_irr():
    return [npf.irr(row) for row in table]


def batch_npv():
    return [pyxirr.npv(0.08, row, start_from_zero=True) for row in many]


n = money_work.COUNT
answer = {
    "pyxirr_irr_s": timing.least(lambda: [pyxirr.irr(row) for row in flows]) / n,
    "pyxirr_xirr_s": timing.least(lambda: [pyxirr.xirr(days, row) for row in flows]) / n,
    "pyxirr_npv_s": timing.least(lambda: [pyxirr.npv(0.08, row, start_from_zero=True) for row in flows]) / n,
    "pyxirr_irr_batch_s": timing.least(lambda: [pyxirr.irr(row) for row in many], 2) / len(many),
    "pyxirr_xirr_batch_s": timing.least(lambda: [pyxirr.xirr(long_days, row) for row in many], 2) / len(many),
    "pyxirr_npv_batch_s": timing.least(batch_npv, 2) / len(many),
    "irr_batch": [pyxirr.irr(row) for row in many[:200]],
    "xirr_batch": [pyxirr.xirr(long_days, row) for row in many[:200]],
    "npv_batch": batch_npv()[:200],
    "npf_irr_s": timing.least(npf_irr, 1) / n,
    "npf_npv_s": timing.least(lambda: [npf.npv(0.08, row) for row in table]) / n,
    "irr": [pyxirr.irr(row) for row in flows[:200]], "xirr": [pyxirr.xirr(days, row) for row in flows[:200]],
    "npv": [pyxirr.npv(0.08, row, start_from_zero=True) for row in flows[:200]],
    "npf_irr": [float(x) for x in npf_irr()[:200]],
    "npf_npv": [float(npf.npv(0.08, row)) for row in table[:200]],
}  # fmt: skip
timing.say(answer)
