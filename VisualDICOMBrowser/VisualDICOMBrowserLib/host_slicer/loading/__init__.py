"""From chosen series to nodes in Slicer's scene, by Slicer's own DICOM plugins."""

from .loader import SlicerLoader

__all__ = ["SlicerLoader"]
