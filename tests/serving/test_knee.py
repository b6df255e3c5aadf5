"""Where a curve of latency over load turns upwards."""

import numpy as np
import pytest

from tokenroof.serving.knee import knee


def test_the_knee_by_hand():
    """Of y = 1 / (1 - x) from 0 to 0.9 the slope is that of the line, 10, where 1 - x = 10^-1/2."""
    x = np.linspace(0.0, 0.9, 9001)
    assert x[knee(x, 1.0 / (1.0 - x))] == pytest.approx(1.0 - 10.0**-0.5, abs=1e-4)
    assert knee([1, 2, 3], [1.0, 1.1, 5.0]) == 1
    assert knee([1, 2, 3, 4], [1.0, 1.1, 5.0, np.nan]) == 1  # what cannot be borne is none
    assert knee([1, 2, 3], [2.0, 2.0, 2.0]) == 2  # which never turns
    # neither unit matters
    assert knee(60.0 * x, 1e3 / (1.0 - x)) == knee(x, 1.0 / (1.0 - x))


@pytest.mark.parametrize(
    ("load", "latency", "kind", "says"),
    [
        ([1, 2], [1.0, 2.0], ValueError, "latency is known at 2 loads; allowed: at least three"),
        ([1, 1, 2], [1.0, 2.0, 3.0], ValueError, "allowed: one latency for each load, rising"),
        ([1, 2, 3], [1.0, 2.0], ValueError, r"shapes \(3,\) and \(2,\); allowed"),
        ("x", [1.0], TypeError, "load is 'x'; allowed"), ([-1, 2, 3], [1.0, 2.0, 3.0], ValueError, "load"),
    ],
)  # fmt: skip
def test_what_is_refused(load, latency, kind, says):
    with pytest.raises(kind, match=says):
        knee(load, latency)
