"""Packed records by name, element types, constants of measured forms."""
