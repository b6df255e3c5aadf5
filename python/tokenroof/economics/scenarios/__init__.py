"""Factories year by year: what a scenario says, and the cash that follows from it."""
