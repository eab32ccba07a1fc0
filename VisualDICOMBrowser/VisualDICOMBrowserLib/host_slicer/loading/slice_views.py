"""What the slice views show: kept over a load, which otherwise fits them all to what was loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import slicer
import vtk


@dataclass(frozen=True)
class _View:
    node: Any
    slice_to_ras: Any
    field_of_view: tuple[float, float, float]
    origin: tuple[float, float, float]


class SliceViews:
    """Position, orientation and zoom of those slice views that showed a volume when this was made."""

    def __init__(self) -> None:
        shown = {
            composite.GetLayoutName()
            for composite in _nodes("vtkMRMLSliceCompositeNode")
            if composite.GetBackgroundVolumeID() or composite.GetForegroundVolumeID()
        }
        self._views = [_view(node) for node in _nodes("vtkMRMLSliceNode") if node.GetLayoutName() in shown]

    def note(self) -> None:
        """Remember what they show now."""
        self._views = [_view(view.node) for view in self._views]

    def restore(self) -> None:
        """Put all back; views that have gone, and those that showed nothing, are left as they are."""
        for view in self._views:
            if view.node.GetScene() is None:
                continue
            before = view.node.StartModify()
            view.node.GetSliceToRAS().DeepCopy(view.slice_to_ras)
            view.node.SetFieldOfView(*view.field_of_view)
            view.node.SetXYZOrigin(*view.origin)
            view.node.UpdateMatrices()
            view.node.EndModify(before)

    def miss(self, volume: Any) -> bool:
        """Tell whether none of the views that were kept cuts a volume, so that it cannot be seen."""
        bounds = [0.0] * 6
        volume.GetRASBounds(bounds)
        return bool(self._views) and not any(_cuts(view.slice_to_ras, bounds) for view in self._views)


def fit_slice_views() -> None:
    """Show the active volume wholly in all slice views."""
    slicer.app.applicationLogic().PropagateVolumeSelection(1)


def _view(node: Any) -> _View:
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(node.GetSliceToRAS())
    return _View(node, matrix, tuple(node.GetFieldOfView()), tuple(node.GetXYZOrigin()))


def _cuts(slice_to_ras: Any, bounds: list[float]) -> bool:
    """Tell whether a plane goes through a box."""
    normal = [slice_to_ras.GetElement(row, 2) for row in range(3)]
    point = [slice_to_ras.GetElement(row, 3) for row in range(3)]
    reach = [
        sorted(n * (edge - p) for edge in bounds[2 * axis : 2 * axis + 2])
        for axis, (n, p) in enumerate(zip(normal, point, strict=True))
    ]
    return sum(low for low, _ in reach) <= 0 <= sum(high for _, high in reach)


def _nodes(name: str) -> list[Any]:
    return list(slicer.util.getNodesByClass(name))
