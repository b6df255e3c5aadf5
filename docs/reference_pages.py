"""Pages of the reference: a page per namespace, its names by kind, a page per name; a page per kernel."""

from __future__ import annotations

import importlib
import inspect
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import kernel_plots
from table_pages import write_tables

#: Namespaces in the order of the page, and what each is for.
NAMESPACES = {
    "tokenroof": "Records, steps and sweeps",
    "tokenroof.inference.operators": "One operator alone",
    "tokenroof.inference.roofline": "Rooflines of a device",
    "tokenroof.serving": "Loads, curves, frontiers and the simulator",
    "tokenroof.inference.decouple": "Prefill and decode, attention and experts apart",
    "tokenroof.inference.speculative": "Drafts and their verification",
    "tokenroof.inference.dataflow": "Chips whose weights stay on them",
    "tokenroof.inference.power": "Watts",
    "tokenroof.mining": "SHA-256d, chains, pools, machines",
    "tokenroof.economics": "Sites, tiers, both tokens at one meter",
    "tokenroof.catalogue": "Devices, models, miners, markets, with sources",
    "tokenroof.measure": "This machine's ceilings",
    "tokenroof.calibrate": "Fits on measurements",
    "tokenroof.cuda": "Kernels over device arrays",
    "tokenroof.scale": "Grids of any size, in chunks",
    "tokenroof.plot": "Figures",
}


def at_home(found: Any, name: str) -> bool:
    """Whether no other namespace than this one is where the object was made: it is described once."""
    made = getattr(found, "__module__", None) or ""
    homes = [one for one in NAMESPACES if one != "tokenroof" and f"{made}.".startswith(f"{one}.")]
    return not homes or name in homes


def names_of(module: ModuleType) -> dict[str, list[str]]:
    """Public names by kind; modules are namespaces of their own."""
    kinds: dict[str, list[str]] = {"Functions": [], "Classes": [], "Data": []}
    for name in getattr(module, "__all__", ()):
        found: Any = getattr(module, name)
        if inspect.ismodule(found) or name.startswith("__") or not at_home(found, module.__name__):
            continue
        if inspect.isclass(found):
            kinds["Classes"].append(name)
        elif callable(found):
            kinds["Functions"].append(name)
        else:
            kinds["Data"].append(name)
    return {kind: sorted(names) for kind, names in kinds.items() if names}


def write(path: Path, text: str) -> None:
    """Leave a page that has not changed: Sphinx builds what is newer."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def namespace_page(name: str, title: str) -> str:
    module = importlib.import_module(name)
    short = name.replace("tokenroof.inference.", "tokenroof.")
    lines = [short, "=" * len(short), "", f"{title}.", "", f".. currentmodule:: {name}", ""]
    for kind, names in names_of(module).items():
        if kind == "Functions" and name == "tokenroof.cuda":
            kernels = set(importlib.import_module("tokenroof.kernels").__all__)
            names = [one for one in names if one not in kernels]
        lines += [kind, "-" * len(kind), ""]
        if kind == "Data":
            lines += [f"- ``{one}``" for one in names]
        else:
            lines += [".. autosummary::", "   :toctree: generated", "   :nosignatures:", ""]
            lines += [f"   {one}" for one in names]
        lines.append("")
    return "\n".join(lines)


def twin(name: str) -> tuple[str, str]:
    """The kernel's formula as its twin in plain Python has it, and that twin's file."""
    found = inspect.unwrap(getattr(importlib.import_module("tokenroof.reference"), name))
    source = Path(inspect.getsourcefile(found) or "")
    return inspect.getsource(found), "/".join(source.parts[source.parts.index("reference") :])


def kernel_page(name: str, ufunc: Any, body: str) -> str:
    """What it does, its plot, its formula; then inputs, results, sources, an example."""
    shape = ufunc.signature or f"{ufunc.nin} inputs, {ufunc.nout} output, element by element"
    summary, _, rest = body.partition(":Parameters:")
    code, path = twin(name)
    drawn = f'<div class="tr-kernel">{kernel_plots.picture(name)}</div>'
    return "\n".join([
        name, "=" * len(name), "", f"``tokenroof.kernels.{name}``: {shape}", "", summary.strip(), "",
        ".. rubric:: Plot", "", ".. raw:: html", "", f"   {drawn}", "", kernel_plots.caption(name), "",
        ".. rubric:: Formula", "",
        f"In plain Python, by ``{path}``, which tests hold the kernel against:", "",
        ".. code-block:: python", "", textwrap.indent(code.rstrip(), "   "), "",
        f":Parameters:{rest}", "",
    ])  # fmt: skip


def kernel_pages(folder: Path) -> list[str]:
    """A page per kernel, from the text that the ufunc carries."""
    from numpydoc.docscrape_sphinx import SphinxDocString

    kernels = importlib.import_module("tokenroof.kernels")
    folder.mkdir(exist_ok=True)
    names = sorted(n for n in kernels.__all__ if hasattr(getattr(kernels, n), "nin"))
    for name in names:
        ufunc = getattr(kernels, name)
        text = inspect.cleandoc(ufunc.__doc__)
        body = str(SphinxDocString(text, config={"show_class_members": False}))
        write(folder / f"{name}.rst", kernel_page(name, ufunc, body))
    return names


def write_reference(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    pages = []
    for name, title in NAMESPACES.items():
        page = name.rsplit(".", 1)[-1]
        write(folder / f"{page}.rst", namespace_page(name, title))
        pages.append(page)
    names = kernel_pages(folder / "kernels")
    rows = "\n".join(f"   kernels/{name}" for name in names)
    head, text = (
        "tokenroof.kernels",
        (
            "NumPy ufuncs and gufuncs: they broadcast, take ``out=`` and ``where=``, and work on pandas, "
            "xarray and Dask."
        ),
    )
    tree = ".. toctree::\n   :maxdepth: 1\n\n"
    write(folder / "kernels.rst", f"{head}\n{'=' * len(head)}\n\n{text}\n\n{tree}{rows}\n")
    tables = ["../lookup/metrics", *write_tables(folder)]
    entries = "\n".join(f"   {page}" for page in [*tables, *pages, "kernels"])
    write(folder / "index.rst", f"Reference\n=========\n\n{tree}{entries}\n")
