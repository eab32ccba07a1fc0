"""Slicer's ``DICOMLib.DICOMUtils`` and plugins as they are documented to behave, written anew for these tests."""

# ruff: noqa: N803, N815 - the names are Slicer's

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import pydicom
import slicer
import vtk

_POSITION, _ORIENTATION, _FRAMES = "0020,0032", "0020,0037", "0028,0008"
_SERIES, _INSTANCE, _SAMPLES, _NAME = "0020,000E", "0008,0018", "0028,0002", "0008,103E"
_TOLERANCE = 0.01  # millimetres by which distances may differ


class Loadable:
    """What a plugin could load. ``loadSuccess`` comes with loading."""

    def __init__(self, files: Sequence[str], name: str, confidence: float = 0.5, warning: str = "") -> None:
        self.files = list(files)
        self.name = name
        self.tooltip = ""
        self.warning = warning
        self.selected = True
        self.confidence = confidence


class Plugin:
    """Base of the plugins; remembers what it examined by the list of files."""

    loadType = "Generic DICOM"

    def __init__(self) -> None:
        self.examined = 0
        self._cache: dict[tuple[str, ...], list[Loadable]] = {}

    def examineForImport(self, file_lists: Sequence[Sequence[str]]) -> list[Loadable]:
        found = []
        for files in file_lists:
            if tuple(files) not in self._cache:
                self.examined += 1
                self._cache[tuple(files)] = self.look_at(list(files))
            found += self._cache[tuple(files)]
        return found

    def examine(self, file_lists: Sequence[Sequence[str]]) -> list[Loadable]:
        return []

    def look_at(self, files: list[str]) -> list[Loadable]:
        raise NotImplementedError

    def load(self, loadable: Loadable) -> Any:
        raise NotImplementedError


class VolumePlugin(Plugin):
    """Reads slices, frames and photographs as Slicer's plugin of scalar volumes does: sorted, right-handed."""

    loadType = "Scalar Volume"

    def look_at(self, files: list[str]) -> list[Loadable]:
        value = _database().fileValue
        if not value(files[0], _SAMPLES):
            return []
        name = value(files[0], _NAME)
        if len(files) == 1 or not value(files[0], _ORIENTATION):
            return [Loadable(files, name)]
        axes = np.array(value(files[0], _ORIENTATION).split("\\"), float)
        normal = np.cross(axes[:3], axes[3:])
        distances = {path: float(np.dot(normal, np.array(value(path, _POSITION).split("\\"), float))) for path in files}
        ordered = sorted(files, key=distances.__getitem__)
        steps = np.diff([distances[path] for path in ordered])
        even = bool(np.all(np.abs(steps - steps[0]) <= _TOLERANCE))
        return [Loadable(ordered, name, warning="" if even else "The slices are not equally spaced.")]

    def load(self, loadable: Loadable) -> Any:
        node = _read(loadable)
        instances = [_database().fileValue(path, _INSTANCE) for path in loadable.files]
        matrix = _matrix_of(node)
        if not slicer.vtkMRMLVolumeNode.IsIJKCoordinateSystemRightHanded(matrix):
            slicer.vtkMRMLVolumeNode.ReverseSliceOrder(node.GetImageData(), matrix)
            node.SetIJKToRASMatrix(matrix)
            instances.reverse()
        add_to_hierarchy(node, loadable)
        node.SetAttribute("DICOM.instanceUIDs", " ".join(instances))
        logic = slicer.app.applicationLogic()
        logic.GetSelectionNode().SetActiveVolumeID(node.GetID())
        logic.PropagateVolumeSelection()
        return node


class ReferencePlugin(Plugin):
    """Makes a table of what is no image and refers to images."""

    loadType = "References"

    def look_at(self, files: list[str]) -> list[Loadable]:
        header = pydicom.dcmread(files[0], stop_before_pixels=True)
        items = header.get("ReferencedInstanceSequence", ())
        if not items:
            return []
        loadable = Loadable(files, "References", 0.9)
        loadable.referencedInstanceUIDs = [str(item.ReferencedSOPInstanceUID) for item in items]
        return [loadable]

    def load(self, loadable: Loadable) -> Any:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", loadable.name)
        add_to_hierarchy(node, loadable)
        return node


class RefusingPlugin(Plugin):
    """Takes anything, and loads nothing of it."""

    loadType = "Refusing"

    def look_at(self, files: list[str]) -> list[Loadable]:
        return [Loadable(files, "Refused", 0.9)]

    def load(self, loadable: Loadable) -> Any:
        return False


class RaisingPlugin(Plugin):
    """Fails at whatever it is asked."""

    loadType = "Raising"

    def look_at(self, files: list[str]) -> list[Loadable]:
        raise RuntimeError("Loader^Lou")


def add_to_hierarchy(node: Any, loadable: Loadable) -> None:
    """Say of which series a node is."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    hierarchy.SetItemUID(item, "DICOM", _database().fileValue(loadable.files[0], _SERIES))


def _database() -> Any:
    return slicer.dicomDatabase


def _read(loadable: Loadable) -> Any:
    """Have ITK read the files with GDCM, and make a node of them."""
    color = _database().fileValue(loadable.files[0], _SAMPLES) == "3"
    reader = (
        slicer.vtkITKArchetypeImageSeriesVectorReaderFile()
        if color
        else slicer.vtkITKArchetypeImageSeriesScalarReader()
    )
    reader.SetArchetype(loadable.files[0])
    for path in loadable.files:
        reader.AddFileName(path)
    reader.SetSingleFile(0)
    reader.SetOutputScalarTypeToNative()
    reader.SetDesiredCoordinateOrientationToNative()
    reader.SetUseNativeOriginOn()
    reader.SetDICOMImageIOApproachToGDCM()
    reader.Update()
    if reader.GetErrorCode():
        raise RuntimeError(f"vtkITK: error {reader.GetErrorCode()}")
    plain = vtk.vtkImageChangeInformation()  # MRML wants the geometry in the node alone
    plain.SetInputConnection(reader.GetOutputPort())
    plain.SetOutputSpacing(1, 1, 1)
    plain.SetOutputOrigin(0, 0, 0)
    plain.Update()
    kind = "vtkMRMLVectorVolumeNode" if color else "vtkMRMLScalarVolumeNode"
    node = slicer.mrmlScene.AddNewNodeByClass(kind, loadable.name)
    node.SetAndObserveImageData(plain.GetOutput())
    node.SetRASToIJKMatrix(reader.GetRasToIjkMatrix())
    node.CreateDefaultDisplayNodes()
    return node


def _matrix_of(node: Any) -> Any:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix


# DICOMUtils

Tick = Callable[[str, float], object]


def _get_loadables(
    fileLists: Any,
    pluginClassNames: Any = None,
    messages: Any = None,
    progressCallback: Tick | None = None,
    pluginInstances: Any = None,
) -> tuple[dict[Any, list[Loadable]], bool]:
    assert isinstance(fileLists, list)
    assert fileLists
    assert all(isinstance(files, (list, tuple)) for files in fileLists)
    names = list(slicer.modules.dicomPlugins) if pluginClassNames is None else pluginClassNames
    instances = {} if pluginInstances is None else pluginInstances
    found: dict[Any, list[Loadable]] = {}
    for step, name in enumerate(names):
        if name not in instances:
            instances[name] = slicer.modules.dicomPlugins[name]()
        if progressCallback and progressCallback(name, step * 100 / len(names)):
            break
        plugin = instances[name]
        try:
            found[plugin] = plugin.examineForImport(fileLists) or plugin.examine(fileLists)
        except RuntimeError:
            if messages:  # an empty list gets nothing, as in Slicer
                messages.append(f"Plugin failed: {name}.")
    return found, any(found.values())


def _select_highest(loadablesByPlugin: dict[Any, list[Loadable]]) -> None:
    best: dict[str, float] = {}
    everything = [one for loadables in loadablesByPlugin.values() for one in loadables]
    series = {id(one): _database().fileValue(one.files[0], _SERIES) for one in everything}
    for one in everything:
        best[series[id(one)]] = max(one.confidence, best.get(series[id(one)], -1))
    for one in everything:
        one.selected = one.confidence == best[series[id(one)]]


def _load_loadables(
    loadablesByPlugin: dict[Any, list[Loadable]], messages: Any = None, progressCallback: Tick | None = None
) -> list[str]:
    before = {node.GetID() for node in _all_nodes()}
    wanted = [(one, plugin) for plugin, loadables in loadablesByPlugin.items() for one in loadables if one.selected]
    for step, (loadable, plugin) in enumerate(wanted, start=1):
        if progressCallback and progressCallback(loadable.name, step * 100 / len(wanted)):
            break
        try:
            node = plugin.load(loadable)
        except RuntimeError:
            node = None
        if not node and messages is not None:
            messages.append(f"Could not load: {loadable.name} as a {plugin.loadType}")
        loadable.loadSuccess = bool(node)
    hidden = (slicer.vtkMRMLStorageNode, slicer.vtkMRMLDisplayNode)
    return [node.GetID() for node in _all_nodes() if node.GetID() not in before and not isinstance(node, hidden)]


def _all_nodes() -> list[Any]:
    return [slicer.mrmlScene.GetNthNode(at) for at in range(slicer.mrmlScene.GetNumberOfNodes())]


@contextmanager
def dicom_lib() -> Iterator[None]:
    """Let ``DICOMLib`` be importable."""
    package, utils = ModuleType("DICOMLib"), ModuleType("DICOMLib.DICOMUtils")
    utils.getLoadablesFromFileLists = _get_loadables
    utils.selectHighestConfidenceLoadables = _select_highest
    utils.loadLoadables = _load_loadables
    package.DICOMUtils = utils
    sys.modules["DICOMLib"], sys.modules["DICOMLib.DICOMUtils"] = package, utils
    try:
        yield
    finally:
        del sys.modules["DICOMLib"], sys.modules["DICOMLib.DICOMUtils"]
