"""How executed pages run: what a figure becomes, and where what was run is kept."""

from __future__ import annotations

import hashlib
import inspect
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import tokenroof

#: What a page's output hangs on beside its own text and the package.
LIBRARIES = ("numpy", "pandas", "xarray", "scipy", "plotly", "polars", "dask")


def figure_html(figure):
    """A figure is its JSON, which figures.js draws when it comes into view."""
    text = figure.to_json().replace("</", "<\\/")
    return f'<div class="tr-figure"><script type="application/json">{text}</script></div>'


# run by IPython before a page
STARTUP = (
    inspect.getsource(figure_html)
    + """

def _figures(shell):
    from IPython.display import publish_display_data

    def show(figure):
        publish_display_data({"text/html": figure_html(figure)})

    shell.display_formatter.ipython_display_formatter.for_type_by_name(
        "plotly.graph_objs._figure", "Figure", show
    )


_figures(get_ipython())
"""
)


def digest() -> str:
    """A name for all that outputs hang on: the package's files, its machine code, the libraries."""
    found = hashlib.sha256()
    root = Path(tokenroof.__file__).parent
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.suffix in {".py", ".toml", ".so", ".j2", ".js"}:
            found.update(str(path.relative_to(root)).encode())
            found.update(path.read_bytes())
    found.update(STARTUP.encode())
    for name in LIBRARIES:
        try:
            found.update(f"{name} {version(name)}".encode())
        except PackageNotFoundError:
            found.update(f"{name} none".encode())
    return found.hexdigest()[:16]


def prepare(build: Path) -> dict[str, object]:
    """Settings of myst-nb, after IPython was told how pages start.

    A page is run again whenever its own code, the package or a library has changed; what measures this
    machine says ``execution_mode: force`` in its head and is run each time.
    """
    home = build / "ipython"
    startup = home / "profile_default" / "startup"
    startup.mkdir(parents=True, exist_ok=True)
    (startup / "figures.py").write_text(STARTUP)
    # a kernel says that it listens on this machine alone by TCP: nobody needs to hear it
    (home / "profile_default" / "ipython_kernel_config.py").write_text(
        "c.IPKernelApp.log_level = 40\n"
    )
    os.environ["IPYTHONDIR"] = str(home)
    kept = build / "executed" / digest()
    kept.mkdir(parents=True, exist_ok=True)
    return {
        "nb_execution_mode": "cache",
        "nb_execution_cache_path": str(kept),
        "nb_execution_raise_on_error": True,
        "nb_execution_in_temp": True,
        "nb_execution_timeout": 120,
        "nb_execution_show_tb": True,
        "nb_merge_streams": True,
    }


def figures_script(app, page, template, context, doctree) -> None:
    """The drawing library on the pages that have a figure, and on no other."""
    if "tr-figure" in context.get("body", ""):
        app.add_js_file("plotly.min.js", loading_method="defer", priority=600)
        app.add_js_file("figures.js", loading_method="defer", priority=601)


def copy_library(app, error) -> None:
    """plotly.js as the installed plotly carries it: pages ask no other host for anything."""
    if error is None and app.builder.format == "html":
        from plotly.offline import get_plotlyjs

        (Path(app.outdir) / "_static" / "plotly.min.js").write_text(
            get_plotlyjs(), encoding="utf-8"
        )
