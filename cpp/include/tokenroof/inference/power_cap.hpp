// A board whose power is capped below its limit: the clock at which a load draws no more, and what it costs.
//
// Firmware lowers the clock of multiprocessors and caches, and with it their voltage, until the board draws the
// cap; that of the memory stays [N26: 9,501 MHz of an RTX 3090 in every sample]. At a clock y of its boost
//
//     v(y) = max(floor, 1 - (1 - floor) (1 - y) / (1 - knee))           volts, of those at boost
//     T(y) = 1 + follows (1/y - 1)                                      seconds, of those at boost
//     P(y) = rest + clocked y v^2 + (worked v^2 + moved) / T            watts
//
// (switching power C V^2 f: below the knee the voltage has reached its floor and power falls with the clock alone, above
// it faster [M26: a linear part and one beyond a frequency, A40 to H200]). `follows` is the share of the time that goes
// with the clock: all that computing takes, half of launches, a fifth of traffic. Floor, knee and the fifth are
// those of a RTX PRO 6000 under seven caps with clocks and watts, in the mean of four loads [S26].
// A load that would draw more than the limit does not run at boost without a cap either: a cap costs the way from
// the one clock to the other.
//   [S26] Light-Heart-Labs, vLLM throughput vs GPU power cap, RTX PRO 6000 Blackwell, 2026-04-30.
//   [N26] ashalliants, ninfer-3090, pull request 72, 2026-09-09.
//   [M26] Modeling and Chasing the Energy-Efficiency Sweet Spots in Modern GPUs, arXiv:2607.00819.
#pragma once
#include "tokenroof/core/maths.hpp"

namespace tokenroof {
inline namespace TR_ISA {

namespace cap {
constexpr double floor_volts = 0.85, knee = 0.93, slowest = 0.1;
constexpr double memory_follows = 0.2, launch_follows = 0.5, communication_follows = 0.2;
constexpr int halvings = 40;
} // namespace cap

// Volts of multiprocessors at a clock, both over those at boost.
template <class T> TR_HD T clock_volts(T clock) {
    constexpr double slope = (1.0 - cap::floor_volts) / (1.0 - cap::knee);
    return max_nan(T(1) - T(slope) * (T(1) - clock), T(cap::floor_volts));
}

// Seconds at a clock, over those at boost, of which a share `follows` goes with it.
template <class T> TR_HD T clock_seconds(T clock, T follows) { return T(1) + follows * (T(1) / clock - T(1)); }

// Watts at a clock. clocked: of multiprocessors that run, at boost; worked, moved: of work and of traffic at the rate
// of boost.
template <class T> TR_HD T clock_watts(T clock, T rest, T clocked, T worked, T moved, T follows) {
    const T volts = clock_volts(clock), square = volts * volts;
    return (rest + clocked * (clock * square)) + (worked * square + moved) / clock_seconds(clock, follows);
}

// The clock of boost's at which a load draws `limit`: 1 where it draws less, the slowest where even that draws more.
// In doubles whatever T is: where watts hardly change with the clock, it changes much with their last bits.
template <class T> TR_HD T capped_clock(T limit, T rest, T clocked, T worked, T moved, T follows) {
    const auto draws = [&](double clock) TR_INLINE {
        return clock_watts(clock, double(rest), double(clocked), double(worked), double(moved), double(follows));
    };
    const double bound = double(limit), most = draws(1.0);
    double low = cap::slowest, high = 1.0;
    for (int i = 0; i < cap::halvings; ++i) {
        const double middle = 0.5 * (low + high);
        const bool within = draws(middle) <= bound;
        low = within ? middle : low;
        high = within ? high : middle;
    }
    const double found = most <= bound ? 1.0 : low;
    return T(bound != bound ? bound : (most != most ? most : found));
}

// What a cap does to the seconds of each cause, as factors: of two clocks the one that the board runs at under the
// limit, and under the cap.
struct Slower {
    double memory, compute, launch, communication;
};
TR_HD double slower_by(double from, double to, double follows) {
    return clock_seconds(to, follows) / clock_seconds(from, follows);
}
TR_HD Slower slower_causes(double from, double to) {
    return {slower_by(from, to, cap::memory_follows), slower_by(from, to, 1.0), slower_by(from, to, cap::launch_follows),
            slower_by(from, to, cap::communication_follows)};
}

} // namespace TR_ISA
} // namespace tokenroof
