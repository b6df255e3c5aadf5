"""Paths of a factory's cash: path-years a second by instruction set, beside NumPy, and two threads.

    python bench/economics/cash_paths.py [--paths 400000]

Two models: every input wanders, and the price alone. NumPy in two ways: year by year over vectors of paths,
and whole arrays of (paths, years), as many would write it; for the price alone each without what that model
has not. CPU time of one thread, the least of several rounds; all do the same work, checked by their means.
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
PLAIN = Uncertainty(price_volatility=0.4, price_reversion=0.5)


def in_numpy(model, columns, paths, rng):
    """The same in NumPy, a vector of paths at a time, as one would write it."""
    x, y, total, worth = (np.zeros(paths) for _ in range(4))
    income, taxed = np.zeros(paths), np.zeros(paths)
    lowest, supply = np.full(paths, np.inf), np.zeros(paths)
    other = np.sqrt(1 - model["correlation"] ** 2)
    for t in range(len(columns["revenue"])):
        if t == 0:  # now: prices are known
            made, cost, rho = (
                model[k] for k in ("output_noise", "capital_noise", "capital_correlation")
            )
            first = rng.standard_normal(paths)  # of year 1, with which capital goes
            output = np.exp(made * rng.standard_normal(paths) - 0.5 * made**2)
            both = rho * first + np.sqrt(1 - rho**2) * rng.standard_normal(paths)
            capital = np.exp(cost * both - 0.5 * cost**2)
        else:
            first = first if t == 1 else rng.standard_normal(paths)
            second = rng.standard_normal(paths)
            u, v = rng.random(paths), rng.exponential(size=paths)
            supply += model["supply_follow"] * (x - supply)
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


def in_arrays(model, columns, paths, rng):
    """The same in whole arrays of (paths, years); prices alone, each on the last one's, go year by year."""
    years = len(columns["revenue"])
    shape = (paths, years)
    first, second = rng.standard_normal(shape), rng.standard_normal(shape)
    u, v = rng.random(shape), rng.exponential(size=shape)
    up = u < model["jump_chance"] * model["jump_up_share"]
    sizes = np.where(up, v * model["jump_up"], -v * model["jump_down"])
    shock = first * model["price_noise"] + np.where(u < model["jump_chance"], sizes, 0.0)
    rho = model["correlation"]
    other = (rho * first + np.sqrt(1 - rho**2) * second) * model["power_noise"]
    shock[:, 0] = other[:, 0] = 0.0  # now: prices are known
    income, power = np.empty(shape), np.empty(shape)
    x, y, supply = (np.zeros(paths) for _ in range(3))
    for t in range(years):
        supply = supply + model["supply_follow"] * (x - supply)
        x = x * model["price_keep"] + shock[:, t]
        y = y * model["power_keep"] + other[:, t]
        income[:, t], power[:, t] = x - supply, y
    made, cost, rho = (model[k] for k in ("output_noise", "capital_noise", "capital_correlation"))
    output = np.exp(made * rng.standard_normal(paths) - 0.5 * made**2)
    both = rho * first[:, 1] + np.sqrt(1 - rho**2) * rng.standard_normal(paths)
    capital = np.exp(cost * both - 0.5 * cost**2)[:, None]
    earned = columns["revenue"] * output[:, None] * np.exp(income)
    earned -= columns["power"] * np.exp(power)
    if model["can_stop"]:
        earned = np.maximum(earned, 0.0)
    cash = earned - columns["costs"]
    taxed = np.cumsum(cash - capital * columns["deductions"], axis=1)
    most = np.maximum(np.maximum.accumulate(taxed, axis=1), 0.0)
    cash -= np.diff(most, axis=1, prepend=0.0) * model["tax_rate"]
    cash += columns["other"] - capital * columns["capital"]
    return cash @ columns["discount"], np.cumsum(cash, axis=1).min(axis=1)


def plain_in_numpy(model, columns, paths, rng):
    """The price alone, year by year."""
    x, total, worth, lowest = np.zeros(paths), 0.0, np.zeros(paths), np.full(paths, np.inf)
    for t in range(len(columns["revenue"])):
        if t:  # now prices are known
            x *= model["price_keep"]
            x += rng.standard_normal(paths) * model["price_noise"]
        fixed = columns["other"][t] - columns["power"][t] - columns["costs"][t]
        cash = np.exp(x) * columns["revenue"][t] + (fixed - columns["capital"][t])
        worth += cash * columns["discount"][t]
        total = total + cash
        lowest = np.minimum(lowest, total)
    return worth, lowest


def plain_in_arrays(model, columns, paths, rng):
    """The price alone, in whole arrays."""
    years = len(columns["revenue"])
    shock = rng.standard_normal((paths, years)) * model["price_noise"]
    x = np.zeros((paths, years))
    for t in range(1, years):  # now prices are known
        x[:, t] = x[:, t - 1] * model["price_keep"] + shock[:, t]
    cash = np.exp(x) * columns["revenue"] - columns["power"] - columns["costs"]
    cash = cash - columns["capital"] + columns["other"]
    return cash @ columns["discount"], np.cumsum(cash, axis=1).min(axis=1)


def least(call, clock, rounds):
    best = np.inf
    for _ in range(rounds):
        began = clock()
        call()
        best = min(best, clock() - began)
    return best


def prepared(how, tax, paths):
    """A way to play by instruction set and threads, its model and columns for NumPy, and years of a path."""
    flow = factory(mine("Antminer S21", 50.0, 16.0).with_values({"finance.years": 15})).flow
    columns = _columns(flow, how, 0.083)
    model = how.model(tax)
    packed = np.array([float(model[name]) for name in _core.CASH_FIELDS])
    named = dict(zip(_core.CASH_COLUMNS, columns.reshape(7, -1), strict=True))
    worth, lowest = np.empty(paths), np.empty(paths)

    def play(isa, threads):
        _core.simulate_cash(isa, packed, columns, 1, worth, lowest, None, threads)
        return worth

    return play, model, named, flow.year.size


def compare(name, how, tax, in_numpy_of, given):
    """One model: NumPy's ways, then every instruction set, one thread and two."""
    n = given.paths
    play, model, named, years = prepared(how, tax, n)
    rng = np.random.default_rng(1)
    worth = play(_core.ISA, 1).copy()
    error, base = worth.std() / np.sqrt(n), []
    for way in in_numpy_of:
        assert abs(way(model, named, n, rng)[0].mean() - worth.mean()) < 6 * error
        rounds = max(2, given.rounds // 2)
        base.append(least(lambda way=way: way(model, named, n, rng), time.process_time, rounds))
        print(f"{name}, {way.__name__}: {n * years / base[-1] / 1e6:.2f} M path-years/s")
    for isa in kernels.by_isa():
        took = least(lambda isa=isa: play(isa, 1), time.process_time, given.rounds)
        ratios = " and ".join(f"{one / took:.1f}" for one in base)
        print(f"{name}, {isa}: {n * years / took / 1e6:.1f} M path-years/s, {ratios} times NumPy")
    one, two = (
        least(lambda t=t: play(_core.ISA, t), time.perf_counter, given.rounds) for t in (1, 2)
    )
    print(f"{name}, two threads: {one / two:.2f}x one (wall)")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paths", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    compare("all inputs", HOW, 0.25, (in_numpy, in_arrays), given)
    compare("price alone", PLAIN, 0.0, (plain_in_numpy, plain_in_arrays), given)


if __name__ == "__main__":
    main()
