"""Which series are loaded: read from Slicer's scene, whoever loaded them, and kept true while it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import slicer

from ...gui.parts.signals import Signal
from .plugins import database

_SERIES_UID = "0020,000E"
#: The name under which Slicer keeps DICOM UIDs in its subject hierarchy.
_DICOM = "DICOM"
_ABOVE_SERIES = frozenset({"Patient", "Study"})


class LoadedMarks:
    """See the module. ``changed`` tells the Series Instance UIDs (``frozenset``).

    A node is of a series by its place in the subject hierarchy, or by its attribute ``DICOM.instanceUIDs``.
    """

    def __init__(self, later: Callable[[Callable[[], None]], None]) -> None:
        self.changed = Signal()
        self.series: frozenset[str] = frozenset()
        self._later = later
        self._due = False
        self._series_of: dict[str, str] = {}
        scene = slicer.mrmlScene
        events = (
            scene.NodeAddedEvent,
            scene.NodeRemovedEvent,
            scene.EndCloseEvent,
            scene.EndImportEvent,
            scene.EndBatchProcessEvent,
        )
        self._tags = [scene.AddObserver(event, self._on_scene) for event in events]
        self.read()

    def read(self) -> None:
        """Look at the scene."""
        self._due = False
        scene = slicer.mrmlScene
        nodes = [scene.GetNthNode(at) for at in range(scene.GetNumberOfNodes())]
        found = frozenset({*self._by_hierarchy(), *self._by_attribute(nodes)})
        if found != self.series:
            self.series = found
            self._tell_database()
            self.changed.emit(found)

    def close(self) -> None:
        """Look no more."""
        tags, self._tags = self._tags, []
        for tag in tags:
            slicer.mrmlScene.RemoveObserver(tag)

    def _on_scene(self, *_: object) -> None:
        """Look as soon as whoever changes the scene is through: a node gets its attributes after it is added."""
        if not self._due:
            self._due = True
            self._later(lambda: self.read() if self._due and self._tags else None)

    def _by_hierarchy(self) -> Iterator[str]:
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        if hierarchy is None:
            return
        for item in slicer.util.getSubjectHierarchyItemChildren(recursive=True):
            node = hierarchy.GetItemDataNode(item)
            if node is not None and node.GetScene() is not None:  # the item of a removed node may stay
                yield from _series_above(hierarchy, item)

    def _by_attribute(self, nodes: list[Any]) -> Iterator[str]:
        for node in nodes:
            instances = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
            series = self._series_of_instance(instances[0]) if instances else ""
            if series:
                yield series

    def _series_of_instance(self, instance_uid: str) -> str:
        known = database()
        if instance_uid not in self._series_of and known is not None:
            self._series_of[instance_uid] = str(known.instanceValue(instance_uid, _SERIES_UID))
        return self._series_of.get(instance_uid, "")

    def _tell_database(self) -> None:
        """Slicer's own visual browser marks these."""
        known = database()
        if known is not None:
            known.loadedSeriesInstanceUIDs = sorted(self.series)


def _series_above(hierarchy: Any, item: int) -> Iterator[str]:
    """Give the series that an item is or belongs to, if any."""
    while item and item != hierarchy.GetSceneItemID():
        uid = str(hierarchy.GetItemUID(item, _DICOM))
        if uid:
            if str(hierarchy.GetItemLevel(item)) not in _ABOVE_SERIES:
                yield uid
            return
        item = hierarchy.GetItemParent(item)
