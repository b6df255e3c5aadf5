"""The same calls from several threads at once as from one alone. `tests/sanitize.sh` looks for races in them."""

import threading

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import economics as ec
from tokenroof import mining, serving

THREADS = 4
BATCH = np.arange(1.0, 400.0)
KNOBS = serving.Scheduler.preset("vllm-0.33", num_blocks=200, loop="async")
LOAD = serving.poisson(40.0, requests=60, input_tokens=100, output_tokens=8)
MINE = ec.mine("Antminer S21", hashprice=50.0)
WILD = ec.Uncertainty(0.3, jumps_per_year=0.2, jump_up_share=0.5, jump_up=0.2, jump_down=0.3)
FARM = {"hashrate": 1e18, "difficulty": 1e14, "seconds": 30 * 86400.0}


def step(n):
    plan = tr.Plan(tp=(1, 2, 4, 8)[n % 4], weights="fp8")
    return tr.decode("H200-SXM", "Qwen3-235B-A22B", plan, batch=BATCH, context=4096).time_s


def prompts(n):
    plan = tr.Plan(tp=2 + 2 * (n % 2))
    return tr.prefill("B200-SXM", "Llama-3.1-70B", plan, batch=2.0, tokens=BATCH).time_s


def elements(n):
    return tr.kernels.time_bound(BATCH[:, None] * 1e12, BATCH * 1e9, 1e15 * (1 + n), 3e12)


def digests(n):
    words = np.arange(80 * 300, dtype=np.uint32) + n
    return tr.kernels.sha256d(words.astype(np.uint8).reshape(-1, 80))


def scan(n):
    told = []
    found = mining.scan(bytes(80), start=n << 16, count=2**14, target=2**248, threads=2,
                        progress=lambda done, total: told.append(done))  # fmt: skip
    return np.array(found.hits, dtype=np.int64)


def runs(n):
    line = serving.StepTime(10**6, per_token_ns=10_000 * (n + 1))
    found = serving.simulate(None, None, None, [LOAD] * 3, KNOBS, step_time=line, threads=2)
    return np.concatenate([one.requests["last_token_ns"] for one in found])


def cash(n):
    return ec.risk(MINE, WILD, paths=3000, seed=n, threads=2).worth


def pool(n):
    found = mining.simulate_pool("SOLO", **FARM, paths=300, seed=n, threads=2)
    return np.array([found.mean_btc, *found.quantiles_btc])


@pytest.mark.parametrize("call", [step, prompts, elements, digests, scan, runs, cash, pool])
def test_many_threads_find_what_one_finds(call):
    want = [call(n) for n in range(THREADS)]
    start, found = threading.Barrier(THREADS), [None] * (2 * THREADS)

    def work(at):
        start.wait()
        for turn in range(2):
            n = (at + turn) % THREADS
            found[2 * at + turn] = (n, call(n))

    threads = [threading.Thread(target=work, args=(at,)) for at in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, one in found:
        np.testing.assert_array_equal(one, want[n])
    if call is not digests:
        assert not np.array_equal(want[0], want[1])  # other questions, other answers


def enough(done, total):
    raise RuntimeError("enough")


@pytest.mark.parametrize("call", [
    lambda: mining.scan(bytes(80), count=2**30, target=1, threads=2, progress=enough),
    lambda: mining.simulate_pool("SOLO", **FARM, paths=3000, threads=2, progress=enough),
    lambda: ec.risk(MINE, WILD, paths=3000, threads=2, progress=enough),
    lambda: serving.simulate(None, None, None, [LOAD] * 4, KNOBS, step_time=serving.StepTime(10**6), threads=2,
                             progress=enough),
], ids=["scan", "pool", "cash", "runs"])  # fmt: skip
def test_a_callback_that_fails_ends_all_threads(call):
    with pytest.raises(RuntimeError, match="enough"):
        call()
