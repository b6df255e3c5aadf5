"""Twins of inference's kernels: rooflines, operators, collectives, power, steps of a transformer."""
