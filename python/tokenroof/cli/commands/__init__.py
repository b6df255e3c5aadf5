"""The commands: a line here, and a file of the same name with its arguments and what it does.

The file has `add_arguments`, given the command's parser, and `run`, given what was parsed, which returns
the exit status. It is imported when its command is called; what it needs beyond the standard library and
NumPy, when it runs.
"""

from __future__ import annotations

__all__ = ["COMMANDS"]

#: Summary and example of each command, in the order of the help.
COMMANDS: dict[str, tuple[str, str]] = {
    "report": (
        "measure this machine, evaluate the catalogue, write a page with figures and their data",
        "tokenroof report --out /tmp/roof",
    ),
    "list": ("list the catalogue", "tokenroof list devices --match hopper"),
    "roofline": (
        "roofs of a device, and where a model's steps stand under them",
        "tokenroof roofline H200-SXM Llama-3.1-8B --weights fp8",
    ),
    "curve": (
        "latency and throughput of a replica against concurrency",
        "tokenroof curve H200-SXM Llama-3.3-70B --tp 8 --weights fp8 --concurrency 1,16,256",
    ),
    "frontier": (
        "the plans and batches of a device and a model that no other beats, and their chart",
        "tokenroof frontier H200-SXM Llama-3.1-8B --load 8k/1k --ttft-max 5",
    ),
    "compare": (
        "two systems at one speed per user: what differs, and seconds by operator and cause",
        "tokenroof compare B200-SXM H200-SXM:tp=8,weights=fp8 Llama-3.3-70B --speed 40",
    ),
    "simulate": (
        "an engine's scheduler played over a load or a trace: percentiles, goodput, a verdict",
        "tokenroof simulate H200-SXM Llama-3.1-8B --rate 10 --spread 1 --seeds 3",
    ),
    "capacity": (
        "the most load under a promise, and the devices that a demand needs, with some to spare",
        "tokenroof capacity H200-SXM Llama-3.1-8B --slo-ttft 0.5@99 --demand 6000 --availability 0.99",
    ),
    "tune": (
        "the highest rate under a promise, by simulation, and the scheduler's knobs that reach it",
        "tokenroof tune H200-SXM Llama-3.1-8B --slo-ttft 0.5@99 --slo-tpot 0.02@90 --output-tokens 100",
    ),
    "economics": (
        "a factory year by year: cash flow, present value, returns, levelised costs",
        "tokenroof economics --scenario mine.toml --set site.power_mw=20",
    ),
    "hash": (
        "scan a block header's nonces, and say how fast and how near to the bound",
        "tokenroof hash --seconds 2 --threads 1",
    ),
    "measure": (
        "ceilings of this machine: operations, bandwidth, latency, calls, products, hashes",
        "tokenroof measure --remeasure --threads 1",
    ),
    "check": (
        "run every kernel against the reference on this machine; exit 1 if one differs",
        "tokenroof check --seed 7",
    ),
    "info": ("version, instruction set, CUDA, compiler, cores", "tokenroof info --json"),
}


def __dir__() -> list[str]:
    return sorted(__all__)
