"""What each command of the command line does; `tokenroof.cli` parses and reports errors."""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from tokenroof.support.formats import plain, si, table

__all__ = [
    "run_check",
    "run_curve",
    "run_hash",
    "run_info",
    "run_list",
    "run_measure",
    "run_report",
    "run_roofline",
]


def _emit(document: Any) -> None:
    print(json.dumps(plain(document), indent=1, allow_nan=False, ensure_ascii=False))


def _plan(arguments: Namespace) -> Any:
    from tokenroof.records.plan import Plan

    names = ("tp", "pp", "dp", "cp", "moe_tp", "moe_ep", "weights", "experts", "activations")
    given = {name: getattr(arguments, name) for name in (*names, "kv_cache", "engine")}
    return Plan(**given)


def run_report(arguments: Namespace) -> int:
    from tokenroof.report import build

    made = build(Path(arguments.out), seconds=arguments.seconds, quiet=arguments.json)
    if arguments.json:
        _emit(made)
    else:
        print(f"{made['page']}  ({made['seconds']:.1f} s, {len(made['data'])} data files)")
    return 0


_COLUMNS = {
    "devices": ("name", "vendor", "family", "kind", "release", "memory_bytes", "memory_bandwidth",
                "peak_bf16", "peak_fp8", "peak_fp4", "tdp_w", "basis"),
    "models": ("name", "family", "attention", "release", "parameters", "active_parameters",
               "layers", "context_max"),
    "miners": ("name", "vendor", "kind", "release", "process", "hashrate", "power", "efficiency",
               "basis"),
    "tiers": ("name", "model", "context", "price_per_mtok", "interactivity", "power_share"),
}  # fmt: skip
_UNITS = {
    "memory_bytes": "B", "memory_bandwidth": "B/s", "peak_bf16": "FLOP/s", "peak_fp8": "FLOP/s",
    "peak_fp4": "FLOP/s", "tdp_w": "W", "parameters": "", "active_parameters": "",
    "hashrate": "H/s", "power": "W", "efficiency": "J/TH",
}  # fmt: skip


def run_list(arguments: Namespace) -> int:
    from tokenroof import catalogue

    frame = getattr(catalogue, arguments.what)()
    rows = frame.to_dict("records")
    wanted = arguments.match.casefold()
    rows = [
        row
        for row in rows
        if wanted in " ".join(v for v in row.values() if isinstance(v, str)).casefold()
    ]
    if arguments.json:
        _emit([{str(k): (None if _missing(v) else v) for k, v in row.items()} for row in rows])
        return 0
    columns = [c for c in _COLUMNS[arguments.what] if c in frame.columns]
    shown = [[_cell(c, row[c]) for c in columns] for row in rows]
    table([c.replace("_", " ") for c in columns], shown, title=f"{len(rows)} {arguments.what}")
    return 0


def _words(row: dict[Any, Any]) -> str:
    return " ".join(value for value in row.values() if isinstance(value, str))


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _cell(column: str, value: Any) -> str:
    if _missing(value):
        return "-"
    if column == "efficiency":
        return f"{value:.4g}"
    if column in _UNITS:
        return si(float(value), _UNITS[column])
    return f"{value:g}" if isinstance(value, float) else str(value)


def run_roofline(arguments: Namespace) -> int:
    import tokenroof as tr

    _ready(arguments)
    device = tr.device(arguments.device)
    roofs: list[dict[str, Any]] = [
        {"dtype": name, "peak": peak, "ridge_point": peak / device.memory_bandwidth}
        for name, peak in device.peak.items()
    ]
    document: dict[str, Any] = {
        "device": device.name,
        "memory_bandwidth": device.memory_bandwidth,
        "roofs": roofs,
        "units": {"peak": "FLOP/s", "memory_bandwidth": "B/s", "ridge_point": "FLOP/B"},
    }
    rows = []
    if arguments.model is not None:
        from tokenroof.inference.step import decode, prefill

        model, plan = tr.model(arguments.model), _plan(arguments)
        batches = arguments.batch
        context, fidelity = arguments.context, arguments.fidelity
        steps = []
        for b in batches:
            step = decode(device, model, plan, batch=b, context=context, fidelity=fidelity)
            steps.append(("decode", b, step))
        step = prefill(device, model, plan, tokens=context, fidelity=fidelity)
        steps.append(("prefill", context, step))
        for kind, amount, step in steps:
            intensity, rate = tr.roofline.point(step)
            rows.append({
                "step": kind, "batch" if kind == "decode" else "tokens": amount,
                "intensity": float(intensity), "flops_per_s_per_device": float(rate),
                "time_s": float(step.time_s), "tokens_per_s": float(step.tokens_per_s),
                "bound": str(step.bound), "fits": bool(np.all(step.fits)),
            })  # fmt: skip
        document |= {"model": model.name, "plan": plan.label(), "context": arguments.context,
                     "calibrated_on": steps[0][2].calibrated_on, "points": rows}  # fmt: skip
    if arguments.json:
        _emit(document)
        return 0
    table(
        ["type", "peak, dense", "ridge point [FLOP/B]"],
        [[r["dtype"], si(r["peak"], "FLOP/s"), f"{r['ridge_point']:.1f}"] for r in roofs],
        title=f"{device.name}: memory {si(device.memory_bandwidth, 'B/s')}",
    )
    if rows:
        print()
        table(
            ["step", "load", "FLOP/B", "per device", "time", "tokens/s", "bound by"],
            [[r["step"], f"{r.get('batch', r.get('tokens')):g}", f"{r['intensity']:.3g}",
              si(r["flops_per_s_per_device"], "FLOP/s"), si(r["time_s"], "s"),
              _short(r["tokens_per_s"]), r["bound"] if r["fits"] else "does not fit the memory"]
             for r in rows],
            title=f"{document['model']}, {document['plan']}, context {arguments.context:g}, "
                  f"constants: {document['calibrated_on']}",
        )  # fmt: skip
    return 0


def run_curve(arguments: Namespace) -> int:
    from tokenroof import serving

    _ready(arguments)
    found = serving.curve(
        arguments.device, arguments.model, _plan(arguments),
        input_tokens=arguments.input_tokens, output_tokens=arguments.output_tokens,
        concurrency=arguments.concurrency, fidelity=arguments.fidelity,
    )  # fmt: skip
    names = [str(name) for name in found.data_vars]
    if arguments.json:
        rows = [
            {"concurrency": users, **{name: found[name].values[i] for name in names}}
            for i, users in enumerate(found["concurrency"].values)
        ]
        units = {name: found[name].attrs.get("units", "") for name in names}
        _emit({**found.attrs, "units": units, "points": rows})
        return 0
    v = {name: found[name].values for name in names}
    a = found.attrs
    table(
        ["users", "TTFT", "TPOT", "tok/s/user", "out tok/s", "out tok/s/device", "board power",
         "out tok/s/MW", "fits"],
        [[f"{users:g}", si(v["ttft_s"][i], "s"), si(v["tpot_s"][i], "s"),
          _short(v["interactivity"][i]), _short(v["output_throughput"][i]),
          _short(v["per_device"][i]), si(v["watts"][i], "W"),
          _short(v["output_tokens_per_s_per_mw"][i]), "yes" if v["fits"][i] else "no"]
         for i, users in enumerate(found["concurrency"].values)],
        title=f"{a['model']} on {a['device']}, {a.get('plan', '')}, "
              f"{arguments.input_tokens:g} tokens in, {arguments.output_tokens:g} out",
    )  # fmt: skip
    print(
        f"constants: {a.get('calibrated_on', '')}; per MW: "
        f"{a.get('provisioned_w_per_device', 0):g} W provisioned per device "
        f"({a.get('provisioned_kind', '')}); closed loop, means"
    )
    return 0


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def run_hash(arguments: Namespace) -> int:
    from tokenroof import _core, mining
    from tokenroof.measure.groups import GENESIS
    from tokenroof.measure.system import cores
    from tokenroof.mining.hash_roofline import local_core
    from tokenroof.mining.scan import bound_of

    if not (math.isfinite(arguments.seconds) and arguments.seconds > 0):
        raise ValueError(f"--seconds is {arguments.seconds:g}; allowed: a number > 0")
    header = GENESIS if arguments.header is None else _header(arguments.header)
    threads = cores() if arguments.threads is None else arguments.threads
    versions = 96 if arguments.mode == "roll" else 1
    start, elapsed, cpu, hashes = 0, 0.0, 0.0, 0
    hits: list[tuple[int, int]] = []
    count, backend = max((1 << 18) // versions, 1), arguments.backend
    clocks = [_core.measured_clock_hz()]
    began = time.perf_counter()
    while True:
        run = mining.scan(header, start=start, count=count, versions=versions, threads=threads,
                          backend=backend)  # fmt: skip
        elapsed, cpu, hashes = elapsed + run.seconds, cpu + run.cpu_seconds, hashes + run.hashes
        hits += run.hits
        left = arguments.seconds - (time.perf_counter() - began)
        if left <= 0:
            break
        start = (start + count) % (1 << 32)
        wanted = int(hashes / elapsed * min(left, 0.5) / versions) or 1
        count = min(max(wanted, 1 << 12 if versions == 1 else 64), (1 << 32) - start)
    clocks.append(_core.measured_clock_hz())
    clock = statistics.mean(clocks)  # 0 where it cannot be measured
    if run.backend.startswith("cuda"):  # the processor only waits
        cpu, clock, threads = elapsed, 0.0, 1
    hits = sorted(set(hits), key=lambda hit: (hit[1], hit[0]))
    core = local_core()
    bound, binds = bound_of(core, run.backend, run.mode, clock)
    cycles = clock * cpu / hashes
    document: dict[str, Any] = {
        "backend": run.backend, "mode": run.mode, "threads": threads, "hashes": hashes,
        "seconds": elapsed, "cpu_seconds": cpu, "hash_per_s": hashes / elapsed,
        "hash_per_cpu_s": hashes / cpu, "bound_hash_per_cpu_s": bound if bound == bound else None,
        "bound_by": binds or None, "share_of_bound": hashes / cpu / bound if bound == bound else None,
        "cycles_per_hash": cycles or None, "clock_hz": clock or None,
        "core": None if core is None else core["name"],
        "core_kind": None if core is None else core["basis"], "header": header.hex(),
        "nonces_found": [nonce for nonce, _ in hits], "versions_found": [v for _, v in hits],
    }  # fmt: skip
    if arguments.json:
        _emit(document)
        return 0
    print(
        f"{si(hashes / elapsed, 'hash/s', 4)}  {run.backend}, mode {run.mode}, {threads} threads, "
        f"{hashes:,} hashes in {elapsed:.2f} s"
    )
    share = "no bound: the catalogue lacks this core"
    if bound == bound:
        share = (
            f"modelled {si(bound, 'hash/s', 4)} ({document['core']}, {binds} pipes bind): "
            f"{100 * document['share_of_bound']:.1f} % of the bound"
        )
    print(f"measured {si(hashes / cpu, 'hash/s', 4)} a thread by processor time; {share}")
    if clock:
        print(f"{cycles:.1f} cycles per hash at {si(clock, 'Hz', 4)}")
    for nonce, version in hits:
        print(f"nonce {nonce} with version {version:#010x} meets the header's target")
    return 0


def _header(text: str) -> bytes:
    allowed = "allowed: 80 bytes as 160 hexadecimal digits"
    try:
        header = bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"--header is no hexadecimal text; {allowed}") from None
    if len(header) != 80:
        raise ValueError(f"--header has {len(header)} bytes; {allowed}")
    return header


def _measured(arguments: Namespace, seconds: float, threads: int | None, remeasure: bool) -> Any:
    """This machine's readings, with progress where somebody looks."""
    from tokenroof.measure.kept import measured

    if arguments.json or not sys.stderr.isatty():
        return measured(seconds, threads, remeasure)

    def tell(what: str, share: float) -> None:
        print(
            f"\rmeasuring this machine {share:4.0%} {what:32.32}",
            end="",
            file=sys.stderr,
            flush=True,
        )

    try:
        return measured(seconds, threads, remeasure, tell)
    finally:
        print("\r" + 62 * " " + "\r", end="", file=sys.stderr, flush=True)


def _ready(arguments: Namespace) -> None:
    """Measure before "local" is asked for, if it was not yet."""
    from tokenroof.support.names import normalise

    if normalise(arguments.device) == "local":
        _measured(arguments, 1.0, None, False)


def run_measure(arguments: Namespace) -> int:
    from tokenroof.measure.kept import cache_path

    found = _measured(arguments, arguments.seconds, arguments.threads, arguments.remeasure)
    file = str(cache_path(arguments.threads))
    if arguments.json:
        _emit({**found.as_dict(), "file": file})
        return 0
    table(
        ["probe", "median", "best", "95 % interval of the median", "spread", "repeats"],
        [[name, si(r.value, r.unit, 4), si(r.best, r.unit, 4),
          f"{si(r.low, r.unit, 4)} to {si(r.high, r.unit, 4)}", f"{r.spread:.1%}", f"{r.repeats}"]
         for name, r in found.readings.items()],
        title=f"{found.name}, {found.cores} threads, {found.date}",
    )  # fmt: skip
    watts = si(found.watts, "W") if found.watts else "power"
    print(f"{watts} {found.watts_note}")
    print(f"remembered in {file}")
    return 0


def run_check(arguments: Namespace) -> int:
    from tokenroof.cli.check import run

    if arguments.samples < 1:
        raise ValueError(f"--samples is {arguments.samples}; allowed: a positive integer")
    if arguments.seed < 0:
        raise ValueError(f"--seed is {arguments.seed}; allowed: an integer >= 0")
    rows = run(samples=arguments.samples, seed=arguments.seed)
    failed = [row for row in rows if not row["ok"]]
    if arguments.json:
        _emit(
            {
                "ok": not failed,
                "seed": arguments.seed,
                "samples": arguments.samples,
                "kernels": rows,
            }
        )
    else:
        table(
            ["kernel", "instruction set", "largest difference [ulp]", "allowed", ""],
            [[r["kernel"], r["isa"], f"{r['ulps']:g}", f"{r['allowed']:g}",
              "ok" if r["ok"] else f"FAILED {r['note']}"] for r in rows],
        )  # fmt: skip
        print(f"{len(rows) - len(failed)} ok, {len(failed)} failed")
    return 1 if failed else 0


def run_info(arguments: Namespace) -> int:
    import tokenroof as tr
    from tokenroof.build import build_config
    from tokenroof.measure.system import cores, processor_name

    document = {
        **build_config(), "processor": processor_name(), "cores": cores(),
        "cores_online": os.cpu_count(), "measurements": _remembered(), "include": tr.get_include(),
        "python_executable": sys.executable,
        "libraries": {name: _version(name) for name in
                      ("numpy", "pandas", "xarray", "scipy", "plotly", "jinja2", "rich", "dask")},
    }  # fmt: skip
    if arguments.json:
        _emit(document)
        return 0
    libraries = document.pop("libraries")
    for key, value in document.items():
        shown = ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else value
        print(f"{key.replace('_', ' '):18} {shown}")
    absent = [name for name, version in libraries.items() if version is None]
    print(f"{'libraries':18} {', '.join(f'{n} {v}' for n, v in libraries.items() if v)}")
    if absent:
        print(f"{'not installed':18} {', '.join(absent)}  (python -m pip install 'tokenroof[all]')")
    return 0


def _remembered() -> str:
    """Where the measurements of "local" are, if there are any."""
    from tokenroof.measure import cache_path

    path = cache_path()
    return str(path) if path.is_file() else f"none yet ({path}; tokenroof measure)"


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None
