"""Reads the tables of our documentation, so that a test can compare them with the code."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def rows(page: str, *, heading: str) -> list[list[str]]:
    """Returns the cells of each row of the tables with this first heading, in their order."""
    found: list[list[str]] = []
    inside = False
    for line in (DOCS / page).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|---"):
            found.append(cells)
        elif cells[0] == heading:
            inside = True
    assert found, f"{page} has no table of {heading}"
    return found


def names(cell: str) -> list[str]:
    """Returns what a cell sets as code."""
    return re.findall(r"`([^`]+)`", cell)
