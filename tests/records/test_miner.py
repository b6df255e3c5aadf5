"""Miners: look-up, efficiency, validation."""

from __future__ import annotations

import math
import pickle
from collections import Counter

import pytest

from tokenroof import catalogue
from tokenroof.catalogue.lookup import miner
from tokenroof.records.miner import MINER_KINDS, Miner
from tokenroof.support.names import normalise


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Antminer S21", "Antminer S21"),
        ("antminer_s21", "Antminer S21"),
        ("S21", "Antminer S21"),
        ("S21+", "Antminer S21+"),
        ("s9", "Antminer S9 (13.5T)"),
        ("M30S++", "Whatsminer M30S++"),
        ("HD 5870", "Radeon HD 5870"),
        ("block erupter usb", "Block Erupter USB"),
    ],
)
def test_lookup(written, name):
    assert miner(written).name == name
    assert miner(miner(written)) is miner(name)


def test_aliases_are_unique():
    names = Counter()
    for item in catalogue.all_miners():
        names.update({normalise(n) for n in (item.name, *item.aliases)})
    assert [n for n, count in names.items() if count > 1] == []


def test_near_matches():
    with pytest.raises(KeyError, match=r"did you mean .*'Antminer S21'"):
        miner("antmimer s21")
    with pytest.raises(TypeError, match=r"tokenroof\.Miner"):
        miner(21)


def test_catalogue_is_sane():
    kinds = Counter(item.kind for item in catalogue.all_miners())
    assert set(kinds) == set(MINER_KINDS)
    for item in catalogue.all_miners():
        assert 1e7 < item.hashrate < 2e15, item.name
        assert item.provenance["hashrate"].unit == "hash/s"
        if item.power is None:
            assert item.efficiency is None
            assert item.joules_per_hash is None
            continue
        low, high = {"asic": (8, 1e4), "fpga": (3e4, 2e5), "gpu": (1e5, 5e6), "cpu": (1e6, 1e7)}[
            item.kind
        ]
        assert low < item.efficiency < high, item.name
        assert item.joules_per_hash * 1e12 == pytest.approx(item.efficiency, rel=1e-15)


def test_known_values():
    s21 = miner("Antminer S21")
    assert (s21.hashrate, s21.power, s21.efficiency) == (200e12, 3500.0, 17.5)
    assert s21.provenance["power"].kind == "press"
    measured = [m for m in catalogue.all_miners() if m.provenance["hashrate"].kind == "measured"]
    assert len(measured) == 2


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"hashrate": 0}, ValueError, ["hashrate", "> 0"]),
        ({"hashrate": math.nan}, ValueError, ["hashrate", "nan"]),
        ({"hashrate": "200T"}, TypeError, ["hashrate", "'200T'"]),
        ({"power": -5}, ValueError, ["power", "-5"]),
        ({"kind": "abacus"}, ValueError, ["kind", "fpga", "'abacus'"]),
        ({"price_usd": -1}, ValueError, ["price_usd", ">= 0"]),
        ({"aliases": "x"}, TypeError, ["aliases"]),
        ({"name": " "}, ValueError, ["name"]),
    ],
)
def test_validation(change, error, words):
    with pytest.raises(error) as caught:
        Miner(**{"name": "own", "hashrate": 1e14, **change})
    for word in words:
        assert word in str(caught.value)


def test_record_behaviour():
    item = miner("Antminer S21")
    assert pickle.loads(pickle.dumps(item)) == item
    assert len({item, miner("s21")}) == 1
    with pytest.raises(AttributeError):
        item.power = 1.0


@pytest.mark.parametrize("slip", [200, 13.5, 9_000])
def test_another_unit_is_refused_by_name(slip):
    with pytest.raises(ValueError, match=r"hashrate must be in hash/s, .*such as TH/s"):
        Miner(name="mine", hashrate=slip, power=3500)
