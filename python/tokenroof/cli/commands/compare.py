"""``tokenroof compare``: two systems at one objective, what differs and why."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tokenroof.cli.arguments import add_model, refuse_absent, refuse_given
from tokenroof.cli.basis import say_basis
from tokenroof.cli.lengths import add_lengths, amount, settle_lengths, whole
from tokenroof.cli.output import emit, say, short
from tokenroof.support.arguments import shown
from tokenroof.support.formats import si, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenroof.records.model import Model
    from tokenroof.serving.comparing import SystemComparison

_WHOLE = ("tp", "pp", "dp", "cp", "moe_tp", "moe_ep")
_TEXT = (
    "weights",
    "experts",
    "activations",
    "kv_cache",
    "attention",
    "shared_experts",
    "head",
    "engine",
)
_CAP = "power_cap_w"


def add_arguments(command: ArgumentParser) -> None:
    for name in ("one", "other"):
        command.add_argument(
            name, metavar=name.upper(),
            help="a device, whose best plan counts; or one with a plan, such as H200-SXM:tp=8,weights=fp8",
        )  # fmt: skip
    add_model(command)
    command.add_argument(
        "--speed", type=amount, default=50.0, help="token/s that each user gets, at least"
    )
    command.add_argument("--ttft-max", type=amount, help="seconds to the first token, at most")
    add_lengths(command)
    command.add_argument(
        "--devices-max", type=whole, help="of the largest replica; one link domain"
    )
    command.add_argument("--engine", default="vllm", help="of plans that are not given")
    command.add_argument(
        "--power", default="provisioned", help="provisioned, board, chassis, facility or dashboard"
    )
    command.add_argument("--fidelity", default="calibrated", help="calibrated or datasheet")
    command.add_argument(
        "--chips",
        help="dataflow chips that may stand beside the devices of both, as LPX; LPX:none of the first",
    )


def _system(text: str, model: Model) -> Any:
    """A device, or a device and a plan, of what stands on the command line."""
    from tokenroof.records.plan import Plan

    device, colon, fields = text.partition(":")
    if not colon:
        return device
    given: dict[str, Any] = {}
    for part in fields.split(","):
        name, equals, value = part.strip().partition("=")
        name = name.replace("-", "_")
        if not equals or name not in (*_WHOLE, *_TEXT, _CAP):
            raise ValueError(
                f"{shown(text)} has {shown(part)}; allowed: {', '.join((*_WHOLE, *_TEXT, _CAP))} with =value"
            )
        if name in given:
            raise ValueError(f"{shown(text)} has {name} twice; allowed: each once")
        if name in _WHOLE and not value.isdigit():
            raise ValueError(f"{shown(text)} has {shown(part)}; allowed: a whole number")
        given[name] = int(value) if name in _WHOLE else value
        if name == _CAP:
            try:
                given[name] = float(value)
            except ValueError:
                raise ValueError(f"{shown(text)} has {shown(part)}; allowed: watts") from None
    refuse_absent(model, given)
    return device, Plan(**given)


def _chips(text: str | None) -> Any:
    """Chips of both, or of each between a colon."""
    if text is None or ":" not in text:
        return text
    one, _, other = text.partition(":")
    return tuple(None if name in ("", "none") else name for name in (one, other))


def run(arguments: Namespace) -> int:
    from tokenroof.inference.door import as_model
    from tokenroof.serving.comparing import compare

    settle_lengths(arguments)
    model = as_model(arguments.model)
    one, other = (_system(text, model) for text in (arguments.one, arguments.other))
    if isinstance(one, tuple) and isinstance(other, tuple):
        refuse_given(
            arguments, ("devices_max", "engine"), "with the plans of both",
            "where a plan is looked for; a plan has engine= of its own",
        )  # fmt: skip
    found = compare(
        one, other, model, arguments.speed,
        input_tokens=arguments.input_tokens, output_tokens=arguments.output_tokens,
        ttft_max=arguments.ttft_max, devices_max=arguments.devices_max, engine=arguments.engine,
        power=arguments.power, fidelity=arguments.fidelity, chips=_chips(arguments.chips),
    )  # fmt: skip
    if arguments.json:
        names = ("ratio", "ratio_range", "factors", "operators", "causes", "why")
        emit({**asdict(found), **{name: getattr(found, name) for name in names}})
    else:
        _print(found, arguments.power)
    return 0


def _print(found: SystemComparison, power: str) -> None:
    a, b = found.one, found.other
    rows = [
        ["users in flight", short(a.concurrency), short(b.concurrency), ""],
        ["devices", f"{a.devices:.4g}", f"{b.devices:.4g}", ""],
        *([["chips", f"{a.chips:g}", f"{b.chips:g}", ""]] if a.chips or b.chips else []),
        ["tok/s/user", short(a.interactivity), short(b.interactivity), ""],
        ["TTFT", si(a.ttft_s, "s"), si(b.ttft_s, "s"), ""],
        [
            "out tok/s/device",
            short(a.per_device),
            short(b.per_device),
            f"{a.per_device / b.per_device:.2f}x",
        ],
        ["W/device", f"{a.watts_per_device:.0f}", f"{b.watts_per_device:.0f}", ""],
        ["out tok/s/MW", short(a.per_mw), short(b.per_mw), f"{found.ratio:.2f}x"],
        ["by the bands", *(_ends(one.per_mw_low, one.per_mw_high, short) for one in (a, b)),
         _ends(*found.ratio_range, "{:.2f}x".format)],
    ]  # fmt: skip
    table(["", a.label, b.label, ""], rows,
          title=f"{found.model} at {found.speed:g} token/s and user")  # fmt: skip
    for what, apart, one, other in (
        ("operator", found.operators, a.operators, b.operators), ("cause", found.causes, a.causes, b.causes),
    ):  # fmt: skip
        table([f"seconds of a step by {what}", "one", "other", "apart"],
              [[name, si(one[name], "s"), si(other[name], "s"), f"{1e3 * seconds:+.3f} ms"]
               for name, seconds in apart.items() if one[name] or other[name]])  # fmt: skip
    say(
        "the ratio is the product of "
        + ", ".join(f"{name} {x:.2f}" for name, x in found.factors.items())
    )
    say(found.why)
    same = a.calibrated_on == b.calibrated_on
    where = a.calibrated_on if same else f"(one) {a.calibrated_on}; (other) {b.calibrated_on}"
    say_basis({"speed of one": a.error_band, "of the other": b.error_band}, where, f"{power} power")


def _ends(low: float, high: float, text: Callable[[float], str]) -> str:
    """A range; a dash where no band is known."""
    return "-" if low != low else f"{text(low)} .. {text(high)}"
