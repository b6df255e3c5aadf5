"""tokenroof: the same loads, with step kernels tabulated for the run, and with a line of step times."""

import timing

from tokenroof.serving import Scheduler, StepTime, poisson, simulate, users

asked = timing.work()
sizes = {"input_tokens": asked["input"], "output_tokens": asked["output"]}
loads = {
    "users": users(asked["users"], asked["requests"], **sizes),
    "poisson": poisson(asked["rate"], requests=asked["requests"], **sizes),
}
knobs = Scheduler.preset("vllm-0.33", num_blocks=30_000)
line = StepTime(5_000_000, 20_000, 1)
found = {}
for name, load in loads.items():
    run = simulate(None, None, None, load, knobs, step_time=line, threads=1)
    assert (run.requests["status"] == "done").all()
    found[f"{name}_s"] = timing.least(
        lambda at=load: simulate(None, None, None, at, knobs, step_time=line, threads=1), 2
    )
    found[f"{name}_tabulated_s"] = timing.least(
        lambda at=load: simulate("H200-SXM", "Llama-3.1-8B", None, at, threads=1), 2
    )
timing.say(found)
