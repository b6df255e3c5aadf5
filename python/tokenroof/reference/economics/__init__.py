"""Twins of economics' kernels."""
