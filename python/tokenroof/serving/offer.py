"""What one system gives at an objective, as `compare` sets two side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tokenroof.support.equality import by_value

__all__ = ["Offer"]


@by_value
@dataclass(frozen=True)
class Offer:
    """What one system gives at the objective.

    Attributes
    ----------
    label : str
        Device and plan, or the system's.
    devices, concurrency, batch : float
        Of a replica, or of the system; sequences that decode [1].
    interactivity, ttft_s, per_device, per_mw : float
        Tokens per second of one user [token/s]; time to the first token [s]; output tokens per second of a
        device and of a MW [token/s].
    watts_per_device : float
        By the convention that was asked for [W].
    error_band : float
    operators, causes : dict
        Seconds of a token by operator and by cause [s]: of a decode step, of ``prompts`` what those of others
        add to it, of ``drafts`` what a round's part of a token takes longer, less than zero where it saves;
        of dataflow ``chips``, of the ``link`` to them and back, of ``turns`` that a microbatch waits for the
        others.
    prompt_operators : dict
        Seconds of one prompt by operator [s].
    per_mw_low, per_mw_high : float
        Ends of `per_mw`: of its band, with chips of their ranges [token/s].
    chips : float
        Dataflow chips beside the devices [1].
    calibrated_on : str
        What the constants of its steps are from; with chips, those of the devices: of chips the catalogue's
        ranges are all there is.
    """

    label: str
    devices: float
    concurrency: float
    batch: float
    interactivity: float
    ttft_s: float
    per_device: float
    per_mw: float
    watts_per_device: float
    error_band: float
    operators: dict[str, float]
    causes: dict[str, float]
    prompt_operators: dict[str, float]
    per_mw_low: float = np.nan
    per_mw_high: float = np.nan
    chips: float = 0.0
    calibrated_on: str = ""

    def __post_init__(self) -> None:
        for end, scale in (("low", 1.0 / (1.0 + self.error_band)), ("high", 1.0 + self.error_band)):
            if np.isnan(getattr(self, f"per_mw_{end}")):
                object.__setattr__(self, f"per_mw_{end}", self.per_mw * scale)
