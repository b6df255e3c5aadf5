"""Mutated configs: a clear error, or an answer that adds up. By the million: ``bench/fuzz_configs.py``."""

import importlib.util
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_PATH = Path(__file__).parents[2] / "bench" / "fuzz_configs.py"
_SPEC = importlib.util.spec_from_file_location("fuzz_configs", _PATH)
fuzz = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(fuzz)
CONFIGS = fuzz.corpus()
FIELDS = sorted({name for config in CONFIGS for name in config.get("text_config", config)})


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=500)
@given(index=st.integers(0, len(CONFIGS) - 1), seed=st.integers(0, 2**64))
def test_mutated_configs(index, seed):
    fuzz.check(fuzz.mutate(CONFIGS[index], FIELDS, random.Random(seed)))


@pytest.mark.parametrize("index", range(0, len(CONFIGS), 7))
def test_each_config_is_read_as_it_stands(index):
    assert fuzz.check(CONFIGS[index])


def test_a_width_is_asked_for_whatever_the_class_defaults_to():
    for config in ({"model_type": "mamba", "n_embd": []}, {"model_type": "bloom"}):
        assert not fuzz.check(config)
