"""Flows that every peer of money is given: a cost, then earnings; and days of payments."""

import random
from datetime import date

COUNT, YEARS = 2_000, 15
MANY, LONG = 100_000, 20


def flows():
    """So many projects of years, each with one change of sign: one internal rate of return."""
    rng = random.Random(1)
    return [
        [-rng.uniform(80, 120), *(rng.uniform(5, 30) for _ in range(YEARS))] for _ in range(COUNT)
    ]


def many():
    """A batch of projects of 20 years, as rows: what a study of chances or of prices asks for."""
    rng = random.Random(3)
    return [
        [-rng.uniform(80, 120), *(rng.uniform(5, 30) for _ in range(LONG))] for _ in range(MANY)
    ]


def long_days():
    """Days of the batch's payments."""
    rng = random.Random(4)
    return [date(2026, 1, 1)] + [
        date(2026 + year, rng.randint(1, 12), rng.randint(1, 28)) for year in range(1, LONG + 1)
    ]


def years():
    """The same in years of 365 days since the first."""
    found = long_days()
    return [(day - found[0]).days / 365.0 for day in found]


def days():
    """Days of a project's payments, as ISO dates: yearly, and off by days."""
    rng = random.Random(2)
    return [
        f"{2026 + year}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
        for year in range(YEARS + 1)
    ]
