// Rooflines of time and of energy.
//   [W09] Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009, section 3.
//   [C13] Choi, Bedard, Fowler, Vuduc, "A Roofline Model of Energy", IPDPS 2013.
//   [C14] Choi, Dukhan, Liu, Vuduc, "Algorithmic Time, Energy, and Power", IPDPS 2014.
#pragma once
#include "tokenroof/core/config.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// FLOP/s that a kernel of this arithmetic intensity can reach [W09].
template <class T> TR_HD T attainable(T peak_flops, T bandwidth, T intensity) {
    return min_nan(peak_flops, bandwidth * intensity);
}

// Arithmetic intensity, FLOP per byte, from which compute binds [W09].
template <class T> TR_HD T ridge_point(T peak_flops, T bandwidth) { return peak_flops / bandwidth; }

// Seconds of a kernel whose compute and traffic overlap fully [W09].
template <class T> TR_HD T time_bound(T flops, T bytes, T peak_flops, T bandwidth) {
    return max_nan(flops / peak_flops, bytes / bandwidth);
}

// The same with a link as a third roof.
template <class T>
TR_HD T time_bound_link(T flops, T bytes, T link_bytes, T peak_flops, T bandwidth, T link_bandwidth) {
    return max_nan(time_bound(flops, bytes, peak_flops, bandwidth), link_bytes / link_bandwidth);
}

// Seconds under a cap on the dynamic power, watts [C14, eq. 3].
template <class T>
TR_HD T time_bound_capped(T seconds, T dynamic_energy, T power_cap) {
    return max_nan(seconds, dynamic_energy / power_cap);
}

// Joules: dynamic energy of operations and traffic, plus constant power over the time [C13, eq. 2].
template <class T>
TR_HD T energy(T flops, T bytes, T energy_per_flop, T energy_per_byte, T constant_power, T seconds) {
    return flops * energy_per_flop + bytes * energy_per_byte + constant_power * seconds;
}

// FLOP per byte at which operations and traffic cost the same energy [C13].
template <class T> TR_HD T energy_balance(T energy_per_flop, T energy_per_byte) {
    return energy_per_byte / energy_per_flop;
}

// Energy balance once constant power is charged to the time it burns; depends on intensity [C13, eq. 7].
template <class T>
TR_HD T effective_energy_balance(T intensity, T time_balance, T energy_balance, T flop_share) {
    return flop_share * energy_balance +
           (T(1) - flop_share) * max_nan(T(0), time_balance - intensity);
}

// FLOP per joule of a kernel of this intensity: a smooth arch, no corner [C13, eq. 8].
// Per FLOP: its own energy, its share of the traffic's, and constant power over its time.
template <class T>
TR_HD T flops_per_joule(T intensity, T peak_flops, T bandwidth, T energy_per_flop, T energy_per_byte,
                        T constant_power) {
    const T seconds = max_nan(T(1) / peak_flops, T(1) / (intensity * bandwidth));
    return T(1) / (energy_per_flop + energy_per_byte / intensity + constant_power * seconds);
}

// Watts while a kernel of this intensity runs at its roof [C13, eq. 10].
template <class T>
TR_HD T roofline_power(T intensity, T peak_flops, T bandwidth, T energy_per_flop, T energy_per_byte,
                       T constant_power) {
    const T rate = attainable(peak_flops, bandwidth, intensity);
    return constant_power + rate * energy_per_flop + rate / intensity * energy_per_byte;
}

} // namespace TR_ISA
} // namespace tokenroof
