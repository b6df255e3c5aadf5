"""ai-dynamo's replay (DynoSim, Rust): requests from users, and at a rate, on one worker."""

import timing
from dynamo.replay import run_synthetic_trace_replay as replay

asked = timing.work()
loads = {
    "users": {"replay_concurrency": asked["users"]},
    "poisson": {"request_rate": asked["rate"]},
}
found = {}
for name, load in loads.items():
    began = timing.spent()
    done = replay(asked["input"], asked["output"], asked["requests"], num_workers=1, **load).summary
    found[f"{name}_s"] = timing.spent() - began
    assert done["completed_requests"] == asked["requests"], done
timing.say(found)
