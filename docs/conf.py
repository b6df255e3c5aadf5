"""How pages are built: ``sphinx-build -W docs build/docs``; the reference is written from what is public."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import tokenroof as tr

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import accuracy_tables  # noqa: E402
import performance_tables  # noqa: E402
from executed import copy_library, figures_script, prepare  # noqa: E402
from gallery_pages import settings as gallery_settings  # noqa: E402
from given_by import complete  # noqa: E402
from project_pages import write_project  # noqa: E402
from reference_pages import write_reference  # noqa: E402
from results import write_tables  # noqa: E402

project = "tokenroof"
author = "The tokenroof developers"
version = release = tr.__version__
extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["README.md", "build", "examples", "made"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

globals().update(prepare(HERE.parent / "build" / "pages"))

sphinx_gallery_conf = gallery_settings(HERE)

autosummary_generate = True
autosummary_imported_members = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "pydata_sphinx_theme"
html_title = "tokenroof"
html_static_path = ["_static"]
templates_path = ["_templates"]
html_css_files = ["tokenroof.css"]
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 8,
    "show_prev_next": False,
    "navbar_persistent": ["search-button"],
    "secondary_sidebar_items": ["page-toc"],
}
html_show_sphinx = False

np.set_printoptions(legacy="1.25")
write_reference(HERE / "reference")
write_project(HERE.parent, HERE / "project")
write_tables(HERE / "made", accuracy_tables.TABLES | performance_tables.TABLES)


def setup(app):
    app.connect("autodoc-process-docstring", complete, priority=400)  # before numpydoc
    app.connect("html-page-context", figures_script)
    app.connect("build-finished", copy_library)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
