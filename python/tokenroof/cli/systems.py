"""Arguments of what serves beside a device and a plan: pools, replicas, drafts, memory of the host."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tokenroof.cli.arguments import numbers
from tokenroof.cli.lengths import amount, whole
from tokenroof.support.arguments import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenroof.serving.simulation.autoscale import Autoscale
    from tokenroof.serving.simulation.host_tier import HostTier
    from tokenroof.serving.system.parts import Speculation
    from tokenroof.serving.system.record import System

__all__ = [
    "AUTO", "add_drafts", "add_host_tier", "add_pools", "add_scaling", "by_flag", "drafts_of", "host_tier_of",
    "scaling_of", "system_of",
]  # fmt: skip

_METHODS = ("mtp", "eagle", "ngram")
_OF_DRAFTS = ("drafts", "acceptance")
_OF_HOSTS = ("host_bandwidth", "host_replicas")
_OF_POOLS = ("decode_device", "link_bandwidth")
_FORM = "LEAST:MOST:SECONDS"
#: In place of numbers of replicas, where these are looked for.
AUTO = "auto"


@contextmanager
def by_flag(**flags: str) -> Iterator[None]:
    """Errors that begin with the name of a field begin with its option.

    Examples
    --------
    >>> with by_flag(drafts="--drafts"):
    ...     raise ValueError("drafts is 9; allowed: 0 to 8")
    Traceback (most recent call last):
    ValueError: --drafts: drafts is 9; allowed: 0 to 8
    """
    try:
        yield
    except (ValueError, TypeError, KeyError) as error:
        text = str(error.args[0]) if error.args else ""
        name = text.partition(" ")[0].partition("[")[0]
        if name not in flags:
            raise
        raise ValueError(f"{flags[name]}: {text}") from None


def _without(arguments: Namespace, names: tuple[str, ...], leader: str) -> None:
    """Refuse options that say nothing without another."""
    for name in names:
        if getattr(arguments, name, None) is not None:
            raise ValueError(f"--{name.replace('_', '-')} is given; allowed with {leader}")


# --- drafts -----------------------------------------------------------------------------------------------


def add_drafts(command: ArgumentParser) -> None:
    """A group of arguments for `drafts_of`."""
    group = command.add_argument_group("drafts")
    group.add_argument(
        "--draft", metavar="METHOD", help="mtp, eagle, ngram, or a model that drafts"
    )
    group.add_argument("--drafts", type=whole, metavar="N", help="tokens drafted a round, 0 to 8")
    group.add_argument(
        "--acceptance", type=numbers, metavar="A,...",
        help="chance that a draft is kept, of all positions or of each; 0.8",
    )  # fmt: skip


def drafts_of(arguments: Namespace) -> Speculation | None:
    """The drafts that were asked for; None for none."""
    from tokenroof.inference.door import as_model
    from tokenroof.serving.system.parts import Speculation
    from tokenroof.support.names import near_matches

    if arguments.draft is None:
        _without(arguments, _OF_DRAFTS, "--draft")
        return None
    method = arguments.draft
    if method not in _METHODS:
        try:
            method = as_model(method)
        except KeyError as error:
            near = near_matches(method, _METHODS)
            said = f"did you mean {shown(near[0])}?" if near else str(error.args[0])
            raise ValueError(
                f"--draft is {shown(method)}; allowed: {', '.join(_METHODS)}, or a model; {said}"
            ) from None
    given: dict[str, Any] = {}
    if arguments.drafts is not None:
        given["drafts"] = arguments.drafts
    if arguments.acceptance is not None:
        chances = arguments.acceptance
        given["acceptance"] = chances if len(chances) > 1 else chances[0]
    with by_flag(drafts="--drafts", acceptance="--acceptance"):
        return Speculation(method, **given)


# --- memory of the host -----------------------------------------------------------------------------------


def add_host_tier(command: ArgumentParser) -> None:
    """A group of arguments for `host_tier_of`."""
    group = command.add_argument_group("memory of the host")
    group.add_argument(
        "--host-tier", type=amount, metavar="BYTES", help="for blocks of KV memory, of each replica"
    )
    group.add_argument(
        "--host-bandwidth", type=amount, metavar="BYTES/S",
        help="each way of the link to it; that of the PCIe slots",
    )  # fmt: skip
    group.add_argument("--host-replicas", type=whole, metavar="N", help="that share the link; 1")


def host_tier_of(arguments: Namespace) -> HostTier | None:
    """The host's memory; None for none."""
    from tokenroof.serving.simulation.host_tier import HostTier

    if arguments.host_tier is None:
        _without(arguments, _OF_HOSTS, "--host-tier")
        return None
    replicas = 1 if arguments.host_replicas is None else arguments.host_replicas
    with by_flag(
        capacity_bytes="--host-tier", bytes_per_s="--host-bandwidth", replicas="--host-replicas"
    ):
        return HostTier(arguments.host_tier, arguments.host_bandwidth, replicas)


# --- pools ------------------------------------------------------------------------------------------------


def add_pools(command: ArgumentParser, *, place_of: str = "one pool", more: str = "") -> Any:
    """A group of arguments for `system_of`, to which more may be added."""
    group = command.add_argument_group("pools")
    group.add_argument(
        "--pools", metavar="P:D",
        help=f"so many replicas for prompts and for answers, in place of {place_of}{more}",
    )  # fmt: skip
    group.add_argument("--decode-device", help="of the answers; the same device by default")
    group.add_argument("--link-bandwidth", type=amount, help="bytes/s one way, a device")
    return group


def system_of(
    arguments: Namespace,
    device: Any,
    model: Any,
    plan: Any,
    spec: Speculation | None,
    *,
    free: bool = False,
) -> System | None:
    """Pools of prompts and of answers with drafts, or None where all is served by one pool.

    With `free` "auto" stands for one replica of each, whose numbers are looked for.
    """
    from tokenroof.serving.system.makers import disaggregate

    if arguments.pools is None:
        _without(arguments, _OF_POOLS, "--pools")
        return None
    given = "1:1" if free and arguments.pools == AUTO else arguments.pools
    prompts, answers = split("--pools", given, "auto or P:D" if free else "P:D", int, int)
    if min(prompts, answers) < 1:
        raise ValueError(
            f"--pools is {shown(arguments.pools)}; allowed: P:D, in whole numbers from 1"
        )
    with by_flag(link_bandwidth="--link-bandwidth"):
        return disaggregate(
            (device, plan, prompts), (arguments.decode_device or device, plan, answers), spec,
            link_bandwidth=arguments.link_bandwidth, model=model,
        )  # fmt: skip


def split(option: str, text: str, form: str, *kinds: type) -> list[Any]:
    """The numbers of an option whose parts stand between colons."""
    parts = text.split(":")
    try:
        return [kind(part) for kind, part in zip(kinds, parts, strict=True)]
    except ValueError:
        raise ValueError(f"{option} is {shown(text)}; allowed: {form}, in numbers") from None


# --- replicas that come and go ----------------------------------------------------------------------------


def add_scaling(group: Any) -> None:
    """Arguments for `scaling_of`."""
    group.add_argument(
        "--autoscale", metavar=_FORM,
        help="replicas, of each pool, by what they report, and seconds until one serves",
    )  # fmt: skip
    group.add_argument(
        "--scale-signal", choices=("queue", "utilisation"), help="what they report; queue"
    )
    group.add_argument("--scale-target", type=amount, help="of the signal's mean over replicas")
    group.add_argument("--scale-interval", type=amount, help="seconds between looks; 15")
    group.add_argument("--scale-cooldown", type=amount, help="seconds that more are kept; 300")


def scaling_of(arguments: Namespace) -> Autoscale | None:
    """Replicas that come and go; None for none."""
    from tokenroof.serving.simulation.autoscale import Autoscale

    fields = {
        "signal": "signal",
        "target": "target",
        "interval_s": "interval",
        "cooldown_s": "cooldown",
    }
    if arguments.autoscale is None:
        _without(arguments, tuple(f"scale_{name}" for name in fields.values()), "--autoscale")
        return None
    least, most, start_s = split("--autoscale", arguments.autoscale, _FORM, int, int, float)
    given = {
        field: value
        for field, name in fields.items()
        if (value := getattr(arguments, f"scale_{name}")) is not None
    }
    flags = {field: f"--scale-{name}" for field, name in fields.items()}
    with by_flag(least="--autoscale", most="--autoscale", start_s="--autoscale", **flags):
        return Autoscale(least, most, start_s, **given)
