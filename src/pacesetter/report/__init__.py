"""A judged study as people see it: `page` (one HTML file), `pictures` (PNG files) and `terminal` (a rich renderable).

Each takes a judged `StudyRecord` and nothing else, so a report can be made from the store in another process. What the
page shows is the panels in `panels/`, one file each; to add one, add a file.
"""

from pacesetter.report._best import recommended

__all__ = ["recommended"]
