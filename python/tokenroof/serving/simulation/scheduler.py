"""Schedulers by engine and version: their knobs, and what they come to on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import kernels
from tokenroof.inference.memory import cache_room
from tokenroof.serving.simulation.knobs import checked

if TYPE_CHECKING:
    from tokenroof.records.deployment import Deployment

__all__ = ["Scheduler", "memory_blocks"]

_GIB = 2.0**30
_CACHE_CONTEXT = 4096  # tokens at which a sequence's cache is counted, for models with windows
_UNBOUNDED = 2**40
# vLLM's classes of devices: from so many bytes on, tokens of a step and sequences [vllm/engine/arg_utils.py]
_CLASSES = ((160 * _GIB, 16384, 1024), (70 * _GIB, 8192, 1024), (0.0, 2048, 256))
_SMALL = ("A100", "GB10")  # of the last class whatever their memory


@dataclass(frozen=True, init=False, repr=False)
class Scheduler:
    """How an engine chooses what each of its steps carries.

    Parameters
    ----------
    max_batched_tokens : int, optional
        The most tokens of a step; by the device's memory where not given.
    max_sequences : int, optional
        The most requests that run at once; by the device's memory where not given.
    kv_tokens : int, optional
        Tokens that the KV memory holds; what weights and engine leave of the device where not given.
    engine : str
        Whose rules: one of the presets' names.
    **knobs
        The engine's own names, as in `preset`.

    Attributes
    ----------
    name : str
        The preset.
    config : dict
        Every knob by the engine's own name; None where the device decides.

    Raises
    ------
    ValueError, TypeError
        For a knob that is out of range, of another version, or not played: by name.

    Examples
    --------
    >>> Scheduler(max_batched_tokens=2048, max_sequences=256).config["max_num_seqs"]
    256
    >>> Scheduler.preset("vllm-0.33", block_size=0)
    Traceback (most recent call last):
    ValueError: block_size is 0; allowed: whole numbers from 1 to 65536
    """

    name: str
    _given: tuple[tuple[str, Any], ...]

    def __init__(
        self,
        max_batched_tokens: int | None = None,
        max_sequences: int | None = None,
        kv_tokens: int | None = None,
        *,
        engine: str = "vllm-0.33",
        **knobs: Any,
    ) -> None:
        for own, theirs, value in (
            ("max_batched_tokens", "max_num_batched_tokens", max_batched_tokens),
            ("max_sequences", "max_num_seqs", max_sequences),
        ):
            if value is None:
                continue
            if theirs in knobs:
                raise ValueError(f"{own} and {theirs} are given; allowed: one of them")
            knobs[theirs] = value
        if kv_tokens is not None:
            if "num_blocks" in knobs:
                raise ValueError("kv_tokens and num_blocks are given; allowed: one of them")
            size = checked(engine, knobs)["block_size"]
            if kv_tokens < size:
                raise ValueError(f"kv_tokens is {kv_tokens!r}; allowed: at least a block ({size})")
            knobs["num_blocks"] = kv_tokens // size + 1  # one is never used
        checked(engine, knobs)
        object.__setattr__(self, "name", engine)
        object.__setattr__(self, "_given", tuple(knobs.items()))

    @classmethod
    def preset(cls, name: str, **overrides: Any) -> Scheduler:
        """The defaults of an engine's version, with others in their place.

        Parameters
        ----------
        name : {"vllm-0.33", "vllm-0.19"}
        **overrides
            By the engine's own names: ``max_num_batched_tokens``, ``max_num_seqs``, ``block_size``,
            ``num_blocks`` (one of them is never used), ``max_model_len``, ``enable_chunked_prefill``,
            ``enable_prefix_caching``, ``long_prefill_token_threshold``, ``policy`` ("fcfs" or "priority"),
            ``scheduler_reserve_full_isl``, ``max_num_scheduled_tokens``, ``loop`` ("async" or "sync");
            of 0.33 alone: ``watermark``, ``long_prefill_token_threshold_adaptive``,
            ``max_num_active_seqs``, ``prefill_schedule_interval``. Beside them ``cudagraphs`` (steps are
            padded to captured sizes) and ``host_ns`` (time of the host in each step [ns]).

        Raises
        ------
        ValueError, TypeError
            For an unknown preset, or a knob that is out of range or not played.

        Examples
        --------
        >>> Scheduler.preset("vllm-0.33", max_num_seqs=64).config["block_size"]
        16
        """
        return cls(engine=name, **overrides)

    @property
    def config(self) -> dict[str, Any]:
        return checked(self.name, dict(self._given))

    @property
    def before_0_20(self) -> bool:
        """Whether the rules are those of vLLM 0.19."""
        return self.name == "vllm-0.19"

    def __repr__(self) -> str:
        knobs = "".join(f", {name}={value!r}" for name, value in self._given)
        return f"Scheduler.preset({self.name!r}{knobs})"

    def resolved(self, on: Deployment | None) -> dict[str, Any]:
        """Every knob as a number, by the device where nothing else says it."""
        config = self.config
        memory = on.device.memory_bytes if on and on.device.memory_bytes else 80 * _GIB
        small = on is not None and any(name in on.device.name for name in _SMALL)
        tokens, sequences = next(
            (t, s) for least, t, s in _CLASSES if memory >= least and not (small and least > 0)
        )
        explicit = config["num_blocks"] is not None and config["max_model_len"] is not None
        if config["num_blocks"] is None:
            if on is None:
                raise ValueError("num_blocks is None; allowed without a device: a whole number")
            config["num_blocks"] = memory_blocks(on, config["block_size"])
        _default(config, "max_num_batched_tokens", tokens)
        _default(config, "max_num_seqs", min(sequences, config["max_num_batched_tokens"]))
        _default(config, "max_num_scheduled_tokens", config["max_num_batched_tokens"])
        _default(config, "max_num_active_seqs", config["max_num_seqs"])
        _default(config, "max_model_len", _UNBOUNDED)
        # vLLM does not start where a request of max_model_len does not fit; what never fits is refused
        config["refuse_oversized"] = not explicit
        return config


def _default(config: dict[str, Any], name: str, value: int) -> None:
    if config.get(name) is None:
        config[name] = value


def memory_blocks(on: Deployment, block_size: int) -> int:
    """Blocks of KV memory that weights and engine leave, the one that is never used among them."""
    model, plan = on.records[2:]
    both = float(kernels.memory_required(model, plan, 1.0, float(_CACHE_CONTEXT)))
    per_token = (both - float(kernels.memory_required(model, plan, 0.0, 0.0))) / _CACHE_CONTEXT
    room = float(cache_room(on.records))
    if not np.isfinite(room):
        raise ValueError(
            f"num_blocks is None; allowed on {on.device.name}, whose memory is unknown: a whole number"
        )
    blocks = int(max(room, 0.0) // (per_token * block_size)) if per_token > 0.0 else 2**31 - 2
    if blocks < 2:
        raise ValueError(
            f"{on.model.name} with the plan {on.plan.label()} leaves no memory for KV blocks on "
            f"{on.device.name}; allowed: a plan whose weights fit (plan_that_fits names one)"
        )
    return min(blocks, 2**31 - 2)
