"""Slicer's own DICOM database, if it has none open: how it comes to have one."""

from __future__ import annotations

import slicer


def prepare_database() -> None:
    """Have Slicer open its database, which it otherwise does when it has started.

    Needed where the browser is Slicer's start-up module, and done there by Slicer's DICOM module in the same way.
    """
    if not hasattr(slicer, "dicomDatabase"):
        slicer.modules.DICOMInstance.performPostModuleDiscoveryTasks()


def create_default_database() -> bool:
    """Have Slicer open or create its default DICOM database, and tell whether one is open now.

    Slicer's DICOM module does it, is shown meanwhile, and says itself what is wrong with an existing one. Afterwards
    the module that was shown before is shown again.

    :raises RuntimeError: Slicer runs without a main window.
    """
    from DICOM import DICOMFileDialog  # noqa: PLC0415 - a module of Slicer, loaded when needed

    before = slicer.util.selectedModule()
    opened = bool(DICOMFileDialog.createDefaultDatabase())
    if opened and slicer.util.selectedModule() != before:
        slicer.util.selectModule(before)
    return opened
