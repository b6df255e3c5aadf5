"""Measured serving points, engines' fits, capacity: real input and bad input."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.catalogue.fits import fits
from tokenroof.inference.calibration import GAP_CONSTANTS, HOST_CONSTANTS, gap_speed

pd = pytest.importorskip("pandas")
pytest.importorskip("scipy")
pytest.importorskip("xarray")

from tokenroof import calibrate  # noqa: E402
from tokenroof.calibrate import bands as _bands  # noqa: E402
from tokenroof.calibrate import engine_objective as _objective  # noqa: E402
from tokenroof.calibrate import points as _points  # noqa: E402

TRUE = {"kernel_gap": 7e-6, "collective_gap": 2e-6, "sequence": 8e-6, "prefill_kernel": 60e-6,
        "prompt_kernel": 90e-6,
        "prompt": 1.5, "beside": 1.2, "request": 0.05, "burst": 0.12}  # fmt: skip

GAPS = 0.7  # of a Blackwell, over Hopper's


@pytest.fixture(scope="module")
def table():
    """Points of three models on two devices, made by known constants with two per cent of noise."""
    rng = np.random.default_rng(2)
    rows = []
    for model, tp in (("Llama-3.1-8B", 1), ("Llama-3.1-70B", 4), ("Qwen3-235B-A22B", 8)):
        for device in ("h200_sxm", "b200_sxm"):
            plan = tr.Plan(tp=tp, weights="fp8", kv_cache="fp8", engine="vllm")
            base = tr.calibration.estimate(tr.device(device), "ideal")
            host = 0.8 if device == "b200_sxm" else 1.0
            gap = GAPS if device == "b200_sxm" else 1.0
            scale = dict.fromkeys(HOST_CONSTANTS, host) | dict.fromkeys(GAP_CONSTANTS, gap)
            engine = {n: v * scale.get(n, 1.0) for n, v in TRUE.items()}
            own = base.replace(
                constants={"engine": engine | _objective.MEMORY["vllm"] | _objective.BENCHMARK}
            )
            for tokens, answer in ((1024, 1024), (8192, 1024), (1024, 256)):
                users = [2, 8, 32, 128]
                made = tr.serving.curve(device, model, plan, tokens, answer, users, fidelity=own)
                for i, c in enumerate(users):
                    a, b = np.exp(rng.normal(0, 0.02, 2))
                    rows.append({
                        "model_path": model, "system": device, "backend": "vllm", "concurrency": c,
                        "mean_input_tokens": tokens, "mean_output_tokens": answer, "tp": tp,
                        "weights": "fp8", "kv_cache": "fp8", "label": "ok",
                        "silicon_ttft_ms": 1e3 * a * float(made.ttft_s[i]),
                        "silicon_tpot_ms": 1e3 * b * float(made.tpot_s[i]),
                    })  # fmt: skip
    return pd.DataFrame(rows)


def _base(points):
    return [tr.calibration.estimate(d, "ideal") for d in points.devices]


def test_a_fit_finds_the_constants_again(table, tmp_path):
    points = calibrate.read_serving(table)
    assert len(points) == len(table) == 72
    found = calibrate.fit_engines(points, base=_base)
    got = found.rows[0]["constants"]
    for name, low, high in (("kernel_gap", 0.9, 1.1), ("prefill_kernel", 0.8, 1.25),
                            ("request", 0.7, 1.3), ("prompt", 0.85, 1.15), ("beside", 0.9, 1.1)):  # fmt: skip
        assert low < got[name] / TRUE[name] < high, (name, got[name])
    assert 0.9 < found.rows[0]["gaps"]["blackwell"] / GAPS < 1.1
    error = np.abs(found.tpot_out_s / points.tpot_s - 1)
    assert error.mean() < 0.05 and found.rows[0]["combinations"] == 6
    # predictions are what a record with these constants gives
    logs = _objective.Objective(points, _base).fit(np.ones(len(points), dtype=bool))
    assert np.allclose(_objective.Objective(points, _base).predict(logs)[0], found.tpot_s)
    assert 0.6 < found.coverage["tpot"] <= 1.0
    calibrate.write_engines(tmp_path / "engine.toml", found)
    import tomllib

    back = tomllib.loads((tmp_path / "engine.toml").read_text())["fit"][0]
    assert back["constants"] == got and back["rows"] == 72 and back["band_tpot"] > 0
    assert "left out" in found.summary() and "Llama-3.1-70B" in found.summary()


def test_gaps_of_a_generation_are_those_of_the_fit():
    row = {"gaps": {"blackwell": 0.7}}
    assert gap_speed(tr.device("B200-SXM"), row) == 0.7
    assert gap_speed(tr.device("H200-SXM"), row) == 1.0
    assert gap_speed(tr.device("B200-SXM"), {}) == 0.8  # the host's, where none were fitted
    fitted = next(r for r in fits("engine") if r["engine"] == "vllm")
    own = tr.calibration.estimate(tr.device("B200-SXM"), "vllm").constants["engine"]
    share = gap_speed(tr.device("B200-SXM"), fitted)
    for name in GAP_CONSTANTS:
        assert own[name] == fitted["constants"][name] * share
    for name in HOST_CONSTANTS:
        assert own[name] == fitted["constants"][name] * 0.8
    assert own["beside"] == fitted["constants"]["beside"] > 1.1
    # a card of the family with other memory is of none of the fitted generations
    far = tr.calibration.estimate(tr.device("RTX-PRO-6000"), "vllm").constants["engine"]
    assert far["beside"] == 1.0 and far["prompt"] == fitted["constants"]["prompt"]
    assert far["kernel_gap"] == fitted["constants"]["kernel_gap"] * share


def test_company_saves_no_time(table):
    """Whatever the logarithms are, a prompt's kernels take no less beside others; 1.2 and more is not bent."""
    objective = _objective.Objective(calibrate.read_serving(table), _base)
    at = objective.place["beside"]
    found = []
    for share in (0.5, 0.9, 1.0, 1.2, 2.0):
        logs = objective.start.copy()
        logs[at] = np.log(share)
        found.append(float(objective.values("beside", logs)[0]))
    assert found[0] == pytest.approx(1.0, abs=1e-6) and found == sorted(found) and min(found) >= 1.0
    assert found[2] == pytest.approx(2.0 ** (1.0 / 24.0), rel=1e-9)
    assert found[3:] == pytest.approx([1.2, 2.0], rel=1e-3)


def test_leaving_out_does_not_depend_on_where_it_starts(table):
    """A fit that stalls near the whole's answer would know what it should not."""
    points = calibrate.read_serving(table)
    objective = _objective.Objective(points, _base)
    every = np.ones(len(points), dtype=bool)
    whole = objective.fit(every)
    out = points.combination == points.combination[0]
    warm, cold = objective.fit(~out, whole), objective.fit(~out)
    np.testing.assert_allclose(objective.predict(warm)[0], objective.predict(cold)[0], rtol=2e-3)


def test_what_is_wrong_is_counted(table):
    bad = pd.concat([table, table.iloc[:3]], ignore_index=True)
    bad.loc[5, "silicon_tpot_ms"] = np.nan
    bad.loc[6, "silicon_ttft_ms"] = 0.0
    bad.loc[7, "concurrency"] = np.nan
    bad.loc[8, "label"] = "speculative"
    bad.loc[9, "silicon_tpot_ms"] = 1e-3
    bad.loc[10, "system"] = "h20O"
    bad.loc[11, "tp"] = 3
    bad.loc[12, ["model_path", "tp"]] = ["DeepSeek-R1", 1]
    counts = calibrate.read_serving(bad).counts
    assert (
        counts["times missing, zero or negative"] == 2
        and counts["loads missing, zero or negative"] == 1
    )
    assert counts["other labels"] == 1 and counts["duplicates"] == 3
    assert counts["faster than the datasheet allows"] == 1
    assert counts["weights or a request beyond the memory"] == 1
    assert sum(n for reason, n in counts.items() if "h20O" in reason or "tp is 3" in reason) == 2
    assert counts["points"] == len(bad) - 11
    part = calibrate.read_serving(
        table, exclude=({"model_path": "Llama-3.1-8B", "system": "h200_sxm"},)
    )
    assert part.counts["excluded"] == 12 and len(part) == 60


@pytest.mark.parametrize(
    "change,named",
    [(lambda t: t.drop(columns="concurrency"), "no column 'concurrency'"),
     (lambda t: t.drop(columns="silicon_tpot_ms"), "no column of tpot"),
     (lambda t: t.assign(tpot_s=1.0), "columns tpot_s, silicon_tpot_ms"),
     (lambda t: t.rename(columns={"silicon_tpot_ms": "tpot_us"}), "Is the unit right"),
     (lambda t: t.rename(columns={"silicon_ttft_ms": "ttft_s"}), "Is the unit right"),
     (lambda t: t.assign(label="cluster"), "no usable row of 72"),
     (lambda t: t.assign(tp=-1), "no usable row of 72")],
)  # fmt: skip
def test_a_table_that_does_not_do_is_refused(table, change, named):
    with pytest.raises(ValueError, match=named):
        calibrate.read_serving(change(table))


def test_few_points_are_refused(table):
    with pytest.raises(ValueError, match="has 12 points of 1 combinations"):
        calibrate.fit_engines(calibrate.read_serving(table.iloc[:12]))
    with pytest.raises(ValueError, match="exclude names 'colour'"):
        calibrate.read_serving(table, exclude=({"colour": "red"},))
    with pytest.raises(ValueError, match="rule is 'colour'; allowed"):
        _points.rule("colour")


def test_coverage_is_set_on_the_others():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(50), 40)
    measured = np.ones(groups.size)
    honest = _bands.covered(np.exp(rng.normal(0, 0.2, groups.size)), measured, groups).mean()
    assert 0.77 < honest < 0.83
    other = np.where(groups < 25, 0.01, 1.0)  # a half that the other half knows nothing of
    assert _bands.covered(np.exp(other), measured, groups).mean() != 0.8
    engines = np.where(groups < 40, "steady", "wild")
    hard = np.exp(rng.normal(0, np.where(groups < 40, 0.1, 0.3)))
    apart, together = (
        _bands.covered(hard, measured, groups, e)[groups >= 40].mean() for e in (engines, None)
    )
    assert together < apart < 0.8
    own, every = (np.quantile(np.abs(np.log(hard[m])), 0.8) for m in (groups >= 40, groups >= 0))
    band = _bands.pooled_band(np.abs(np.log(hard)), engines, "wild")
    assert band == pytest.approx(np.sqrt(own * every)) and every < band < own


def test_shipped_constants_say_what_they_are():
    rows = fits("engine")
    assert {row["engine"] for row in rows} == {"vllm", "sglang", "trtllm"}
    for row in rows:
        assert row["rows"] > 50 and row["combinations"] > 2 and row["date"] and row["devices"]
        assert 0 < row["median_tpot"] < row["mape_tpot"] < 0.3 and row["mape_ttft"] < 0.6
        assert row["band_tpot_device"] >= row["band_tpot"] > 0.1
    measured = tr.calibration.estimate(tr.device("H200-SXM"), "vllm")
    borrowed = tr.calibration.estimate(tr.device("GB300-NVL72"), "vllm")
    far = tr.calibration.estimate(tr.device("MI300X"), "vllm")
    assert measured.error_band <= borrowed.error_band <= far.error_band
    assert "borrowed" in borrowed.calibrated_on and "borrowed" not in measured.calibrated_on
    assert np.isnan(tr.calibration.estimate(tr.device("H200-SXM"), "ideal").ttft_band)


def test_powers_have_names():
    kept = {}
    for power in tr.serving.POWERS:
        t = tr.serving.curve("H200-SXM", "Llama-3.1-8B", concurrency=[1, 64], power=power, pue=1.3)
        assert t.attrs["power"] == power
        kept[power] = t.output_throughput / t.output_tokens_per_s_per_mw * 1e6
    np.testing.assert_allclose(kept["board"], t.watts)
    np.testing.assert_allclose(kept["dashboard"], 1730.0)
    np.testing.assert_allclose(kept["chassis"], t.chassis_watts)
    np.testing.assert_allclose(kept["facility"], 1.3 * t.chassis_watts)
    assert kept["board"][0] != kept["board"][1]  # by load; the others are constant
    unknown = tr.serving.curve("RTX 5090", "Llama-3.1-8B", concurrency=[1], power="dashboard")
    assert np.isnan(unknown.output_tokens_per_s_per_mw).all() and unknown.tpot_s > 0


def test_requests_beyond_the_memory_queue():
    """Weights that fit are served, whatever the concurrency."""
    plan = tr.Plan(tp=1, weights="fp8", kv_cache="fp8", engine="vllm")
    t = tr.serving.curve("h200_sxm", "meta-llama/Llama-3.1-70B", plan, 7372.8, 921.6, [4, 64, 512])
    assert t.fits.all() and np.isfinite(t.ttft_s).all() and (t.queue_s[1:] >= 0).all()
    assert (
        t.batch[2] < 100
        and t.queue_s[2] > 10
        and t.tpot_s[2] == pytest.approx(float(t.tpot_s[1]), rel=0.2)
    )
    none = tr.serving.curve("h200_sxm", "Qwen/Qwen3-235B-A22B-FP8", plan, concurrency=[1])
    assert not none.fits.any() and np.isnan(none.tpot_s).all() and np.isnan(none.ttft_s).all()


@pytest.mark.parametrize(
    "device,model,plan",
    [("b200_sxm", "nvidia/DeepSeek-R1-NVFP4", {"tp": 8, "moe_tp": 1, "moe_ep": 8, "weights": "nvfp4"}),
     ("gb200", "moonshotai/Kimi-K2.5", {"dp": 8, "moe_tp": 1, "moe_ep": 8, "weights": "nvfp4"}),
     ("h100_sxm", "openai/gpt-oss-120b", {"tp": 2, "weights": "bf16", "experts": "mxfp4"}),
     ("b300_sxm", "zhipuai/GLM-5", {"tp": 8, "moe_tp": 8, "moe_ep": 1, "weights": "fp8_block"}),
     ("h200_sxm", "Qwen/Qwen3.5-397B-A17B", {"tp": 8, "moe_tp": 8, "moe_ep": 1, "weights": "fp8_block"}),
     ("h200_sxm", "MiniMaxAI/MiniMax-M2.5", {"tp": 4, "moe_tp": 1, "moe_ep": 4, "weights": "fp8_block"})],
)  # fmt: skip
@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
def test_names_and_plans_as_benchmarks_write_them(device, model, plan, engine):
    t = tr.serving.curve(device, model, tr.Plan(**plan, kv_cache="fp8", engine=engine), input_tokens=7372.8,
                         output_tokens=921.6, concurrency=[4, 16, 64])  # fmt: skip
    assert t.fits.all() and np.isfinite(t.to_array()).all()
    assert (np.diff(t.tpot_s) > 0).all() and (np.diff(t.ttft_s) > 0).all()
    assert (t.ttft_low_s < t.ttft_s).all() and (t.ttft_s < t.ttft_high_s).all()


def test_capacity_meets_the_objective_and_no_more():
    slo = tr.serving.SLO(ttft_s=1.0, tpot_s=0.02)
    arguments = "H200-SXM", "Llama-3.1-70B", tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
    most = tr.serving.capacity(*arguments, slo)
    assert most.ttft_s <= 1.0 and most.tpot_s <= 0.02
    over = tr.serving.curve(*arguments, concurrency=[float(most.concurrency) + 1])
    assert over.ttft_s[0] > 1.0 or over.tpot_s[0] > 0.02
    sure = tr.serving.capacity(*arguments, tr.serving.SLO(ttft_s=1.0, tpot_s=0.02, sure=True))
    assert sure.concurrency < most.concurrency and sure.tpot_high_s <= 0.02
    never = tr.serving.capacity(*arguments, tr.serving.SLO(tpot_s=1e-6))
    assert never.concurrency == 0 and np.isnan(never.tpot_s) and bool(never.fits)


@pytest.mark.parametrize(
    "call,error,named",
    [(lambda: tr.serving.SLO(ttft_s=-1.0), ValueError, "ttft_s is -1.0; allowed"),
     (lambda: tr.serving.SLO(tpot_s=True), ValueError, "tpot_s is True; allowed"),
     (lambda: tr.serving.SLO(percentile=100), ValueError, "percentile is 100; allowed"),
     (lambda: tr.serving.capacity("H100-SXM", "GPT-2", None, 3), TypeError, "slo is 3; allowed"),
     (lambda: tr.serving.capacity("H100-SXM", "GPT-2", None, tr.serving.SLO()), ValueError, "at least one"),
     (lambda: tr.serving.capacity("H100-SXM", "GPT-2", None, tr.serving.SLO(ttft_s=1.0, percentile=95)),
      ValueError, "percentile is 95; allowed: 50, 90, 99"),
     (lambda: tr.serving.curve("H100-SXM", "GPT-2", power="solar"), ValueError, "power is 'solar'; allowed"),
     (lambda: tr.serving.curve("H100-SXM", "GPT-2", pue=0.5), ValueError, "pue is 0.5; allowed"),
     (lambda: tr.serving.curve("H100-SXM", "GPT-2", concurrency=[np.nan]), ValueError, "concurrency is nan")],
)  # fmt: skip
def test_bad_input_is_named(call, error, named):
    with pytest.raises(error, match=named):
        call()


def test_plans_by_default_know_what_a_model_was_released_in():
    def types(device, model):
        plans = tr.serving.default_plans(tr.device(device), tr.model(model), devices_max=8)
        return {(plan.weights, plan.experts) for plan in plans}

    assert types("H100-SXM", "gpt-oss-120b") == {("fp8", "fp8"), ("bf16", "mxfp4")}
    assert types("H200-SXM", "DeepSeek-V3") == {("fp8_block", "fp8_block")}
    assert types("B200-SXM", "DeepSeek-V3") == {("nvfp4", "nvfp4"), ("fp8_block", "fp8_block")}
    assert types("H100-SXM", "Llama-3.1-8B") == {("fp8", "fp8")}
    assert types("A100-SXM4-80GB", "DeepSeek-V3") <= {("bf16", "bf16"), ("fp8_block", "fp8_block")}


def test_all_users_that_can_be_counted_wait_their_turn():
    found = tr.serving.curve("H20", "Llama-3.1-8B", concurrency=[64, 2**27, 2**28], input_tokens=9)
    assert found.ttft_s[2] / found.ttft_s[1] == pytest.approx(2.0, rel=1e-3)
    assert found.tpot_s[2] == found.tpot_s[1] > found.tpot_s[0] > 0.0
    with pytest.raises(ValueError, match=r"concurrency\[1\] is 1e\+308; allowed: at most 2\*\*28"):
        tr.serving.curve("H20", "Llama-3.1-8B", concurrency=[64, 1e308], input_tokens=9)
