"""Files become volumes in Slicer's scene, with the geometry and the voxels that the DICOM elements say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from support.slicer_fakes import volumes_on_disk as disk
from support.slicer_fakes.core_here import require_slicer_core
from VisualDICOMBrowserLib.gui.messages import Tone

require_slicer_core()

import slicer  # noqa: E402
import slicer.util  # noqa: E402

from support.slicer_fakes.expected_volume import by_position, expected_matrix, expected_voxels, matrix_of  # noqa: E402
from support.slicer_fakes.loading_desk import loading_desk  # noqa: E402

GEOMETRIES = {
    "axial": disk.Geometry((1, 0, 0), (0, 1, 0), (-12.5, 7.25, 30.0), 3.0),
    "sagittal": disk.Geometry((0, 1, 0), (0, 0, -1), (5.0, -40.0, 60.0), 1.25),
    "oblique": disk.oblique(),
}


@pytest.fixture
def desk(tmp_path, capfd):
    with loading_desk(tmp_path) as made:
        yield made
    assert capfd.readouterr().err == ""


def assert_is(node, paths: list[Path]) -> None:
    assert np.abs(matrix_of(node) - expected_matrix(paths)).max() < 1e-6
    assert np.array_equal(slicer.util.arrayFromVolume(node), expected_voxels(paths))


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_slices_lie_where_their_elements_say(desk, geometry, shuffled):
    paths = disk.write_slices(desk.folder / "a", 1, GEOMETRIES[geometry], shuffled=shuffled)
    uid = desk.add(*paths)
    desk.load(uid)
    (node,) = desk.slicer.volumes()
    assert_is(node, paths)
    instances = [one.SOPInstanceUID for one in by_position(paths)]
    assert node.GetAttribute("DICOM.instanceUIDs").split() == instances
    assert desk.message.text == "Loaded 1 volume."
    assert desk.message.tone is Tone.NOTE


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=lambda uid: uid.name[:12])
def test_compressed_slices_lose_nothing(desk, syntax):
    paths = disk.write_slices(desk.folder / "a", 1, disk.oblique(), shuffled=True, compression=syntax)
    assert pydicom.dcmread(paths[0]).file_meta.TransferSyntaxUID == syntax
    desk.load(desk.add(*paths))
    (node,) = desk.slicer.volumes()
    assert_is(node, paths)
    plain = disk.write_slices(desk.folder / "b", 1, disk.oblique(), shuffled=True)
    assert np.array_equal(slicer.util.arrayFromVolume(node), expected_voxels(plain))


def test_a_gap_is_told(desk, capfd):
    paths = disk.write_slices(desk.folder / "a", 1, disk.oblique(), [0, 1, 2, 5, 6])
    desk.load(desk.add(*paths))
    (node,) = desk.slicer.volumes()
    assert np.array_equal(slicer.util.arrayFromVolume(node), expected_voxels(paths))
    assert desk.message.text == "Loaded 1 volume. “1: Series 1”: The slices are not equally spaced."
    assert desk.message.tone is Tone.WARNING
    assert desk.message.details == ()
    complaint = capfd.readouterr().err.splitlines()  # ITK has a voice of its own; Slicer takes it into its error log
    assert len([line for line in complaint if line]) == 2
    assert "Non uniform sampling or missing slices" in complaint[1]


def test_frames_lie_where_their_functional_groups_say(desk):
    geometry = disk.oblique()
    path = disk.write_frames(desk.folder / "a", 1, geometry)
    desk.load(desk.add(path))
    (node,) = desk.slicer.volumes()
    sliced = disk.write_slices(desk.folder / "b", 2, geometry, range(6))
    assert np.abs(matrix_of(node) - expected_matrix(sliced)).max() < 1e-6
    frames = pydicom.dcmread(path).pixel_array.astype(int) + disk.INTERCEPT
    assert np.array_equal(slicer.util.arrayFromVolume(node), frames)


def test_a_photograph_keeps_its_colors(desk):
    path = disk.write_color(desk.folder / "a", 1)
    desk.load(desk.add(path))
    (node,) = desk.slicer.volumes()
    assert node.IsA("vtkMRMLVectorVolumeNode")
    assert np.array_equal(slicer.util.arrayFromVolume(node)[0], pydicom.dcmread(path).pixel_array)


def test_series_of_one_request_are_all_loaded(desk):
    first = disk.write_slices(desk.folder / "a", 1, disk.oblique())
    second = disk.write_slices(desk.folder / "b", 2, GEOMETRIES["axial"], shuffled=True)
    desk.load(desk.add(*first), desk.add(*second))
    volumes = desk.slicer.volumes()
    assert desk.message.text == "Loaded 2 volumes."
    assert_is(volumes[0], first)
    assert_is(volumes[1], second)
    assert desk.slicer.app.ioManager().loaded == [{"nodeIDs": [node.GetID() for node in volumes]}]
