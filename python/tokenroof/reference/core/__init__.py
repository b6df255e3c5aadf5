"""Arithmetic beneath the twins: IEEE 754, smooth maxima, random numbers, special functions."""
