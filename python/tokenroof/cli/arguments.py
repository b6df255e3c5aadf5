"""Arguments that several commands take: a device, a plan, numbers between commas."""

from __future__ import annotations

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from tokenroof.cli.lengths import amount, whole
from tokenroof.support.arguments import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan

__all__ = [
    "PLAN", "add_device", "add_market", "add_model", "add_plan", "flags_of", "numbers", "plan_of",
    "refuse_absent", "refuse_given", "written", "written_page", "written_table",
]  # fmt: skip


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
            f"{shown(text)}; allowed: numbers between commas, such as 1,8,64"
        ) from None


def written(text: str) -> Path:
    """A file that can be written: said before anything is computed, not after it.

    Examples
    --------
    >>> written("/none/a.csv")
    Traceback (most recent call last):
    argparse.ArgumentTypeError: '/none/a.csv', in a folder that is not there; allowed: a file in one that is
    """
    path = Path(text)
    if not text or path.is_dir():
        wrong = "which is a folder" if text else "which is no file"
    elif not path.parent.is_dir():
        raise ArgumentTypeError(
            f"{shown(text)}, in a folder that is not there; allowed: a file in one that is"
        )
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        wrong = "which may not be written"
    elif not path.exists() and not _takes_files(path.parent):
        raise ArgumentTypeError(
            f"{shown(text)}, in a folder that takes no files; allowed: a file in one that does"
        )
    else:
        return path
    raise ArgumentTypeError(f"{shown(text)}, {wrong}; allowed: a file that may be written")


def _takes_files(folder: Path) -> bool:
    """Whether one can be made there: rights that say so are not all, as of /proc."""
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def written_table(text: str) -> Path:
    """The same, of what is written as CSV, with a name that says so."""
    from tokenroof.economics.scenarios.export import CSV

    return _named_as(written(text), CSV)


def written_page(text: str) -> Path:
    """The same, of what is written as HTML."""
    return _named_as(written(text), (".html", ".htm", ""))


def _named_as(path: Path, suffixes: tuple[str, ...]) -> Path:
    from tokenroof.economics.scenarios.export import checked_path

    try:
        return checked_path("FILE", path, suffixes)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def add_device(command: ArgumentParser) -> None:
    """The device of the catalogue, or this machine, as ``device``."""
    command.add_argument(
        "device", metavar="DEVICE",
        help="catalogue name or alias, or a TOML file of your own; local: this machine",
    )  # fmt: skip


def add_market(command: ArgumentParser) -> None:
    """A file of prices that are newer than the package, as ``market``."""
    command.add_argument(
        "--market", metavar="FILE",
        help="CSV or TOML of dated prices newer than the package: price, difficulty, hashprice, fees, power, "
        "rent.DEVICE, input.MODEL, output.MODEL",
    )  # fmt: skip


def add_model(command: ArgumentParser, *, optional: bool = False) -> None:
    """The model of the catalogue, or of a file, as ``model``."""
    command.add_argument(
        "model", metavar="MODEL", nargs="?" if optional else None,
        help="catalogue name or Hugging Face id, or a config.json or TOML file of your own",
    )  # fmt: skip


#: What `add_plan` adds.
PLAN = (
    "tp", "pp", "dp", "cp", "moe_tp", "moe_ep", "weights", "experts", "attention", "shared_experts", "head",
    "activations", "kv_cache", "engine", "power_cap_w", "fidelity",
)  # fmt: skip


def add_plan(command: ArgumentParser) -> None:
    """A group of arguments for `plan_of`, and ``fidelity``."""
    group = command.add_argument_group("plan")
    for name, text in (
        ("tp", "tensor parallelism"),
        ("pp", "pipeline stages"),
        ("dp", "attention data parallelism"),
        ("cp", "context parallelism"),
    ):
        group.add_argument(f"--{name}", type=whole, default=1, help=text)
    group.add_argument("--moe-tp", type=whole, help="tensor parallelism of the experts")
    group.add_argument("--moe-ep", type=whole, help="expert parallelism")
    group.add_argument(
        "--weights", metavar="TYPE", help="type of the weights; as the model was released"
    )
    group.add_argument(
        "--experts", metavar="TYPE", help="of the experts; as released, or as --weights if given"
    )
    for name, text in (
        ("attention", "of the mixers' projections"),
        ("shared-experts", "of shared experts"),
        ("head", "of the output matrix; 16 bits"),
    ):
        group.add_argument(f"--{name}", metavar="TYPE", help=f"{text}; as released")
    group.add_argument("--activations", metavar="TYPE", help="of the maths; as the weights")
    group.add_argument(
        "--kv-cache", metavar="TYPE", help="of the KV cache; as the checkpoint says, or bf16"
    )
    group.add_argument("--engine", default="vllm", help="vllm, sglang, trtllm or ideal")
    group.add_argument(
        "--power-cap-w", type=amount, metavar="WATTS", help="that each board is held to; its limit"
    )
    group.add_argument("--fidelity", default="calibrated", help="calibrated or datasheet")


def refuse_given(arguments: Namespace, names: Iterable[str], where: str, allowed: str) -> None:
    """Refuse options that stand on the command line where they would change nothing, by the first's name.

    Examples
    --------
    >>> refuse_given(Namespace(given={"seeds"}), ("requests", "seeds"), "without --prove", "with it")
    Traceback (most recent call last):
    ValueError: --seeds is given without --prove; allowed: with it
    """
    for name in names:
        if name in arguments.given:
            raise ValueError(f"--{name.replace('_', '-')} is given {where}; allowed: {allowed}")


def plan_of(arguments: Namespace, model: Model | None = None) -> Plan:
    """The plan that was given; types that were not are those that the model was released in."""
    from tokenroof.inference.released import plan_as_released
    from tokenroof.records.plan import Plan

    names = ("tp", "pp", "dp", "cp", "moe_tp", "moe_ep", "engine", "power_cap_w")
    given = {name: getattr(arguments, name) for name in names}
    types = ("weights", "experts", "activations", "kv_cache", "attention", "shared_experts", "head")
    asked = {name: value for name in types if (value := getattr(arguments, name)) is not None}
    if model is not None:
        refuse_absent(model, {**{name: given[name] for name in ("moe_tp", "moe_ep")}, **asked})
    return Plan(**asked, **given) if model is None else plan_as_released(model, **asked, **given)


def refuse_absent(model: Model, given: Mapping[str, Any]) -> None:
    """Refuse, by name, what a plan says of experts where the model has none: it would change nothing."""
    for name, has, what in (
        ("moe_tp", model.experts, "experts"),
        ("moe_ep", model.experts, "experts"),
        ("experts", model.experts, "experts"),
        ("shared_experts", model.shared_ffn, "shared experts"),
    ):
        value = given.get(name)
        if value is not None and not has and value != 1:
            raise ValueError(
                f"--{name.replace('_', '-')} is {value} for {model.name}, which has no {what}; "
                "allowed: without it"
            )


def flags_of(plan: Plan) -> str:
    """The options that give a plan.

    Examples
    --------
    >>> from tokenroof.records.plan import Plan
    >>> flags_of(Plan(tp=4, moe_ep=4, weights="fp8"))
    '--tp 4 --moe-ep 4 --weights fp8'
    """
    flags = [f"--{n} {getattr(plan, n)}" for n in ("tp", "pp", "dp", "cp") if getattr(plan, n) > 1]
    if plan.moe_ep and plan.moe_ep > 1:
        flags.append(f"--moe-ep {plan.moe_ep}")
    flags.append(f"--weights {plan.weights}")
    if plan.experts != plan.weights:
        flags.append(f"--experts {plan.experts}")
    for name in ("attention", "shared_experts", "head"):
        if getattr(plan, name) is not None:
            flags.append(f"--{name.replace('_', '-')} {getattr(plan, name)}")
    if plan.kv_cache != "bf16":
        flags.append(f"--kv-cache {plan.kv_cache}")
    if plan.power_cap_w is not None:
        flags.append(f"--power-cap-w {plan.power_cap_w:g}")
    return " ".join(flags)
