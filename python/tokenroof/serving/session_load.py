"""Sessions as a load in means, and the loads that everybody compares by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.serving.requests.sessions import sessions
from tokenroof.support.arguments import count, finite_number, shown
from tokenroof.support.names import among, normalise, unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.serving.requests.record import Requests

__all__ = ["Preset", "SessionLoad", "preset", "presets"]

_THINKS = ("exponential", "fixed")


@dataclass(frozen=True, slots=True)
class SessionLoad:
    """Sessions of so many turns, in means: a turn's prompt is all that was said before, and its question.

    Parameters
    ----------
    turns : int
        Turns of a session [1].
    input_tokens, output_tokens : float
        What a turn adds to the prompt, and its answer [1].
    shared_tokens : float
        Of a beginning that all sessions share, such as a system prompt [1].
    think_s : float
        Mean time from an answer to the next turn: a reader's, or a tool's [s].
    think : {"exponential", "fixed"}
        How that time is spread.

    Raises
    ------
    ValueError, TypeError
        For an argument that is not allowed, by name and value.

    Examples
    --------
    >>> load = SessionLoad(turns=3, input_tokens=100, output_tokens=20, shared_tokens=1000)
    >>> load.prompts.tolist(), load.most_cached
    ([1100.0, 1220.0, 1340.0], 0.9180327868852459)
    """

    turns: int = 5
    input_tokens: float = 256.0
    output_tokens: float = 256.0
    shared_tokens: float = 0.0
    think_s: float = 10.0
    think: str = "exponential"

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "turns", count("turns", self.turns))
        for name in ("input_tokens", "output_tokens"):
            put(self, name, finite_number(name, getattr(self, name), above=True))
        for name in ("shared_tokens", "think_s"):
            put(self, name, finite_number(name, getattr(self, name)))
        if not among(self.think, _THINKS):
            raise ValueError(f"think is {shown(self.think)}; allowed: {', '.join(_THINKS)}")

    @property
    def said(self) -> NDArray[np.float64]:
        """Tokens of a session before each of its turns [1]."""
        return np.arange(float(self.turns)) * float(self.input_tokens + self.output_tokens)

    @property
    def prompts(self) -> NDArray[np.float64]:
        """Tokens of each turn's prompt [1]."""
        return np.asarray(self.shared_tokens + self.said + self.input_tokens)

    @property
    def mean_input(self) -> float:
        """Mean tokens of a prompt [1]."""
        return float(self.prompts.mean())

    @property
    def ratio(self) -> float:
        """Tokens of prompts over those of answers [1]."""
        return self.mean_input / self.output_tokens

    @property
    def most_cached(self) -> float:
        """Share of prompt tokens that were there before: the hit rate of a cache without end [1]."""
        return 1.0 - self.input_tokens / self.mean_input

    def requests(self, rate: float, conversations: int, seed: int = 0) -> Requests:
        """The same as requests for `simulate`: sessions that begin at random, so many per second.

        Raises
        ------
        ValueError, TypeError
            As `tokenroof.serving.sessions`.

        Examples
        --------
        >>> len(SessionLoad(turns=3).requests(1.0, 10))
        30
        """
        return sessions(
            rate, conversations, self.turns, input_tokens=max(round(self.input_tokens), 1),
            output_tokens=max(round(self.output_tokens), 1), shared_tokens=round(self.shared_tokens),
            think_s=self.think_s, think=self.think, seed=seed,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Preset:
    """A load that everybody compares by.

    Attributes
    ----------
    name : str
    input_tokens, output_tokens : float
        Mean tokens of prompt and answer [1].
    sessions : SessionLoad or None
        Of which the prompts are turns.
    source : str
        Who uses it, and what of it is an assumption.
    """

    name: str
    input_tokens: float
    output_tokens: float
    sessions: SessionLoad | None
    source: str


_PUBLIC = "InferenceX, open inference benchmark (github.com/SemiAnalysisAI/InferenceX)"
# mean prompt 4,256 + 10.5 (4,256 + 400) = 53,144: 133 to 1, of which 4,256 are new: 92 %
_AGENT = SessionLoad(turns=22, input_tokens=4256.0, output_tokens=400.0, think_s=5.0)


def presets() -> tuple[Preset, ...]:
    """Loads that everybody compares by: 1k/1k, 1k/8k, 8k/1k, 32k/8k, agentic.

    Returns
    -------
    tuple of Preset
        The agentic one has the public benchmark's 133 prompt tokens to one of answers, 92 % of them said
        before; 400 tokens an answer and 5 s a tool are assumptions.

    Examples
    --------
    >>> agent = presets()[-1].sessions
    >>> round(agent.ratio), round(agent.most_cached, 3)
    (133, 0.92)
    """
    plain = [
        Preset(f"{i}k/{o}k", 1024.0 * i, 1024.0 * o, None, _PUBLIC)
        for i, o in ((1, 1), (1, 8), (8, 1))
    ]
    long = Preset(
        "32k/8k", 32768.0, 8192.0, None, "long context and a reasoned answer: an assumption"
    )
    said = (
        f"{_PUBLIC}, agentic runs of 2026: 133 to 1, 92 % hits; answer and tool time: assumptions"
    )
    agent = Preset("agentic", _AGENT.mean_input, _AGENT.output_tokens, _AGENT, said)
    return (*plain, long, agent)


def preset(name: str) -> Preset:
    """A load that everybody compares by, by name.

    Parameters
    ----------
    name : str
        Case and separators do not matter.

    Returns
    -------
    Preset
        Lengths [token], and of agents the share of hits.

    Raises
    ------
    KeyError
        For an unknown name, with those that there are.

    Examples
    --------
    >>> preset("8k/1k").input_tokens
    8192.0
    """
    for found in presets():
        if normalise(found.name) == normalise(str(name)):
            return found
    raise unknown("preset", str(name), [found.name for found in presets()])


def as_sessions(value: Any) -> SessionLoad:
    """A load of sessions, or the one of a preset."""
    if isinstance(value, str):
        found = preset(value).sessions
        if found is None:
            raise ValueError(
                f"load is {shown(value)}, whose requests are alone; allowed: 'agentic', a SessionLoad"
            )
        return found
    if not isinstance(value, SessionLoad):
        raise TypeError(f"load is {shown(value)}; allowed: 'agentic', a SessionLoad")
    return value
