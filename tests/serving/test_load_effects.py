"""No documented argument of loads, of the simulator and of what became of requests does nothing."""

import dataclasses
import json

import numpy as np
import pytest

import tokenroof as tr
from _edges import wrong_numbers
from _effects import fields, without_effect
from tokenroof import serving
from tokenroof.serving.requests.arrivals import Arriving, Sizes
from tokenroof.serving.requests.sessions import SessionOptions
from tokenroof.serving.simulation.simulate import Options


def one(name, *values):
    return {name: [{name: value} for value in values]}


def _load(function):
    return lambda **given: fields(function(**given))


MIX = serving.Lengths.uniform(10, 30)
SIZES = {**one("input_tokens", MIX), **one("output_tokens", MIX), **one("declared_tokens", 4096),
         "lengths": [{"lengths": serving.poisson(2.0, requests=5, input_tokens=9, output_tokens=3)}]}  # fmt: skip
OPEN = {**SIZES, "seed": [{"seed": 1}], **one("requests", 21), "seconds": [{"seconds": 0.5}]}
ARRIVING = {"seed": 0}
EMPIRICAL = {"values": np.array([7, 9]), "shares": np.array([0.3, 1.0])}
QUICK = serving.StepTime(10**7, 10**4, 10)
SMALL = serving.Scheduler.preset("vllm-0.33", num_blocks=64, loop="sync")
COPYING = serving.Scheduler.preset("sglang-0.5.23", max_total_tokens=1024)
ASK = {"arrival": np.arange(12) * 0.01, "input_tokens": [200] * 12, "output_tokens": [20] * 12}
RUN = serving.simulate(None, None, None, ASK, SMALL, step_time=QUICK, record_steps=True)


def _seen(run):
    """What a run says, its kept steps too."""
    runs = run if isinstance(run, list) else [run]
    seen = [(r.requests.tolist(), str(r.verdict), dict(r.config)) for r in runs]
    return json.dumps(
        [seen, [getattr(r, "steps", np.empty(0)).tolist() for r in runs if _kept(r)]], default=str
    )


def _kept(run):
    try:
        return len(run.steps) >= 0
    except (AttributeError, ValueError, KeyError):
        return False


def _simulate(**given):
    options = {"step_time": QUICK} | given
    return _seen(serving.simulate(**options))


def _drawn(**given):
    """As `_simulate`, with what the run drew."""
    drafts = {"method": "ngram", "acceptance": [0.5]}
    run = serving.simulate(
        None, None, None, ASK, SMALL, step_time=serving.StepTime(**given), speculation=drafts
    )
    return _seen(run), str(run.energy)


def _hosted(layers=None, **given):
    """Two replicas, in whose memory the turns of a few users do not fit; SGLang's copy layer by layer."""
    length = np.repeat(np.arange(100, 400, 50), 8)
    load = {
        "arrival": np.arange(48) // 2 * 0.5, "input_tokens": length, "output_tokens": 5,
        "prompt": [np.array([[10**6 * (k % 8), n]]) for k, n in enumerate(length)],
    }  # fmt: skip
    runs = [
        serving.simulate(
            None, None, None, load, scheduler, step_time=QUICK, replicas=2, host_tier=tier
        )
        for scheduler, tier in (
            (SMALL, serving.HostTier(**given)),
            (COPYING, serving.HostTier(layers=layers, **given)),
        )
    ]
    return [(_seen(run), run.totals["loaded_bytes"]) for run in runs]


def _trace(lines, **given):
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(lines)
        file.flush()
        return fields(serving.trace(file.name, **given))


TURNS = "".join(
    json.dumps({"chat_id": i, "parent_chat_id": i - 1 if i else -1, "timestamp": 1.0 * i, "input_length": 32,
                "output_length": 4, "type": "text", "turn": i + 1, "hash_ids": [7, 8 + i]}) + "\n"
    for i in range(3)
)  # fmt: skip
SERVED = RUN.requests
CROWD = {
    "arrival": np.arange(4000) * 0.001,
    "input_tokens": [200] * 4000,
    "output_tokens": [50] * 4000,
}
SLOW = serving.simulate(
    None, None, None, CROWD, SMALL, step_time=QUICK, record_steps=True, horizon_s=6.0
)
LATER = RUN.requests.copy()
LATER["first_token_ns"] += 10**9
LATER["last_token_ns"] += 10**9
DRAWN = {"steps": RUN.steps, "joules": np.ones(len(RUN.steps)), "idle_watts": 5.0}
CASES = {
    "StepTime": ({"fixed_ns": 10**6, "watts": 300.0, "idle_watts": 50.0, "result": _drawn},
        {**one("fixed_ns", 10**7), **one("per_token_ns", 10**5), **one("per_context_token_ns", 10**4),
         **one("watts", 400.0), **one("idle_watts", 60.0), **one("per_draft_ns", 10**5)}, None),
    "HostTier": ({"capacity_bytes": 1e9, "bytes_per_s": 1e9, "bytes_per_token": 1e5, "result": _hosted},
        {**one("capacity_bytes", 1.6e7), **one("bytes_per_s", 1e8), **one("replicas", 2), **one("bytes_per_token", 1e6),
         **one("layers", 4)},
        None),
    "Lengths": ({"kind": "uniform", "low": 5, "high": 50, "result": lambda **given: serving.Lengths(**EMPIRICAL | given).draw(
        np.random.default_rng(0), 50)},
        {"kind": [{"kind": "fixed"}], **one("low", 20), **one("high", 30), "mu": [{"mu": 3.0, "kind": "lognormal"}],
         "sigma": [{"sigma": 0.5, "kind": "lognormal", "mu": 3.0}],
         "values": [{"values": np.array([5, 6]), "kind": "empirical", "shares": np.array([0.5, 1.0])}],
         "shares": [{"shares": np.array([0.1, 1.0]), "kind": "empirical", "values": np.array([5, 6])}]}, None),
    "Scheduler": ({"max_batched_tokens": 256, "max_sequences": 4, "kv_tokens": 1024,
                   "result": lambda **given: _simulate(device=None, model=None, plan=None, requests=ASK,
                                                       scheduler=serving.Scheduler(**given))},
                  {**one("max_batched_tokens", 512), **one("max_sequences", 2), **one("kv_tokens", 768),
                   **one("engine", "vllm-0.19")}, None),
    "poisson": ({"rate": 2.0, "requests": 20, **ARRIVING, "result": _load(serving.poisson)},
                {**one("rate", 3.0), **OPEN}, Arriving),
    "gamma": ({"rate": 2.0, "burstiness": 0.5, "requests": 20, **ARRIVING, "result": _load(serving.gamma)},
              {**one("rate", 3.0), **one("burstiness", 1.0), **OPEN}, Arriving),
    "modulated": ({"rates": [1.0, 9.0], "stays": [1.0, 2.0], "requests": 20, **ARRIVING,
                   "result": _load(serving.modulated)},
                  {**one("rates", [1.0, 5.0]), **one("stays", [2.0, 2.0]), **OPEN}, Arriving),
    "daily": ({"rates": [1.0, 9.0], "day_s": 60.0, "requests": 20, **ARRIVING, "result": _load(serving.daily)},
              {**one("rates", [1.0, 5.0]), **one("day_s", 30.0), **OPEN}, Arriving),
    "users": ({"concurrency": 2, "requests": 20, "think_s": 1.0, **ARRIVING, "result": _load(serving.users)},
              {**one("concurrency", 3), **one("requests", 21), **one("think_s", 2.0), **one("think", "exponential"),
               **one("ramp_s", 4.0), **SIZES,
               "seed": [{"seed": 1, "think": "exponential"}]}, Sizes),
    "sessions": ({"rate": 2.0, "conversations": 3, "turns": 3, "seed": 0, "shared_tokens": 64,
                  "result": _load(serving.sessions)},
                 {**one("rate", 3.0), **one("conversations", 4), **one("turns", 4), **one("input_tokens", 9),
                  **one("output_tokens", 9), **one("think_s", 2.0), **one("think", "fixed"),
                  **one("shared_tokens", 128), **one("shared_kinds", 3), **one("agents", 2),
                  "agent_share": [{"agent_share": 0.5, "agents": 2}], **one("seed", 1)}, SessionOptions),
    "as_requests": ({"given": ASK, "result": _load(serving.as_requests)},
                    one("given", ASK | {"input_tokens": [100] * 12}), None),
    "trace": ({"path": None, "layout": "bailian", "hash_block": 16,
               "result": lambda path=None, **given: _trace(TURNS if path is None else path, **given)},
              {**one("path", TURNS.replace("32", "31")), **one("layout", "azure"), **one("hash_block", 0),
               **one("unit_s", 2.0), "columns": [{"columns": {"input_tokens": "output_length"}, "hash_block": 0}],
               "failed": [{"failed": "skip", "path": TURNS.replace('"output_length": 4', '"output_length": 0', 1)},
                          {"failed": "perhaps"}],
               **one("closed", True), "think_s": [{"think_s": 1.0, "closed": True}], **one("limit", 2),
               **one("chunk", 0), "sort": [{"sort": True, "path": "".join(reversed(TURNS.splitlines(True)))}]}, None),
    "summary": ({"requests": SERVED, "result": lambda **given: json.dumps(serving.summary(**given), default=str)},
                {**one("requests", LATER), **one("slo", serving.SLO(ttft_s=0.1)), **one("percentiles", (50.0,)),
                 **one("gaps_s", [0.1, 0.2]), **one("energy_j", 5.0)}, None),
    "series": ({"requests": SERVED, "result": serving.series},
               {**one("requests", LATER), **one("interval_s", 0.01), "steps": [{"steps": RUN.steps, "blocks": 64}],
                "blocks": [{"blocks": 128, "steps": RUN.steps}],
                **{name: [DRAWN | {name: value}] for name, value in {**DRAWN, "idle_watts": 9.0, "replicas": 2}.items()
                   if name not in ("steps", "blocks")}}, None),
    "spread": ({"summaries": [RUN.summary(), RUN.summary()],
                "result": lambda **given: json.dumps(serving.spread(**given), default=str)},
               one("summaries", [serving.summary(LATER), RUN.summary()]), None),
    "verdict": ({"requests": SLOW.requests, "result": lambda **given: fields(serving.verdict(**given))},
                {**one("requests", SERVED), **one("steps", SLOW.steps),
                 "max_sequences": [{"max_sequences": 1, "steps": SLOW.steps}],
                 "blocks": [{"blocks": 64, "steps": SLOW.steps}]}, None),
    "Autoscale": ({"least": 1, "most": 3, "start_s": 0.1, "target": 1.0, "interval_s": 0.01, "cooldown_s": 0.05,
                   "result": lambda **given: _seen(serving.simulate(
                       None, None, None, CROWD, SMALL, step_time=QUICK, horizon_s=1.0,
                       autoscale=serving.Autoscale(**given)))},
                  {**one("least", 2), **one("most", 2), **one("start_s", 0.2), **one("target", 5.0),
                   "signal": [{"signal": "utilisation", "target": 0.5}], **one("interval_s", 0.03),
                   "cooldown_s": [{"cooldown_s": -1.0}], "tolerance": [{"tolerance": 20.0, "target": 2.0}]}, None),
    "stability": ({"device": "H100-SXM", "model": "Llama-3.1-8B",
                   "result": lambda **given: fields(serving.stability(**given))},
                  {**one("device", "H200-SXM"), **one("model", "Qwen3-8B"), **one("plan", tr.Plan(tp=2)),
                   **one("input_tokens", 4096), **one("output_tokens", 512), **one("fidelity", "datasheet"),
                   **one("load", serving.poisson(1.0, requests=50, input_tokens=64, output_tokens=MIX)),
                   **one("scheduler", serving.Scheduler.preset("vllm-0.33", max_num_seqs=8))}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_argument_has_an_effect(name):
    base, changes, options = CASES[name]
    assert without_effect(getattr(serving, name), dict(base), changes, options=options) == []


APART = serving.disaggregate(("H100-SXM", None, 2), "H100-SXM", link_bandwidth=1e8)
BUSY = [{"router": router, "replicas": 3} for router in ("least_loaded", "prefix_aware")]
PLAYED = {
    **one("device", "H200-SXM"), **one("model", "Llama-3.2-1B"), **one("plan", tr.Plan(tp=2)),
    **one("requests", ASK | {"output_tokens": [9] * 12}), **one("fidelity", "datasheet"),
    **one("scheduler", serving.Scheduler.preset("vllm-0.33", max_num_seqs=2)), **one("step_time", QUICK),
    **one("record_steps", True), **one("replicas", 2), "router": BUSY, **one("horizon_s", 0.05),
    "signal_age_s": [{"signal_age_s": 5.0, "replicas": 3, "router": "least_loaded"}],
    **one("threads", 0), **one("progress", 3), **one("path", "sequence"),
    **one("timeout_s", 0.05), **one("queue_timeout_s", 1e-6),
    **one("speculation", {"method": "eagle", "acceptance": [0.8, 0.6]}),
    **one("autoscale", serving.Autoscale(1, 3, 0.0, target=0.1, interval_s=0.01)),
    "link_sharing": [{"link_sharing": "fifo", "device": APART, "plan": None}],
    **one("host_tier", 1e9),
}  # fmt: skip


def test_every_argument_of_simulate_has_an_effect():
    """But for its seed, from which drafts that are kept are drawn alone, as it says."""
    uneven = {
        "arrival": np.arange(12) * 0.01,
        "input_tokens": [2000, 20, 20] * 4,
        "output_tokens": [50, 5, 5] * 4,
    }
    base = {"device": "H100-SXM", "model": "Llama-3.1-8B", "plan": tr.Plan(), "requests": uneven,
            "result": lambda **given: _seen(serving.simulate(**given))}  # fmt: skip
    assert without_effect(serving.simulate, base, PLAYED, ("seed",), Options) == []
    assert "how many drafts are kept" in serving.simulate.__doc__


# where an argument's ends are other than its name's elsewhere; None: it is no number, or its ends are tried elsewhere
ENDS = {
    "Autoscale": {"target": "0 < x", "tolerance": "0 <= x", "interval_s": "0 < x"},
    **{key: {"seconds": "0 < x"} for key in ("poisson", "gamma", "modulated", "daily")},
    **{name: {"blocks": "whole from 1"} for name in ("series", "verdict")},
    "HostTier": {"capacity_bytes": None, "layers": "whole from 1"},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_numbers_are_taken_to_their_ends(name):
    base, changes, _ = CASES[name]
    assert wrong_numbers(getattr(serving, name), base, changes, ENDS.get(name, {})) == []


def test_results_are_named():
    for record in (serving.Requests, serving.Stability, serving.Verdict, serving.Simulation):
        assert dataclasses.is_dataclass(record) or record is serving.Simulation
