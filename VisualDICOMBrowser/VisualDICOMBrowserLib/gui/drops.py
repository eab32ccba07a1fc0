"""Files that are dropped on the window from other programs."""

from __future__ import annotations

import qt


def accept_files(event: qt.QDragEnterEvent) -> None:
    """Accept a drag that brings files from elsewhere; what is dragged within the window stays where it is."""
    if event.mimeData().hasUrls() and event.source() is None:
        event.acceptProposedAction()


def take_files(event: qt.QDropEvent) -> list[str]:
    """Accept what is dropped, and return the paths of the files and folders of this computer; may be none."""
    paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
    if paths:
        event.acceptProposedAction()
    return paths
