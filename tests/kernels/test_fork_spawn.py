"""Kernels in forked and spawned processes: the same bits, while other threads of the parent are busy."""

import subprocess
import sys

FUNCTIONS = """
import hashlib, os, signal, sys, threading, time
import numpy as np
import tokenroof as tr
from tokenroof import economics as ec, serving

SCENARIO = ec.mine("Antminer S21", hashprice=50.0)
KNOBS = serving.Scheduler.preset("vllm-0.33", num_blocks=200, loop="sync")
LOAD = serving.poisson(30.0, requests=30, input_tokens=100, output_tokens=4)

def step():
    return tr.decode("H200-SXM", "Qwen3-235B-A22B", tr.Plan(tp=8), batch=np.arange(1.0, 300.0), context=4096).time_s

def hashes():
    return tr.kernels.sha256d(np.arange(80 * 500, dtype=np.uint32).astype(np.uint8).reshape(-1, 80))

def scan():
    found = tr.mining.scan(bytes(80), count=2**12, target=2**248, threads=2)
    return np.array(found.hits, dtype=np.int64)

def cash():
    return ec.risk(SCENARIO, ec.Uncertainty(0.3), paths=1000, threads=2).worth

def play():
    runs = serving.simulate(None, None, None, [LOAD] * 2, KNOBS, step_time=serving.StepTime(10**6), threads=2)
    return runs[1].requests["last_token_ns"]

def all_of_them():
    digest = hashlib.sha256()
    for function in (step, hashes, scan, cash, play):
        digest.update(np.ascontiguousarray(function()).tobytes())
    return digest.hexdigest()
"""

FORKED = (
    FUNCTIONS
    + """
want = all_of_them()
stop = threading.Event()
def busy():
    while not stop.is_set():
        all_of_them()
threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads:
    thread.start()
children = []
for _ in range(3):
    time.sleep(0.01)
    child = os.fork()
    if child == 0:
        os._exit(0 if all_of_them() == want else 1)
    children.append(child)
until = time.monotonic() + 120.0
for child in children:
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            sys.exit("a forked child hangs")
        time.sleep(0.005)
    assert os.waitstatus_to_exitcode(status) == 0, status
stop.set()
for thread in threads:
    thread.join()
assert all_of_them() == want
print(want)
"""
)


def run(source):
    # Python itself warns of threads that a fork leaves behind
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_forked_while_threads_are_in_the_kernels(tmp_path):
    forked = run(FORKED)
    assert len(forked) == 64
    module = tmp_path / "spawned_here.py"
    module.write_text(
        FUNCTIONS + "\nif __name__ == '__main__':\n"
        "    from concurrent.futures import ProcessPoolExecutor\n"
        "    import multiprocessing\n"
        "    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:\n"
        "        print(pool.submit(all_of_them).result(timeout=300))\n"
    )
    done = subprocess.run(
        [sys.executable, str(module)], capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip() == forked, done.stderr
