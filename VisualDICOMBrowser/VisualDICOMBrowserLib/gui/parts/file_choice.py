"""Asking for a folder or files without stopping the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt


def choose_folder(parent: Any, title: str, then: Callable[[str], object]) -> Any:
    """Show a dialog for a folder; ``then`` gets its path, unless the user cancels. Returns the dialog."""
    dialog = _dialog(parent, title, qt.QFileDialog.Directory)
    dialog.setOption(qt.QFileDialog.ShowDirsOnly, True)
    dialog.fileSelected.connect(then)
    dialog.open()
    return dialog


def choose_files(parent: Any, title: str, then: Callable[[list[str]], object]) -> Any:
    """Show a dialog for files; ``then`` gets their paths, unless the user cancels. Returns the dialog."""
    dialog = _dialog(parent, title, qt.QFileDialog.ExistingFiles)
    dialog.filesSelected.connect(lambda paths: then(list(paths)))
    dialog.open()
    return dialog


def _dialog(parent: Any, title: str, mode: Any) -> Any:
    dialog = qt.QFileDialog(parent, title)
    dialog.setFileMode(mode)
    dialog.setAttribute(qt.Qt.WA_DeleteOnClose, True)
    return dialog
