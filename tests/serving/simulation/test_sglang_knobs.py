"""SGLang's knobs: defaults by the device, captured sizes, and what is refused."""

import numpy as np
import pytest
from sglang_by_hand import load, run

from tokenroof import Plan, serving
from tokenroof.inference.door import deployment
from tokenroof.serving.simulation.sglang import captured_sizes


@pytest.mark.parametrize(
    "device, tp, chunk, graph",
    [("RTX-4090", 1, 4096, 48), ("L40S", 1, 4096, 32), ("H100-SXM", 1, 8192, 256),
     ("H100-SXM", 4, 8192, 512), ("H200-SXM", 1, 8192, 256), ("B200-SXM", 1, 16384, 512)],
)  # fmt: skip
def test_defaults_by_memory(device, tp, chunk, graph):
    on = deployment(device, "Llama-3.1-8B", Plan(tp=tp, engine="sglang"), "calibrated")
    found = serving.Scheduler.preset("sglang-0.5.23").resolved(on)
    assert (found["chunked_prefill_size"], found["cuda_graph_max_bs_decode"]) == (chunk, graph)
    gib = on.device.memory_bytes / 2**30
    reserve = 0.5 + 1.5 * chunk / 1024 + tp / 8 + 2 * graph / 1024
    reserve = max(reserve, 10.0) if gib > 60 else reserve
    assert found["mem_fraction_static"] == pytest.approx(1 - reserve / gib, abs=6e-4)
    tokens = found["max_total_tokens"] // found["page_size"]
    most = int(np.clip(int(tokens / on.model.context_max * 512), 2048, 4096))
    assert found["max_running_requests"] == most


def test_sizes_of_graphs():
    config = {"disable_cuda_graph": False, "disable_cuda_graph_padding": False}
    found = captured_sizes(config | {"cuda_graph_max_bs_decode": 30}).tolist()
    assert found == [1, 2, 4, 8, 12, 16, 24, 30]
    large = captured_sizes(config | {"cuda_graph_max_bs_decode": 576}).tolist()
    assert large[-5:] == [480, 496, 512, 544, 576]
    every = captured_sizes(
        {**config, "disable_cuda_graph_padding": True, "cuda_graph_max_bs_decode": 3}
    )
    assert every.tolist() == [1, 2, 3]


def test_steps_of_all_that_run_are_padded_and_prompts_are_not():
    def times(users, outputs, **knobs):
        requests = {"arrival": np.zeros(users), "input_tokens": 64, "output_tokens": outputs}
        scheduler = serving.Scheduler.preset("sglang-0.5.23", **knobs)
        found = serving.simulate("H100-SXM", "Llama-3.1-8B", None, requests, scheduler).requests
        return found["last_token_ns"].max()

    for users in (9, 13):
        assert times(users, 64) > times(users, 64, disable_cuda_graph=True)
        assert times(users, 1) == times(users, 1, disable_cuda_graph=True)
    assert times(8, 64) == times(8, 64, disable_cuda_graph=True)
    assert times(9, 64, disable_cuda_graph_padding=True) == times(9, 64, disable_cuda_graph=True)


@pytest.mark.parametrize(
    "knobs, said",
    [
        ({"block_size": 16}, "block_size is of vllm-0.33, not of sglang-0.5.23; allowed: max_total"),
        ({"page_size": 0}, "page_size is 0; allowed: whole numbers from 1 to 65536"),
        ({"schedule_policy": "random"}, "schedule_policy is 'random'; allowed: fcfs, lpm, lof"),
        ({"mem_fraction_static": 1.0}, "mem_fraction_static is 1.0; allowed: numbers from 0 to below 1"),
        ({"chunked_prefill_size": 10, "page_size": 4}, "chunked_prefill_size is 10; allowed: -1, and"),
        ({"max_total_tokens": 20, "page_size": 64}, "max_total_tokens is 0 in pages of 64"),
        ({"enable_mixed_chunk": 1}, "enable_mixed_chunk is 1; allowed: True or False"),
        ({"speculative_algorithm": "EAGLE"}, "speculative_algorithm is not played by sglang-0.5.23"),
        ({"disable_priority_preemption": False}, "disable_priority_preemption is not played"),
    ],
)  # fmt: skip
def test_knobs_that_are_refused(knobs, said):
    with pytest.raises((ValueError, TypeError), match=said):
        run(load([1], [1]), **{"chunked_prefill_size": -1, **knobs})
    with pytest.raises(ValueError, match="page_size is of sglang-0.5.23, not of vllm-0.33"):
        serving.Scheduler.preset("vllm-0.33", page_size=1)


def test_the_engines_of_a_plan_and_of_a_scheduler():
    config = serving.Scheduler(4096, 64, 1000, engine="sglang-0.5.23", page_size=16).config
    assert (config["chunked_prefill_size"], config["max_running_requests"]) == (4096, 64)
    assert config["max_total_tokens"] == 992
    requests = load([100], [3])
    found = serving.simulate("H100-SXM", "Llama-3.1-8B", Plan(engine="sglang"), requests)
    assert found.scheduler.name == "sglang-0.5.23"


def test_who_is_too_long_is_named_and_the_rest_is_served():
    found = run(load([50, 5000, 50], [10, 10, 400]), max_total_tokens=200)
    assert found.requests["status"].tolist() == ["done", "rejected", "done"]
    assert found.requests["output_tokens"][2] == 200 - 50 - 1 - 1  # what the memory holds
