"""Numbers of devices, miners and plans: taken to the ends of what is allowed, refused beyond by the field's name."""

import math
from dataclasses import fields, replace

import pytest

import tokenroof as tr
from tokenroof.support.units import quantity_of

CARD, MACHINE = tr.device("H200-SXM"), tr.miner("Antminer S21")
# field -> numbers at the ends that are taken; those of a unit come from its table
WHOLE = ("sm_count", "link_generation", "link_domain_size", "pcie_generation")
DEGREES = ("tp", "dp", "pp", "cp", "moe_tp", "moe_ep")


def _numbers(record):
    named = {f.name for f in fields(record) if "float" in str(f.type) or "int" in str(f.type)}
    return sorted(named - {"peak", "measured", "constants", "name"} - {*WHOLE})


POWERS = ("idle_w", "tdp_w", "system_power_w", "provisioned_power_w")


def _refused(make, name, value):
    with pytest.raises((ValueError, TypeError), match=name):
        make(**{name: value})


@pytest.mark.filterwarnings("ignore:.*legal and odd")
@pytest.mark.parametrize("record", [CARD, MACHINE], ids=["device", "miner"])
def test_numbers_with_a_unit(record):
    kind = "miner" if record is MACHINE else record.kind

    def make(**given):
        # each power has those of what is in it: alone any will do
        powers = [n for n in POWERS if n not in given] if given.keys() & set(POWERS) else []
        return replace(record, **dict.fromkeys(powers), **given)

    tried = 0
    for name in _numbers(record):
        of = quantity_of(name, kind)
        for wrong in (math.nan, -math.inf, -1.0, -1e-300, True, "1", 10**400):
            _refused(make, name, wrong)
        if of is None:
            _refused(make, name, 0.0) if name == "int32_ops_per_clock_per_sm" else None
            continue
        tried += 1
        for end, beyond in (
            (of.low, math.nextafter(of.low, -math.inf)),
            (of.high, math.nextafter(of.high, math.inf)),
        ):
            if math.isinf(end):
                continue
            assert getattr(make(**{name: end}), name) == end
            _refused(make, name, beyond)
    assert tried >= (12 if record is CARD else 2)


def test_an_idle_device_of_no_watts():
    """0 W are some: what idles for nothing; no watts are known of None."""
    assert (
        CARD.replace(idle_w=0.0).idle_w == 0.0
        and tr.power.idle_power(CARD.replace(idle_w=0.0)) == 0.0
    )
    assert tr.power.idle_power(CARD.replace(idle_w=None)) > 0.0


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_of_a_device(name):
    assert getattr(CARD.replace(**{name: 1}), name) == 1
    for wrong in (0, -1, 1.5, math.nan, math.inf, True, "1"):
        _refused(CARD.replace, name, wrong)


@pytest.mark.parametrize("name", DEGREES)
def test_degrees_of_a_plan(name):
    assert getattr(tr.Plan(**{name: 1}), name) == 1
    for wrong in (0, -1, 1.5, math.nan, math.inf, True, "1"):
        _refused(tr.Plan, name, wrong)
