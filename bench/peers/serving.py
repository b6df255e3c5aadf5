"""The simulator against the fastest open one, in one run: ``python bench/peers/serving.py PYTHON``.

PYTHON is the interpreter of an environment of its own with the peer in it, from PyPI:
``python -m venv PEER && PEER/bin/pip install --no-deps ai-dynamo ai-dynamo-runtime typing-extensions``
(DynoSim's replay, Rust). Both play 20,000 requests of 500 tokens in and 200 out on one worker: from 128
users, and at 30 requests a second. Best of three each; one thread.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time

from tokenroof.serving import Scheduler, StepTime, poisson, simulate, users

REQUESTS, INPUT, OUTPUT, USERS, RATE = 20_000, 500, 200, 128, 30.0
PEER = """
import json, time
from dynamo.replay import run_synthetic_trace_replay as replay
found = {}
for name, load in (("users", {"replay_concurrency": %d}), ("poisson", {"request_rate": %r})):
    took = []
    for _ in range(3):
        begin = time.perf_counter()
        done = replay(%d, %d, %d, num_workers=1, **load).summary
        took.append(time.perf_counter() - begin)
        assert done["completed_requests"] == %d, done
    found[name] = min(took)
print(json.dumps(found))
"""


def ours() -> dict[str, float]:
    """Seconds by load: step kernels tabulated for each run, as users have it, and a line of step times."""
    sizes = {"input_tokens": INPUT, "output_tokens": OUTPUT}
    loads = {
        "users": users(USERS, REQUESTS, **sizes),
        "poisson": poisson(RATE, requests=REQUESTS, **sizes),
    }
    found = {}
    for name, load in loads.items():
        for kind, ask in (
            ("", ("H200-SXM", "Llama-3.1-8B", None, load)),
            (
                ", a line",
                (None, None, None, load, Scheduler.preset("vllm-0.33", num_blocks=30_000)),
            ),
        ):
            line = StepTime(5_000_000, 20_000, 1) if kind else None
            took = []
            for _ in range(3):
                begin = time.perf_counter()
                run = simulate(*ask, step_time=line, threads=1)
                took.append(time.perf_counter() - begin)
                assert (run.requests["status"] == "done").all()
            found[name + kind] = min(took)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("python", help="the peer's interpreter")
    asked = parser.parse_args()
    code = PEER % (USERS, RATE, INPUT, OUTPUT, REQUESTS, REQUESTS)
    said = subprocess.run([asked.python, "-c", code], capture_output=True, text=True, check=True)
    peer = json.loads(said.stdout.splitlines()[-1])
    print(f"{'':16s}{'peer':>12s}{'here':>12s}{'ratio':>10s}   requests/s here")
    for name, seconds in ours().items():
        other = peer[name.partition(",")[0]]
        print(
            f"{name:16s}{other:10.3f} s{seconds:10.4f} s{other / seconds:9.0f}x{REQUESTS / seconds:16,.0f}"
        )


if __name__ == "__main__":
    main()
