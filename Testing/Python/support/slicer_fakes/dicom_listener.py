"""``DICOMLib.DICOMListener``, as it is kept in ``slicer.dicomListener``, after the source of DICOMLib (5.12)."""

from __future__ import annotations

from .strict import NotInSlicer

NOT_RUNNING, STARTING, RUNNING = 0, 1, 2


class _Process:
    """Its QProcess, of which PythonQt gives the state as a number."""

    def __init__(self, state: int) -> None:
        self._state = state

    def state(self) -> int:
        return self._state

    def __getattr__(self, name: str) -> object:
        raise NotInSlicer(f"Nobody else may use the listener's process: {name}")


class DICOMListener:
    """A listener in some state. The port is a text, as it stands in Slicer's settings.

    :ivar process: None until it was started, and after it was stopped.
    """

    def __init__(self, port: str, state: int | None) -> None:
        self.port = port
        self.process = None if state is None else _Process(state)

    def __getattr__(self, name: str) -> object:
        raise NotInSlicer(f"DICOMListener has no {name}, or nobody else may use it")
