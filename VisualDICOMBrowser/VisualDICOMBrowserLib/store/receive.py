"""Instances on their way in: checked when complete, and handed to the writer as a ``.part`` file.

The bytes of a long one go to that file as they come; those of a short one wait in memory until it is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import md5
from pathlib import Path
from typing import Protocol

from ..domain.errors import DataSetMismatch
from .file_meta import file_head
from .files import PartFile
from .headers import Header, header_of_bytes, read_header
from .layout import DatabaseFolder
from .writer import Batch, Pending, StoreWriter

#: Longest file that is made only when it is whole and checked, in bytes: the system is asked for less, and the check
#: needs not read what was just written.
_IN_MEMORY = 64 * 1024


class Announced(Protocol):
    """What the sender says of an instance before its data set comes."""

    @property
    def sop_class(self) -> str:
        """SOP Class UID."""

    @property
    def sop_uid(self) -> str:
        """SOP Instance UID."""

    @property
    def transfer_syntax(self) -> str:
        """Transfer syntax of the data set."""


class Receiver:
    """Takes the instances of one job; one association at a time may use it.

    :param source: AE title of the sender; goes into the file meta information and the intents.
    :param check: looks at each instance that came whole, and raises :class:`.Unwanted` if it shall not be kept.
    :param keep: is offered each instance before the writer is, and returns whether it has taken it.
    :ivar replace: whether what comes takes the place of what is here.
    :ivar bytes: bytes of data sets taken so far.
    """

    def __init__(
        self,
        folder: DatabaseFolder,
        writer: StoreWriter,
        batch: Batch,
        source: str,
        check: Callable[[Header], None] = lambda _: None,
        keep: Callable[[Pending, PartFile], bool] = lambda _, __: False,
    ) -> None:
        self._folder = folder
        self._writer = writer
        self._batch = batch
        self._source = source
        self._check = check
        self._offer = keep
        self.replace = False
        self.bytes = 0

    def open(self, incoming: Announced) -> ReceivedFile:
        """Begin a file.

        :raises BadData: one of the UIDs is none.
        """
        head = file_head(incoming.sop_class, incoming.sop_uid, incoming.transfer_syntax, self._source)
        # Study and series are known only from the data set: until then the file lies apart, on the same file system.
        name = md5(incoming.sop_uid.encode("ascii"), usedforsecurity=False).hexdigest()
        return ReceivedFile(self, self._folder.incoming_folder / f"{name}.dcm", head, incoming)

    def _keep(self, part: PartFile, header: Header) -> None:
        self._check(header)
        final = self._folder.instance_path(header.study_uid, header.series_uid, header.sop_uid)
        pending = Pending(header, part, final, self._source, self.replace)
        if not self._offer(pending, part):
            part.retarget(final)
            self._writer.put(pending, self._batch)


class ReceivedFile:
    """One instance as it comes in: a small one in memory until it is checked, others in a file from the start.

    :param path: where the file lies without the suffix of a file that is not complete.
    :param head: what precedes the data set in it.
    """

    def __init__(self, receiver: Receiver, path: Path, head: bytes, incoming: Announced) -> None:
        self._receiver = receiver
        self._path = path
        self._memory = bytearray(head)
        self._part: PartFile | None = None
        self._incoming = incoming

    def write(self, data: memoryview) -> None:
        """Take the next fragment of the data set.

        :raises StorageError: it cannot be written, for example because the disk is full.
        """
        if self._part is None and len(self._memory) + len(data) <= _IN_MEMORY:
            self._memory += data
        else:
            self._file().write(data)
        self._receiver.bytes += len(data)

    def finish(self) -> None:
        """Check that the data set is whole and what was announced, and hand it to the writer.

        :raises BadData: it is not.
        :raises Unwanted: ``check`` refused it.
        :raises StorageError: it cannot be kept.
        """
        try:
            whole = bytes(self._memory)
            header = header_of_bytes(whole) if self._part is None else read_header(self._part.part)
            if header.sop_uid != self._incoming.sop_uid or header.sop_class != self._incoming.sop_class:
                raise DataSetMismatch("The data set is another instance than its message said.")
            self._receiver._keep(self._file(), header)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Drop what came so far."""
        if self._part is not None:
            self._part.discard()

    def _file(self) -> PartFile:
        """Return the file, with what came so far in it."""
        if self._part is None:
            self._part = PartFile(self._path)
            self._part.write(self._memory)
            self._memory.clear()
        return self._part
