"""Requests longer than the model takes: refused by name in closed form, rejected by simulated engines."""

import re

import pytest

import tokenroof as tr
from tokenroof import serving
from tokenroof.inference.decouple import prefill_decode
from tokenroof.serving import SLO

DEVICE = "H200-SXM"
MODEL = tr.model("Llama-3.1-8B")
MOST = MODEL.context_max  # 131,072, its config's max_position_embeddings
LONG = {"input_tokens": MOST - 10, "output_tokens": 11}
FULL = {"input_tokens": MOST - 10, "output_tokens": 10}
PAIR = serving.disaggregate((DEVICE, None), (DEVICE, None))
REFUSED = re.escape(
    "input_tokens + output_tokens is 131,073 tokens; allowed: at most 131,072, the context_max of Llama-3.1-8B"
)
DOORS = {
    "curve": lambda m, **n: serving.curve(DEVICE, m, concurrency=[1], **n),
    "open curve": lambda m, **n: serving.curve(DEVICE, m, rate=[0.01], **n),
    "a system's curve": lambda m, **n: serving.curve(PAIR, m, concurrency=[1], **n),
    "capacity": lambda m, **n: serving.capacity(DEVICE, m, None, SLO(e2e_s=100.0), **n),
    "open capacity": lambda m, **n: serving.capacity(DEVICE, m, None, SLO(e2e_s=100.0, percentile=90), **n),
    "a system's capacity": lambda m, **n: serving.capacity(PAIR, m, None, SLO(e2e_s=100.0), **n),
    "frontier": lambda m, **n: serving.frontier(DEVICE, m, devices_max=1, concurrency=[1], **n),
    "stability": lambda m, **n: serving.stability(DEVICE, m, **n),
    "compare": lambda m, **n: serving.compare(DEVICE, DEVICE, m, speed=1.0, devices_max=1, **n),
    "fleet": lambda m, **n: serving.fleet(DEVICE, m, None, SLO(e2e_s=1e3), 1e-3, **n),
    "pools": lambda m, **n: prefill_decode(m, DEVICE, DEVICE, **n),
    "sessions": lambda m, **n: serving.session_curve(
        DEVICE, m, load=serving.SessionLoad(turns=1, **n), concurrency=[1]
    ),
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_closed_forms_refuse_by_name(door):
    ask = DOORS[door]
    with pytest.raises(ValueError, match=REFUSED):
        ask(MODEL, **LONG)
    ask(MODEL, **FULL)  # exactly as many are taken
    ask(MODEL.replace(context_max=MOST + 1), **LONG)
    ask(MODEL.replace(context_max=0), **LONG)  # nobody says


def test_what_is_played_to_prove_is_refused_before_it_is_played():
    for ask in (
        lambda: serving.tune(DEVICE, MODEL, None, SLO(ttft_s=1.0), knobs={}, **LONG),
        lambda: serving.capacity(DEVICE, MODEL, None, SLO(ttft_s=1.0), prove=True, **LONG),
        lambda: serving.fleet(DEVICE, MODEL, None, SLO(ttft_s=1.0), 60, prove=True, **LONG),
    ):
        with pytest.raises(ValueError, match=REFUSED):
            ask()


def test_one_user_and_chips():
    with pytest.raises(ValueError, match="context is 131,073 tokens; allowed: at most 131,072"):
        serving.one_user(DEVICE, MODEL, context=MOST + 1, devices_max=1)
    with pytest.raises(ValueError, match=r"is 262,145 tokens; allowed: at most 262,144"):
        serving.beside_lpx("Qwen3.5-397B-A17B", input_tokens=262_144, output_tokens=1, plans=[])


@pytest.mark.parametrize(
    ("engine", "knob"),
    [("vllm-0.33", "max_model_len"), ("vllm-0.19", "max_model_len"), ("sglang-0.5.23", "context_length"),
     ("trtllm-1.4", "max_seq_len")],
)  # fmt: skip
def test_engines_take_what_the_model_takes(engine, knob):
    small = MODEL.replace(context_max=500)
    load = {
        "arrival": [0.0, 0.1, 0.2],
        "input_tokens": [100, 500, 400],
        "output_tokens": [5, 5, 200],
    }

    def play(model, **knobs):
        return serving.simulate(
            DEVICE, model, None, load, serving.Scheduler.preset(engine, **knobs)
        )

    run = play(small)
    assert run.requests["status"].tolist() == ["done", "rejected", "done"]
    assert 98 <= run.requests["output_tokens"][2] <= 100  # where the context ends the answer does
    assert run.verdict.refused == 1 and "1 too long to be served" in str(run.verdict)
    for took in (play(small, **{knob: 2000}), play(MODEL), play(small.replace(context_max=0))):
        assert took.requests["status"].tolist() == ["done"] * 3
        assert took.requests["output_tokens"].tolist() == [5, 5, 200]
    # all too long: nobody can be served
    load["input_tokens"] = 600
    assert play(small).verdict.state == "stuck"


@pytest.mark.parametrize(
    ("engine", "knob"), [("vllm-0.33", "max_model_len"), ("sglang-0.5.23", "context_length")]
)
def test_a_scheduler_that_is_told_counts_in_closed_form_too(engine, knob):
    told = serving.Scheduler.preset(engine, **{knob: 2000})
    assert told.longest == 2000 and serving.Scheduler.preset(engine).longest is None
    sizes = {"input_tokens": 1900, "output_tokens": 101}
    said = "is 2,001 tokens; allowed: at most 2,000, which its scheduler is told"
    asks = [
        lambda: serving.tune(
            DEVICE, MODEL, None, SLO(ttft_s=1.0), knobs={}, scheduler=told, **sizes
        ),
        lambda: serving.capacity(
            DEVICE, MODEL, None, SLO(ttft_s=1.0), prove=True, scheduler=told, **sizes
        ),
    ]
    if engine.startswith("vllm"):
        asks += [
            lambda: serving.curve(DEVICE, MODEL, rate=[1.0], scheduler=told, **sizes),
            lambda: serving.curve(DEVICE, MODEL, concurrency=[1], scheduler=told, **sizes),
            lambda: serving.stability(DEVICE, MODEL, scheduler=told, **sizes),
        ]
    for ask in asks:
        with pytest.raises(ValueError, match=said):
            ask()
    if engine.startswith("vllm"):  # told to take more than the model: it is taken at its word
        longer = serving.Scheduler.preset(engine, **{knob: MOST + 1})
        assert serving.stability(DEVICE, MODEL, scheduler=longer, **LONG).rate > 0.0
