"""What a model's tokens sell for: the list prices of the catalogue, by model."""

from __future__ import annotations

from tokenroof.catalogue.architectures import model as find_model
from tokenroof.catalogue.files import date_key
from tokenroof.catalogue.market_columns import note
from tokenroof.catalogue.market_file import market_in_force
from tokenroof.catalogue.markets import Quote, latest
from tokenroof.catalogue.quote import MarketData, MarketLike
from tokenroof.records.model import Model
from tokenroof.support.arguments import finite_number, shown
from tokenroof.support.names import normalise

# Whose list price stands for a model, by the name that the catalogue quotes it under: that of an ordinary
# endpoint, not of one that is sold as faster. Where a model has no quote of its own, one of the same size and
# form has (the name says which).
_QUOTED = {
    "DeepSeek-R1": "DeepSeek reasoner R1",
    "DeepSeek-V3": "DeepSeek chat V3 (from 2025-02-08)",
    "DeepSeek-V3.2": "DeepSeek V3.2-Exp",
    "DeepSeek-V4-Flash": "DeepSeek-V4-Flash DeepSeek",
    "DeepSeek-V4-Pro": "DeepSeek-V4-Pro DeepSeek, peak hours",
    "GLM-4.5": "GLM-4.5 Z.ai",
    "GLM-4.5-Air": "GLM-4.5-Air Z.ai",
    "GLM-4.6": "GLM-4.6 Z.ai",
    "GLM-5": "GLM-5 Z.ai",
    "GLM-5.2": "GLM-5.2 Z.ai",
    "Kimi-K2": "Kimi K2 OpenRouter",
    "Kimi-K2.5": "Kimi K2.5 Venice",
    "Kimi-K2.6": "Kimi-K2.6 Moonshot",
    "Kimi-K2.7-Code": "Kimi-K2.7-Code Moonshot",
    "Kimi-K3": "Kimi K3",
    "Llama-3.1-405B": "Llama 3.1 405B DeepInfra",
    "Llama-3.1-70B": "Llama 3.3 70B Turbo DeepInfra",
    "Llama-3.3-70B": "Llama 3.3 70B Turbo DeepInfra",
    "Llama-4-Maverick": "Llama-4-Maverick Together",
    "Llama-4-Scout": "Llama-4-Scout Together",
    "MiMo-V2-Flash": "MiMo-V2-Flash Xiaomi",
    "MiniMax-M2": "MiniMax-M2 MiniMax",
    "MiniMax-M2.5": "MiniMax-M2.5 MiniMax",
    "MiniMax-M2.7": "MiniMax-M2.7 MiniMax",
    "MiniMax-M3": "MiniMax-M3 MiniMax",
    "Qwen3-235B-A22B": "Qwen3-235B-A22B-2507 cheapest on OpenRouter",
    "Qwen3-32B": "Qwen3-32B Alibaba",
    "Qwen3-8B": "Qwen3-8B Alibaba",
    "Qwen3-Coder-480B-A35B": "Qwen3-Coder-480B-A35B Alibaba",
    "Qwen3-Next-80B-A3B": "Qwen3-Next-80B-A3B Alibaba",
    "Qwen3.5-122B-A10B": "Qwen3.5-122B-A10B Alibaba",
    "Qwen3.5-27B": "Qwen3.5-27B Alibaba",
    "Qwen3.5-35B-A3B": "Qwen3.5-35B-A3B Alibaba",
    "Qwen3.5-397B-A17B": "Qwen3.5-397B-A17B Alibaba",
    "Qwen3.6-27B": "Qwen3.6-27B Alibaba",
    "Qwen3.6-35B-A3B": "Qwen3.6-35B-A3B Alibaba",
    "Step-3.7-Flash": "Step-3.7-Flash StepFun",
    "gpt-oss-120b": "gpt-oss-120b Groq and Together",
    "gpt-oss-20b": "gpt-oss-20b Groq",
}


def token_quotes(model: str | Model, *, market: MarketLike | None = None) -> tuple[Quote, Quote]:
    """The catalogue's list prices of a model's input and output tokens.

    Parameters
    ----------
    model : str or Model
    market : path or MarketData, optional
        A file of newer prices, as `tokenroof.catalogue.market_data` takes it: its prices of the model count
        where they are not older.

    Returns
    -------
    tuple of Quote
        Input and output [USD/Mtok], each with the item it is quoted for, its date and its source.

    Raises
    ------
    KeyError
        For an unknown name, with near matches.
    ValueError, TypeError
        If the catalogue has no price of that model.

    Examples
    --------
    >>> [quote.value for quote in token_quotes("gpt-oss-120b")]
    [0.15, 0.6]
    """
    if not isinstance(model, (str, Model)):
        raise TypeError(f"model is {shown(model)}; allowed: a name or a Model")
    name = model.name if isinstance(model, Model) else find_model(model).name
    known = {normalise(of): item for of, item in _QUOTED.items()}
    item = known.get(normalise(name))
    with market_in_force(market) as newer:
        found = [_newest(quantity, name, item, newer) for quantity in
                 ("api_price_input", "api_price_output")]  # fmt: skip
    into, out = found
    if into is None or out is None:
        named = (
            "" if into is out else f"; the file has {'output' if into is None else 'input'} alone"
        )
        raise ValueError(
            f"model is {name}, whose price the catalogue lacks (it has those of "
            f"{', '.join(_QUOTED)}){named}; allowed: market=Market.latest(price_per_mtok=...)"
        )
    return into, out


def _newest(quantity: str, name: str, item: str | None, newer: MarketData | None) -> Quote | None:
    """A file's price of a model, or the catalogue's of what stands for it, whichever is not older."""
    own = None if newer is None else newer.newest(quantity).get(name)
    listed = None if item is None else latest(quantity, item)
    late = own is not None and (listed is None or date_key(own.date) >= date_key(listed.date))
    if own is None or not late:
        return listed
    note([own])
    return own


def power_price(given: object, default: float, newer: MarketData | None, low: float = 0.0) -> float:
    """Price of electricity: what was given, else a file's newest, else a default [$/MWh]."""
    if given is not None:
        return finite_number("price_per_mwh", given, low)
    rows = {} if newer is None else newer.newest("electricity_industrial")
    note(rows.values())
    return next((1000.0 * quote.value for quote in rows.values()), default)
