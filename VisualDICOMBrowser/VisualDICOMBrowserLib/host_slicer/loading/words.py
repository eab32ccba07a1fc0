"""What the user is told of loading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ...domain.overview import SeriesRow

#: Nodes that people know by a word, the more special first.
_KINDS = (
    ("vtkMRMLLabelMapVolumeNode", "label map"),
    ("vtkMRMLVolumeNode", "volume"),
    ("vtkMRMLSegmentationNode", "segmentation"),
    ("vtkMRMLSequenceNode", "sequence"),
    ("vtkMRMLModelNode", "model"),
    ("vtkMRMLMarkupsNode", "markup"),
    ("vtkMRMLTableNode", "table"),
    ("vtkMRMLTextNode", "text"),
)


def name_of(row: SeriesRow | None) -> str:
    """Return what a series is called; nothing of the person is in it."""
    if row is None:
        return "a series"
    words = row.series.description or row.series.modality or "series"
    return f"“{words}”" if row.series.number is None else f"“{row.series.number}: {words}”"


def loaded_words(nodes: Iterable[Any], series: int) -> str:
    """Say what was loaded, as in ``Loaded 2 volumes``."""
    counts = Counter(kind for node in nodes if (kind := _kind(node)))
    parts = [_count(counts[kind], kind) for _, kind in _KINDS if counts[kind]]
    return f"Loaded {_listed(parts or [_count(series, 'series')])}."


def _kind(node: Any) -> str:
    if node.GetHideFromEditors():
        return ""
    return next((kind for name, kind in _KINDS if node.IsA(name)), "")


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 or word == "series" else f"{number} {word}s"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def several(names: Sequence[str]) -> str:
    """Name one thing, or a number of them: ``“3: Chest”``, ``4 series``."""
    return names[0] if len(names) == 1 else f"{len(names)} series"
