"""Arguments that several commands take: a device, a plan, numbers between commas."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenroof.records.plan import Plan

__all__ = ["add_device", "add_plan", "numbers", "plan_of"]


def numbers(text: str) -> list[float]:
    """Numbers between commas.

    Examples
    --------
    >>> numbers("1,8,64")
    [1.0, 8.0, 64.0]
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r}; allowed: numbers between commas, such as 1,8,64"
        ) from None


def add_device(command: ArgumentParser) -> None:
    """The device of the catalogue, or this machine, as ``device``."""
    command.add_argument(
        "device", metavar="DEVICE", help="catalogue name or alias; local: this machine"
    )


def add_plan(command: ArgumentParser) -> None:
    """A group of arguments for `plan_of`, and ``fidelity``."""
    group = command.add_argument_group("plan")
    for name, text in (
        ("tp", "tensor parallelism"),
        ("pp", "pipeline stages"),
        ("dp", "attention data parallelism"),
        ("cp", "context parallelism"),
    ):
        group.add_argument(f"--{name}", type=int, default=1, help=text)
    group.add_argument("--moe-tp", type=int, help="tensor parallelism of the experts")
    group.add_argument("--moe-ep", type=int, help="expert parallelism")
    group.add_argument("--weights", default="bf16", metavar="TYPE", help="type of the weights")
    group.add_argument("--experts", metavar="TYPE", help="of the experts; as the weights")
    group.add_argument("--activations", metavar="TYPE", help="of the maths; as the weights")
    group.add_argument("--kv-cache", default="bf16", metavar="TYPE", help="of the KV cache")
    group.add_argument("--engine", default="vllm", help="vllm, sglang, trtllm or ideal")
    group.add_argument("--fidelity", default="calibrated", help="calibrated or datasheet")


def plan_of(arguments: Namespace) -> Plan:
    """The plan that was given."""
    from tokenroof.records.plan import Plan

    names = ("tp", "pp", "dp", "cp", "moe_tp", "moe_ep", "weights", "experts", "activations")
    return Plan(**{name: getattr(arguments, name) for name in (*names, "kv_cache", "engine")})
