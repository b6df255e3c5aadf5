"""The chart of generations: what stands where, by each convention; ratios by hand."""

import math

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import catalogue, economics, plot, serving
from tokenroof.plot.conventions import conventions, yields
from tokenroof.plot.ratio import at_speed

LOAD = {"input_tokens": 8192, "output_tokens": 1024}
CHOICE = {c.name: c for c in conventions()}


@pytest.fixture(scope="module")
def fronts():
    names = ("H200-SXM", "GB200-NVL72", "Vera Rubin NVL72", "TPU v5p")
    return [serving.frontier(name, "DeepSeek-R1", devices_max=16, **LOAD) for name in names]


@pytest.fixture(scope="module")
def lpx():
    plan = tr.Plan(tp=8, weights="nvfp4", kv_cache="fp8")
    return serving.beside_lpx("DeepSeek-R1", plans=[plan], batch=[1, 8, 64], length=[3], **LOAD)


def _traces(figure, name):
    return [t for t in figure.data if t.name == name]


def _at(figure, axis):
    """The traces' heights as the menu's button of a convention puts them."""
    button = next(b for b in figure.layout.updatemenus[0].buttons if b.label.endswith(axis))
    return [np.array([math.nan if v is None else v for v in y], float) for y in button.args[0]["y"]]


def test_heights_of_each_convention_by_hand(fronts):
    hopper, _, _, tpu = fronts
    rate = hopper.output_throughput / hopper.devices
    for name, watts in (
        ("provisioned", 1730.0),
        ("all-in kW of 2026-04-03", 1730.0),
        ("all-in kW of 2026-09", 1370.0),
    ):
        assert np.allclose(yields(hopper, CHOICE[name]), rate / watts * 1e6), name
    assert np.allclose(
        yields(hopper, CHOICE["boards, by load"]), hopper.output_throughput / hopper.watts * 1e6
    )
    hour = catalogue.gpu_hour("H200-SXM", "2026-09")
    assert np.allclose(yields(hopper, CHOICE["owned, 2026-09"]), hour.owning / 3600 / rate * 1e6)
    assert np.allclose(yields(hopper, CHOICE["rented, 2026-09"]), hour.rent / 3600 / rate * 1e6)
    # nobody priced its hour
    assert np.isnan(yields(tpu, CHOICE["owned, 2026-09"])).all()
    assert np.allclose(yields(hopper, CHOICE["provisioned"]), hopper.output_tokens_per_s_per_mw)


def test_the_menu_puts_every_trace_where_the_convention_has_it(fronts):
    figure = plot.chart(fronts)
    assert len(figure.layout.updatemenus[0].buttons) == len(CHOICE)
    label = "Hopper (H200-SXM)"
    place = [i for i, t in enumerate(figure.data) if t.name == label and t.mode == "lines"]
    assert len(place) == 1
    pick = np.unique(np.round(np.linspace(0, fronts[0].sizes["point"] - 1, 40)).astype(int))
    assert np.allclose(figure.data[place[0]].x, fronts[0].interactivity[pick])
    for name, choice in CHOICE.items():
        assert np.allclose(_at(figure, name)[place[0]], yields(fronts[0], choice)[pick])
    assert plot.chart(fronts, axis="owned, 2026-09").layout.yaxis.title.text.startswith(
        "$ per million"
    )


def test_bands_are_there_from_the_start_and_hold_the_line(fronts):
    figure = plot.chart(fronts)
    for table in fronts:
        band = next(
            t for t in figure.data if t.fill == "toself" and str(table.attrs["device"]) in t.name
        )
        wide = 1 + float(table.error_band.max())
        assert max(band.x) == pytest.approx(
            float((table.interactivity * (1 + table.error_band)).max())
        )
        assert max(band.y) <= float(table.output_tokens_per_s_per_mw.max()) * wide * (1 + 1e-9)
        assert band.visible in (None, True)


def test_what_was_measured_is_filled_and_what_is_printed_hollow(fronts):
    own = [
        {
            "device": "H200-SXM",
            "speed": 60.0,
            "per_device": 80.0,
            "date": "2026-10",
            "engine": "vllm",
        }
    ]
    figure = plot.chart(fronts, measured=own)
    (filled,), (hollow,) = _traces(figure, "measured"), _traces(figure, "printed")
    assert filled.x == (60.0,) and filled.y[0] == pytest.approx(80 / 1730 * 1e6)
    assert "2026-10" in filled.text[0] and "open" not in filled.marker.symbol[0]
    assert all(s.endswith("-open") for s in hollow.marker.symbol)
    at = dict(zip(zip(hollow.x, hollow.text, strict=True), hollow.y, strict=True))
    keynote = [y for (x, text), y in at.items() if x == 50.0 and "Vera Rubin" in text]
    assert keynote == [1650000.0] and any("keynote" in text for _, text in at)
    # one that names no yield stands just above the axis
    low = 10 ** figure.layout.yaxis.range[0]
    assert next(y for (x, _), y in at.items() if x == 365.4) == pytest.approx(1.12 * low)
    # by dollars the same tokens a device cost the hour
    i = [t.name for t in figure.data].index("measured")
    hour = catalogue.gpu_hour("H200-SXM", "2026-09")
    assert _at(figure, "owned, 2026-09")[i][0] == pytest.approx(hour.owning / (80 * 3600) * 1e6)
    # the catalogue's runs by default, on a device without a curve too
    (runs,) = _traces(plot.chart(fronts), "measured")
    known = [r for r in catalogue.runs("DeepSeek-R1") if r.nominal_tokens == (8192, 1024)]
    assert len(runs.x) == len(known) >= 3 and runs.x[0] == pytest.approx(1 / known[0].tpot_s)
    r = known[0]
    rate = (
        r.concurrency
        * r.output_tokens
        / (r.ttft_s + (r.output_tokens - 1) * r.tpot_s)
        / r.plan.devices
    )
    assert runs.y[0] == pytest.approx(rate / 2170 * 1e6)  # B200, its all-in power


def test_tiers_stand_below_the_axis(fronts):
    tiers = economics.gtc2026_tiers()
    figure = plot.chart(fronts, tiers=tiers)
    lines = [s for s in figure.layout.shapes if s.yref == "paper"]
    assert len(lines) == 5 and all(s.y0 < 0 for s in lines)
    assert [a.text for a in figure.layout.annotations][-1] == "<b>Ultra</b> $150"
    assert lines[1].x0 == pytest.approx(25 / 1.03) and lines[1].x1 == pytest.approx(100 * 1.03)
    assert 10 ** figure.layout.xaxis.range[1] > 1500


def test_with_lpx_it_is_a_band_and_no_line(fronts, lpx):
    figure = plot.chart([*fronts, lpx])
    traces = _traces(figure, "Rubin with LPX")
    assert [t.fill for t in traces] == ["toself", None] and traces[0].showlegend
    assert traces[1].mode == "markers" and not traces[1].showlegend
    assert max(traces[0].x) == pytest.approx(float(lpx.interactivity_high.max()))
    assert min(traces[0].x) == pytest.approx(float(lpx.interactivity_low.min()))
    # nobody says what an LPU costs or draws all-in
    i = list(figure.data).index(traces[0])
    assert np.isnan(_at(figure, "owned, 2026-09")[i]).all()


def test_ratio_by_hand(fronts):
    hopper, blackwell = fronts[:2]
    choice = CHOICE["provisioned"]
    x, y = blackwell.interactivity.values, blackwell.output_tokens_per_s_per_mw.values
    assert np.allclose(at_speed(blackwell, choice, x), y)
    middle = math.sqrt(x[3] * x[4])
    assert at_speed(blackwell, choice, np.array([middle]))[0] == pytest.approx(
        math.sqrt(y[3] * y[4])
    )
    assert at_speed(blackwell, choice, np.array([0.1]))[0] == pytest.approx(y.max())
    assert np.isnan(at_speed(blackwell, choice, np.array([x[-1] * 1.01]))[0])
    figure = plot.ratio(blackwell, hopper)
    line = figure.data[-1]
    for s, v in zip(line.x, line.y, strict=True):
        s = np.array([s])
        assert v == pytest.approx(
            at_speed(blackwell, choice, s)[0] / at_speed(hopper, choice, s)[0]
        )
    assert line.x[-1] == pytest.approx(float(hopper.interactivity.max()))
    # the other way round it is the inverse; of dollars how many times cheaper
    other = plot.ratio(hopper, blackwell).data[-1]
    assert np.allclose(np.array(other.y) * np.array(line.y), 1.0)
    cheap, c = (
        plot.ratio(blackwell, hopper, axis="owned, 2026-09").data[-1],
        CHOICE["owned, 2026-09"],
    )
    s = np.array([cheap.x[5]])
    assert cheap.y[5] == pytest.approx(at_speed(hopper, c, s)[0] / at_speed(blackwell, c, s)[0])
    band = figure.data[0]
    assert min(band.y) < min(line.y) and max(band.y) > max(line.y)


def test_lpx_points_by_hand(lpx):
    assert set(lpx.way.values) <= {"experts", "drafts"} and (np.diff(lpx.interactivity) > 0).all()
    assert (np.diff(lpx.output_tokens_per_s_per_mw) < 0).all()
    for name in ("interactivity", "output_throughput", "provisioned_watts", "watts"):
        low, mid, high = lpx[f"{name}_low"], lpx[name], lpx[f"{name}_high"]
        assert (low <= mid).all() and (mid <= high).all(), name
    one = lpx.isel(point=int(np.flatnonzero(lpx.way.values == "drafts")[0]))
    plan = tr.Plan(tp=8, weights="nvfp4", kv_cache="fp8")
    site = ("Vera Rubin NVL72", plan)
    found = tr.decouple.drafts("DeepSeek-R1", site, tr.speculative.eagle_model("DeepSeek-R1"), "LPX", length=3,
                               batch=float(one.concurrency), context=8192 + 512)  # fmt: skip
    assert float(one.interactivity) == pytest.approx(float(found.interactivity.mid))
    assert float(one.output_throughput_high) == pytest.approx(float(found.tokens_per_s.high))
    prompt = float(tr.prefill(*site[:1], "DeepSeek-R1", plan, tokens=8192).time_s)
    replicas = float(one.output_throughput) * prompt / 1024
    assert float(one.devices) == pytest.approx(8 * (1 + replicas), rel=1e-6)
    limit = tr.estimates.parameter("tdp_w", tr.device("LPX"))
    watts = float(one.devices) * 3430.7 + float(one.chips) * limit.mid
    assert float(one.provisioned_watts) == pytest.approx(watts, rel=1e-3)


def test_measured_acceptance_goes_to_drafts_apart():
    how = {"length": [1, 2], "batch": 8, "context": 2048}
    site = ("B200-SXM", tr.Plan(tp=8, weights="fp8", kv_cache="fp8"))
    found = tr.decouple.drafts(
        "Llama-3.1-70B", site, "Llama-3.2-1B", "LPX", acceptance="MTP, coding", **how
    )
    assert found.parts["expected_tokens"].mid.tolist() == pytest.approx([1.92, 2.61])


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda f: plot.chart([]), ValueError, "fronts has no point"),
        (lambda f: plot.chart(3), TypeError, "fronts"),
        (lambda f: plot.chart([f[0], serving.frontier("H200-SXM", "Llama-3.1-8B", devices_max=1)]), ValueError,
         "fronts are of DeepSeek-R1 and Llama-3.1-8B; allowed: one model"),
        (lambda f: plot.chart(f, axis="watts"), ValueError, "axis is 'watts'; allowed: provisioned, all-in"),
        (lambda f: plot.chart(f, measured=[{"device": "H200-SXM", "speed": 3}]), ValueError, "per_device or per_mw"),
        (lambda f: plot.chart(f, measured=[{"device": "H200-SXM", "speed": -3, "per_mw": 1}]), ValueError,
         "speed of measured is -3"),
        (lambda f: plot.chart(f, measured=[{"device": 3, "speed": 3, "per_mw": 1}]), TypeError, "device of measured"),
        (lambda f: plot.chart(f, measured=[{"speeds": 3}]), ValueError, "measured has 'speeds'; allowed: device"),
        (lambda f: plot.chart(f, measured=[3]), TypeError, "measured has 3; allowed"),
        (lambda f: plot.ratio(f[0], f[3], axis="owned, 2026-09"), ValueError, "which does not know"),
        (lambda f: plot.ratio(f[0], f[1], axis="x"), ValueError, "axis is 'x'"),
        (lambda f: serving.beside_lpx("DeepSeek-R1", ways=["prefill"]), ValueError, "ways is .*allowed: experts and"),
        (lambda f: serving.beside_lpx("DeepSeek-R1", chips="H200-SXM"), ValueError, "H200-SXM, a gpu; allowed"),
        (lambda f: serving.beside_lpx("DeepSeek-R1", tpot_max=0), ValueError, "tpot_max is 0"),
        (lambda f: serving.beside_lpx("DeepSeek-R1", batches=3), TypeError, "batches"),
    ],
)  # fmt: skip
def test_refusals(fronts, call, error, text):
    with pytest.raises(error, match=text):
        call(fronts)
