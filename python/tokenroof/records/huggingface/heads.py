"""What stands behind the last layer: a head over the vocabulary, one over labels, or none."""

from __future__ import annotations

from collections.abc import Mapping

from tokenroof.records.huggingface.reader import Reader, Values, short

__all__ = ["output"]

# of names of classes: a head over the vocabulary, and other heads
_LANGUAGE = (
    "ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "ForTextGeneration", "ForMaskedLM", "CausalLM",
    "ForPreTraining", "ForVision2Seq", "ForImageTextToText", "ChatModel", "OmniModel",
)  # fmt: skip
# whose files name the bare class although they hold a head
_BARE = ("ChatGLMModel", "ChatGLMForConditionalGeneration", "QWenLMHeadModel", "Qwen2_5OmniModel")


def output(r: Reader) -> Values:
    """Arguments of `Model` about what follows the last layer, by the class that ``architectures`` names.

    Raises
    ------
    ValueError
        For a head that is not known.
    """
    named = r.raw("architectures")
    if named is None or named == []:
        return {}
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise TypeError(f"architectures is {short(named)}; allowed: a list of names of classes")
    name = named[0]
    if name in _BARE or any(part in name for part in _LANGUAGE):
        return {}
    if "ForSequenceClassification" in name:
        return {"headless": True, "labels": _labels(r), "head_bias": False}
    if "ForTokenClassification" in name:
        return {"headless": True, "labels": _labels(r), "head_bias": True}
    if "ForRewardModel" in name or "ForProcessRewardModel" in name:
        # two layers with biases, as in Qwen2.5-Math-RM and -PRM
        hidden = r.size("hidden_size")
        count = r.size("num_labels", default=2 if "Process" in name else 1)
        return {
            "headless": True, "labels": count, "head_bias": True,
            "extras": (("reward", hidden * hidden + hidden),),
        }  # fmt: skip
    if name.endswith(("Model", "ForTextEncoding", "ForEmbedding")) or "Embedding" in name:
        causal = r.raw("auto_map")
        if isinstance(causal, Mapping) and "AutoModelForCausalLM" in causal:
            return {}
        return {"headless": True, "head_bias": False}
    if "For" in name:
        raise ValueError(
            f"architectures is {short(named)}, whose head is not known; allowed: {', '.join(_LANGUAGE[:3])}, "
            "ForSequenceClassification, ForTokenClassification, ForRewardModel, or a bare Model"
        )
    return {}


def _labels(r: Reader) -> int:
    """As the public base class of configs counts them: by the map of labels, else two."""
    labels = r.raw("id2label")
    if isinstance(labels, Mapping) and labels:
        return len(labels)
    return r.size("num_labels", default=2)
