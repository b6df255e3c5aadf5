"""Paths of a factory's cash straight from the kernel, and a model in which nothing moves."""

import numpy as np

from tokenroof import _core

CALM = {"price_start": 0.0, "price_keep": 1.0, "price_noise": 0.0, "power_start": 0.0, "power_keep": 1.0,
        "power_noise": 0.0, "correlation": 0.0, "jump_chance": 0.0, "jump_up_share": 0.5, "jump_up": 0.0,
        "jump_down": 0.0, "supply_follow": 0.0, "output_noise": 0.0, "capital_noise": 0.0, "capital_correlation": 0.0,
        "can_stop": 0.0, "tax_rate": 0.0}  # fmt: skip


def play(model, columns, paths, seed=0, isa=_core.ISA, threads=1, rows=False, progress=None):
    packed = np.array([float(model[name]) for name in _core.CASH_FIELDS])
    years = np.concatenate([np.asarray(columns[name], float) for name in _core.CASH_COLUMNS])
    worth, lowest = np.empty(paths), np.empty(paths)
    each = np.empty(4 * paths * len(columns["revenue"])) if rows else None
    _core.simulate_cash(isa, packed, years, seed, worth, lowest, each, threads, progress)
    return (worth, lowest, each.reshape(paths, 4, -1)) if rows else (worth, lowest)
