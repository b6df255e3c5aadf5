// Money per token, per hash and per MWh at the meter. Dollars stand for any currency.
//   [Short] Short, Packey and Holt, NREL/TP-462-5173, 1995: the capital recovery factor.
//   [LCOI] inferecon.com, LCOI calculator, v0.2, 2026-04-18: throughput of a cluster.
#pragma once
#include "tokenroof/core/config.hpp"
#include "tokenroof/core/maths.hpp"
#include "tokenroof/mining/bitcoin.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// $/MWh of selling tokens: throughput [token/s per MW], price [$/Mtok].
template <class T> TR_HD T token_revenue_per_mwh(T tokens_per_s_per_mw, T price_per_mtok) {
    return T(3600) * tokens_per_s_per_mw * price_per_mtok / T(1e6);
}

// $/MWh of mining: hashprice [$ per PH/s and day], efficiency [J/TH], facility over machine power.
// One MWh at the meter is 3.6e9 / (J/TH * PUE) TH; a PH/s over a day is 86400e3 TH.
template <class T>
TR_HD T mining_revenue_per_mwh(T hashprice_usd_per_phs_day, T joules_per_terahash, T pue) {
    return hashprice_usd_per_phs_day * T(3.6e9) / (T(86400e3) * joules_per_terahash * pue);
}

// $/Mtok of a machine's hourly cost.
template <class T> TR_HD T cost_per_mtok(T cost_per_hour, T tokens_per_s) {
    return cost_per_hour * T(1e6) / (T(3600) * tokens_per_s);
}

// $/Mtok of electricity alone.
template <class T> TR_HD T energy_cost_per_mtok(T watts, T tokens_per_s, T price_per_kwh) {
    return watts * price_per_kwh * T(1e6) / (T(3.6e6) * tokens_per_s);
}

// $ per PH/s and day: expected share of the blocks' reward [Luxor's hashprice].
template <class T> TR_HD T hashprice_usd(T difficulty, T reward_btc, T price_usd) {
    return blocks_per_phs_day(difficulty) * reward_btc * price_usd;
}

// Yearly payment that repays one dollar [Short]: r / (1 - (1 + r)^-n), 1 / n without interest; NaN below zero.
template <class T> TR_HD T capital_recovery(T rate, T years) {
    const double r = double(rate), n = double(years);
    const bool below = r < 0.0 || n < 0.0;
    const double interest = below ? 1.0 : r, term = below ? 1.0 : n;
    const double owed = term * log1p_lanes(interest);
    const double paid = 0.0 - expm1_negative(owed > 0.0 ? -owed : 0.0 - owed * 0.0);
    return T((interest == 0.0 ? 1.0 / term : interest / paid) + nan_unless(!below, r + n));
}

// token/s of a cluster [LCOI]: devices that read prompts and write answers one after the other, less a part for each
// doubling of them; nothing where that leaves nothing.
template <class T>
TR_HD T cluster_tokens_per_s(T devices, T overhead, T prompt_tokens, T answer_tokens, T prefill_tokens_per_s,
                             T decode_tokens_per_s) {
    const double n = double(devices), into = double(prompt_tokens), out = double(answer_tokens);
    const double doublings = n > 1.0 ? log_positive(n) * 1.4426950408889634 : n * 0.0;
    const double left = 1.0 - double(overhead) * doublings;
    const double seconds = into / double(prefill_tokens_per_s) + out / double(decode_tokens_per_s);
    return T((into + out) / seconds * n * max_nan(left, 0.0));
}

// $/MWh of electricity above which a service earns more by not running, for what the grid then pays.
template <class T> TR_HD T curtailment_price(T revenue_per_hour, T licence_fee, T watts, T curtailment_income) {
    const double kept = double(revenue_per_hour) * (1.0 - double(licence_fee));
    return T(kept * 1e6 / double(watts) - double(curtailment_income));
}

} // namespace TR_ISA
} // namespace tokenroof
