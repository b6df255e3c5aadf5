// Money per token, per hash and per MWh at the meter. Dollars stand for any currency.
#pragma once
#include "tokenroof/core/config.hpp"
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

} // namespace TR_ISA
} // namespace tokenroof
