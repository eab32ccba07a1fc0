"""What Slicer has around its scene, on the scene, nodes and logics of slicer-core, which are Slicer's own.

``open_slicer`` gives the module ``slicer`` its ``mrmlScene``, ``app``, ``modules`` and ``dicomDatabase`` for a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pydicom
import slicer
import slicer.util
import vtk
from pydicom.datadict import keyword_for_tag

from .strict import StrictFake

VIEWS = ("Red", "Green", "Yellow")
_MISSING = object()


class Database(StrictFake):
    """Slicer's database: what was added is read from the files."""

    REAL = "ctkDICOMDatabase"

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, list[str]] = {}
        self._headers: dict[str, Any] = {}
        self._open = True
        self.loadedSeriesInstanceUIDs = ()

    @property
    def isOpen(self) -> bool:
        return self._open

    def _add(self, *paths: Path) -> str:
        """Index files of one series, and return its UID."""
        for path in paths:
            header = pydicom.dcmread(path, stop_before_pixels=True)
            self._headers[str(path)] = header
            self._files.setdefault(str(header.SeriesInstanceUID), []).append(str(path))
        return str(header.SeriesInstanceUID)

    def filesForSeries(self, uid: str, hits: int = -1) -> tuple[str, ...]:
        files = tuple(self._files.get(uid, ()))
        return files if hits < 0 else files[:hits]

    def instancesForSeries(self, uid: str) -> tuple[str, ...]:
        return tuple(str(self._headers[path].SOPInstanceUID) for path in self._files.get(uid, ()))

    def fileForInstance(self, uid: str) -> str:
        return next((path for path, header in self._headers.items() if header.SOPInstanceUID == uid), "")

    def seriesForFile(self, path: str) -> str:
        return str(self._headers[path].SeriesInstanceUID) if path in self._headers else ""

    def fileValue(self, path: str, tag: str) -> str:
        value = getattr(self._headers[path], keyword_for_tag(tag.replace(",", "")), "")
        return "\\".join(map(str, value)) if isinstance(value, pydicom.multival.MultiValue) else str(value)

    def instanceValue(self, uid: str, tag: str) -> str:
        path = self.fileForInstance(uid)
        return self.fileValue(path, tag) if path else ""


class IoManager:
    """Notes what was told to be loaded."""

    def __init__(self) -> None:
        self.loaded: list[dict[str, Any]] = []

    def emitNewFileLoaded(self, parameters: dict[str, Any]) -> None:
        self.loaded.append(parameters)


class Application:
    """``slicer.app`` without a main window."""

    def __init__(self, logic: Any) -> None:
        self._logic = logic
        self._io = IoManager()

    def applicationLogic(self) -> Any:
        return self._logic

    def ioManager(self) -> IoManager:
        return self._io

    def layoutManager(self) -> None:
        return None


class Slicer:
    """A scene with three slice views, an application, an empty database and no plugin."""

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        self.logic = slicer.vtkSlicerApplicationLogic()
        self.logic.SetMRMLScene(self.scene)
        self._colors = slicer.vtkMRMLColorLogic()
        self._colors.SetMRMLApplicationLogic(self.logic)
        self._colors.SetMRMLScene(self.scene)
        self.logic.SetModuleLogic("Colors", self._colors)
        self.hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self.scene)
        self._slices = vtk.vtkCollection()
        self.slices = {name: self._make_view(name) for name in VIEWS}
        self.logic.SetSliceLogics(self._slices)
        self.app = Application(self.logic)
        self.database = Database()
        self.plugins: dict[str, type] = {}
        self.settings: dict[str, Any] = {}

    def _make_view(self, name: str) -> Any:
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(self.logic)
        logic.SetMRMLScene(self.scene)
        node = logic.AddSliceNode(name)
        node.SetDimensions(400, 300, 1)
        node.SetOrientation({"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}[name])
        self._slices.AddItem(logic)
        return logic

    def close(self) -> None:
        """Let go of the scene, the logics before the nodes."""
        self.logic.SetSliceLogics(None)
        for logic in (*self.slices.values(), self._colors, self.logic):
            logic.SetMRMLScene(None)
        self.scene.Clear(1)

    def volumes(self) -> list[Any]:
        """Return the volumes of the scene."""
        return list(slicer.util.getNodesByClass("vtkMRMLVolumeNode"))

    def settings_value(self, key: str, default: Any, converter: Any = lambda value: value) -> Any:
        return converter(self.settings[key]) if key in self.settings else default


@contextmanager
def open_slicer() -> Iterator[Slicer]:
    """Let ``slicer`` be as in the running application; fail for whatever VTK had to complain about."""
    before = vtk.vtkOutputWindow.GetInstance()
    window = vtk.vtkStringOutputWindow()
    vtk.vtkOutputWindow.SetInstance(window)
    running = Slicer()
    given = {
        "mrmlScene": running.scene,
        "app": running.app,
        "dicomDatabase": running.database,
        "modules": SimpleNamespace(dicomPlugins=running.plugins),
    }
    kept = {name: getattr(slicer, name, _MISSING) for name in given}
    settings_value = slicer.util.settingsValue
    for name, value in given.items():
        setattr(slicer, name, value)
    slicer.util.settingsValue = running.settings_value
    try:
        yield running
    finally:
        slicer.util.settingsValue = settings_value
        running.close()
        for name, value in kept.items():
            if value is _MISSING:
                delattr(slicer, name)
            else:
                setattr(slicer, name, value)
        vtk.vtkOutputWindow.SetInstance(before)
    assert window.GetOutput() == ""
