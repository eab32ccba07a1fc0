"""Rows that another program writes: Slicer's own database object, in Slicer's process."""

from __future__ import annotations

from collections.abc import Sequence

from .catalogue import Catalogue
from .ctk_rows import StoredInstance
from .index_queue import IndexQueue
from .layout import DatabaseFolder
from .local_records import local_instance


class HostRows:
    """A :class:`.rows.RowKeeper` that hands files over.

    The catalogue knows them as local from then on, so that they can be looked at; their intents stay open until
    :class:`.IndexQueue` sees the rows.
    """

    def __init__(self, folder: DatabaseFolder, catalogue: Catalogue, queue: IndexQueue) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self._queue = queue

    def take_in(self, items: Sequence[StoredInstance]) -> None:
        """See :class:`.rows.RowKeeper`."""
        local = [local_instance(item.header, self._folder.stored_name(item.path)) for item in items]
        renewed = self._queue.expected(item.header.sop_uid for item in items)
        self._catalogue.add_local(local, settled=False, renewed=renewed)
        self._queue.offer((one.instance.sop_uid, one.file) for one in local)

    def forget(self, sop_uids: Sequence[str]) -> None:
        """See :class:`.rows.RowKeeper`. Nothing was written."""

    def finish_removing(self) -> None:
        """See :class:`.rows.RowKeeper`. :class:`.host_removal.HostRemoval` does it, which waits for the program."""
