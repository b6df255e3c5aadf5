"""What a model's tokens sell for: the list prices of the catalogue, by model."""

from __future__ import annotations

from tokenroof.catalogue.architectures import model as find_model
from tokenroof.catalogue.markets import Quote, latest
from tokenroof.records.model import Model
from tokenroof.support.names import normalise

# Whose list price stands for a model, by the name that the catalogue quotes it under: that of an ordinary
# endpoint, not of one that is sold as faster. Where a model has no quote of its own, one of the same size and
# form has (the name says which).
_QUOTED = {
    "DeepSeek-R1": "DeepSeek reasoner R1",
    "DeepSeek-V3": "DeepSeek chat V3 (from 2025-02-08)",
    "DeepSeek-V3.2": "DeepSeek V3.2-Exp",
    "Kimi-K2": "Kimi K2 OpenRouter",
    "Kimi-K2.5": "Kimi K2.5 Venice",
    "Llama-3.1-405B": "Llama 3.1 405B DeepInfra",
    "Llama-3.1-70B": "Llama 3.3 70B Turbo DeepInfra",
    "Llama-3.3-70B": "Llama 3.3 70B Turbo DeepInfra",
    "Qwen3-235B-A22B": "Qwen3-235B-A22B-2507 cheapest on OpenRouter",
    "gpt-oss-120b": "gpt-oss-120b Groq and Together",
    "gpt-oss-20b": "gpt-oss-20b Groq",
}


def token_quotes(model: str | Model) -> tuple[Quote, Quote]:
    """The catalogue's list prices of a model's input and output tokens.

    Parameters
    ----------
    model : str or Model

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
        raise TypeError(f"model is {model!r}; allowed: a name or a Model")
    name = model.name if isinstance(model, Model) else find_model(model).name
    known = {normalise(of): item for of, item in _QUOTED.items()}
    item = known.get(normalise(name))
    if item is None:
        raise ValueError(
            f"model is {name}, whose price the catalogue lacks (it has those of {', '.join(_QUOTED)}); "
            "allowed: market=Market.latest(price_per_mtok=...)"
        )
    return latest("api_price_input", item), latest("api_price_output", item)
