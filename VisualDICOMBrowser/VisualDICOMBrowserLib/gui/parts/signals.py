"""Signals between our own objects: plain Python, so that they work on any class and in any host."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ...jobs.attempt import where

_log = logging.getLogger(__name__)


class Signal:
    """Calls its listeners, in the order they were connected, on the thread that emits.

    Slicer's ``qt.Signal`` crashes on classes that are not Qt's own; this one is for models, sessions and widgets alike.
    Listeners are held strongly: whoever connects what lives shorter than the signal disconnects it.
    """

    def __init__(self) -> None:
        self._listeners: list[Callable[..., object]] = []

    def connect(self, listener: Callable[..., object]) -> Callable[[], None]:
        """Have ``listener`` called with what is emitted; return what ends that."""
        self._listeners.append(listener)
        return lambda: self.disconnect(listener)

    def disconnect(self, listener: Callable[..., object]) -> None:
        """End the connection; nothing happens if there is none."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def emit(self, *values: Any) -> None:
        """Call all listeners; one that fails is logged and does not keep the others from hearing."""
        for listener in list(self._listeners):
            try:
                listener(*values)
            except Exception as error:
                _log.error("A listener failed: %s", where(error))  # its text may quote a patient's data
