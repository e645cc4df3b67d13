"""How the pages are made: `make docs`."""

from importlib.metadata import version as version_of

project = "Pacesetter"
author = "The Pacesetter authors"
release = version = version_of("pacesetter")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns = ["_build"]
myst_heading_anchors = 3

# A fence without a language is a command or a formula.
highlight_language = "none"

# Docstrings set code in single backticks, as in Markdown.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = "Pacesetter"
