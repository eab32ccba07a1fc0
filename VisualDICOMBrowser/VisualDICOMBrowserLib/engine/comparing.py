"""Comparing instances that came with those that were here, in child processes that nothing else waits for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..domain.cancel import CancelToken
from ..domain.errors import BadData
from ..imaging.children import Decoder

#: Seconds for two files, pixels included: whoever has sent the second one may wait for an answer. In this process no
#: thread can be ended, and the clock is looked at between two frames.
_SECONDS = 30.0


class Comparing:
    """A :data:`..store.duplicates.Compare`. Its processes are started when the first files differ in their bytes.

    :param here: work in this process, where no other can be started.
    """

    def __init__(self, *, here: bool) -> None:
        self._decoder = Decoder(max_children=2, here=here)

    def __call__(self, first: Path, second: Path) -> Sequence[str]:
        """Name the elements in which two files differ.

        :raises BadData: it cannot be told.
        :raises StorageError: a file cannot be read.
        :raises InternalError: no process can be started.
        :raises Cancelled: it was closed.
        """
        answer = self._decoder.ask("compare", first, second, _SECONDS, token=CancelToken())
        tags = answer.get("tags")
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise BadData("The comparison went wrong.")
        return tags

    def close(self) -> None:
        """End the processes within 2 seconds; what is being compared then raises :class:`.Cancelled`."""
        self._decoder.close()
