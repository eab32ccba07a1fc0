"""What a volume of DICOM files has to be, worked out from their elements alone; needs slicer-core to look at nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import slicer
import slicer.util
import vtk


def expected_matrix(paths: list[Path]) -> np.ndarray:
    """Compute IJK to RAS from the elements alone (PS3.3, C.7.6.2.1.1): slices in the order of their positions."""
    first, *_, last = by_position(paths)
    row, column = np.split(np.array(first.ImageOrientationPatient, float), 2)
    normal = np.cross(row, column)
    start, end = (np.array(one.ImagePositionPatient, float) for one in (first, last))
    between_rows, between_columns = map(float, first.PixelSpacing)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1] = row * between_columns, column * between_rows
    matrix[:3, 2] = normal * (end - start).dot(normal) / (len(paths) - 1)
    matrix[:3, 3] = start
    return np.diag([-1, -1, 1, 1]) @ matrix


def by_position(paths: list[Path]) -> list[pydicom.Dataset]:
    """Return the slices in the order in which they lie."""
    read = [pydicom.dcmread(path) for path in paths]
    normal = np.cross(*np.split(np.array(read[0].ImageOrientationPatient, float), 2))
    return sorted(read, key=lambda one: float(np.dot(normal, np.array(one.ImagePositionPatient, float))))


def expected_voxels(paths: list[Path]) -> np.ndarray:
    """Return the voxels, slice by slice, in units of the modality."""
    slices = by_position(paths)
    return np.stack([one.pixel_array.astype(int) * int(one.RescaleSlope) + int(one.RescaleIntercept) for one in slices])


def matrix_of(node: Any) -> np.ndarray:
    """Return the IJK to RAS matrix of a volume node."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)
