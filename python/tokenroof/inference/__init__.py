"""Inference of language models: steps, operators, calibrations, power, layouts."""
