"""What is fuzzed: a function of bytes for each parser, and small valid inputs to begin with.

The first bytes of an input choose among layouts and options; the rest is the file, the text or the words.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import gzip
import io
import json
import os
import shlex
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tokenroof as tr
from tokenroof import calibrate, catalogue, economics, mining, serving
from tokenroof.calibrate.power import read_power
from tokenroof.catalogue import own
from tokenroof.cli.commands import COMMANDS
from tokenroof.cli.parser import parse
from tokenroof.measure.record import Machine
from tokenroof.serving.requests.traces.layouts import LAYOUTS

CONFIGS = Path(__file__).resolve().parents[1] / "records" / "fixtures" / "model_configs"
FOLDER = Path(
    tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
)
BETWEEN = b"\0"  # of two files
argparse._ = str  # type: ignore[attr-defined]  # it looks for translations of each word on the disk, at half of the time
# commands that end at once; the others' words are parsed and no more
AT_ONCE = ("list", "roofline", "curve", "economics", "info")
SEARCHES = ("convert",)  # takes a fifth of a second
WRITES = ("csv", "excel", "manifest", "out", "save", "plot", "chart")


@dataclass(frozen=True)
class Target:
    """A parser: what an input goes through, seeds, and how many bytes choose options."""

    read: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    head: int = 0


def written(name: str, content: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(content)
    return path


def config(data: bytes) -> object:
    """A folder with a config.json and, behind a zero byte, what its quantiser wrote beside it."""
    main, found, side = data.partition(BETWEEN)
    path = written("config.json", main)
    beside = FOLDER / "hf_quant_config.json"
    if found:
        beside.write_bytes(side)
    else:
        beside.unlink(missing_ok=True)
    by_name = len(main) % 2
    model = own.read("model", FOLDER) if by_name else tr.Model.from_config(path)
    assert sum(model.parameter_groups().values()) == model.parameters > 0
    assert not np.isnan(model.pack()).any()
    model.explain()
    return model


def config_seeds() -> list[bytes]:
    side = b'{"quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}}'
    found = [path.read_bytes() for path in sorted(CONFIGS.glob("*.json"))]
    short = [json.dumps(json.loads(text)).encode() for text in found if len(text) < 20_000]
    return short + [text + BETWEEN + side for text in short[:8]]


def toml_of(record: Any, leave: tuple[str, ...] = ()) -> str:
    """A record as the file that a person would write."""
    lines, tables = [], []
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name in ("provenance", *leave) or value is None or is_dataclass(value):
            continue
        if isinstance(value, dict):
            tables += [f"[{field.name}]", *(f"{k} = {v!r}" for k, v in value.items())]
        elif isinstance(value, bool):
            lines.append(f"{field.name} = {str(value).lower()}")
        elif isinstance(value, (str, int, float)):
            lines.append(f"{field.name} = {json.dumps(value)}")
        elif isinstance(value, tuple) and all(isinstance(v, str) for v in value):
            lines.append(f"{field.name} = {json.dumps(list(value))}")
    return "\n".join([*lines, *tables, ""])


def record(data: bytes) -> object:
    """A device, a miner or a model of one's own, in TOML or JSON."""
    kind = ("device", "device", "miner", "model")[data[0] % 4] if data else "device"
    path = written("mine.json" if data[:1] and data[0] & 4 else "mine.toml", data[1:])
    found = own.read(kind, path)
    if kind == "device":
        assert found.pack()[0] > 0.0
    return repr(found)


def record_seeds() -> list[bytes]:
    devices = [
        toml_of(tr.device(name)).encode() for name in ("H200-SXM", "B200-SXM", "RTX-4090", "MI300X")
    ]
    miners = [toml_of(tr.miner(name)).encode() for name in catalogue.miners().name[:3]]
    small = b'{"device": {"name": "mine", "memory_bandwidth": 1e12, "peak": {"bf16": 2e14}, "tdp_w": 300}}'
    models = [toml_of(tr.model(name)).encode() for name in ("Llama-3.1-8B", "gpt-oss-120b")]
    return [
        *(b"\0" + d for d in devices), *(b"\2" + m for m in miners), b"\4" + small, *(b"\3" + m for m in models),
        b'\0[device]\nmemory_bandwidth = 1e12\n[device.peak]\nbf16 = 2e14\n',
    ]  # fmt: skip


def scenario(data: bytes) -> object:
    """A scenario, or tiers."""
    path = written("plan.toml", data[1:])
    if data[:1] and data[0] & 1:
        return repr(economics.read_tiers(path))
    found = economics.Scenario.from_toml(path)
    return repr(found), found.values(), found.it_mw


def scenario_seeds() -> list[bytes]:
    seeds = [
        b"\0[site]\npower_mw = 20\nprice_by_hour = [20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60]\n",
        b"\0name = 'x'\n",
    ]
    sections: dict[str, list[str]] = {}
    for about in economics.scenario_keys():
        section, _, key = about.name.partition(".")
        value = about.default
        shown = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
        shown = shown.replace("(", "[").replace(")", "]")
        sections.setdefault(section, []).append(f"{key} = {shown}")
    for kind in ("nothing", "tokens", "lease", "gpu_hours", "hashes"):
        text = "".join(f"[{s}]\n" + "\n".join(rows) + "\n" for s, rows in sections.items())
        seeds.append(b"\0" + text.replace("'nothing'", f"'{kind}'").encode())
    tier = '[[tier]]\nname = "chat"\nmodel = "gpt-oss-120b"\ncontext = 4096\ninteractivity = [30, 60]\n'
    tier += 'price_per_mtok = 0.6\nsource = "list"\ndate = 2026-09-01\npower_share = 0.5\n'
    return [*seeds, b"\1" + tier.encode(), b"\1" + (tier + tier.replace("chat", "long")).encode()]


def market(data: bytes) -> object:
    """Dated prices, CSV or TOML; what is read is refused by none of those that take it."""
    found = catalogue.market_data(
        written("newer.toml" if data[:1] and data[0] & 1 else "newer.csv", data[1:])
    )
    assert all(0.0 <= quote.value <= 1e21 for quote in found.quotes)
    with catalogue.market_in_force(found):
        assert not np.isnan(mining.market_history().hashprice).any()
    return repr(economics.Scenario().with_market(found)), found.as_dict()


def market_seeds() -> list[bytes]:
    folder = Path(__file__).resolve().parents[1] / "catalogue" / "fixtures"
    rows = (
        'source = "a list"\nkind = "press"\n[[row]]\ndate = "2026-10"\nprice = 1e5\ndifficulty = 1.5e14\n'
        "fees = 0.02\nrent = { H200-SXM = 2.5 }\n[[row]]\ndate = 2026-11-02\nhashprice = 40\npower = 0.08\n"
        "[row.output]\ngpt-oss-120b = 0.6\n"
    )
    quoted = b'date,source,hashprice\r\n2026-10,"a ""list"",\r\nof two lines",40\r\n\r\n# none\r\n2026-11,,41\r\n'
    return [b"\0" + (folder / "newer.csv").read_bytes(), b"\1" + rows.encode(), b"\0" + quoted]


def trace(data: bytes) -> object:
    """A trace: the first byte names the layout, the second the options."""
    layout = list(LAYOUTS)[data[0] % len(LAYOUTS)] if data else "mooncake"
    how = data[1] if len(data) > 1 else 0
    text = gzip.compress(data[2:], 1, mtime=0) if how & 1 else data[2:]
    options: dict[str, Any] = {"failed": "skip"} if how & 2 else {}
    if how & 4 and layout == "bailian":
        options |= {"closed": True, "think_s": 1.0}
    if how & 8:
        options["chunk"] = 1
    if how & 16:
        options["limit"] = 2
    if how & 32:
        options["hash_block"] = 0
    found = serving.trace(written("requests.txt", text), layout, **options)
    assert (found.input_tokens >= 0).all()
    assert (found.arrival_ns >= 0).all()
    return repr(found)


def trace_seeds() -> list[bytes]:
    row = {"timestamp": 0, "input_length": 1000, "output_length": 20, "hash_ids": [1, 2]}
    later = {**row, "timestamp": 40, "hash_ids": [1, 3]}
    turns = [{**row, "session_id": "a"}, {**row, "session_id": "a", "delay": 100}]
    agents = [
        {**row, "request_id": "r1", "branches": ["r2"]},
        {**row, "request_id": "r2", "wait_for": ["r1"], "tool_wait_ms": 5},
        {**row, "request_id": "r3", "wait_for": ["r1", "r2"], "prefix_reset": True, "session_id": "s"},
    ]  # fmt: skip
    chats = [{"timestamp": 0.5, "input_length": 20, "output_length": 5, "hash_ids": [7, 8],
              "chat_id": 1, "parent_chat_id": -1, "turn": 1},
             {"timestamp": 1.5, "input_length": 20, "output_length": 5, "hash_ids": [7, 9],
              "chat_id": 2, "parent_chat_id": 1, "turn": 2}]  # fmt: skip
    bench = [{"timestamp": 0.1, "input_length": 33, "output_length": 4, "hash_ids": [1, 2, 3]},
             {"timestamp": 0.2, "input_length": 3, "output_length": 4, "hash_ids": []}]  # fmt: skip
    azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:47,12,5\n"
    burst = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,API log\n"
    failed = burst + '45.5,GPT-4,1087,0,1087,"Conversation, log"\n'
    order, files = list(LAYOUTS), []
    for name, rows in (("mooncake", [row, later]), ("mooncake", turns), ("mooncake", agents),
                       ("bailian", chats), ("vllm-bench", bench)):  # fmt: skip
        files.append((name, "".join(json.dumps(one) + "\n" for one in rows)))
    files += [("azure", azure), ("burstgpt", burst)]
    seeds = [(name, text, how) for name, text in files for how in (0, 1, 6, 8, 18, 32)]
    seeds += [("burstgpt", failed, how) for how in (2, 6, 18)]
    return [bytes([order.index(name), how]) + text.encode() for name, text, how in seeds]


def table(data: bytes) -> object:
    """A measured table: of an operator, of serving, of powers."""
    kinds = (*calibrate.SPECS, "serving", "gemm power", "experts power", "attention_decode power",
             "attention_prefill power")  # fmt: skip
    kind = kinds[data[0] % len(kinds)] if data else "gemm"
    path = written("table.csv", data[1:])
    if kind == "serving":
        return len(calibrate.read_serving(path))
    if kind.endswith(" power"):
        return read_power(path, "H100-SXM", kind.removesuffix(" power"))
    return len(calibrate.read_operator(kind, path, "H100-SXM"))


def table_seeds() -> list[bytes]:
    types = {"dtype": "bf16", "kv_dtype": "bf16", "distribution": "balanced", "operation": "all_reduce"}  # fmt: skip
    seeds = []
    for number, (name, spec) in enumerate(calibrate.SPECS.items()):
        row = {c: types.get(c, "8") if c in spec.types else "8" for c in spec.columns}
        if "operation" in row:
            row |= {"operation": name, "dtype": "half", "elements": "100000"}
        lines = [",".join([*row, "latency"]), ",".join([*row.values(), "0.5"])]
        seeds.append(
            bytes([number]) + "\n".join([*lines, lines[1].replace("8", "16"), ""]).encode()
        )
    n = len(calibrate.SPECS)
    seeds.append(
        bytes([n])
        + (
            b"model,device,engine,concurrency,input_tokens,output_tokens,tp,weights,ttft_ms,tpot_ms\n"
            b"Llama-3.1-8B,h200,vllm,8,1024,1024,1,bf16,60.0,6.5\nLlama-3.1-8B,h200,vllm,16,1024,512,1,bf16,90,7.5\n"
        )
    )
    seeds.append(
        bytes([n + 1])
        + b"gemm_dtype,m,n,k,latency,power\nbfloat16,4096,8192,8192,1.0,600\nfp8,8192,8192,8192,1.2,650\n"
    )
    seeds.append(
        bytes([n + 2])
        + (
            b"moe_dtype,num_tokens,hidden_size,inter_size,topk,num_experts,moe_tp_size,moe_ep_size,distribution,latency,power\n"
            b"fp8,4096,4096,1536,8,128,1,1,balanced,1.5,600\n"
        )
    )
    for k in (3, 4):
        seeds.append(
            bytes([n + k])
            + (
                b"batch_size,isl,step,num_heads,num_key_value_heads,head_dim,window_size,kv_cache_dtype,latency,power\n"
                b"64,1,4096,32,8,128,0,bfloat16,0.9,500\n"
            )
        )
    return seeds  # fmt: skip


def header(data: bytes) -> object:
    """A block header as bytes or text, scanned where it is one."""
    how = data[0] if data else 0
    given: Any = data[1:]
    if how & 1:
        given = given.decode("utf-8", "surrogateescape")
    elif how & 2:
        given = memoryview(given)
    raw = mining.header_bytes(given)
    assert len(raw) == 80
    return mining.scan(raw, start=how, count=4, threads=1)


def header_seeds() -> list[bytes]:
    first = bytes.fromhex(
        "01000000"
        + "00" * 32
        + "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c"
    )
    return [
        b"\0" + first,
        b"\2" + first,
        b"\1" + first.hex().encode(),
        b"\1 " + first.hex().upper().encode() + b"\n",
    ]


NUMBERS: tuple[Callable[[Any], object], ...] = (
    mining.target_from_bits, mining.difficulty, mining.work, mining.bits_from_target, mining.difficulty_of,
    mining.target_from_difficulty, lambda given: mining.retarget(given, 1231006505, 1232216105),
    lambda given: mining.retarget("1d00ffff", 1231006505, given),
)  # fmt: skip


def nbits(data: bytes) -> object:
    """nBits, targets, difficulties: text as a person types it, or a number of Python."""
    text = data[1:].decode("utf-8", "surrogateescape")
    given: Any = text
    with contextlib.suppress(Exception):
        given = ast.literal_eval(text)
    return NUMBERS[data[0] % len(NUMBERS) if data else 0](given)


def nbits_seeds() -> list[bytes]:
    texts = ("1d00ffff", "0x1b0404cb", "'1d00ffff'", "486604799", "0x00ffff << 8", "1e12", "0.5", "-1", "2**255",
             "b'" + "\\x00" * 32 + "'", "'" + "0" * 60 + "abcd'", str(0xFFFF << 208), "True", "None", "1e400", "nan")  # fmt: skip
    return [bytes([kind]) + text.encode() for kind in range(len(NUMBERS)) for text in texts]


def command(data: bytes) -> object:
    """Words of the command line, one on a line; what ends at once is run too."""
    words = [os.fsdecode(word) for word in data.replace(b"\0", b"").split(b"\n")]
    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as said,
    ):
        try:
            _, found = parse(words)
            quiet = not any(getattr(found, name, None) for name in (*WRITES, *SEARCHES))
            if found.command in AT_ONCE and quiet and "local" not in data.decode("latin-1").lower():
                assert found.run(found) in (0, 1)
        except SystemExit as left:
            assert left.code in (0, 2), left
            if left.code:
                raise ValueError(
                    f"allowed: {said.getvalue()[:200]}"
                ) from None  # argparse's own words
    return out.getvalue()


def command_seeds() -> list[bytes]:
    lines = [example for _, example in COMMANDS.values()] + [
        "tokenroof roofline B200-SXM gpt-oss-120b --tp 2 --json",
        "tokenroof list models --match llama --json",
        "tokenroof economics --set site.power_mw=20 --set finance.years=10",
        "tokenroof economics --convert 'Antminer S21' --to H200-SXM --json",
        "tokenroof simulate H200-SXM Llama-3.1-8B --rate 10 --spread 1",
        "tokenroof curve H200-SXM Llama-3.1-8B --concurrency 1,8 --input-tokens 100 --output-tokens 10",
    ]
    return ["\n".join(shlex.split(line)[1:]).encode() for line in lines]


def machine(data: bytes) -> object:
    """The measurements of a machine as they are kept."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("no JSON; allowed: JSON") from None
    if not isinstance(found, dict):
        raise TypeError("no object; allowed: an object")
    return repr(Machine.from_dict(found).device())


def machine_seeds() -> list[bytes]:
    reading = {"value": 1e9, "best": 1.1e9, "low": 0.9e9, "high": 1.1e9, "spread": 0.01, "repeats": 5,
               "unit": "FLOP/s", "date": "2026-11-28", "threads": 1}  # fmt: skip
    names = (
        "flops.fp64.numpy",
        "flops.fp32.numpy",
        "bandwidth.memory.read.2",
        "hashrate.generic",
        "latency.memory",
    )
    kept = {
        "name": "a machine", "hash_backend": "generic", "watts_note": "none", "date": "2026-11-28", "cores": 2,
        "seconds": 1.0, "memory_bytes": 1e10, "cache_bytes": None, "watts": None,
        "readings": dict.fromkeys(names, reading),
    }  # fmt: skip
    return [json.dumps(kept).encode()]


TARGETS: dict[str, Target] = {
    "config": Target(config, config_seeds),
    "record": Target(record, record_seeds, 1),
    "scenario": Target(scenario, scenario_seeds, 1),
    "market": Target(market, market_seeds, 1),
    "trace": Target(trace, trace_seeds, 2),
    "table": Target(table, table_seeds, 1),
    "header": Target(header, header_seeds, 1),
    "nbits": Target(nbits, nbits_seeds, 1),
    "command": Target(command, command_seeds),
    "machine": Target(machine, machine_seeds),
}
