"""Any input is read, or refused with a reason: a fuzzer guided by coverage, one parser at a time. Run by hand.

    python -m pip install atheris
    python tests/fuzz/fuzz_parser.py PARSER --inputs 1000000 --seed 1

An input is refused by a ValueError, TypeError, KeyError or OSError that says what is allowed. Everything else is a
finding: another exception, a warning, an error about text where the file is meant, two seconds of one input. Each is
made small and kept in `build/fuzz/PARSER`; `--again FILE` runs one. README.md says what was run.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import NoReturn

import atheris

with atheris.instrument_imports(include=["tokenroof"]):
    sys.path.insert(0, str(Path(__file__).parent))
    import targets

KEPT = Path(__file__).resolve().parents[2] / "build" / "fuzz"
SLOWEST_S = 2.0
REFUSED = (ValueError, TypeError, KeyError, OSError)
# words by which a refusal says what would do
SAYS = re.compile(
    "allowed|must be|expected|did you mean|unknown |no usable row|has no |there (is|are) |missing|cannot be read",
    re.IGNORECASE,
)
PIECES = re.compile(rb"[A-Za-z_]+|[0-9.]+|\s+|.", re.DOTALL)
ODD = (
    b"", b"0", b"1", b"-1", b"2", b"7", b"0.5", b"-0.0", b"1e308", b"1e309", b"5e-324", b"nan", b"NaN", b"inf",
    b"-Infinity", b"9" * 19, b"9" * 400, b"9" * 5000, b"18446744073709551616", b"true", b"false", b"null", b'""',
    b'"\\ud800"', b'"x"', b"[]", b"[[1]]", b"{}", b"[" * 3000, b"{\"a\":" * 3000, b"[1, 2]", b'"1"', b"1979-05-27",
    b"07:32:00", b"\xff", b"\xef\xbb\xbf", b"\0", b"\r\n", b",", b'"', b"'", b"=", b"1_000", b"0x10",
    "\u0664".encode(), b"\xf0\x9f\x98\x80", b"x" * 5000, b"2262-04-12 00:00:00", b"--json", b"--set", b"..", b"/",
)  # fmt: skip


def trouble(parser: str, data: bytes) -> tuple[str, str]:
    """What became of an input: "read", "refused", or a finding with its traceback."""
    start = time.thread_time()
    try:
        targets.TARGETS[parser].read(data)
        became, said = "read", ""
    except REFUSED as error:
        became = _refusal(error)
        # a traceback takes longer than most inputs
        said = "" if became == "refused" else traceback.format_exc()
    except Exception as error:
        became, said = _where(error), traceback.format_exc()
    if time.thread_time() - start > SLOWEST_S:
        return "slow", f"{time.thread_time() - start:.1f} s"
    return became, said


def _refusal(error: Exception) -> str:
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, OSError) and error.strerror:
        return "refused"
    if isinstance(error, UnicodeError) or len(text) > 20_000 or not SAYS.search(text):
        return _where(error)
    return "refused"


def _where(error: Exception) -> str:
    """The kind of a finding: the error's type, and the line of the library that it left."""
    frames = traceback.extract_tb(error.__traceback__)
    last = next((f for f in reversed(frames) if "tokenroof" in f.filename), frames[-1])
    return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}"


def changed(data: bytes, head: int, seed: int) -> bytes:
    """Some pieces of a text replaced, dropped, doubled or swapped."""
    rng = random.Random(seed)
    first, pieces = bytearray(data[:head]), PIECES.findall(data[head:])
    if first and rng.random() < 0.1:
        first[rng.randrange(len(first))] = rng.randrange(64)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not pieces:
            pieces = [rng.choice(ODD)]
        at, how = rng.randrange(len(pieces)), rng.random()
        if how < 0.55:
            pieces[at] = rng.choice(ODD)
        elif how < 0.7:
            del pieces[at : at + rng.choice((1, 1, 3, 20))]
        elif how < 0.85:
            pieces[at] = pieces[rng.randrange(len(pieces))]
        elif how < 0.95:
            pieces[at:at] = pieces[at : at + rng.choice((1, 5, 40))]
        else:
            del pieces[at:]
    return bytes(first) + b"".join(pieces)


def smaller(parser: str, data: bytes, kind: str, head: int) -> bytes:
    """The same finding of fewer bytes, within five seconds."""
    until, step = time.monotonic() + 5.0, max(1, len(data) // 2)
    while step and time.monotonic() < until:
        at = head
        while at < len(data) and time.monotonic() < until:
            less = data[:at] + data[at + step :]
            if trouble(parser, less)[0] == kind:
                data = less
            else:
                at += step
        step //= 2
    return data


def fuzz(parser: str, inputs: int, seed: int, seconds: float) -> NoReturn:
    """Run so many inputs, or as many as go into a time, print what became of them, and leave."""
    target, found, start = targets.TARGETS[parser], Counter[str](), time.monotonic()
    folder = KEPT / parser
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    corpus = Path(tempfile.mkdtemp(prefix="seeds-", dir=targets.FOLDER))
    for number, text in enumerate(target.seeds()):
        became, said = trouble(parser, text)
        if parser != "nbits" and became != "read":
            print(f"seed {number} is not read: {became} {said[-1500:]}")
        (corpus / str(number)).write_bytes(text)

    def once(data: bytes) -> None:
        became, said = trouble(parser, data)
        found[became] += 1
        if became not in ("read", "refused") and found[became] == 1:
            short = smaller(parser, data, became, target.head)
            name = re.sub(r"[^\w.]+", "-", became)
            (folder / name).write_bytes(short)
            (folder / f"{name}.txt").write_text(said, errors="backslashreplace")
            print(
                f"{became}: {short[:200]!r}\n    {said.strip().splitlines()[-1][:200]}", flush=True
            )
        took = time.monotonic() - start
        if found.total() % 50_000 == 0:
            print(f"{found.total()} inputs, {found['read']} read, {took:.0f} s", flush=True)
        if found.total() >= inputs or took >= seconds:
            report(parser, seed, found, took)

    def mutate(data: bytes, most: int, state: int) -> bytes:
        if state % 3 == 0:
            return bytes(atheris.Mutate(data, most))
        return changed(data, target.head, state)[:most]

    options = [
        f"-seed={seed}",
        "-max_len=20000",
        "-timeout=60",
        "-rss_limit_mb=8192",
        "-verbosity=0",
        "-len_control=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], once, custom_mutator=mutate)
    atheris.Fuzz()
    sys.exit("the fuzzer ended by itself")


def report(parser: str, seed: int, found: Counter[str], seconds: float) -> NoReturn:
    kinds = len(found.keys() - {"read", "refused"})
    print(
        f"{parser}: {found.total()} inputs of seed {seed} in {seconds:.0f} s: {found['read']} read, "
        f"{found['refused']} refused with a reason, {kinds} kinds of findings",
        flush=True,
    )
    shutil.rmtree(targets.FOLDER, ignore_errors=True)
    os._exit(1 if kinds else 0)  # libFuzzer has no way back


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parser", choices=targets.TARGETS)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="no more than so many")
    parser.add_argument("--again", type=Path, help="run one input that was kept")
    given = parser.parse_args()
    warnings.simplefilter("error")
    # what is legal and odd is read, and said
    warnings.filterwarnings(
        "ignore",
        r"(?s).*(legal and odd|allowed: |allowed without|takes nothing of|nothing of )",
        UserWarning,
    )
    if given.again is not None:
        became, said = trouble(given.parser, given.again.read_bytes())
        print(f"{became}\n{said}")
        return int(became not in ("read", "refused"))
    fuzz(given.parser, given.inputs, given.seed, given.seconds)


if __name__ == "__main__":
    sys.exit(main())
