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
    "interest": "yearly interest [1]",
    "years": "years over which it is repaid [year]",
    "devices": "devices of the cluster [1]",
    "overhead": "part of the throughput that each doubling of the devices costs [1]",
    "prompt_tokens": "tokens of a prompt [1]",
    "answer_tokens": "tokens of an answer [1]",
    "prefill_tokens_per_s": "prompt tokens that one device reads [token/s]",
    "decode_tokens_per_s": "tokens that one device writes [token/s]",
    "revenue_per_hour": "what is sold in the hour [$/h]",
    "licence_fee": "part of it that the model's owner gets [1]",
    "curtailment_income": "what the grid pays for energy that is not taken [$/MWh]",
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
    "capital_recovery": ("interest years",
                         "Yearly payment that repays one dollar: r / (1 - (1 + r)^-n); NaN below zero.",
                         "payment [1/year]",
                         "Short, Packey and Holt, NREL/TP-462-5173, 1995.",
                         ">>> round(float(capital_recovery(0.08, 15)), 12)\n0.116829544936"),
    "cluster_tokens_per_s": ("devices overhead prompt_tokens answer_tokens prefill_tokens_per_s "
                             "decode_tokens_per_s",
                             "Throughput of devices that read and write in turn, less what a cluster loses.",
                             "prompt and answer tokens [token/s]",
                             "inferecon.com, LCOI calculator, v0.2, 2026-04-18: 1 - a log2(n).",
                             ">>> round(float(cluster_tokens_per_s(64, 0.02, 2000, 500, 8000, 1000)), 6)\n"
                             "187733.333333"),
    "curtailment_price": ("revenue_per_hour licence_fee watts curtailment_income",
                          "Price of electricity above which a service earns more by not running.",
                          "price [$/MWh]", "Revenue less fee = bill + what the grid pays, each by the MWh.",
                          ">>> float(curtailment_price(10.0, 0.3, 70_000.0, 20.0))\n80.0"),
}  # fmt: skip
