"""Paths of a factory's cash: path-years a second by instruction set, beside NumPy, and two threads.

    python bench/economics/cash_paths.py [--paths 400000]

CPU time of one thread, the least of several rounds in turns; both do the same work, checked by their means.
"""

import argparse
import time

import numpy as np

from tokenroof import _core, kernels
from tokenroof.economics import Uncertainty, factory, mine
from tokenroof.economics.risk import _columns

HOW = Uncertainty(price_volatility=0.4, price_reversion=0.5, power_volatility=0.3, power_reversion=1.0,
                  correlation=0.4, jumps_per_year=0.1, jump_up_share=0.3, jump_up=0.25, jump_down=0.4,
                  supply_response=0.5, output_error=0.1, capital_error=0.1, capital_correlation=0.3,
                  can_stop=True)  # fmt: skip


def in_numpy(model, columns, paths, rng):
    """The same in NumPy, a vector of paths at a time, as one would write it."""
    x, y, total, worth = (np.zeros(paths) for _ in range(4))
    income, taxed = np.zeros(paths), np.zeros(paths)
    lowest, supply = np.full(paths, np.inf), np.zeros(paths)
    other = np.sqrt(1 - model["correlation"] ** 2)
    for t in range(len(columns["revenue"])):
        first, second = rng.standard_normal(paths), rng.standard_normal(paths)
        u, v = rng.random(paths), rng.exponential(size=paths)
        supply += model["supply_follow"] * (x - supply)
        if t == 0:
            made, cost, rho = (
                model[k] for k in ("output_noise", "capital_noise", "capital_correlation")
            )
            output = np.exp(made * rng.standard_normal(paths) - 0.5 * made**2)
            both = rho * first + np.sqrt(1 - rho**2) * rng.standard_normal(paths)
            capital = np.exp(cost * both - 0.5 * cost**2)
        x = x * model["price_keep"] + first * model["price_noise"]
        y = (
            y * model["power_keep"]
            + (model["correlation"] * first + other * second) * model["power_noise"]
        )
        up = u < model["jump_chance"] * model["jump_up_share"]
        x += np.where(
            u < model["jump_chance"],
            np.where(up, v * model["jump_up"], -v * model["jump_down"]),
            0.0,
        )
        earned = columns["revenue"][t] * output * np.exp(x - supply) - columns["power"][t] * np.exp(
            y
        )
        if model["can_stop"]:
            earned = np.maximum(earned, 0.0)
        cash = earned - columns["costs"][t]
        income += cash - capital * columns["deductions"][t]
        most = np.maximum(taxed, income)
        cash = cash - (most - taxed) * model["tax_rate"] + columns["other"][t]
        cash -= capital * columns["capital"][t]
        taxed = most
        worth += cash * columns["discount"][t]
        total += cash
        lowest = np.minimum(lowest, total)
    return worth, lowest


def least(call, clock, rounds):
    best = np.inf
    for _ in range(rounds):
        began = clock()
        call()
        best = min(best, clock() - began)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paths", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    flow = factory(mine("Antminer S21", 50.0, 16.0).with_values({"finance.years": 15})).flow
    columns = _columns(flow, HOW, 0.083)
    model = HOW.model(0.25)
    packed = np.array([float(model[name]) for name in _core.CASH_FIELDS])
    named = dict(zip(_core.CASH_COLUMNS, columns.reshape(7, -1), strict=True))
    n, years = given.paths, flow.year.size
    worth, lowest = np.empty(n), np.empty(n)

    def play(isa, threads):
        _core.simulate_cash(isa, packed, columns, 1, worth, lowest, None, threads)

    rng = np.random.default_rng(1)
    base = least(
        lambda: in_numpy(model, named, n, rng), time.process_time, max(2, given.rounds // 2)
    )
    print(f"NumPy: {n * years / base / 1e6:.2f} M path-years/s")
    for isa in kernels.by_isa():
        took = least(lambda isa=isa: play(isa, 1), time.process_time, given.rounds)
        print(f"{isa}: {n * years / took / 1e6:.1f} M path-years/s, {base / took:.1f}x NumPy")
    error = worth.std() / np.sqrt(n)
    assert abs(in_numpy(model, named, n, rng)[0].mean() - worth.mean()) < 6 * error
    one, two = (
        least(lambda t=t: play(_core.ISA, t), time.perf_counter, given.rounds) for t in (1, 2)
    )
    print(f"two threads: {one / two:.2f}x one (wall)")


if __name__ == "__main__":
    main()
