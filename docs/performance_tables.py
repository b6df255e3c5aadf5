"""Tables of the page of performance: from ``docs/results/performance.json`` and ``docs/results/peers.json``.

A part that no run has filled yet says so and by which command it is filled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from figures_text import data, percent, table

#: What a peer does better, or does at all, and tokenroof does not: from its documentation and its code.
BEYOND = {
    "aiconfigurator": "looks kernels up in tables measured on each device and engine version: what was "
    "measured is met exactly; writes the files that start a deployment (Dynamo, llm-d, Kubernetes); "
    "encoders in a pool of their own",
    "aisimulate": "takes aiconfigurator's place; replays traces with its own planner and router",
    "genz-llm": "networks of any topology through ASTRA-sim; a table of all operators of a model",
    "llm-analysis": "training: its memory, recomputation of activations, sharded optimizer states (ZeRO)",
    "ai-dynamo": "is the serving system itself: its replay runs the router and the planner that would run",
    "vidur": "learns step times from a device's profiles by random forests; simulates each deployment of a "
    "search",
    "pyxirr": "other conventions of counting days (30/360 and the like); payments, terms and rates of loans; "
    "modified rates of return; measures of private equity",
    "numpy-financial": "payments, terms and rates of loans, of arrays at once",
    "hashlib": "SHA-256 of anything of any length, and other hashes, in every Python",
    "cryptography": "all of cryptography: ciphers, signatures, certificates; hashes beside them",
    "openssl": "SHA-256 of anything; TLS, ciphers, signatures",
}


def _part(name: str, key: str) -> dict[str, Any] | None:
    try:
        return data(name).get(key)
    except OSError:
        return None


def _filled(name: str, key: str, made: Callable[[Any], str]) -> str:
    """A part's table under a line of when and under which load; a line that it is missing."""
    part = _part(name, key)
    if part is None:
        script = (
            "bench/performance.py --traces FOLDER"
            if name == "performance"
            else "bench/peers/compare.py --folder build/peers"
        )
        return f"Not measured yet: `python {script} --only {key}`.\n"
    low, high = sorted(part["load"])
    busy = f"{part['date']}, rounds: {part['rounds']}, load {low:.1f} to {high:.1f}"
    return f"{made(part['found'])}\n*{busy}*\n"


def rate(value: float | None) -> str:
    """A rate with its prefix."""
    if value is None:
        return "-"
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g}"


def seconds(value: float | None) -> str:
    """A time with its prefix."""
    if value is None:
        return "-"
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.2g} s"


def machine() -> str:
    """On what."""
    d = _part("performance", "processor")
    if d is None:
        return "Nothing was measured yet: `python bench/performance.py`.\n"
    whole = data("performance")
    return (
        f"tokenroof {whole['version']}, NumPy {whole['numpy']}, Python {whole['python']} on {d}; "
        f"the widest instruction set here is `{whole['isa']}`.\n"
    )


def _ways(found: list[dict[str, Any]], first: str) -> list[str]:
    return [
        name
        for name in dict.fromkeys(n for r in found for n in r)
        if name not in (first, "two threads")
    ]


def _rates(found: list[dict[str, Any]], first: str) -> str:
    ways = _ways(found, first)
    isas = [w for w in ways if w not in ("numpy", "numpy, tuned", "python")]
    rows = []
    for r in found:
        best = max((r[i] for i in isas if r.get(i)), default=None)
        over = f"{best / r['numpy']:.1f}" if best and r.get("numpy") else "-"
        rows.append((r[first], *(rate(r.get(w)) for w in ways), over))
    return table([first, *(f"`{w}`" if w in isas else w for w in ways), "over numpy"], rows)


def elementwise() -> str:
    """Elements a second."""
    return _filled("performance", "elementwise", lambda found: _rates(found, "kernel"))


def steps() -> str:
    """Decode steps a second."""
    return _filled("performance", "steps", lambda found: _rates(found, "kernel"))


def slower() -> str:
    """Where NumPy is faster than the best loop here."""
    found = [
        r
        for key in ("elementwise", "steps")
        for r in (_part("performance", key) or {"found": []})["found"]
    ]
    names = []
    for r in found:
        best = max(
            (
                v
                for k, v in r.items()
                if k not in ("kernel", "numpy", "numpy, tuned", "python") and v
            ),
            default=0.0,
        )
        if r.get("numpy") and r["numpy"] > best:
            names.append(f"`{r['kernel']}` ({r['numpy'] / best:.1f} times)")
    if not names:
        return "NumPy's expression is faster for none of them.\n"
    return f"NumPy's own expression, which does not look after edges, is faster for {', '.join(names)}.\n"


def paths() -> str:
    """Monte Carlo."""

    def made(found: list[dict[str, Any]]) -> str:
        two = "; ".join(
            f"{r['work']}: {r['two threads']:.2f} times" for r in found if r.get("two threads")
        )
        return f"{_rates(found, 'work')}\nTwo threads over one, by the clock: {two}.\n"

    return _filled("performance", "paths", made)


def hashing() -> str:
    """Scanners."""

    def made(found: dict[str, Any]) -> str:
        rows = [
            (
                r["scanner"],
                r["mode"],
                f"{r['rate'] / 1e6:.2f}",
                f"{r['rate'] / found['hashlib']:.1f}",
            )
            for r in found["rows"]
        ]
        return (
            table(["scanner", "varies", "MH/s of a thread", "over hashlib"], rows)
            + f"\nTwo threads of {found['fastest']} over one, by the clock: "
            f"{found['two threads']:.2f} times.\n"
        )

    return _filled("performance", "hashing", made)


def simulator() -> str:
    """Runs of the simulator."""

    def made(found: dict[str, Any]) -> str:
        rows = [
            (
                r["run"],
                f"{r['requests']:,}",
                seconds(r["seconds"]),
                rate(r["requests"] / r["seconds"]),
            )
            for r in found["runs"]
        ]
        return (
            table(["run", "requests", "time", "requests a second"], rows)
            + "\nReplications on two threads over one, by the clock: "
            f"{found['replications, two threads']:.2f} times.\n"
        )

    return _filled("performance", "simulator", made)


def searches() -> str:
    """Searches and curves."""
    return _filled(
        "performance",
        "searches",
        lambda found: table(
            ["search", "time"], [(r["search"], seconds(r["seconds"])) for r in found]
        ),
    )


def interrupts() -> str:
    """From Ctrl-C to its end."""
    return _filled(
        "performance",
        "interrupts",
        lambda found: table(
            ["in", "Ctrl-C heard", "middle", "longest"],
            [
                (
                    f"`{r['call']}`",
                    f"{r['heard']} times",
                    seconds(r["middle"]),
                    seconds(r["longest"]),
                )
                for r in found
            ],
        ),
    )


def starting() -> str:
    """Fresh interpreters."""
    return _filled(
        "performance",
        "starting",
        lambda found: table(
            ["start", "time"], [(f"`{r['start']}`", seconds(r["seconds"])) for r in found]
        ),
    )


# Peers.


def peers_head() -> str:
    """Versions of who was asked."""
    told = _part("peers", "versions")
    if told is None:
        return "Nothing was measured yet: `python bench/peers/compare.py --folder build/peers`.\n"
    whole = data("peers")
    named = ", ".join(f"{n} {v}" for n, v in told.items())
    return f"By `{whole['command']}` on {whole['processor']}: {named}.\n"


def _failed(found: dict[str, Any]) -> str:
    """Peers that could not be asked, with their own last words."""
    told = [
        f"- **{name}** was not timed: `{row['failed'].replace('`', '')}`"
        for name, row in found.items()
        if row.get("failed")
    ]
    return "\n".join(told) + "\n" if told else ""


def _good(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: row for name, row in found.items() if not row.get("failed")}


def peer_steps() -> str:
    """Decode steps, timed and scored."""

    def made(found: dict[str, Any]) -> str:
        rows = []
        ours = found.get("tokenroof", {}).get("evaluation_s")
        for name, r in _good(found).items():
            took = r.get("evaluation_s")
            over = f"{took / ours:,.0f}" if ours and name != "tokenroof" else ""
            scored = ("", "", "", "")
            if r.get("answered"):
                scored = (
                    f"{r['answered']} of {r['points']}",
                    percent(r["error_mean"]),
                    percent(r["error_median"]),
                    percent(r["bias"], signed=True),
                )
            rows.append((name, r.get("how", ""), seconds(took), over, *scored))
            if r.get("one_call_s"):
                over = f"{r['one_call_s'] / ours:,.0f}" if ours else ""
                rows.append(
                    (name, "a call a point", seconds(r["one_call_s"]), over, "", "", "", "")
                )
        heads = [
            "",
            "how",
            "a step's time",
            "times ours",
            "points",
            "error, mean",
            "median",
            "bias",
        ]
        return table(heads, rows) + "\n" + _failed(found)

    return _filled("peers", "steps", made)


def peer_search() -> str:
    """The search of one device and model."""

    def made(found: dict[str, Any]) -> str:
        rows = [
            (
                name,
                seconds(r["first_s"]),
                seconds(r["seconds"]),
                f"{r['best']:,.0f}" if r.get("best") else "-",
                r.get("chosen") or "",
            )
            for name, r in _good(found).items()
        ]
        heads = ["", "first search", "again", "tokens a second and device of the best", "which"]
        return table(heads, rows) + "\n" + _failed(found)

    return _filled("peers", "search", made)


def peer_simulator() -> str:
    """The simulator."""

    def made(found: dict[str, Any]) -> str:
        rows = []
        for name, r in _good(found).items():
            kinds = [("", "")] + (
                [("_tabulated", ", step kernels tabulated for the run")]
                if name == "tokenroof"
                else []
            )
            for end, text in kinds:
                rows.append(
                    (
                        name + text,
                        *(seconds(r.get(f"{load}{end}_s")) for load in ("users", "poisson")),
                    )
                )
        return (
            table(["", "20,000 requests of 128 users", "the same at 30 a second"], rows)
            + "\n"
            + _failed(found)
        )

    return _filled("peers", "simulator", made)


def _far(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def peer_money() -> str:
    """Rates of return and present values."""

    def made(found: dict[str, Any]) -> str:
        good = _good(found)
        ours, theirs = good.get("tokenroof", {}), good.get("pyxirr, numpy-financial", {})
        rows = []
        for key, text in (
            ("irr", "internal rate of return"),
            ("xirr", "the same on days"),
            ("npv", "present value"),
            ("irr_batch", "100,000 of 20 years as rows: internal rate"),
            ("xirr_batch", "the same on days"),
            ("npv_batch", "present value"),
        ):
            npf = "npf_" + key
            rows.append(
                (
                    text,
                    seconds(ours.get(f"{key}_s")),
                    seconds(theirs.get(f"pyxirr_{key}_s")),
                    seconds(theirs.get(f"{npf}_s")),
                    _far(theirs.get(f"{key}_apart")),
                    _far(theirs.get(f"{npf}_apart")),
                )
            )
        heads = [
            "of 2,000 projects of 15 years, each",
            "tokenroof",
            "pyxirr",
            "numpy-financial",
            "apart from pyxirr",
            "from numpy-financial",
        ]
        return table(heads, rows) + "\n" + _failed(found)

    return _filled("peers", "money", made)


def peer_hashing() -> str:
    """Double SHA-256."""

    def made(found: dict[str, Any]) -> str:
        good = _good(found)
        ours = good.get("tokenroof", {}).get("headers_rate")
        rows = []
        for name, r in good.items():
            over = f"{ours / r['headers_rate']:.1f}" if ours and name != "tokenroof" else ""
            rows.append((name, f"{r['headers_rate'] / 1e6:.2f}", over))
            if r.get("rolled_rate"):
                rows.append((f"{name}, versions rolled too", f"{r['rolled_rate'] / 1e6:.2f}", ""))
        return table(["", "MH/s of a core", "ours over it"], rows) + "\n" + _failed(found)

    return _filled("peers", "hashing", made)


def peers_beyond() -> str:
    """What peers do that this does not."""
    return table(["peer", "does better, or does and tokenroof does not"], BEYOND.items())


TABLES: dict[str, Callable[[], str]] = {
    "performance-machine": machine,
    "performance-elementwise": elementwise,
    "performance-steps": steps,
    "performance-slower": slower,
    "performance-paths": paths,
    "performance-hashing": hashing,
    "performance-simulator": simulator,
    "performance-searches": searches,
    "performance-interrupts": interrupts,
    "performance-starting": starting,
    "peers-head": peers_head,
    "peers-steps": peer_steps,
    "peers-search": peer_search,
    "peers-simulator": peer_simulator,
    "peers-money": peer_money,
    "peers-hashing": peer_hashing,
    "peers-beyond": peers_beyond,
}
