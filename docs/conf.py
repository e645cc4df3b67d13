"""How the pages are made: `make docs`."""

from importlib.metadata import version as version_of

project = "Pacesetter"
author = "The Pacesetter authors"
release = version = version_of("pacesetter")

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "Pacesetter"
