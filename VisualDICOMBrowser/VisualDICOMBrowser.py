"""The Visual DICOM Browser as a module of 3D Slicer: what Slicer asks of a module, and nothing else.

Slicer reads this file while it starts. The work is done in ``VisualDICOMBrowserLib.host_slicer``, which is imported
when it is needed.
"""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

HOMEPAGE = "https://github.com/VisualDICOMBrowser/SlicerVisualDICOMBrowser"


class VisualDICOMBrowser(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Visual DICOM Browser")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Informatics")]
        self.parent.dependencies = ["DICOM"]
        self.parent.contributors = ["Visual DICOM Browser contributors"]
        self.parent.helpText = _(
            "Find a patient's images on this computer and on any number of DICOM servers, see them as thumbnails,"
            ' fetch them verified, and load them. See the <a href="{link}">documentation</a>.'
        ).format(link=f"{HOMEPAGE}#in-3d-slicer")
        self.parent.acknowledgementText = _(
            "Made with 3D Slicer, CTK, pydicom and pynetdicom. Not a medical device; not for clinical use."
        )
        slicer.app.connect("startupCompleted()", self.onStartupCompleted)

    def onStartupCompleted(self) -> None:
        """Add the button, the menu entry and the key that open the browser."""
        from VisualDICOMBrowserLib.host_slicer.entry import add_to_main_window

        add_to_main_window()


class VisualDICOMBrowserWidget(ScriptedLoadableModuleWidget):
    """The module panel. The browser itself has a window of its own, which outlives the stay in the module."""

    def setup(self) -> None:
        """Fill the panel. After a reload Slicer does not call :meth:`enter`, though the module may be the shown one."""
        from VisualDICOMBrowserLib.host_slicer.entry import add_to_main_window
        from VisualDICOMBrowserLib.host_slicer.panel import ModulePanel

        ScriptedLoadableModuleWidget.setup(self)
        add_to_main_window()  # an extension that is installed while Slicer runs misses its start
        self.panel = ModulePanel()
        self.layout.addWidget(self.panel)
        self.layout.addStretch(1)
        if self.parent.isEntered:
            self.enter()

    def enter(self) -> None:
        """Open the browser, or raise it."""
        from VisualDICOMBrowserLib.host_slicer.entry import open_from_anywhere

        open_from_anywhere()

    def exit(self) -> None:
        """Leave the browser and its jobs alone: who opens another module still waits for images."""

    def cleanup(self) -> None:
        """Close the browser and end its engine: Slicer quits, or the module is reloaded."""
        self.panel.cleanup()
        VisualDICOMBrowserLogic().closeBrowser()

    def onReload(self) -> None:
        """Reload the library too, which Slicer's own reload leaves as it is."""
        from VisualDICOMBrowserLib.host_slicer.reload import forget_library

        self.panel.cleanup()
        forget_library()
        ScriptedLoadableModuleWidget.onReload(self)


class VisualDICOMBrowserLogic(ScriptedLoadableModuleLogic):
    """For scripts: ``slicer.util.getModuleLogic("VisualDICOMBrowser").openBrowser()``."""

    def openBrowser(self) -> Any:
        """Open the browser, or raise it, and return its window."""
        from VisualDICOMBrowserLib.host_slicer.window import open_browser

        return open_browser()

    def closeBrowser(self) -> None:
        """Close it and end its engine, which takes 5 s at most."""
        from VisualDICOMBrowserLib.host_slicer.window import close_browser

        close_browser()


class VisualDICOMBrowserTest(ScriptedLoadableModuleTest):
    """Runs in a real Slicer: from "Reload and Test", the Self Tests module, and CTest."""

    def test_series_is_imported_seen_loaded_and_removed(self) -> None:
        """Go the whole way with a synthetic series in a temporary database."""
        from VisualDICOMBrowserLib.host_slicer.self_test import SelfTest

        SelfTest(self.delayDisplay).run()
