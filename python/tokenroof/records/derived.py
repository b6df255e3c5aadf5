"""Fields of a record that were left out and follow from others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

__all__ = ["again"]


def again(record: Any, derived: Collection[str], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes of a record with what follows from other fields left out once more, so that it follows them.

    Parameters
    ----------
    record : dataclass
    derived : collection of str
        Fields that nobody gave.
    changes : mapping
        What is to be changed; a field that is named here follows no longer.

    Returns
    -------
    dict
        What `dataclasses.replace` is to be given.

    Examples
    --------
    >>> import tokenroof as tr
    >>> again(tr.Plan(tp=8), {"moe_tp", "moe_ep"}, {"tp": 4})
    {'moe_tp': None, 'moe_ep': None, 'tp': 4}
    """
    open_ = {
        f.name: f.default for f in fields(record) if f.name in derived and f.name not in changes
    }
    return {**open_, **changes}
