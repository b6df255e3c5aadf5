"""Arrays that carry labels or masks: taken apart before numbers are checked, put together around the answer.

pandas aligns by label, xarray broadcasts by dimension, NumPy masks element by element, and what is absent of
a nullable type (None of polars, NA of pandas) stays so. `unlabelled` does what each of them does and gives
plain arrays; its second result puts an answer into the same form again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial, wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

import numpy as np

__all__ = [
    "called",
    "keeps_form",
    "keeps_labels",
    "kind_of",
    "refuse_labelled",
    "refuse_masked",
    "unlabelled",
]

P = ParamSpec("P")
R = TypeVar("R")
Put = Callable[[Any], Any]

# of each library: modules, with the classes in them that are arrays
_CLASSES: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "pandas": (("pandas", ("Series", "DataFrame")),),
    "xarray": (("xarray", ("DataArray", "Variable", "Dataset")),),
    "dask": (("dask.array", ("Array",)), ("dask.dataframe", ("Series", "DataFrame"))),
}


def kind_of(value: object) -> str:
    """Whose array it is: "masked", "pandas", "xarray" or "dask"; empty for any other.

    "dask" is of Dask's arrays and of its Series and DataFrames.

    Examples
    --------
    >>> kind_of(np.ma.masked_array([1.0], [True])), kind_of([1.0])
    ('masked', '')
    """
    if isinstance(value, np.ma.MaskedArray):
        return "masked"
    whose = type(value).__module__.partition(".")[0]  # theirs are imported, if the value is one
    for source, names in _CLASSES.get(whose, ()):
        module = sys.modules.get(source)
        if module is not None and isinstance(value, tuple(getattr(module, n) for n in names)):
            return whose
    return ""


def keeps_form(value: object) -> str:
    """`kind_of`, and "polars" of its Series and DataFrame, which have no labels but are a form to keep.

    Examples
    --------
    >>> import polars
    >>> keeps_form(polars.Series([1.0])), keeps_form([1.0])
    ('polars', '')
    """
    if (kind := kind_of(value)) or type(value).__module__.partition(".")[0] != "polars":
        return kind
    module = sys.modules["polars"]
    return "polars" if isinstance(value, (module.Series, module.DataFrame)) else ""


def called(value: object) -> str:
    """An array as errors call it: what it is, and of which library.

    Examples
    --------
    >>> called(np.ma.masked_array([1.0])), called([1.0])
    ('a masked array', 'a list')
    """
    kind, what = keeps_form(value), type(value).__name__
    if kind == "masked":
        return "a masked array"
    if kind == "dask":
        return "a Dask array" if what == "Array" else f"a {what} of Dask"
    return f"a {what} of {kind}" if kind else f"a {what}"


def refuse_labelled(name: str, value: object) -> None:
    """Reject an array whose labels, or elements behind a mask, a function has no way to keep.

    Raises
    ------
    TypeError
        Naming the argument and what it is.
    """
    kind = kind_of(value)
    if kind == "masked":
        if np.ma.is_masked(value):
            raise TypeError(f"{name} has masked elements; allowed: arrays without a mask")
    elif kind:
        raise TypeError(
            f"{name} is {called(value)}, whose labels would be lost; allowed: numbers and plain arrays, "
            "as its values in the order that is meant"
        )


refuse_masked = refuse_labelled  # a mask is a label of each element


def unlabelled(absent: bool = False, /, **values: Any) -> tuple[dict[str, Any], Put]:
    """Plain arrays that broadcast, and what puts an answer of their common shape into their form.

    Behind a mask stands another element, or 1 where all are masked; with `absent` NaN for null and NA.

    Raises
    ------
    TypeError
        For labelled arrays of two kinds, Dask arrays, xarray's Dataset and polars's DataFrame, by name.
    ValueError
        For labels that differ, by name; for null and NA unless they may be `absent`.

    Examples
    --------
    >>> plain, put = unlabelled(a=np.ma.masked_array([1.0, -7.0], [False, True]), b=2.0)
    >>> put(plain["a"] * plain["b"])
    masked_array(data=[2.0, --],
                 mask=[False,  True],
           fill_value=1e+20)
    """
    kinds = {name: kind for name, value in values.items() if (kind := keeps_form(value))}
    for name, kind in kinds.items():
        lazy = kind == "xarray" and getattr(values[name], "chunks", None)
        if kind == "dask" or lazy or type(values[name]).__name__ == "Dataset":
            whose = "a Dask array" if lazy else "a Dataset"
            if kind == "dask":
                whose = called(values[name])
            raise TypeError(
                f"{name} is {whose}; allowed: numbers, arrays, pandas.Series and DataFrame, masked arrays, "
                "xarray.DataArray; kernels and kernels.by_keyword take Dask arrays"
            )
        if kind == "polars" and type(values[name]).__name__ == "DataFrame":
            raise TypeError(
                f"{name} is a DataFrame of polars; allowed: a column of it, or its to_numpy()"
            )
    if len(set(kinds.values())) > 1:
        both = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
        raise TypeError(f"labelled arrays are {both}; allowed: one kind of them")
    if not kinds:
        return values, _as_it_is
    if not absent:
        for name in kinds:
            _refuse_absent(name, values[name])
    apart = {"masked": _masked, "pandas": _pandas, "polars": _polars, "xarray": _xarray}
    return apart[next(iter(kinds.values()))](values, list(kinds))


def _refuse_absent(name: str, value: Any) -> None:
    """Reject null of polars, NA of pandas: as floats they would be NaN, which nobody gave."""
    if keeps_form(value) == "polars":
        word, hidden = "null", value.is_null().to_numpy()
    elif kind_of(value) == "pandas" and (hidden := _hidden(value)) is not None:
        word = "NA"
    else:
        return
    if hidden.any():
        raise ValueError(
            f"{name}[{int(hidden.argmax())}] is {word}; allowed: a number in each place (kernels, and "
            f"kernels.by_keyword, take {word} and give it back)"
        )


def _hidden(value: Any) -> Any:
    """Where a Series of a type of pandas that tells NA from NaN has NA; None of other types."""
    import pandas

    if (
        value.ndim == 1
        and getattr(value.dtype, "na_value", None) is pandas.NA
        and value.dtype.kind in "iuf"
    ):
        return value.isna().to_numpy()
    return None


# Functions of the module with what they need, not closures: a result that keeps one can be pickled.
def _as_it_is(answer: Any) -> Any:
    return answer


def _masked(values: dict[str, Any], names: list[str]) -> tuple[dict[str, Any], Put]:
    plain, masks = dict(values), list[Any]([False])
    for name in names:
        mask = np.ma.getmaskarray(values[name])
        seen = values[name].compressed()
        # what is behind a mask is no number of the caller's: any other one stands in for it
        stand_in = seen[0] if seen.size else 1
        plain[name] = np.where(mask, stand_in, np.ma.getdata(values[name]))
        masks.append(mask)
    return plain, partial(_put_masked, _any(masks))


def _put_masked(mask: Any, answer: Any) -> Any:
    whole = np.asarray(answer)
    return np.ma.masked_array(whole, np.broadcast_to(mask, whole.shape))


def _any(masks: list[Any]) -> Any:
    found = masks[0]
    for mask in masks[1:]:
        found = found | mask
    return found


def _pandas(values: dict[str, Any], names: list[str]) -> tuple[dict[str, Any], Put]:
    import pandas

    first = values[names[0]]
    plain, absent, arrow = dict(values), list[Any](), False
    for name in names:
        value = values[name]
        if type(value) is not type(first):
            kinds = f"{name} is a {type(value).__name__}, {names[0]} a {type(first).__name__}"
            raise TypeError(f"{kinds}; allowed: one of them")
        for axis, have, want in zip(("index", "columns"), value.axes, first.axes, strict=False):
            if have.equals(want):
                continue
            unique = have.is_unique and want.is_unique
            if not (unique and len(have) == len(want) and have.isin(want).all()):
                raise ValueError(
                    f"{name} has another {axis} than {names[0]}; allowed: the same labels"
                )
            value = value.reindex(want, axis=axis)
        plain[name] = value.to_numpy()
        if (hidden := _hidden(value)) is not None:
            plain[name] = (
                value.to_numpy(dtype=float, na_value=np.nan) if hidden.any() else plain[name]
            )
            absent.append(hidden)
            arrow = arrow or type(value.dtype).__name__ == "ArrowDtype"
    series = isinstance(first, pandas.Series)
    titles = {values[name].name for name in names} if series else set()
    title = titles.pop() if len(titles) == 1 else None
    # None: no Series is of a type that tells what is absent from NaN
    absence = (_any(absent), arrow) if absent else None
    return plain, partial(_put_pandas, type(first), names[0], tuple(first.axes), title, absence)


def _put_pandas(
    kind: Any, beside: str, axes: tuple[Any, ...], title: Any, absence: Any, answer: Any
) -> Any:
    whole = np.asarray(answer)
    shape = tuple(map(len, axes))
    if whole.shape != shape:
        raise ValueError(
            f"shape beside the labels of {beside} is {whole.shape}; allowed: {shape}, or numbers"
        )
    if absence is not None and whole.dtype.kind == "f":
        import pandas

        held = pandas.Series(
            pandas.arrays.FloatingArray(whole, absence[0].copy()), axes[0], name=title
        )
        return held.astype("double[pyarrow]") if absence[1] else held
    return kind(whole, axes[0], name=title) if len(axes) == 1 else kind(whole, *axes)


def _polars(values: dict[str, Any], names: list[str]) -> tuple[dict[str, Any], Put]:
    plain = dict(values) | {name: values[name].to_numpy() for name in names}
    titles = {values[name].name for name in names}
    absent = _any([values[name].is_null().to_numpy() for name in names])
    return plain, partial(_put_polars, titles.pop() if len(titles) == 1 else "", absent)


def _put_polars(title: str, absent: Any, answer: Any) -> Any:
    import polars

    whole = np.asarray(answer)
    if whole.ndim != 1:
        raise ValueError(
            f"shape beside a Series of polars is {whole.shape}; allowed: one dimension"
        )
    put = polars.Series(title, whole)
    if not absent.any():
        return put
    here = polars.when(polars.Series(~np.broadcast_to(absent, whole.shape)))
    return polars.select(here.then(put).alias(title)).to_series()


def _xarray(values: dict[str, Any], names: list[str]) -> tuple[dict[str, Any], Put]:
    import xarray

    arrays = [xarray.DataArray(values[name]) for name in names]
    try:
        whole = xarray.broadcast(*xarray.align(*arrays, join="exact", copy=False))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{', '.join(names)} do not align: {error}; allowed: the same labels"
        ) from None
    plain = dict(values) | {
        name: array.to_numpy() for name, array in zip(names, whole, strict=True)
    }

    merged = xarray.merge(
        [array.coords.to_dataset() for array in whole], compat="override", join="override"
    )
    return plain, partial(_put_xarray, names[0], merged, whole[0].dims, whole[0].shape)


def _put_xarray(
    beside: str, merged: Any, dims: tuple[Any, ...], allowed: tuple[int, ...], answer: Any
) -> Any:
    import xarray

    shape = np.shape(answer)
    if shape != allowed:
        raise ValueError(
            f"shape beside the dimensions of {beside} is {shape}; allowed: {allowed}, or numbers"
        )
    return xarray.DataArray(np.asarray(answer), merged.coords, dims)


def keeps_labels(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: arguments that are annotated ``ArrayLike`` may be labelled or masked, and so is the answer.

    Raises
    ------
    TypeError, ValueError
        As `unlabelled`.
    """
    parameters = signature(function)
    kinds = ("ArrayLike", "ArrayLike | None")
    arrays = [n for n, p in parameters.parameters.items() if p.annotation in kinds]

    @wraps(function)
    def wrapper(*arguments: P.args, **named: P.kwargs) -> R:
        if not any(keeps_form(value) for value in (*arguments, *named.values())):
            return function(*arguments, **named)
        bound = parameters.bind(*arguments, **named)
        given = {name: bound.arguments[name] for name in arrays if name in bound.arguments}
        plain, put = unlabelled(**given)
        hidden: Any = [v for v in given.values() if kind_of(v) == "masked"]
        if any(v.size and not v.count() for v in hidden):  # no number is left to be computed
            shape = np.broadcast_shapes(*map(np.shape, given.values()))
            nothing: Any = np.ma.masked_array(np.zeros(shape), True)
            return nothing  # type: ignore[no-any-return]
        bound.arguments.update(plain)
        answer: R = put(function(*bound.args, **bound.kwargs))
        return answer

    return wrapper
