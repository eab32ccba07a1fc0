"""Instances on their way in: data set bytes go to a ``.part`` file as they come, and are checked when complete."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import md5
from typing import Protocol

from ..domain.errors import DataSetMismatch
from .file_meta import file_head
from .files import PartFile
from .headers import Header, read_header
from .layout import DatabaseFolder
from .writer import Batch, Pending, StoreWriter


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
        :raises StorageError: it cannot be written.
        """
        head = file_head(incoming.sop_class, incoming.sop_uid, incoming.transfer_syntax, self._source)
        # Study and series are known only from the data set: until then the file lies apart, on the same file system.
        name = md5(incoming.sop_uid.encode("ascii"), usedforsecurity=False).hexdigest()
        part = PartFile(self._folder.incoming_folder / f"{name}.dcm")
        try:
            part.write(head)
        except BaseException:
            part.discard()
            raise
        return ReceivedFile(self, part, incoming)

    def _keep(self, part: PartFile, header: Header) -> None:
        self._check(header)
        final = self._folder.instance_path(header.study_uid, header.series_uid, header.sop_uid)
        pending = Pending(header, part, final, self._source, self.replace)
        if not self._offer(pending, part):
            part.retarget(final)
            self._writer.put(pending, self._batch)


class ReceivedFile:
    """One instance as it comes in."""

    def __init__(self, receiver: Receiver, part: PartFile, incoming: Announced) -> None:
        self._receiver = receiver
        self._part = part
        self._incoming = incoming

    def write(self, data: memoryview) -> None:
        """Take the next fragment of the data set.

        :raises StorageError: it cannot be written, for example because the disk is full.
        """
        self._part.write(data)
        self._receiver.bytes += len(data)

    def finish(self) -> None:
        """Check that the data set is whole and what was announced, and hand it to the writer.

        :raises BadData: it is not.
        :raises Unwanted: ``check`` refused it.
        :raises StorageError: it cannot be kept.
        """
        try:
            header = read_header(self._part.part)
            if header.sop_uid != self._incoming.sop_uid or header.sop_class != self._incoming.sop_class:
                raise DataSetMismatch("The data set is another instance than its message said.")
            self._receiver._keep(self._part, header)
        except BaseException:
            self._part.discard()
            raise

    def discard(self) -> None:
        """Drop what came so far."""
        self._part.discard()
