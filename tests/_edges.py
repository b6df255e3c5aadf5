"""Ends of what numbers may be, by the argument that holds them: an end that belongs is taken, what is just beyond is not.

By kind: a new function's argument of a known name is held to the same ends, and one of an unknown name fails a test
until it stands here.
"""

import math
import re
from decimal import Decimal

import numpy as np

# what is allowed -> names of arguments, wherever no function says otherwise
RULES = {
    "0 <= x <= 1": "acceptance agent_share alpha cache_hits cached_price_ratio debt_share fees_share gamma jump_up_share "
                   "jumps_per_year licence_fee lost lost_per_year q quantiles residual residual_share tax_rate use",
    "0 < x <= 1": "availability part threshold utilization",
    "0 <= x < 1": "fee jump_up overhead probability split",
    "0 < x < 100": "percentile",
    "0 < x < 1": "change confidence level",
    "-1 <= x <= 1": "capital_correlation correlation",
    "-1 < x": "discount_rate network_growth power_price_growth price_growth_per_year processes_growth throughput_growth "
              "token_price_growth difficulty_growth_per_retarget difficulty_growth_per_year hashprice_growth_per_year",
    "1 <= x": "mining_pue pue threshold_pue",
    "0 <= x": "attention_decode attention_prefill batch board_w book_value capex capex_usd capital_error "
              "capital_usd_per_day chassis_w compute_use context cooldown_s cost_btc_per_s cost_per_hour "
              "curtailment_income debt_rate energy_j entry_per_day equity_rate facility fees_btc fees_per_block "
              "fees_std_btc fixed_opex fixed_price_per_kwh floors gaps_s gemm hashprice idle_watts input_price "
              "input_tokens_per_s intensity joules jump_down length memory_max memory_use nbytes om_per_year "
              "opex_per_gpu opex_usd_per_year output_error output_tokens_per_s past power_price_per_kwh "
              "power_price_sigma power_reversion power_volatility price_per_kwh price_per_mtok price_per_mtok_input "
              "price_reversion price_volatility ramp_s rates resale reserve reserve_btc seconds sequences sigma "
              "shell_per_mw start_s subsidy_btc supply_response think_s throughput_sigma token_price_sigma tokens "
              "tokens_per_s tokens_per_s_per_mw usd_per_gpu usd_per_terahash value_per_result vocab watts window",
    "0 < x": "answer_tokens block_seconds burstiness bytes_per_s bytes_per_token captured chunk clock_hz concurrency "
             "conv cost count day_s decode_tokens_per_s difficulty e2e_s easy_after_seconds frequency groups hashrate "
             "head_dim heads hidden index_head_dim index_heads input_tokens interactivity intermediate interval_s itl_s "
             "key_dim key_heads kv_lora_rank latent life_years limit_w max_age_years nope_head_dim output_tokens "
             "power_mw power_w prefill_tokens_per_s price processes prompt_tokens rate requests_per_minute risk "
             "rope_head_dim runs_per_hour share_difficulty slope slots state stays step_seconds streams tokens_per_run "
             "topk tolerance tpot_max tpot_s ttft_max ttft_s unit_s usd_per_mwh v_head_dim value_dim value_heads width "
             "window_blocks years",
    "any": "costs curtail fee_growth flows mu net_per_year output price_per_mwh seconds_later spot_prices_per_kwh",
    "whole from 0": "agents blocks cap confirmations degree first_time first_year fixed_ns height initial last_time "
                    "per_context_token_ns per_draft_ns per_token_ns seed shared_tokens spare start",
    "whole from 1": "chunks conversations declared_tokens devices devices_max draws gpus halving_interval limit low "
                    "max_sequences needed paths replicas requests shared_kinds target target_limit threads turns versions",
    "whole from 2": "retarget_blocks",
    # whose ends depend on other arguments
    "whole": "conversion_years hash_block high kv_heads kv_tokens least max_batched_tokens miner_years moe_ep moe_tp most "
             "pool_hashrate ranks total wait_years matrices",
    # no number of these is right
    "none": "client host_tier lengths load progress results",
}  # fmt: skip
RULE = {name: rule for rule, names in RULES.items() for name in names.split()}
# where there may be no end to it
ENDLESS = {"bytes_per_s", "capacity_bytes", "demand", "entry_per_day", "life_years"}
_RULE = re.compile(r"(-?\d+) (<=?) x(?: (<=?) (-?\d+))?")


def ends(rule):
    """Numbers at the ends that are allowed, and just beyond that are not."""
    if rule == "any":
        return [], []
    if rule.startswith("whole"):
        least = [int(x) for x in rule.split()[2:]]
        return least, [1.5, *(x - 1 for x in least)]
    if rule == "none":
        return [], [1.0, 3.0]
    low, at_low, at_high, high = _RULE.fullmatch(rule).groups()
    inside, outside = [], []
    for end, closed, away in ((low, at_low == "<=", -1.0), (high, at_high == "<=", 1.0)):
        if end is None:
            continue
        end = float(end)
        beyond = math.nextafter(end, away * math.inf) if end else away * 1e-300
        (inside if closed else outside).append(end)
        outside.append(beyond)
    return inside, outside


def wrong_ends(function, given, name, rule, put=lambda x: x, odd=(), taken=True, place=""):
    """What an argument does at its ends that its rule does not say: "taken at 1.0", or "0.0: (the error)".

    `put` makes the argument of one number, as one among good ones at `place`, which errors name; `odd` are further values that are no numbers of
    it; `taken` says whether what is allowed is tried too.
    """
    inside, outside = ends(rule)
    found = []
    endless = [] if name in ENDLESS else [math.inf, Decimal("Infinity")]
    for value in (*outside, math.nan, *endless, *odd):
        try:
            function(**given | {name: put(value)})
        except (ValueError, TypeError) as error:
            if f"{name}{place}" not in str(error) or "allowed" not in str(error):
                found.append(f"{name} = {value!r}: {error}")
        else:
            found.append(f"{name} is taken at {value!r}")
    for value in inside if taken else ():
        try:
            function(**given | {name: put(value)})
        except (ValueError, TypeError) as error:
            found.append(f"{name} = {value!r}: {error}")
    return found


def single(value):
    """Whether it is one number."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def numbers(base, changes):
    """Arguments of a case of `_effects` that are one number, and what to give beside each."""
    found = {name: {} for name, value in base.items() if single(value)}
    for name, tries in changes.items():
        for change in tries:
            if single(change.get(name)) and name not in found:
                found[name] = {key: value for key, value in change.items() if key != name}
    return found


def wrong_numbers(function, base, changes, own, taken=True):
    """`wrong_ends` of every argument of a case that is one number; `own` are rules of this function alone, None: none."""
    base = dict(base)
    called, found = base.pop("result", None) or function, []
    for name, others in numbers(base, changes).items():
        rule = own[name] if name in own else RULE[name]
        if rule is not None:
            odd = () if rule == "none" else ("1", True)  # words may be right there
            found += wrong_ends(called, base | others, name, rule, odd=odd, taken=taken)
    return found
