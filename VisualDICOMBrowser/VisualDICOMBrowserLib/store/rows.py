"""The rows of a ctkDICOM database: what is read of them, and who keeps them.

Stand-alone, the engine keeps them itself (:class:`OwnRows`). In Slicer, Slicer does: the engine only reads, hands files
over, and waits until their rows are seen (:class:`.host_rows.HostRows`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from .catalogue import Catalogue
from .ctk_content import CtkContent, CtkImage
from .ctk_database import CtkDatabase
from .ctk_rows import StoredInstance
from .layout import DatabaseFolder
from .local_records import local_instance


class LocalRows(Protocol):
    """What is read of a ctkDICOM database. All methods may raise :class:`~..domain.errors.StorageError`."""

    def snapshot(self) -> CtkContent:
        """Return all that is local; see :meth:`.CtkDatabase.snapshot`."""

    def image_pages(self) -> Iterator[Sequence[CtkImage]]:
        """Yield the images of :meth:`snapshot`, some at a time."""

    def parts(self) -> dict[str, str]:
        """Return digests of parts of the rows, by name: of all that is local, so that no change escapes."""

    def studies_in(self, parts: Iterable[str]) -> dict[str, list[str]]:
        """Return the UIDs of the studies that the rows of each part have to do with."""

    def parts_holding(self, study_uids: Iterable[str]) -> dict[str, set[str]]:
        """Return the parts that have to do with some of the studies, each with these; studies of their own may lack."""

    def content_of(self, study_uids: Iterable[str]) -> CtkContent:
        """Return what is local of studies; it may be more studies than asked for."""

    def is_local(self, sop_uids: Iterable[str]) -> set[str]:
        """Return those of the instances that have a row with a file."""

    def images(self, *, sop_uids: Iterable[str] = (), series_uids: Iterable[str] = ()) -> list[CtkImage]:
        """Return the rows with a file of images, and of series."""

    def tags_for(self, sop_uids: Iterable[str], tags: Iterable[str]) -> dict[str, dict[str, str | None]]:
        """Return values of the tag cache; see :meth:`.CtkDatabase.tags_for`."""

    def change_stamp(self) -> tuple[int, int, int]:
        """Return a value that changes whenever the rows do."""

    def close(self) -> None:
        """Let go of the database."""


class RowKeeper(Protocol):
    """Sees to it that files get their rows. Called with the lock of the store held."""

    def take_in(self, items: Sequence[StoredInstance]) -> None:
        """Care for the rows of instances whose files are in place; the catalogue knows them as local afterwards.

        Those that were local are so with what the new files say, also of their series, study and patient.

        :raises StorageError: they could not be, and nothing of them stays but open intents.
        """

    def forget(self, sop_uids: Sequence[str]) -> None:
        """Drop what :meth:`take_in` may have left of instances that got no row."""

    def finish_removing(self) -> None:
        """Take the rows away that open intents ``remove`` are about, if that is up to this program."""


class OwnRows:
    """Rows that this program writes."""

    def __init__(self, folder: DatabaseFolder, catalogue: Catalogue, ctk: CtkDatabase) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self._ctk = ctk

    def take_in(self, items: Sequence[StoredInstance]) -> None:
        """See :class:`RowKeeper`. The tag cache and the rows first, then the catalogue, which settles the intents."""
        before = self._ctk.change_stamp()
        renewed = self._ctk.is_local(item.header.sop_uid for item in items)
        self._ctk.insert(items, renewed)
        local = [local_instance(item.header, self._folder.stored_name(item.path)) for item in items]
        self._catalogue.add_local(local, self._stamp_if_ours(before), renewed=renewed)

    def forget(self, sop_uids: Sequence[str]) -> None:
        """See :class:`RowKeeper`."""
        self._ctk.forget_tags(sop_uids)

    def finish_removing(self) -> None:
        """See :class:`RowKeeper`."""
        sop_uids = [sop_uid for sop_uid, _, _ in self._catalogue.intents("remove")]
        if sop_uids:
            before = self._ctk.change_stamp()
            self._ctk.remove(sop_uids)
            self._catalogue.remove_local(sop_uids, self._stamp_if_ours(before))

    def _stamp_if_ours(self, before: tuple[int, int, int]) -> str | None:
        """Return the stamp to note; None if there were other transactions than ours, which the mirror has to see."""
        after = self._ctk.change_stamp()
        ours = str(before) == self._catalogue.ctk_stamp and after[0] - before[0] <= 1
        return str(after) if ours else None
