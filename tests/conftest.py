"""Profiles of hypothesis, and no network.

HYPOTHESIS_PROFILE=ci: more examples, =few: of lines that run, =first: no shrinking, =sanitized: of code that watches itself.
"""

import gc
import os
import signal
import sys

import pytest
from hypothesis import HealthCheck, Phase, settings

import _network
import _rewriting

# A shell's background job ignores SIGINT, and so would the children that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("dev", max_examples=40, deadline=None, derandomize=True)
# as many, without making what fails small: whether one fails
FOUND = (Phase.explicit, Phase.generate)
settings.register_profile("first", max_examples=40, deadline=None, derandomize=True, phases=FOUND)
settings.register_profile(  # whether memory is touched that should not be, which hangs on shapes more than on numbers
    "sanitized", max_examples=15, deadline=None, derandomize=True
)
settings.register_profile(  # which lines run
    "few", max_examples=3, deadline=None, derandomize=True, phases=FOUND
)
settings.register_profile(
    "ci",
    max_examples=400,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

_network.refuse()


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Workers share the rewriting of asserts before each collects all."""
    if hasattr(session.config, "workerinput") and not sys.dont_write_bytecode:
        _rewriting.rewrite(_rewriting.share(session.config))


def pytest_collection_finish() -> None:
    """What was collected stays to the end: no search for garbage, which tests ask for too, goes through it again."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Numbers that are drawn may be odd ones: what users are told of those is for tests/support/test_units.py."""
    for item in items:
        if getattr(getattr(item, "function", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.filterwarnings("ignore:.*legal and odd:UserWarning"))
