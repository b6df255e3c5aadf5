"""What nobody measured does not wait less than what was measured."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.catalogue import all_devices
from tokenroof.catalogue.fits import fits
from tokenroof.inference.carried import carried
from tokenroof.inference.constants import find
from tokenroof.inference.door import as_device

ENGINES = {row["engine"]: row["devices"].split(", ") for row in fits("engine")}
LOADS = [("Llama-3.1-8B", {}), ("Llama-3.1-70B", {"tp": 8})]


def waits(device, model, layout, engine):
    """Of a step, the seconds beyond moving and computing: an engine's gaps."""
    step = tr.decode(device, model, tr.Plan(**layout, engine=engine), batch=1, context=1024)
    return float(step.breakdown()["cause"]["launch"])


@pytest.mark.parametrize("engine", sorted(ENGINES))
@pytest.mark.parametrize(("model", "layout"), LOADS)
def test_no_device_waits_less_than_the_measured_ones(engine, model, layout):
    least = min(waits(name, model, layout, engine) for name in ENGINES[engine])
    for device in all_devices():
        if device.kind in ("lpu", "wafer"):
            continue
        try:
            with np.errstate(divide="ignore"):  # over a link that is not there
                found = waits(device, model, layout, engine)
        except ValueError:  # more devices than its links join, or a peak that nobody prints
            continue
        assert found >= least * (1.0 - 1e-9), device.name


@pytest.mark.parametrize(
    ("name", "like"), [("B100-SXM", "B200-SXM"), ("Rubin Ultra NVL576", "Vera Rubin NVL72")]
)
def test_a_gpu_of_unknown_multiprocessors_has_its_operators_measured_forms(name, like):
    device = as_device(name)
    assert device.provenance["sm_count"].kind == "estimate"
    over = []
    for item in (name, like):
        real = tr.decode(item, "Llama-3.1-8B", batch=1, context=1024)
        bound = tr.decode(
            item,
            "Llama-3.1-8B",
            tr.Plan(engine="ideal"),
            batch=1,
            context=1024,
            fidelity="datasheet",
        )
        over.append(float(real.time_s - bound.time_s))
    assert over[0] > 0.8 * over[1]


def test_figures_show_bands_where_constants_are_borrowed():
    fronts = [
        tr.serving.frontier(name, "Llama-3.1-8B", devices_max=1)
        for name in ("H200-SXM", "TPU v7 (Ironwood)", "Instinct MI300X")
    ]
    figure = tr.plot.frontier(fronts)
    bands = {t.meta["device"]: t.visible for t in figure.data if t.meta and t.meta.get("band")}
    assert bands == {"H200-SXM": False, "TPU v7 (Ironwood)": True, "Instinct MI300X": True}


@pytest.mark.parametrize("operator", ["gemm", "attention_decode", "experts"])
def test_a_memory_that_holds_its_own_codes_reaches_less(operator):
    def share(name):
        return find(operator, tr.device(name), "vllm", "bf16").constants["memory"]

    # L40S was measured, with codes of its errors in its memory; so have L4 and L40, and cards for desks have not
    assert share("L4") == share("L40") == share("L40S")
    assert share("RTX 4090") > 1.1 * share("L40S")
    assert share("RTX 5090") == share("RTX PRO 6000 Blackwell Server")


def test_a_share_of_the_bandwidth_is_none_beyond_it():
    rows = [{"device": "L40S", "dtype": "bf16", "constants": {"memory": 0.99}}]
    assert carried("mla_decode", rows, tr.device("RTX 4090"), "bf16") == {"memory": 1.0}
    assert carried("mla_decode", rows, tr.device("A10"), "bf16") == {"memory": 0.99}
