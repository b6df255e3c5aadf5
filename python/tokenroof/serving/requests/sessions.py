"""Sessions: turns that carry what was said before, and agents that they send out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np

from tokenroof.serving.requests.given import MOST_TOKENS, whole_ns
from tokenroof.serving.requests.lengths import Lengths, as_lengths
from tokenroof.serving.requests.random import stream
from tokenroof.serving.requests.record import Requests
from tokenroof.serving.requests.users import thinking
from tokenroof.support.arguments import check_options, count, finite_number, is_integer, shown

if TYPE_CHECKING:
    from typing import Unpack

    from numpy.typing import NDArray

    Whole = NDArray[np.int64]

__all__ = ["SessionOptions", "sessions"]

# Ids of tokens: shared beginnings lie below, a session's own from here on.
_OWN = 2**50


class SessionOptions(TypedDict, total=False):
    """Options of `sessions`."""

    input_tokens: int | Lengths
    output_tokens: int | Lengths
    think_s: float
    think: str
    shared_tokens: int
    shared_kinds: int
    agents: int
    agent_share: float
    seed: int


class _Tree(NamedTuple):
    """Requests in the order of sessions and turns, a turn's agents behind it."""

    session: Whole
    turn: Whole  # its index among the session's turns
    agent: Whole  # 0: the turn itself; 1, 2 ...: an agent that it sent out
    sent: NDArray[np.bool_]  # whether the turn sends agents out


def sessions(
    rate: float,
    conversations: int = 100,
    turns: int | Lengths = 5,
    **options: Unpack[SessionOptions],
) -> Requests:
    """Conversations that begin at random; a turn's prompt is all that was said before, and its question.

    Parameters
    ----------
    rate : float
        Sessions that begin per second [1/s].
    conversations : int
        Sessions [1].
    turns : int or Lengths
        Turns of a session [1].
    input_tokens, output_tokens : int or Lengths
        What a turn adds to the prompt, and its answer [1]; 256 by default.
    think_s, think : float, {"fixed", "exponential"}
        Mean time from an answer to the next turn [s], 10 s and "exponential" by default: a reader's, or a
        tool's.
    shared_tokens, shared_kinds : int
        Tokens of a beginning, such as a system prompt, that sessions share [1], 0 by default; and how many
        such there are, each as likely [1].
    agents, agent_share : int, float
        Agents that a turn sends out [1], 0 by default, and the share of turns that do, all by default. An
        agent's prompt is all that was said and its own task, of a question's length; the next turn starts
        when the last agent has answered, and the time to think is over. It reads the answers as its
        question.
    seed : int
        The same seed gives the same bytes.

    Returns
    -------
    Requests
        With `prompt` and `output_id`, so that prefix caches see what is the same.

    Raises
    ------
    ValueError, TypeError
        For an argument that is not allowed, by name and value.

    Examples
    --------
    >>> load = sessions(1.0, 1, turns=3, input_tokens=100, output_tokens=20, shared_tokens=1000)
    >>> load.input_tokens.tolist(), load.after.tolist()
    ([1100, 1220, 1340], [-1, 0, 1])
    """
    check_options("sessions", options, SessionOptions)
    n, seed = count("conversations", conversations), options.get("seed", 0)
    begins = stream(seed, "arrivals").standard_exponential(n)
    begins = np.cumsum(begins) / finite_number("rate", rate, above=True)
    tree = _tree(n, as_lengths("turns", turns).draw(stream(seed, "turns"), n), options)
    many = len(tree.session)
    adds = as_lengths("input_tokens", options.get("input_tokens", 256))
    adds_tokens = adds.draw(stream(seed, "inputs"), many)
    answers = as_lengths("output_tokens", options.get("output_tokens", 256))
    answer_tokens = answers.draw(stream(seed, "outputs"), many)

    main = tree.agent == 0
    said = np.where(main, adds_tokens + answer_tokens, 0)
    before = _within(np.cumsum(said) - said, tree.session)  # of the session, before this turn
    turn_at = np.maximum.accumulate(np.where(main, np.arange(many), 0))
    # an agent has read its turn's question and answer as well
    own = np.where(main, before, before[turn_at] + said[turn_at])
    shared = _shared(options)
    inputs = shared + own + adds_tokens
    if int(inputs.max()) > MOST_TOKENS:
        raise ValueError(
            f"the longest prompt has {int(inputs.max())} tokens; allowed: {MOST_TOKENS}: fewer turns"
        )
    after, also, offsets = _waits(tree, turn_at)
    pause = thinking(seed, options.get("think_s", 10.0), options.get("think", "exponential"), many)
    first = after < 0
    prompt, prompt_offsets, output_id = _prompts(tree, own, adds_tokens, answer_tokens, options)
    return Requests(
        arrival_ns=whole_ns("rate", np.where(first, begins[tree.session] * 1e9, 0.0)),
        input_tokens=inputs,
        output_tokens=answer_tokens,
        declared_tokens=answer_tokens,
        priority=np.zeros(many, np.int64),
        after=after,
        think_ns=np.where(first | ~main, 0, pause),
        also_after=also,
        also_after_offsets=offsets,
        prompt=prompt,
        prompt_offsets=prompt_offsets,
        output_id=output_id,
    )


def _from_zero(name: str, value: object) -> int:
    if not is_integer(value) or not 0 <= value <= MOST_TOKENS:
        raise ValueError(
            f"{name} is {shown(value)}; allowed: whole numbers from 0 to {MOST_TOKENS}"
        )
    return int(value)


def _shared(options: SessionOptions) -> int:
    return _from_zero("shared_tokens", options.get("shared_tokens", 0))


def _tree(n: int, turns: Whole, options: SessionOptions) -> _Tree:
    agents = _from_zero("agents", options.get("agents", 0))
    share = finite_number("agent_share", options.get("agent_share", 1.0))
    if share > 1.0:
        raise ValueError(f"agent_share is {share:g}; allowed: 0 to 1")
    of_turn = np.repeat(np.arange(n), turns)
    index = np.arange(len(of_turn)) - np.repeat(np.cumsum(turns) - turns, turns)
    sends = stream(options.get("seed", 0), "agents").random(len(of_turn)) < share
    each = 1 + agents * sends
    start = np.repeat(np.cumsum(each) - each, each)
    return _Tree(
        np.repeat(of_turn, each),
        np.repeat(index, each),
        np.arange(len(start)) - start,
        np.repeat(sends & (agents > 0), each),
    )


def _within(total: Whole, session: Whole) -> Whole:
    """A sum that begins anew with each session."""
    first = np.flatnonzero(np.diff(session, prepend=-1))
    return total - np.repeat(total[first], np.diff(np.append(first, len(session))))


def _waits(tree: _Tree, turn_at: Whole) -> tuple[Whole, Whole, Whole]:
    """The first parent, and the further ones: of a turn the agents of the one before, or it itself."""
    many = len(tree.session)
    index, none = np.arange(many), np.empty(0, np.int64)
    main = tree.agent == 0
    opens = main & (tree.turn == 0)
    last = np.concatenate([[-1], turn_at[:-1]])  # the turn before, where this is one
    sent = main & ~opens & tree.sent[np.maximum(last, 0)]
    after = np.where(main, np.where(sent, last + 1, last), turn_at)
    after[opens] = -1
    extra = np.where(sent, index - last - 2, 0)  # agents but the first
    if not extra.any():
        return after, none, none
    offsets = np.concatenate([[0], np.cumsum(extra)])
    child = np.repeat(index, extra)
    also = last[child] + 2 + np.arange(len(child)) - offsets[child]
    return after, also, offsets


def _prompts(
    tree: _Tree, own: Whole, adds: Whole, answers: Whole, options: SessionOptions
) -> tuple[Whole, Whole, Whole]:
    """Runs of ids: the shared beginning, what was said in the session, and an agent's own task.

    A session's words have ids that count on, questions and answers alike, so that all of them up to a
    turn are one run.
    """
    many, main = len(tree.session), tree.agent == 0
    shared, kinds = _shared(options), count("shared_kinds", options.get("shared_kinds", 1))
    sessions_ = int(tree.session[-1]) + 1
    kind = stream(options.get("seed", 0), "prefixes").integers(0, kinds, sessions_)
    talk = np.bincount(tree.session, np.where(main, adds + answers, 0), sessions_).astype(np.int64)
    base = _OWN + np.cumsum(talk) - talk
    alone = _OWN + int(
        talk.sum()
    )  # of agents' tasks and answers, which nobody else's prompt has as ids
    tasks = np.where(main, 0, adds + answers)
    task_at = alone + np.cumsum(tasks) - tasks

    runs = np.zeros((many, 3, 2), np.int64)
    runs[:, 0] = np.stack([kind[tree.session] * shared, np.full(many, shared)], axis=1)
    runs[:, 1, 0] = base[tree.session]
    runs[:, 1, 1] = own + np.where(main, adds, 0)
    runs[:, 2, 0] = task_at
    runs[:, 2, 1] = np.where(main, 0, adds)
    used = runs[:, :, 1] > 0
    offsets = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
    output_id = np.where(main, base[tree.session] + own + adds, task_at + adds)
    return runs[used], offsets, output_id
