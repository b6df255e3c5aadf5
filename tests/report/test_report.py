"""The main job: the page and the data behind it."""

from __future__ import annotations

import csv
import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from report import own_card
from report.chart_line import line_at
from tokenroof.support.formats import si

FILES = {
    "index.html", "report.json", "roofline_roofs.csv", "roofline_points.csv", "frontier.csv",
    "frontier_measured.csv", "frontier_anchors.csv", "hashrate.csv", "same_meter.csv", "ladder.csv", "race.csv",
    "tornado.csv", "cash_flow.csv", "chart.csv", "revenue_per_gw.csv", "revenue_effects.csv", "allocation.csv",
    "latency.csv",
}  # fmt: skip
FIGURES = (
    "roofline", "frontier", "hashrate", "meter", "chart", "revenue", "revenue_effects", "latency",
)  # fmt: skip
COMMAND = [sys.executable, "-m", "tokenroof.cli", "report", "--seconds", "0.1"]


def run(out: Path, *flags: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--out", str(out), *flags],
        capture_output=True, text=True, timeout=120, check=False, **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def twice(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A report that ran twice, over files of its own and of somebody else, and what the second run printed."""
    out = tmp_path_factory.mktemp("report") / "deep" / "down"
    first = run(out, *own_card.card(out.parents[1]))
    assert first.returncode == 0 and "index.html" in first.stdout, first.stderr
    assert {path.name for path in out.iterdir()} == FILES
    own_card.drawn(out)
    (out / "mine.txt").write_text("keep")
    (out / "old.csv").write_text("1")
    manifest = json.loads((out / "report.json").read_text())
    manifest["files"].append("old.csv")  # as if an earlier version had written it
    (out / "report.json").write_text(json.dumps(manifest))
    second = run(out, "--json")
    assert second.returncode == 0, second.stderr
    return out, second


@pytest.fixture(scope="module")
def made(twice: tuple[Path, subprocess.CompletedProcess[str]]) -> Path:
    return twice[0]


def test_second_run_overwrites_cleanly(made: Path) -> None:
    assert {path.name for path in made.iterdir()} == FILES | {"mine.txt"}
    assert (made / "mine.txt").read_text() == "keep"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", sorted(n for n in FILES if n.endswith(".csv")))
def test_data_has_rows(made: Path, name: str) -> None:
    table = rows(made / name)
    assert len(table) >= 2
    assert all(None not in row for row in table)


def test_the_whole_catalogue_is_there(made: Path) -> None:
    import tokenroof as tr

    roofs = {row["device"] for row in rows(made / "roofline_roofs.csv")}
    assert {d.name for d in tr.catalogue.all_devices() if d.peak} < roofs
    assert any(name.startswith("this machine") for name in roofs)
    miners = rows(made / "hashrate.csv")
    assert {m.name for m in tr.catalogue.all_miners()} < {row["name"] for row in miners}
    here = [row for row in miners if row["name"].startswith("this machine")]
    assert len(here) == 1
    assert float(here[0]["hashrate"]) > 1e4


def test_frontiers_are_frontiers(made: Path) -> None:
    curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows(made / "frontier.csv"):
        point = (float(row["interactivity"]), float(row["output_tokens_per_s_per_mw"]))
        curves.setdefault((row["device"], row["model"]), []).append(point)
        assert row["plan"]
        assert float(row["concurrency"]) >= 1
        assert float(row["ttft_s"]) <= 10.0  # the page says so
    for device in ("H100-SXM", "B200-SXM", "Vera Rubin NVL72", "Instinct MI300X"):
        assert any(d == device for d, _ in curves), device
    for points in curves.values():
        ordered = sorted(points)
        assert all(a[1] >= b[1] for a, b in pairwise(ordered))


def test_the_meter_compares(made: Path) -> None:
    table = rows(made / "same_meter.csv")
    groups = {row["group"] for row in table}
    assert "mining" in groups
    assert len(groups) > 1
    assert all(float(row["usd_per_mwh"]) > 0 for row in table)


class Page(HTMLParser):
    """What a browser would load, and the text that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.words: list[str] = []
        self._hidden = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._hidden += tag in ("script", "style")
        if tag != "a":
            self.loads += [v for k, v in values.items() if k in ("src", "href", "srcset") and v]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


def test_page_stands_alone(made: Path) -> None:
    page = Page((made / "index.html").read_text(encoding="utf-8"))
    assert [load for load in page.loads if not load.startswith("data:")] == []


def test_page_says_what_it_assumes(made: Path) -> None:
    text = " ".join(" ".join(Page((made / "index.html").read_text(encoding="utf-8")).words).split())
    for words in ("Assumptions", "Hashprice", "USD/kWh", "Premium", "about 400", "not placed",
                  "error band", "estimate", "datasheet", "uncapped split, B$", "at best under the caps, B$"):  # fmt: skip
        assert words in text, words
    assert "best split" not in text  # two meant different things
    # this machine's roof as it is drawn: the peak of bf16, and the fastest of all loops
    m = json.loads((made / "report.json").read_text(encoding="utf-8"))["machine"]
    best = max(m["bandwidth"], key=m["bandwidth"].__getitem__)
    assert f"measured: bf16 multiply-adds in registers, {si(m['peak']['bf16'], 'FLOP/s')} (" in text
    assert f": {best}, {si(m['memory_bandwidth'], 'B/s')}. They meet at" in text
    assert "nan" not in text.lower().split()
    assert "None" not in text.split()


def test_page_says_what_is_within_the_band(made: Path) -> None:
    """Of each measurement its device, engine, date and age, and whether the band holds it."""
    text = " ".join(" ".join(Page((made / "index.html").read_text(encoding="utf-8")).words).split())
    table = rows(made / "frontier_measured.csv")
    for name in ("tpot", "ttft"):
        inside = sum(row[f"{name}_inside"] == "True" for row in table)
        assert f"{inside} of {len(table)}" in text
    for row in table:
        assert f"{row['engine']} {row['version']} {row['date']} ({row['months']} months)" in text
    assert text.count("within") + text.count("outside") > 2 * len(table)
    assert "calibration of whole steps" not in text  # it was done


def test_json_is_one_document(twice: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    found = json.loads(twice[1].stdout)
    assert twice[1].stderr == "" and Path(found["page"]).name == "index.html"
    assert found["machine"]["kind"] == "measured"


CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="module")
def browser(made: Path) -> Iterator[Any]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium with chromedriver on this machine")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--window-size=1200,900"):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=DRIVER)
    )
    try:
        driver.get((made / "index.html").as_uri())
        deadline = time.monotonic() + 30
        drawn = "return document.querySelectorAll('.plot .main-svg').length"
        while driver.execute_script(drawn) < 8:
            assert time.monotonic() < deadline, "figures were not drawn"
            time.sleep(0.2)
        yield driver
    finally:
        driver.quit()


def script(browser: Any, text: str) -> Any:
    return browser.execute_script(text)


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_drawn(browser: Any, name: str) -> None:
    seen = script(
        browser,
        f"const p = document.getElementById('{name}');"
        "return [p.querySelectorAll('.scatterlayer .trace').length,"
        " p.getBoundingClientRect().width, p.getBoundingClientRect().height]",
    )
    traces, width, height = seen
    assert traces >= (
        2 if name == "revenue_effects" else 3
    )  # a trace a generation: two are printed
    assert width > 600
    assert height > 300


def test_model_and_devices_can_be_chosen(browser: Any) -> None:
    # curves: how many measured runs are drawn beside them depends on the model
    count = "return document.querySelectorAll('#frontier .scatterlayer .trace path.js-line').length"
    before = script(browser, count)
    script(
        browser,
        "const box = document.querySelector('[data-picker=frontier] input:checked');"
        "box.checked = false; box.dispatchEvent(new Event('change', {bubbles: true}));"
        "const s = document.querySelector('select'); s.selectedIndex = 2;"
        "s.dispatchEvent(new Event('change', {bubbles: true}));",
    )
    time.sleep(0.5)
    assert script(browser, count) == before - 1
    assert script(browser, "return document.querySelectorAll('.chosen select').length") == 1
    # one choice for both figures that have a model
    chosen = script(browser, "return document.querySelector('select').value")
    of = "return [...new Set(document.getElementById('frontier').data.filter((t) => t.visible === true)"
    assert script(browser, of + ".map((t) => t.meta.model))]") == [chosen]
    names = script(browser, "return document.getElementById('meter').data.map((t) => t.name)")
    assert [n for n in names if n.startswith("tokens of")] == [f"tokens of {chosen}"]


ASKED = [
    {"power": 50.0, "hashprice": 28.68, "use": 0.6, "tokens": 0.75},
    {"power": 17.3, "hashprice": 61.5, "use": 0.95, "tokens": 0.08},
    {"power": 180.0, "hashprice": 12.0, "use": 0.11, "tokens": 7.5},
]


@pytest.mark.parametrize("asked", ASKED)
def test_the_page_computes_the_librarys_ladder(browser: Any, asked: dict[str, float]) -> None:
    """The script of the page and `same_meter` differ by roundings of their sums alone."""
    from tokenroof import economics as ec
    from tokenroof.report.money import money

    plans = []
    for rung in money().ladder.rungs:
        changed = {
            "hashes": {"income.hashprice": asked["hashprice"]}, "gpu_hours": {"income.rented_share": asked["use"]},
            "tokens": {"income.sold_share": asked["use"], "income.price_per_mtok": asked["tokens"]},
        }.get(rung.factory.scenario.income.kind, {})  # fmt: skip
        plans.append(rung.factory.scenario.with_values(changed))
    want = ec.same_meter(plans, power_mw=1.0, price_per_mwh=asked["power"])
    got = script(
        browser,
        f"return tokenroofLadder.at({json.dumps(asked)}).map((r) => [r.name, r.revenue, r.margin, r.npv,"
        " isFinite(r.breakEven) ? r.breakEven : null, r.capex, r.months])",
    )
    for row, rung in zip(got, want.rungs, strict=True):
        even = None if math.isinf(rung.break_even_power) else rung.break_even_power
        size = rung.capex_per_mw + abs(rung.npv_per_mw) + 1e6
        assert row[0] == rung.name and row[6] == rung.months_to_revenue
        assert row[1:3] == pytest.approx(
            [rung.revenue_per_mwh, rung.margin_per_mwh], rel=1e-9, abs=1e-9
        )
        assert row[3] == pytest.approx(rung.npv_per_mw, abs=1e-9 * size)
        assert row[4] == (None if even is None else pytest.approx(even, rel=1e-9))
        assert row[5] == pytest.approx(rung.capex_per_mw, rel=1e-12)


def test_a_slider_moves_table_and_figure(browser: Any) -> None:
    look = (
        "return [document.querySelectorAll('#ladder-table tr')[1].innerText,"
        " document.getElementById('ladder').data[0].x.slice(), document.getElementById('ladder').layout.shapes[0].x0]"
    )
    text, x, line = script(browser, look)
    move = (
        "const s = document.querySelector('[data-ask={0}]'); s.value = {1};"
        " s.dispatchEvent(new Event('input', {{bubbles: true}}));"
    )
    script(
        browser,
        move.format("hashprice", 100)
        + move.format("power", 80).replace("const s", "const t").replace(" s.", " t."),
    )
    after, moved, at = script(browser, look)
    assert after != text and moved[0] == pytest.approx(x[0] * 100 / 28.68) and moved[2:] == x[2:]
    assert line == 50 and at == 80
    script(browser, "document.querySelector('[data-ask-reset]').click()")
    assert script(browser, look) == [text, x, line]


def test_the_page_computes_the_librarys_ratio(browser: Any, made: Path) -> None:
    """One front over another on the page's grid of speeds: yields of the library, to the five digits that it has.

    The fifth digit of a yield or a speed is off by half of one, 5e-5 at most; a speed's counts by the front's slope.
    """
    known = script(browser, "return tokenroofRatio.known")
    speeds, by = known["speeds"], "provisioned"
    table = rows(made / "chart.csv")
    for over, under in ((3, 1), (0, 6), (2, 4)):
        got = script(browser, f"return tokenroofRatio.of({over}, {under}, '{by}').middle")
        want, allowed = [], []
        for speed in speeds:
            each, steep = [], 0.0
            for name in (known["names"][over], known["names"][under]):
                points = [
                    (float(r["interactivity"]), float(r["output_tokens_per_s_per_mw"]))
                    for r in table if r["generation"] == name
                ]  # fmt: skip
                value, slope = line_at(points, speed)
                each.append(value)
                steep += 1.0 + abs(slope)
            want.append(each[0] / each[1])
            allowed.append(5e-5 * steep + 1e-5)
        seen = [t for t in zip(got, want, allowed, strict=True) if t[0] is not None]
        assert len(seen) > 30
        for ratio, known_ratio, off in seen:
            assert ratio == pytest.approx(known_ratio, rel=off)
        other = script(browser, f"return tokenroofRatio.of({under}, {over}, '{by}').middle")
        assert [1.0 / x for x in other if x] == pytest.approx([g for g in got if g], rel=1e-12)


def test_the_ratio_follows_its_choices(browser: Any) -> None:
    pick = (
        "const s = document.querySelector('[data-ratio={}]'); s.value = '{}';"
        "s.dispatchEvent(new Event('change'));"
        "return [document.getElementById('ratio').layout.title.text, document.getElementById('ratio').data[1].y.length]"
    )
    text, count = script(browser, pick.format("over", 0))
    assert text.startswith("Hopper") and count > 10
    text, _ = script(browser, pick.format("by", "owned, 2026-09"))
    assert text.endswith("owned, 2026-09")
    assert "as cheap" in script(
        browser, "return document.getElementById('ratio').layout.yaxis.title.text"
    )


def test_page_does_not_scroll_sideways(browser: Any) -> None:
    for width in (1200, 390):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 700},
        )
        browser.refresh()
        time.sleep(1.0)
        assert script(browser, "return document.documentElement.scrollWidth") <= width
        if width == 390:
            assert script(browser, CUT) == []


#: Texts of figures that reach beyond them, and tables beyond their box.
CUT = """
const out = [];
document.querySelectorAll(".plot").forEach((plot) => {
  const box = plot.getBoundingClientRect();
  plot.querySelectorAll("text").forEach((text) => {
    const r = text.getBoundingClientRect();
    if (r.width && (r.left < box.left - 1 || r.right > box.right + 1)) out.push(text.textContent);
  });
});
document.querySelectorAll(".scroll").forEach((box) => {
  if (box.scrollWidth > box.clientWidth) out.push(box.textContent.slice(0, 60));
});
return out;
"""


def test_console_has_no_errors_and_nothing_was_loaded(browser: Any) -> None:
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    loaded = script(browser, "return performance.getEntriesByType('resource').map((e) => e.name)")
    assert [name for name in loaded if not name.startswith(("data:", "blob:"))] == []
