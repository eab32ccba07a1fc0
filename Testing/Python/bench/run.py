"""``python3 run.py bench CASE``: measurements with other programs side by side, in one run, as ratios."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench import get

Say = Callable[[str], None]

CASES = {"get": get.measure}


def run_bench(case: str, say: Say) -> list[dict[str, Any]]:
    """Measure; ``ratio`` is ours by theirs, so less than 1 is faster."""
    return CASES[case](say)
