"""Twins of serving's kernels."""
