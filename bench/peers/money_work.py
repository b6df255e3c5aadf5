"""Flows that every peer of money is given: a cost, then earnings; and days of payments."""

import random

COUNT, YEARS = 2_000, 15


def flows():
    """So many projects of years, each with one change of sign: one internal rate of return."""
    rng = random.Random(1)
    return [
        [-rng.uniform(80, 120), *(rng.uniform(5, 30) for _ in range(YEARS))] for _ in range(COUNT)
    ]


def days():
    """Days of a project's payments, as ISO dates: yearly, and off by days."""
    rng = random.Random(2)
    return [
        f"{2026 + year}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
        for year in range(YEARS + 1)
    ]
