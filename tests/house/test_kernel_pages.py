"""A page per kernel: what it is of, its units, its formula, and a plot that the kernel itself made."""

import inspect
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.kernels.documentation import KERNELS, UNITS

NAMES = sorted(n for n in tr.kernels.__all__ if isinstance(getattr(tr.kernels, n), np.ufunc))


@pytest.fixture(scope="module")
def pages():
    sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
    import kernel_plots
    import reference_pages

    yield kernel_plots, reference_pages
    sys.path.pop(0)


def test_every_kernel_has_a_plot(pages):
    plots, _ = pages
    assert sorted(plots.PLOTS) == sorted(KERNELS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_plot_is_of_the_kernel(name, pages):
    plots, _ = pages
    plot, lines = plots.PLOTS[name], plots.lines_of(name)
    inputs = KERNELS[name][0].split()
    assert plot.over in inputs
    assert plot.by[0] in ("", "positions", *inputs)
    assert (
        len({label for label, _, _ in lines})
        == len(lines)
        == max(len(plot.by[1]), len(plot.fields), 1)
    )
    for _, x, y in lines:
        assert len(x) == len(y) > 5
        assert np.isfinite(y).all()
    assert any(np.ptp(y) > 0 for _, _, y in lines)
    for i, (_, _, y) in enumerate(lines):
        assert all((y != other).any() for _, _, other in lines[i + 1 :])
    picture = plots.picture(name)
    assert picture.count("<path d=") > len(lines)
    assert "nan" not in re.sub(r"aria-label=\"[^\"]*\"", "", picture).lower()
    assert len(picture) < 12_000


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_formula_units_and_plot(name, pages):
    plots, reference = pages
    page = reference.kernel_page(name, getattr(tr.kernels, name), "What.\n\n:Parameters:\n\n    x")
    _, path = reference.twin(name)
    assert f"def {name}(" in page
    assert (Path(inspect.getsourcefile(tr.reference)).parent.parent / path).exists()
    assert "<svg" in page
    assert plots.caption(name) in page
    for one in KERNELS[name][0].split():
        assert re.search(r"\[.+\]|in the same unit", UNITS[one]), one
        swept = one in (plots.PLOTS[name].over, plots.PLOTS[name].by[0])
        assert swept or re.search(rf"\b{one}\b", plots.caption(name)), one


def test_a_point_of_a_plot_by_hand(pages):
    """Of 2,000 FLOP/B at 3.35 TB/s the arithmetic of 989.4 TFLOP/s binds; of 10 the memory, 33.5 TFLOP/s."""
    plots, _ = pages
    _, x, y = plots.lines_of("attainable")[0]
    assert np.interp(10.0, x, y) == pytest.approx(33.5e12, rel=0.01)
    assert y[x > 2000].tolist() == [989.4e12] * int((x > 2000).sum())
    assert plots.caption("attainable") == "The kernel itself, with peak_flops 989T FLOP/s."
    assert plots.unit("hashprice") == "$/(PH/s day)"


def test_axes_say_their_numbers_as_people_do(pages):
    import doctest

    import sketch

    assert doctest.testmod(sketch).failed == 0
    said = [
        text for _, text in sketch.places(sketch.Axis("probability [1]", log=True), -9.0, 0.0, 4)
    ]
    assert said == ["1e-9", "1e-6", "0.001", "1"]
