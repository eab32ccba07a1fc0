"""The error tree of the project.

::

    VisualDicomError
    ├── PeerError               the other side's doing
    │   ├── ServerUnreachable   no TCP connection                       retry helps
    │   ├── TlsFailed           no secured connection: certificates, versions
    │   ├── AssociationRejected refused at the door                     retry helps if transient
    │   ├── NoCommonContext     nothing both sides can speak
    │   ├── PeerStalled         no byte within the time-out             retry helps
    │   ├── ConnectionLost      cut or aborted in the middle            retry helps
    │   ├── ProtocolViolation   bytes that are not DICOM
    │   └── OperationRefused    a DIMSE status that is not success      retry helps if out of resources
    ├── LocalError              this computer's or this user's doing
    │   ├── UsageError          wrong words, wrong configuration (exit code 2)
    │   ├── FolderInUse         another engine holds the folder (exit code 2)
    │   ├── SchemaMismatch      a database of another version (exit code 2)
    │   ├── StorageError        folder not readable, a file not writable
    │   │   ├── DiskFull        no room left
    │   │   └── FolderUnusable  one folder of many cannot be written
    │   └── PackageMissing      a Python package is not installed (exit code 2)
    ├── BadData                 a file or data set that is not what it says
    │   └── DataSetMismatch     another instance than its message announced
    ├── Unwanted                what somebody sent and nobody here asked for
    ├── OtherContent            what somebody sent is here already, with other content
    ├── Cancelled               the user wanted it to stop
    └── InternalError           a bug of ours

Each error carries a sentence for the user (``str(error)``) and knows whether trying again can help
(``retryable``). The sentence never holds patient data.
"""

from __future__ import annotations


class VisualDicomError(Exception):
    """Base of all errors this project raises on purpose. ``str()`` is a sentence for the user."""

    #: Whether the same request may succeed later without anybody changing anything.
    retryable: bool = False

    def __init__(self, message: str, *, retryable: bool | None = None) -> None:
        super().__init__(message)
        if retryable is not None:
            self.retryable = retryable


class PeerError(VisualDicomError):
    """The server did not do what was asked of it."""


class ServerUnreachable(PeerError):
    """No TCP connection could be made."""

    retryable = True


class TlsFailed(PeerError):
    """The connection could not be secured: a certificate, or what both sides speak, is not as it must be."""


class AssociationRejected(PeerError):
    """The peer answered A-ASSOCIATE-RJ (DICOM PS3.8, 9.3.4)."""


class NoCommonContext(PeerError):
    """The peer accepted no presentation context that the request needs."""


class PeerStalled(PeerError):
    """No byte came or went within the time-out."""

    retryable = True


class ConnectionLost(PeerError):
    """The connection ended, or the peer aborted, before the work was done."""

    retryable = True


class ProtocolViolation(PeerError):
    """The peer sent bytes that the DICOM upper layer protocol does not allow."""


class OperationRefused(PeerError):
    """A final DIMSE status that is neither success nor warning.

    :ivar status: the status code, see :mod:`.status`.
    """

    def __init__(self, message: str, status: int, *, retryable: bool = False) -> None:
        super().__init__(message, retryable=retryable)
        self.status = status


class LocalError(VisualDicomError):
    """Something on this computer prevents the work."""


class UsageError(LocalError):
    """Wrong words on the command line, or a configuration that makes no sense."""


class FolderInUse(LocalError):
    """Another engine holds the database folder."""


class SchemaMismatch(LocalError):
    """The database in the folder has a version that this program must not write."""


class StorageError(LocalError):
    """Reading or writing files failed: disk full, no permission, folder gone."""


class DiskFull(StorageError):
    """Something could not be written because there is no room left."""

    def __init__(self, message: str = "The disk is full.") -> None:
        super().__init__(message)


class FolderUnusable(StorageError):
    """One folder cannot be written: this concerns what belongs there, and nothing else."""


class PackageMissing(LocalError):
    """The work needs a Python package that is not installed; the sentence names it, and what it is for."""


class BadData(VisualDicomError):
    """A file or data set is damaged, lies about itself, or is not DICOM."""


class DataSetMismatch(BadData):
    """A data set is another instance, or of another class, than the message that brought it said."""


class Unwanted(VisualDicomError):
    """Somebody sent what nobody here asked for, and may not do so."""


class OtherContent(VisualDicomError):
    """Somebody sent an instance that is here already with other content, or perhaps so; the first one was kept."""


class Cancelled(VisualDicomError):
    """The work was stopped on request."""

    def __init__(self, message: str = "Cancelled.") -> None:
        super().__init__(message)


class InternalError(VisualDicomError):
    """A bug of this program."""
