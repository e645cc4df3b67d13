"""Two results of `engines.py --json` side by side: `_compare.py OLD.json NEW.json`."""

import json
import sys
from pathlib import Path


def main() -> None:
    """Print each row's value in both, and how the second stands to the first."""
    old, new = ({row["row"]: row for row in json.loads(Path(name).read_text())["rows"]} for name in sys.argv[1:3])
    print(f"{'':<50}{'old':>9}{'new':>9}{'new / old':>11}")
    for name in dict.fromkeys((*old, *new)):
        values = [rows[name]["value"] if name in rows else None for rows in (old, new)]
        told = "".join(f"{'-':>9}" if value is None else f"{value:>9.2f}" for value in values)
        ratio = "" if None in values or not values[0] else f"{values[1] / values[0]:>11.2f}"
        print(f"{name:<50}{told}{ratio}")


if __name__ == "__main__":
    main()
