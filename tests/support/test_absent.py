"""What is absent of a table is no number, and is called by its own name where it is refused."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.economics import unit_costs

pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")


@pytest.mark.parametrize(
    ("given", "said"),
    [(pl.Series([1.0, None]), r"\[1\] is null; allowed: a number in each place"),
     (pd.Series([1, 2, None], dtype="Int64"), r"\[2\] is NA; allowed: a number in each place"),
     (pl.Series([1.0, np.nan]), r"\[1\] is nan"), (pd.Series([1.0, None]), r"\[1\] is nan")],
)  # fmt: skip
def test_functions_refuse_it_by_its_name(given, said):
    with pytest.raises(ValueError, match=f"^tokens_per_s{said}"):
        unit_costs.cost_per_mtok(given, 1.0, 1.0)
    with pytest.raises(ValueError, match=f"^batch{said}"):
        tr.decode("H200-SXM", "GPT-2", batch=given, context=9)
