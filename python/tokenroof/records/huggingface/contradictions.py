"""What a config says twice and not alike, and words that no class knows."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from tokenroof.records.huggingface.families import FAMILIES
from tokenroof.records.huggingface.families.table import Family, defaults_of
from tokenroof.records.huggingface.reader import Reader, Values, short
from tokenroof.records.huggingface.reading import Reading
from tokenroof.support.arguments import shown
from tokenroof.support.names import near_matches

__all__ = ["refuse_other_class", "refuse_unknown_activation"]

# ends of names of classes, whose beginnings are families
_ENDS = re.compile(r"For(?=[A-Z])|LMHead|CausalLM|ChatModel|Model$")
#: What shapes go by: families that agree on these read a config alike.
_SHAPES = ("hidden", "layers", "heads", "kv_heads", "experts", "kv_lora_rank")
_FIELDS = ("hidden_act", "hidden_activation", "activation_function")
#: Of `transformers.activations.ACT2CLS`, and what other classes call them.
_ACTIVATIONS = (
    "gelu", "gelu_10", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_python", "gelu_python_tanh",
    "gelu_pytorch_tanh", "gelu_tanh", "geglu", "laplace", "leaky_relu", "linear", "mish", "prelu",
    "quick_gelu", "relu", "relu2", "relu6", "sigmoid", "silu", "swiglu", "swish", "tanh", "xielu",
)  # fmt: skip


def refuse_other_class(named: object, stated: Collection[str], r: Reader, values: Values) -> None:
    """Refuse a class of a family that reads other shapes of a config than the one of its ``model_type``.

    Raises
    ------
    ValueError
        Naming ``architectures`` and both families.
    """
    if not isinstance(named, list) or not named or not isinstance(named[0], str):
        return
    beginning = _ENDS.split(named[0])[0]
    family = {name.replace("_", ""): name for name in FAMILIES}.get(beginning.lower())
    if family is None or family in stated or _agrees(FAMILIES[family], family, r.config, values):
        return
    raise ValueError(
        f"architectures is {short(named)} with model_type {shown(r.raw('model_type'))}, of which it makes "
        f"other shapes; allowed: a class of that family, or model_type {shown(family)}"
    )


def _agrees(read: Family, name: str, config: Mapping[str, object], values: Values) -> bool:
    """Whether another family's rules make the same shapes of a config."""
    try:
        found = read(Reader(config, defaults_of(name), Reading(), ""))
    except (ValueError, TypeError):
        return False
    return all(found.get(key) == values.get(key) for key in _SHAPES)


def refuse_unknown_activation(config: Mapping[str, object], path: str) -> None:
    """Refuse an activation that no class has.

    Raises
    ------
    ValueError
        Naming the field, with near matches.
    """
    for name in _FIELDS:
        value = config.get(name)
        if isinstance(value, str) and value.lower() not in _ACTIVATIONS:
            near = near_matches(value, _ACTIVATIONS)
            hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
            raise ValueError(
                f"{path}{name} is {shown(value)}; allowed: {', '.join(_ACTIVATIONS)}, or "
                f"from_config(..., ignore=['{name}'])" + hint
            )
