"""The command line: ``tokenroof report | list | roofline | curve | hash | measure | check | info``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]

# what the user can mend: one line on stderr, exit 2
_BAD_INPUT = (ValueError, TypeError, KeyError, ImportError, OSError)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        hint = f" (see {self.prog} --help)"
        self.exit(2, f"tokenroof: {_one_line(message)}{hint}\n")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _message(error: BaseException) -> str:
    if isinstance(error, KeyError) and error.args:  # its str() is quoted
        return _one_line(str(error.args[0]))
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.strerror}: {error.filename}"
    return _one_line(str(error)) or type(error).__name__


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}; allowed: numbers between commas, such as 1,8,64"
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tokenroof",
        description="What a watt makes: rooflines, batching curves, hashrates, revenue per MWh.",
        epilog="Start with: tokenroof report. Each command has --help with an example, and --json.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    def add(name: str, summary: str, example: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=f"example: {example}",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        command.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,
            help="print one JSON document, and nothing else, on stdout",
        )
        return command

    report = add(
        "report",
        "measure this machine, evaluate the catalogue, write a page with figures and their data",
        "tokenroof report --out /tmp/roof",
    )
    report.add_argument("--out", default="tokenroof-report", help="folder to write")
    report.add_argument("--seconds", type=float, default=1.0, help="for each measurement [s]")

    catalogue = add("list", "list the catalogue", "tokenroof list devices --match hopper")
    catalogue.add_argument("what", choices=("devices", "models", "miners", "tiers"))
    catalogue.add_argument("--match", default="", metavar="TEXT", help="rows that contain this")

    roofline = add(
        "roofline",
        "roofs of a device, and where a model's steps stand under them",
        "tokenroof roofline H200-SXM Llama-3.1-8B --weights fp8",
    )
    roofline.add_argument(
        "device", metavar="DEVICE", help="catalogue name or alias; local: this machine"
    )
    roofline.add_argument("model", metavar="MODEL", nargs="?", help="catalogue name or HF id")
    roofline.add_argument(
        "--batch", type=_numbers, default="1,8,64,256", help="decode batches, between commas"
    )
    roofline.add_argument("--context", type=float, default=4096, help="cached tokens per sequence")
    _add_plan(roofline)

    curve = add(
        "curve",
        "latency and throughput of a replica against concurrency",
        "tokenroof curve H200-SXM Llama-3.3-70B --tp 8 --weights fp8 --concurrency 1,16,256",
    )
    curve.add_argument(
        "device", metavar="DEVICE", help="catalogue name or alias; local: this machine"
    )
    curve.add_argument("model", metavar="MODEL", help="catalogue name or Hugging Face id")
    curve.add_argument("--input-tokens", type=float, default=1024, help="mean tokens of a prompt")
    curve.add_argument("--output-tokens", type=float, default=1024, help="mean tokens of an answer")
    curve.add_argument(
        "--concurrency",
        type=_numbers,
        default="1,2,4,8,16,32,64,128,256",
        help="requests in flight, between commas",
    )
    _add_plan(curve)

    hashes = add(
        "hash",
        "scan a block header's nonces, and say how fast and how near to the bound",
        "tokenroof hash --seconds 2 --threads 1",
    )
    hashes.add_argument("--seconds", type=float, default=2.0, help="time to scan [s]")
    hashes.add_argument("--threads", type=int, help="threads; all processors by default")
    hashes.add_argument("--backend", metavar="NAME", help="scanner; the fastest by default")
    hashes.add_argument(
        "--mode", choices=("nonce", "roll"), default="nonce",
        help="vary the nonce alone, or roll versions (BIP 320) with it",
    )  # fmt: skip
    hashes.add_argument(
        "--header", metavar="HEX", help="80 bytes in hex; the genesis block's by default"
    )

    measure = add(
        "measure",
        "ceilings of this machine: operations, bandwidth, latency, calls, products, hashes",
        "tokenroof measure --remeasure --threads 1",
    )
    measure.add_argument("--seconds", type=float, default=1.0, help="for each group of probes [s]")
    measure.add_argument("--threads", type=int, help="threads; all processors by default")
    measure.add_argument(
        "--remeasure", action="store_true", help="measure anew, whatever is remembered"
    )

    check = add(
        "check",
        "run every kernel against the reference on this machine; exit 1 if one differs",
        "tokenroof check --seed 7",
    )
    check.add_argument("--seed", type=int, default=0, help="of the random inputs")
    check.add_argument("--samples", type=int, default=64, help="inputs per kernel")

    add("info", "version, instruction set, CUDA, compiler, cores", "tokenroof info --json")
    return parser


def _add_plan(command: argparse.ArgumentParser) -> None:
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0, 1 (a check failed), 2 (bad input), 130 (Ctrl-C).

    Examples
    --------
    >>> main(["hash", "--seconds", "-1"])
    2
    """
    parser = _parser()
    try:
        arguments = parser.parse_args(argv)
        arguments.json = getattr(arguments, "json", False)
        if arguments.version:
            from tokenroof import __version__

            print(__version__)
            return 0
        if arguments.command is None:
            parser.print_help()
            return 0
        from tokenroof.cli import commands as _commands

        status = int(getattr(_commands, f"run_{arguments.command}")(arguments))
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("tokenroof: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader is gone: nothing more to say, at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except _BAD_INPUT as error:
        if os.environ.get("TOKENROOF_TRACEBACK"):
            raise
        print(f"tokenroof: {_message(error)}", file=sys.stderr)
        return 2
