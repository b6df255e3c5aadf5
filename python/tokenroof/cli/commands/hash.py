"""``tokenroof hash``: how fast this machine scans a block header's nonces, and how near to the bound."""

from __future__ import annotations

import math
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from typing import Any

from tokenroof.cli.lengths import amount, whole
from tokenroof.cli.output import emit, say
from tokenroof.support.formats import si
from tokenroof.support.quoting import counted


def add_arguments(command: ArgumentParser) -> None:
    command.add_argument("--seconds", type=amount, default=2.0, help="time to scan [s]")
    command.add_argument("--threads", type=whole, help="threads; all processors by default")
    command.add_argument("--backend", metavar="NAME", help="scanner; the fastest by default")
    command.add_argument(
        "--mode", choices=("nonce", "roll"), default="nonce",
        help="vary the nonce alone, or roll versions (BIP 320) with it",
    )  # fmt: skip
    command.add_argument(
        "--header", metavar="HEX", help="80 bytes in hex; the genesis block's by default"
    )


def run(arguments: Namespace) -> int:
    from tokenroof.measure.groups import GENESIS
    from tokenroof.support.processors import usable_processors

    if not (math.isfinite(arguments.seconds) and arguments.seconds > 0):
        raise ValueError(f"--seconds is {arguments.seconds:g}; allowed: a number > 0")
    header = GENESIS if arguments.header is None else _header(arguments.header)
    threads = usable_processors() if arguments.threads is None else arguments.threads
    versions = 96 if arguments.mode == "roll" else 1
    document = _document(
        header, _scan(header, arguments.seconds, versions, threads, arguments.backend)
    )
    if arguments.json:
        emit(document)
    else:
        _print(document)
    return 0


def _header(text: str) -> bytes:
    allowed = "allowed: 80 bytes as 160 hexadecimal digits"
    try:
        header = bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"--header is no hexadecimal text; {allowed}") from None
    if len(header) != 80:
        raise ValueError(f"--header has {counted(len(header), 'byte')}; {allowed}")
    return header


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scanned:
    """All scans together: what they took, what they found, and the clock meanwhile (0: unknown)."""

    backend: str
    mode: str
    threads: int
    hashes: int
    seconds: float
    cpu_seconds: float
    clock_hz: float
    hits: list[tuple[int, int]]


def _scan(
    header: bytes, seconds: float, versions: int, threads: int, backend: str | None
) -> _Scanned:
    """Scan for so long, in runs of at most half a second: what is counted is time in which it scans."""
    from tokenroof import _core, mining

    nonces = 1 << 32
    start, elapsed, cpu, hashes = 0, 0.0, 0.0, 0
    hits: list[tuple[int, int]] = []
    clocks = [_core.measured_clock_hz()]
    count = 1 if seconds < 1e-3 else max((1 << 12) // versions, 1)
    while elapsed < seconds:
        run = mining.scan(header, start=start, count=count, versions=versions, threads=threads,
                          backend=backend)  # fmt: skip
        backend = run.backend  # that which was chosen for the first
        elapsed, cpu, hashes = elapsed + run.seconds, cpu + run.cpu_seconds, hashes + run.hashes
        hits += run.hits
        clocks.append(_core.measured_clock_hz())
        start = (start + count) % nonces
        # no more than eight times as many as before: the first runs are short, and start slowly
        rate, left = run.hashes / max(run.seconds, 1e-9) / versions, seconds - elapsed
        wanted = min(int(rate * min(0.5 * left if left > 0.02 else left, 0.5)), 8 * count)
        count = min(max(wanted, 1), nonces - start)
    # the bound is at the highest clock that was seen, 0 where it cannot be measured
    clock = max(clocks)
    if run.backend.startswith("cuda"):  # the processor only waits
        cpu, clock, threads = elapsed, 0.0, 1
    return _Scanned(
        backend=run.backend, mode=run.mode, threads=threads, hashes=hashes, seconds=elapsed,
        cpu_seconds=cpu, clock_hz=clock,
        hits=sorted(set(hits), key=lambda hit: (hit[1], hit[0])),
    )  # fmt: skip


def _document(header: bytes, scanned: _Scanned) -> dict[str, Any]:
    from tokenroof.mining.hash_roofline import local_core
    from tokenroof.mining.scan import bound_of

    s = scanned
    core = local_core()
    bound, binds = bound_of(core, s.backend, s.mode, s.clock_hz)
    rate = s.hashes / s.cpu_seconds
    return {
        "backend": s.backend, "mode": s.mode, "threads": s.threads, "hashes": s.hashes,
        "seconds": s.seconds, "cpu_seconds": s.cpu_seconds, "hash_per_s": s.hashes / s.seconds,
        "hash_per_cpu_s": rate, "bound_hash_per_cpu_s": bound if bound == bound else None,
        "bound_by": binds or None, "share_of_bound": rate / bound if bound == bound else None,
        "cycles_per_hash": s.clock_hz * s.cpu_seconds / s.hashes or None,
        "clock_hz": s.clock_hz or None, "core": None if core is None else core["name"],
        "core_kind": None if core is None else core["basis"], "header": header.hex(),
        "nonces_found": [nonce for nonce, _ in s.hits],
        "versions_found": [version for _, version in s.hits],
    }  # fmt: skip


def _print(found: dict[str, Any]) -> None:
    say(
        f"{si(found['hash_per_s'], 'hash/s', 4)}  {found['backend']}, mode {found['mode']}, "
        f"{found['threads']} threads, {found['hashes']:,} hashes in {found['seconds']:.2f} s"
    )
    share = "no bound: the catalogue lacks this core"
    bound = found["bound_hash_per_cpu_s"]
    if bound is not None:
        share = (
            f"modelled {si(bound, 'hash/s', 4)} ({found['core']}, {found['core_kind']}; "
            f"{found['bound_by']} pipes bind): {100 * found['share_of_bound']:.1f} % of the bound"
        )
    rate = si(found["hash_per_cpu_s"], "hash/s", 4)
    say(f"measured {rate} a thread by processor time; {share}")
    if found["clock_hz"] is not None:
        clock = si(found["clock_hz"], "Hz", 4)
        say(f"{found['cycles_per_hash']:.1f} cycles per hash at {clock}")
    for nonce, version in zip(found["nonces_found"], found["versions_found"], strict=True):
        say(f"nonce {nonce} with version {version:#010x} meets the header's target")
