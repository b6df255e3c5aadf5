"""Twins of mining's kernels, and of its margins, targets and paths."""
