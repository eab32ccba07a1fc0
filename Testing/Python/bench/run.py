"""``python3 run.py bench CASE``: measurements, with other programs side by side where there are such."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench import catalogue, get, gui, listen, send

Say = Callable[[str], None]

CASES = {
    "catalogue": catalogue.measure,
    "get": get.measure,
    "gui": gui.measure,
    "listen": listen.measure,
    "send": send.measure,
}


def run_bench(case: str, say: Say) -> list[dict[str, Any]] | dict[str, Any]:
    """Measure. A list has a row for each comparison, whose ``ratio`` is ours by theirs: less than 1 is faster."""
    return CASES[case](say)
