"""What tokens and hashes earn and cost."""

from __future__ import annotations

_ECON = "Unit conversion; see tokenroof.economics."

UNITS = {
    "tokens_per_s_per_mw": "throughput per MW [token/(s MW)]",
    "price_per_mtok": "price of a million tokens [$]",
    "hashprice_usd_per_phs_day": "revenue of one PH/s over a day [$]",
    "joules_per_terahash": "energy of 1e12 hashes [J/TH]",
    "cost_per_hour": "cost of the machine [$/h]",
    "tokens_per_s": "throughput [token/s]",
}

# name -> (inputs, summary, result, source, example)
KERNELS: dict[str, tuple[str, str, str, str, str]] = {
    "token_revenue_per_mwh": ("tokens_per_s_per_mw price_per_mtok",
                              "Revenue of tokens per MWh: 3600 tput price / 1e6.", "revenue [$/MWh]",
                              _ECON, ">>> float(token_revenue_per_mwh(1e6, 2.0))\n7200.0"),
    "mining_revenue_per_mwh": ("hashprice_usd_per_phs_day joules_per_terahash pue",
                               "Revenue of mining per MWh at the meter.", "revenue [$/MWh]", _ECON,
                               ">>> round(float(mining_revenue_per_mwh(50.0, 17.5, 1.05)), 6)\n"
                               "113.378685"),
    "cost_per_mtok": ("cost_per_hour tokens_per_s", "Cost of a million tokens.", "cost [$/Mtok]",
                      _ECON, ">>> float(cost_per_mtok(3.6, 1000.0))\n1.0"),
    "energy_cost_per_mtok": ("watts tokens_per_s price_per_kwh",
                             "Cost of the electricity of a million tokens.", "cost [$/Mtok]", _ECON,
                             ">>> float(energy_cost_per_mtok(3600.0, 1000.0, 1.0))\n1.0"),
    "hashprice_usd": ("difficulty reward_btc price_usd",
                      "Revenue of one PH/s over a day.", "hashprice [$/(PH/s day)]",
                      "Luxor's definition: 86400 * 1e15 / (D 2^32) * reward * price.",
                      ">>> round(float(hashprice_usd(1e14, 3.175, 1e5)), 9)\n63.870102167"),
}  # fmt: skip
