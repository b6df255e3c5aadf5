"""Scenarios of a scheduler in the layout of recordings: read from a folder, played by `simulate`, compared.

One JSON object a file (or .json.gz): ``engine`` {vllm, loop}, ``config`` (vLLM's knobs), ``step_time`` {a, b, c}
[ns], ``requests`` (``arrival`` [ns] or ``after`` [parent, think ns], ``prompt_tokens``, ``max_tokens``,
``priority``, ``prompt`` in runs [first id, count]; output j of request r has the id 10**12 + r * 10**6 + j),
and what was decided: ``steps`` and ``results``.
"""

import gzip
import json

import numpy as np

from tokenroof import serving

COLUMNS = (
    "scheduled_ns",
    "start_ns",
    "end_ns",
    "free_blocks",
    "running",
    "waiting",
    "cached_hashes",
)


def files(folder):
    return sorted([*folder.glob("*.json"), *folder.glob("*.json.gz")])


def read(path):
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return json.load(file)


def requests_of(trace, content=True):
    rows = trace["requests"]
    after = [r.get("after", [-1, 0]) for r in rows]
    given = {
        "arrival_ns": np.array([r.get("arrival", 0) for r in rows]),
        "input_tokens": np.array([r["prompt_tokens"] for r in rows]),
        "output_tokens": np.array([r["max_tokens"] for r in rows]),
        "declared_tokens": np.array([r.get("declared", r["max_tokens"]) for r in rows]),
        "priority": np.array([r.get("priority", 0) for r in rows]),
        "after": np.array([parent for parent, _ in after]),
        "think_ns": np.array([think for _, think in after]),
    }
    if content:
        given["prompt"] = [np.array(r["prompt"], np.int64) for r in rows]
        given["output_id"] = 10**12 + 10**6 * np.arange(len(rows))
    return given


def play(trace, content=True, **options):
    version = ".".join(trace["engine"]["vllm"].split(".")[:2])
    scheduler = serving.Scheduler.preset(
        f"vllm-{version}", loop=trace["engine"]["loop"], **trace["config"]
    )
    step = serving.StepTime(
        *(trace["step_time"][name] for name in "abc"), per_draft_ns=trace["step_time"].get("d", 0)
    )
    if "host" in trace:
        host = trace["host"]
        options["host_tier"] = serving.HostTier(
            host["blocks"] * host["block_bytes"], host["bytes_per_s"] or np.inf,
            bytes_per_token=host["block_bytes"] / trace["config"]["block_size"],
        )  # fmt: skip
    if "drafting" in trace:
        drafts = trace["drafting"]
        options["speculation"] = {"method": drafts["method"], "acceptance": drafts["acceptance"]}
        options["seed"] = drafts["seed"]
    return serving.simulate(
        None, None, None, requests_of(trace, content), scheduler, step_time=step, **options
    )


def decided(run, cached=True):
    """Steps as [scheduled, start, end, entries, preempted, free, running, waiting, cached]."""
    at = np.arange(len(run.steps) + 1)
    entries = np.searchsorted(run.entries["step"], at)
    victims = np.searchsorted(run.preempted["step"], at)
    who = [[int(e[name]) for name in ("request", "tokens", "before")] for e in run.entries]
    rows = []
    for i, step in enumerate(run.steps):
        row = [int(step[name]) for name in COLUMNS[: len(COLUMNS) - (not cached)]]
        row[3:3] = [
            who[entries[i] : entries[i + 1]],
            run.preempted["request"][victims[i] : victims[i + 1]].tolist(),
        ]
        rows.append(row)
    return rows


def wanted(steps, cached=True):
    return [[*s[1:5], s[7], *s[9 : 13 if cached else 12]] for s in steps]


def results(run):
    """As recorded: None where a thing never happened."""
    rows = []
    for i, r in enumerate(run.requests):
        times = [
            int(r[name]) if r[name] >= 0 else None
            for name in ("arrival_ns", "scheduled_ns", "first_token_ns", "last_token_ns")
        ]
        hit = None if times[1] is None else int(r["cached_tokens"])
        rows.append([
            i, str(r["status"]), *times, int(r["preemptions"]), hit, int(r["cached_total"]),
            int(r["output_tokens"]),
        ])  # fmt: skip
    return rows
