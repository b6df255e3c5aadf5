"""Rooflines of time (Williams et al. 2009) and energy (Choi et al. 2013, 2014)."""

from __future__ import annotations

from tokenroof.reference.core.ieee import divide, maximum, minimum

__all__ = [
    "attainable",
    "effective_energy_balance",
    "energy",
    "energy_balance",
    "flops_per_joule",
    "ridge_point",
    "roofline_power",
    "time_bound",
    "time_bound_capped",
    "time_bound_link",
]


def attainable(peak_flops: float, bandwidth: float, intensity: float) -> float:
    """Section 3: the lower of the flat and the slanted roof."""
    return minimum(peak_flops, bandwidth * intensity)


def ridge_point(peak_flops: float, bandwidth: float) -> float:
    """Where the roofs meet."""
    return divide(peak_flops, bandwidth)


def time_bound(flops: float, bytes: float, peak_flops: float, bandwidth: float) -> float:
    """Compute and traffic overlap: the longer of the two."""
    return maximum(divide(flops, peak_flops), divide(bytes, bandwidth))


def time_bound_link(
    flops: float,
    bytes: float,
    link_bytes: float,
    peak_flops: float,
    bandwidth: float,
    link_bandwidth: float,
) -> float:
    """The same with a link that overlaps too."""
    return maximum(
        time_bound(flops, bytes, peak_flops, bandwidth), divide(link_bytes, link_bandwidth)
    )


def time_bound_capped(seconds: float, dynamic_energy: float, power_cap: float) -> float:
    """Choi et al. 2014: dynamic energy cannot be spent faster than the cap."""
    return maximum(seconds, divide(dynamic_energy, power_cap))


def energy(
    flops: float,
    bytes: float,
    energy_per_flop: float,
    energy_per_byte: float,
    constant_power: float,
    seconds: float,
) -> float:
    """Choi et al. 2013: E = W e_f + Q e_m + pi_0 T."""
    return flops * energy_per_flop + bytes * energy_per_byte + constant_power * seconds


def energy_balance(energy_per_flop: float, energy_per_byte: float) -> float:
    """B_e = e_m / e_f."""
    return divide(energy_per_byte, energy_per_flop)


def effective_energy_balance(
    intensity: float, time_balance: float, energy_balance: float, flop_share: float
) -> float:
    """eta B_e + (1 - eta) max(0, B_tau - I)."""
    idle = maximum(0.0, time_balance - intensity)
    return flop_share * energy_balance + (1.0 - flop_share) * idle


def flops_per_joule(
    intensity: float,
    peak_flops: float,
    bandwidth: float,
    energy_per_flop: float,
    energy_per_byte: float,
    constant_power: float,
) -> float:
    """One FLOP over what it costs: itself, 1/I bytes, and constant power over its time."""
    time = maximum(divide(1.0, peak_flops), divide(1.0, intensity * bandwidth))
    cost = energy_per_flop + divide(energy_per_byte, intensity) + constant_power * time
    return divide(1.0, cost)


def roofline_power(
    intensity: float,
    peak_flops: float,
    bandwidth: float,
    energy_per_flop: float,
    energy_per_byte: float,
    constant_power: float,
) -> float:
    """Energy per second at the attainable rate."""
    rate = attainable(peak_flops, bandwidth, intensity)
    return constant_power + rate * energy_per_flop + divide(rate, intensity) * energy_per_byte
