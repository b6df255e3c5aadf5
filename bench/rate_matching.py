"""The simulator of pools against the closed form of systems, over systems and loads drawn at random.

    python bench/rate_matching.py [--systems 100] [--seed 0] [--fidelity calibrated] [--engine vllm]

Of each system: requests that arrive at a share of 0.3 to 0.85 of the rate that the closed form allows, and
at 1.6 times it; and as many users in closed loop as the form has at that share. Printed as simulated over
closed form, less one: time per output token of arrivals, the rate that is served when too many come, and of
users their rate, their time per output token and to the first one; nan of a run in which requests hold each
other up for good. CUDA graphs are off, whose padding the
closed form does not know; of fitted constants those of clients that start together, which are no arrivals of
the simulator's.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

import tokenroof as tr
from tokenroof import serving

WHERE = (
    ("H100-SXM", "Llama-3.1-8B", tr.Plan(weights="fp8", kv_cache="fp8")),
    ("H200-SXM", "Llama-3.1-70B", tr.Plan(tp=4, weights="fp8", kv_cache="fp8")),
    ("B200-SXM", "gpt-oss-120b", tr.Plan(weights="mxfp4")),
    ("H100-SXM", "Qwen3-30B-A3B", tr.Plan(tp=2, weights="fp8")),
)
#: By engine: its scheduler, without the padding of CUDA graphs, and with prompts of any length.
SCHEDULERS = {
    "vllm": serving.Scheduler.preset("vllm-0.33", cudagraphs=False),
    "sglang": serving.Scheduler.preset("sglang-0.5.23", disable_cuda_graph=True),
    "trtllm": serving.Scheduler.preset("trtllm-1.4", enable_chunked_prefill=True),
}
USERS = np.unique(np.round(np.geomspace(1, 30000, 200))).astype(int)
MOST_REQUESTS = 60_000
PLAIN = tr.Calibration(constants={"engine": {"burst": 0.0, "together": 0.0}})


def drawn(rng, engine):
    """A system, its model, and a load."""
    device, model, plan = WHERE[rng.integers(len(WHERE))]
    plan = replace(plan, engine=engine)
    prompts, answers = rng.integers(1, 5, 2)
    system = serving.disaggregate(
        (device, plan, int(prompts)), (device, plan, int(answers)), link_bandwidth=10 ** rng.uniform(9, 11)
    )  # fmt: skip
    return system, model, int(2 ** rng.uniform(8, 13.5)), int(2 ** rng.uniform(6, 11))


def played(system, model, load, fidelity):
    scheduler = SCHEDULERS[system.decode.plan.engine]
    return serving.simulate(
        system, model, None, load, scheduler, fidelity=fidelity, router="least_loaded"
    )


def rate_of(run):
    """Requests a second in the middle of a run; NaN of one in which requests hold each other up for good."""
    if run.totals["ending"] == "blocked":
        return np.nan
    ends = np.sort(run.requests["last_token_ns"][run.requests["status"] == "done"])
    low, high = int(0.4 * len(ends)), int(0.75 * len(ends))
    return (high - low) / ((ends[high] - ends[low]) * 1e-9)


def tpot_of(run):
    late = run.requests[len(run.requests) // 2 :]
    late = late[(late["output_tokens"] > 1) & (late["status"] == "done")]
    if not len(late):
        return np.nan
    tokens = (late["output_tokens"] - 1).sum()
    return (late["last_token_ns"] - late["first_token_ns"]).sum() / tokens * 1e-9


def compared(rng, fidelity, engine):
    """One system: who is short, the share, and five ratios less one; None where it would take too long."""
    system, model, inputs, outputs = drawn(rng, engine)
    share, seed = rng.uniform(0.3, 0.85), int(rng.integers(2**31))
    table = serving.curve(
        system, model, None, input_tokens=inputs, output_tokens=outputs, concurrency=USERS, fidelity=fidelity
    )  # fmt: skip
    rates = table.output_throughput.values / outputs
    top = float(np.nanmax(rates))
    full = int(np.argmax(rates >= top * (1.0 - 1e-9)))
    busy = {"prefill": table.prefill_load.values[full], "link": table.link_load.values[full]}
    short = max(busy, key=busy.get) if max(busy.values()) > 0.999 else "decode"
    at = int(np.argmin(np.abs(rates[: full + 1] / top - share)))
    many = int(max(1000, 20 * rates[at] * table.latency_s.values[at]))
    if many > MOST_REQUESTS:
        return None
    sizes = {
        "input_tokens": serving.Lengths.uniform(int(0.6 * inputs), int(1.4 * inputs)),
        "output_tokens": serving.Lengths.uniform(max(1, outputs // 2), outputs * 3 // 2),
        "seed": seed,
    }
    below = played(system, model, serving.poisson(rates[at], requests=many, **sizes), fidelity)
    above = played(system, model, serving.poisson(1.6 * top, requests=2 * many, **sizes), fidelity)
    users = int(USERS[at])
    loop = played(system, model, serving.users(users, max(400, 12 * users), **sizes), fidelity)
    ttft = loop.requests["first_token_ns"] - loop.requests["arrival_ns"]
    ratios = (
        tpot_of(below) / float(table.tpot_s[at]),
        rate_of(above) / top,
        rate_of(loop) / rates[at],
        tpot_of(loop) / float(table.tpot_s[at]),
        float(np.mean(ttft[len(ttft) // 3 :])) * 1e-9 / float(table.ttft_s[at]),
    )
    said = f"{model} {system.prefill.count}P{system.decode.count}D {inputs}/{outputs}"
    kept_up = below.verdict.state != "overloaded"
    return said, short, rates[at] / top, kept_up, np.array(ratios) - 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fidelity", default="calibrated", choices=("calibrated", "datasheet"))
    parser.add_argument("--engine", default="vllm", choices=sorted(SCHEDULERS))
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    fidelity = PLAIN if arguments.fidelity == "calibrated" else arguments.fidelity
    found = []
    print(
        "system, short of, share of its rate, keeps up: TPOT, rate beyond; of users rate, TPOT, TTFT"
    )
    while len(found) < arguments.systems:
        one = compared(rng, fidelity, arguments.engine)
        if one is None:
            continue
        found.append(one)
        said, short, share, kept_up, off = one
        print(
            f"{said}, {short}, {share:.2f}, {kept_up}: "
            + ", ".join(f"{100 * x:+.1f} %" for x in off)
        )
    for short in ("prefill", "link", "decode"):
        off = np.array([one[4] for one in found if one[1] == short])
        if len(off):
            within = np.mean(np.abs(off) <= 0.1, axis=0)
            worst = off[np.argmax(np.nan_to_num(np.abs(off)), axis=0), np.arange(5)]
            print(f"short of {short}, {len(off)} systems: within 10 % "
                  + ", ".join(f"{100 * x:.0f} %" for x in within)
                  + "; farthest " + ", ".join(f"{100 * x:+.1f} %" for x in worst))  # fmt: skip
    print(f"keep up: {sum(one[3] for one in found)} of {len(found)}")


if __name__ == "__main__":
    main()
