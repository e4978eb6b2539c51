"""Settings of the documentation site; `make docs` builds it into build/docs."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from pixel_m4.version import __version__

project = "pixel-m4"
copyright = "the authors of pixel-m4, Apache-2.0"
version = release = __version__

extensions = [
    *("sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"),
    *("myst_parser", "sphinx_copybutton", "generated"),
]
exclude_patterns = ["_ext"]
templates_path: list[str] = []

# The Markdown is also read on code hosts: headings have the same anchors there.
myst_heading_anchors = 4
myst_url_schemes = ["http", "https", "mailto"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures name types, docstrings say what they mean
autodoc_class_signature = "mixed"
napoleon_numpy_docstring = False
napoleon_attr_annotations = True
default_role = "code"  # docstrings mark code with single backticks

# Docstrings also name what is no part of the public interface, and what other libraries have.
nitpick_ignore_regex = [
    (r"py:.*", r"pixel_m4\..*"),
    (r"py:.*", r"(torch|transformers|numpy|collections|pathlib)\b.*"),
    (r"py:exc", r"(User|Data|Font)Error"),
    (r"py:func", r"open_task|read_parallel"),
    (r"py:meth", r"PixelStates\.embed"),
]

html_theme = "furo"
html_title = f"pixel-m4 {__version__}"
copybutton_prompt_text = "$ "
