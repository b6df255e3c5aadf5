"""Tiers, own ones from files, and what generations deliver at them."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import catalogue
from tokenroof import economics as ec

CHAT = ec.Tier("chat", 0.6, interactivity=60.0, model="gpt-oss-20b", context=2048)
SPAN = ec.Tier(
    "span", 0.6, model="gpt-oss-20b", interactivity_range=(40.0, 90.0), context_range=(512, 8192)
)
LIVE = ec.Tier("live", 9.0, interactivity=1e5, model="gpt-oss-20b", context=2048)


@pytest.fixture(scope="module")
def made():
    return ec.deliver(["H200-SXM", "B200-SXM"], [CHAT, SPAN, LIVE])


def test_the_keynotes_tiers_say_what_stands_on_ranges():
    free, medium, high, premium, ultra = ec.gtc2026_tiers()
    assert [t.assumed for t in (free, medium, high, premium, ultra)] == [
        ("interactivity", "context", "model"), ("interactivity", "context"), ("interactivity", "model"),
        ("model",), ("interactivity", "context", "model")]  # fmt: skip
    assert (premium.interactivity, premium.context, premium.power_share) == (400.0, 400e3, 0.25)
    assert sum(t.power_share for t in (free, medium, high, premium, ultra)) == 1.0
    assert medium.cases() == {
        "easy": (25.0, 2048.0),
        "middle": (50.0, 8192.0),
        "hard": (100.0, 32768.0),
    }
    for tier in (free, medium, high, premium, ultra):
        assert all(tier.provenance[f"{field}_range"].kind == "estimate"
                   for field in ("interactivity", "context") if getattr(tier, f"{field}_range"))  # fmt: skip
        assert tr.model(tier.served).parameters > 1e11
    lows = catalogue.sources()
    lows = lows[(lows["file"] == "tiers") & (lows["field"] == "interactivity_low")]
    assert dict(zip(lows["item"], lows["value"], strict=True)) == {
        "Free": 11,
        "Medium": 25,
        "High": 50,
        "Ultra": 400,
    }
    assert set(lows["kind"]) == {"estimate"}


def test_an_offer_is_the_frontiers_slowest_point_that_is_fast_enough(made):
    front = tr.serving.frontier("B200-SXM", "gpt-oss-20b", input_tokens=2048, ttft_max=10.0)
    at = int(np.argmax(front.interactivity.values >= 60.0))
    offer = made.of("B200-SXM")[0]
    assert offer.tokens_per_s_per_mw == float(front.output_tokens_per_s_per_mw[at])
    assert (
        offer.reached == float(front.interactivity[at]) >= 60.0 > float(front.interactivity[at - 1])
    )
    watts = float(front.provisioned_watts[at]) / int(front.devices[at])
    assert offer.devices_per_mw == pytest.approx(1e6 / watts, rel=1e-12)
    assert offer.memory_per_mw == pytest.approx(
        tr.device("B200-SXM").memory_bytes * 1e6 / watts, rel=1e-12
    )
    assert made.supply("B200-SXM").tolist() == [o.tokens_per_s_per_mw for o in made.of("B200-SXM")]


def test_harder_cases_yield_less_and_printed_ones_are_the_same(made):
    for device in made.devices:
        easy, middle, hard = (made.supply(device, case) for case in ("easy", "middle", "hard"))
        assert easy[0] == middle[0] == hard[0] > 0.0
        assert easy[1] > middle[1] > hard[1] > 0.0
    assert made.of("H200-SXM", "hard")[1].context == 8192.0
    assert made.of("H200-SXM", "easy")[1].interactivity == 40.0


def test_a_tier_that_nothing_reaches_is_named_with_the_best_speed(made):
    best = max(o.fastest for o in made.offers if o.tier is LIVE)
    (line,) = made.gaps()
    assert line == (f"live (1e+05 token/s with 2048 tokens of context, middle): not reached by gpt-oss-20b on "
                    f"B200-SXM; best {best:.4g} token/s")  # fmt: skip
    row = made.to_frame().set_index(["tier", "device", "case"]).loc[("live", "H200-SXM", "middle")]
    assert row["tokens_per_s_per_mw"] == 0.0 and np.isnan(row["reached"]) and row["fastest"] > 0.0
    small = ec.deliver({"one small board": "T4"}, [ec.Tier("big", 1.0, 5.0, "Kimi-K2.5", 2048)])
    assert "not reached by Kimi-K2.5 on one small board; " in small.gaps()[0]
    assert small.of("one small board")[0].fastest == 0.0 and small.of("one small board")[0].reason


def test_power_and_waiting_count():
    base = ec.deliver(["H200-SXM"], [CHAT]).supply("H200-SXM")[0]
    servers = ec.deliver(["H200-SXM"], [CHAT], power="facility", pue=1.5).of("H200-SXM")[0]
    cooler = ec.deliver(["H200-SXM"], [CHAT], power="facility", pue=1.0).of("H200-SXM")[0]
    assert cooler.tokens_per_s_per_mw == pytest.approx(1.5 * servers.tokens_per_s_per_mw, rel=1e-12)
    assert ec.deliver(["H200-SXM"], [CHAT], ttft_max=0.05).supply("H200-SXM")[0] < base


def test_systems_yield_no_less_than_their_replicas():
    one = ec.deliver(["H200-SXM"], [CHAT]).of("H200-SXM")[0]
    many = ec.deliver(["H200-SXM"], [CHAT], systems=True).of("H200-SXM")[0]
    assert many.tokens_per_s_per_mw >= one.tokens_per_s_per_mw > 0.0
    assert many.reached >= 60.0 and many.fastest >= one.fastest
    assert 0.0 < many.watts < 1e6 / many.devices_per_mw


GOOD = 'name = "a"\nmodel = "gpt-oss-20b"\ncontext = 2048\ninteractivity = 50\nprice_per_mtok = 1\n'


def test_own_tiers_from_a_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[[tier]]\n" + GOOD + 'power_share = 0.5\nsource = "us"\ndate = 2026-11-01\n'
                    + "[[tier]]\n" + GOOD.replace('"a"', '"b"').replace("= 50", "= [20, 80]")
                    + 'stand_in = "gpt-oss-120b"\n')  # fmt: skip
    a, b = ec.read_tiers(file)
    assert a == ec.Tier("a", 1.0, 50.0, "gpt-oss-20b", 2048.0, power_share=0.5)
    assert a.provenance == {"source": "us", "date": "2026-11-01"}
    assert b.interactivity_range == (20.0, 80.0) and b.served == "gpt-oss-120b"


@pytest.mark.parametrize("text,said", [
    ("[[tier]]\n" + GOOD.replace("context", "contxt"), "tier 'a': no key 'contxt'; did you mean context"),
    ("[[tier]]\n" + GOOD.replace("= 50", "= -1"), "tier 'a': interactivity is -1; allowed: a finite number above 0"),
    ("[[tier]]\n" + GOOD.replace("= 50", "= [9, 3]"), r"tier 'a': interactivity_range is \[9, 3\]; allowed: 0 < low <= high"),
    ("[[tier]]\n" + GOOD.replace("= 50", "= [9]"), r"tier 'a': interactivity_range is \[9\]; allowed: two numbers"),
    ("[[tier]]\n" + GOOD.replace("tok = 1", 'tok = "1"'), "tier 'a': price_per_mtok is '1'; allowed: a number"),
    ("[[tier]]\n" + GOOD.replace("tok = 1", "tok = -1"), "tier 'a': price_per_mtok is -1; allowed"),
    ("[[tier]]\n" + GOOD.replace("context = 2048\n", ""), "tier 'a': context is missing; allowed: name, model"),
    ("[[tier]]\n" + GOOD.replace('"a"', "3"), "tier 1: name is 3; allowed: text"),
    ("[[tier]]\n" + GOOD + "source = 3\n", "tier 'a': source is 3; allowed: text"),
    ("[[tier]]\n" + GOOD + 'date = "yesterday"\n', "tier 'a': date is 'yesterday'; allowed: YYYY, YYYY-MM or YYYY-MM-DD"),
    ("[[tier]]\n" + GOOD + 'date = "2026-02-30"\n', "tier 'a': date is '2026-02-30'; allowed: YYYY"),
    ("[[tier]]\n" + GOOD + "date = 2026-02-03T04:05:06\n", "tier 'a': date is '2026-02-03T04:05:06'; allowed: YYYY"),
    ("[[tier]]\n" + GOOD + 'currency = "EUR"\n', "tier 'a': no key 'currency'; allowed: name"),
    ("[[tier]]\n" + GOOD + "power_share = 1.5\n", "tier 'a': power_share is 1.5; allowed: from 0 to 1"),
    ("[[tier]]\n" + GOOD + "[[tier]]\n" + GOOD, "name is 'a' in 2 tiers; allowed: each once"),
    ("[[tier]]\n" + GOOD + "power_share = 0.6\n[[tier]]\n" + GOOD.replace('"a"', '"b"') + "power_share = 0.6\n",
     "power_share sums to 1.2; allowed: at most 1"),
    ("[[tier]]\n" + GOOD + "power_share = 0.5\n[[tier]]\n" + GOOD.replace('"a"', '"b"') + "power_share = 0.5000000015\n",
     "power_share sums to 1.0000000015; allowed: at most 1"),
    ("tiers = 3\n", r"no key 'tiers'; allowed: tables \[\[tier\]\]"), ("", r"tier is \[\]; allowed: one table"),
    ("tier = 3\n", "tier is 3; allowed: one table"), ("[[tier\n", "the file is not TOML"),
])  # fmt: skip
def test_bad_files_are_named(tmp_path, text, said):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises((ValueError, TypeError), match=f"^{file}: {said}"):
        ec.read_tiers(file)


@pytest.mark.parametrize("call,said", [
    (lambda: ec.deliver("H200-SXM", [CHAT]), "devices is 'H200-SXM'; allowed: a sequence of devices"),
    (lambda: ec.deliver([], [CHAT]), r"devices is \[\]; allowed: at least one"),
    (lambda: ec.deliver({3: "H200-SXM"}, [CHAT]), "devices has the name 3; allowed: text"),
    (lambda: ec.deliver(["H200-SXM"], [CHAT, CHAT]), "tiers has chat more than once"),
    (lambda: ec.deliver(["H200-SXM"], [ec.Tier("a", 1.0)]), "model of tier a is None; allowed"),
    (lambda: ec.deliver(["H200-SXM"], [ec.Tier("a", 1.0, model="gpt-oss-20b")]), "interactivity of tier a is None; allowed"),
    (lambda: ec.deliver(["H200-SXM"], [CHAT], powr=1), "deliver.. got an unexpected option 'powr'"),
    (lambda: ec.deliver(["H200-SXM"], [CHAT]).of("B200"), "device is 'B200'; allowed: H200-SXM"),
    (lambda: ec.deliver(["H200-SXM"], [CHAT]).supply("H200-SXM", "mid"), "case is 'mid'; allowed: easy, middle, hard"),
    (lambda: ec.Tier("a", 1.0, interactivity=3.0, interactivity_range=(1, 2)), "interactivity_range is .1.0, 2.0. beside"),
    (lambda: ec.Tier("a", 1.0, context_range=3), "context_range is 3; allowed: two numbers"),
    (lambda: ec.Tier("a", 1.0, stand_in=3), "stand_in is 3; allowed: text or None"),
    (lambda: ec.Tier("a", 1.0, power_share=-0.1), "power_share is -0.1; allowed"),
])  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises((ValueError, TypeError), match=said):
        call()
