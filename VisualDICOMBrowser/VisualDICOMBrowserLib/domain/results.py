"""What operations return. ``to_dict()`` gives the documents that the command line prints as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: So many conflicts are named in documents; all are counted.
MAX_CONFLICTS = 100
#: So many files that an import left out are named in its document; a whole disk may have been searched.
MAX_LEFT_OUT = 2_000


@dataclass(frozen=True)
class Failure:
    """One instance or file that could not be had, and why."""

    subject: str
    reason: str


@dataclass(frozen=True)
class Conflict:
    """An instance that came and is here already with other content, or perhaps so. What was here first was kept.

    :ivar reason: a sentence.
    :ivar tags: what differs, as ``(GGGG,EEEE) Keyword``, at most 20; empty if it could not be told.
    :ivar source: where the other one came from: its path, or the AE title of its sender.
    """

    sop_uid: str
    reason: str
    tags: tuple[str, ...]
    source: str

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"sop_uid","reason","tags","source"}``."""
        return {**dataclasses.asdict(self), "tags": list(self.tags)}


def conflict_words(conflict: Mapping[str, Any], source: str | None = None) -> str:
    """Return a line about a conflict, as :meth:`Conflict.to_dict` writes it; it names elements, and no values of them.

    :param source: what to call its source; empty to leave it out.
    """
    origin = conflict["source"] if source is None else source
    tags = f" Different: {', '.join(conflict['tags'])}." if conflict["tags"] else ""
    return f"{conflict['sop_uid']}{' from ' if origin else ''}{origin}: {conflict['reason']}{tags}"


def kept_words(conflicts: int) -> str:
    """Return a sentence on how many instances came with other content; empty for none."""
    if not conflicts:
        return ""
    came = "1 instance that came has" if conflicts == 1 else f"{conflicts:,} instances that came have"
    return f"{came} other content than what is here, which was kept."


def add_conflict(conflicts: list[Conflict], conflict: Conflict) -> None:
    """Append a conflict; of those that documents do not name, what differs is not kept."""
    conflicts.append(conflict if len(conflicts) < MAX_CONFLICTS else dataclasses.replace(conflict, tags=()))


def named_conflicts(conflicts: Sequence[Conflict]) -> list[dict[str, Any]]:
    """Return the first :data:`MAX_CONFLICTS` as plain values."""
    return [conflict.to_dict() for conflict in conflicts[:MAX_CONFLICTS]]


@dataclass(frozen=True)
class EchoResult:
    """Outcome of a C-ECHO."""

    server: str
    ok: bool
    seconds: float
    message: str

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"server","ok","seconds","message"}``."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class RetrieveResult:
    """Outcome of a retrieve; complete when every requested instance is verified.

    :ivar requested: instances the server announced.
    :ivar counted_by: how that is known: ``image-find``, ``related-instances``, ``request`` or ``sub-operations``.
    :ivar received: instances transferred now.
    :ivar verified: requested instances that are readable through local rows.
    :ivar missing: SOP Instance UIDs announced and not here.
    :ivar failed: instances the peer or this computer could not handle, with the reason.
    :ivar seconds: from the start of the job to its end.
    :ivar uncertain: there may be more than was announced: something was not found, or a server could not be asked.
    :ivar asked: how many servers said what they have.
    :ivar unasked: how many could not be asked.
    :ivar replaced: of the received, those that took the place of what was here, on purpose.
    :ivar conflicts: instances that came and were here already with other content.
    """

    requested: int
    counted_by: str
    received: int
    verified: int
    missing: tuple[str, ...]
    failed: tuple[Failure, ...]
    bytes: int
    seconds: float
    warnings: tuple[str, ...] = ()
    uncertain: bool = False
    replaced: int = 0
    conflicts: tuple[Conflict, ...] = ()
    asked: int = 1
    unasked: int = 0

    @property
    def complete(self) -> bool:
        """Whether all that was asked for is here."""
        all_here = self.requested > 0 and self.verified == self.requested and not self.missing
        return all_here and not self.uncertain

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``retrieve --json``."""
        return {
            "requested": self.requested,
            "counted_by": self.counted_by,
            "received": self.received,
            "verified": self.verified,
            "missing": list(self.missing),
            "failed": _failures(self.failed),
            "replaced": self.replaced,
            "conflicting": len(self.conflicts),
            "conflicts": named_conflicts(self.conflicts),
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class ImportResult:
    """Outcome of an import.

    :ivar files: files looked at.
    :ivar imported: instances that are new in the database.
    :ivar duplicates: files whose instance was already there.
    :ivar rejected: files that are not (whole) DICOM objects, or could not be read or kept.
    :ivar not_kept: those of the rejected that are right, and could not be kept: there is no room, for example.
    :ivar replaced: instances that took the place of what was here, on purpose.
    :ivar conflicts: files whose instance was already there with other content.
    """

    files: int
    imported: int
    duplicates: int
    rejected: tuple[Failure, ...]
    seconds: float
    not_kept: tuple[Failure, ...] = ()
    replaced: int = 0
    conflicts: tuple[Conflict, ...] = ()

    @property
    def any_dicom(self) -> bool:
        """Whether any of the files holds an instance that could be imported, or is here already."""
        return bool(self.imported or self.replaced or self.duplicates or self.conflicts)

    @property
    def shortfall(self) -> str:
        """A sentence on what could not be kept, empty if there is nothing of that."""
        reasons = " ".join(dict.fromkeys(failure.reason for failure in self.not_kept))
        return f"{len(self.not_kept)} of {self.files} files could not be kept: {reasons}" if reasons else ""

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``import --json``."""
        return {
            "files": self.files,
            "imported": self.imported,
            "duplicates": self.duplicates,
            "replaced": self.replaced,
            "conflicting": len(self.conflicts),
            "conflicts": named_conflicts(self.conflicts),
            "left_out": len(self.rejected),
            "rejected": [{"path": f.subject, "reason": f.reason} for f in self.rejected[:MAX_LEFT_OUT]],
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class SetAside:
    """A database that could not be used any more.

    :ivar how: what was wrong with it, a clause.
    :ivar kept_as: its name in the database folder now.
    """

    name: str
    how: str
    kept_as: str


@dataclass(frozen=True)
class RebuildResult:
    """What was made anew from the files.

    :ivar aside: the databases that were damaged.
    :ivar rows: instances that had no row, and have one now.
    :ivar failed: files that got none, with the reason.
    """

    aside: tuple[SetAside, ...]
    rows: int
    failed: tuple[Failure, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``verify --rebuild`` adds to its document."""
        return {
            "databases": [dataclasses.asdict(one) for one in self.aside],
            "rows": self.rows,
            "failed": [{"path": failure.subject, "reason": failure.reason} for failure in self.failed],
        }


@dataclass(frozen=True)
class VerifyResult:
    """Rows checked against files.

    :ivar rows: local rows, each of which must have a readable file.
    :ivar files: files below ``dicom/``, each of which must have a row.
    :ivar missing: SOP Instance UIDs of rows without a readable file.
    :ivar orphans: files without a row, relative to the folder.
    """

    rows: int
    files: int
    missing: tuple[str, ...]
    orphans: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether rows and files agree."""
        return not self.missing and not self.orphans

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``verify --json``."""
        return {
            "rows": self.rows,
            "files": self.files,
            "missing": list(self.missing),
            "orphans": list(self.orphans),
            "ok": self.ok,
        }


@dataclass(frozen=True)
class RemoveResult:
    """Counts of what was removed from the local database.

    :ivar trash: names what can be brought back; empty if the removal is final.
    """

    patients: int
    studies: int
    series: int
    instances: int
    files: int
    trash: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``remove --json``; ``trash`` is in it if there is any."""
        values = dataclasses.asdict(self)
        if not self.trash:
            del values["trash"]
        return values


@dataclass(frozen=True)
class ThumbnailResult:
    """A thumbnail on disk.

    :ivar path: the PNG file.
    :ivar sop_uid: the instance it shows.
    :ivar placeholder: True if the picture was drawn because the object has no pixels that can be shown.
    :ivar reason: why it is a placeholder, or empty.
    """

    series_uid: str
    sop_uid: str
    path: str
    placeholder: bool
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the thumbnail as plain values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class QueryResult:
    """Merged patients of a search, in the shape that the command line prints.

    :ivar patients: see ``docs`` of ``query --json`` in the README.
    :ivar complete: False if a server failed or a limit was reached.
    :ivar warnings: sentences for the user.
    :ivar servers_asked: how many servers were asked.
    :ivar servers_failed: how many of them failed.
    """

    patients: tuple[dict[str, Any], ...]
    complete: bool
    warnings: tuple[str, ...] = ()
    servers_asked: int = 0
    servers_failed: int = 0
    errors: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``query --json`` and ``list --json``."""
        return {"patients": list(self.patients), "complete": self.complete, "warnings": list(self.warnings)}


@dataclass(frozen=True)
class ServerError:
    """A server that could not be asked, and why."""

    server: str
    reason: str


@dataclass(frozen=True)
class SearchResult:
    """How a search went whose finds are in the catalogue.

    :ivar complete: False if a server failed or a limit was reached.
    """

    complete: bool
    warnings: tuple[str, ...]
    errors: tuple[ServerError, ...]
    servers_asked: int

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"complete","warnings","errors","servers_asked"}``; an error is ``{"server","reason"}``."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class ExploreResult:
    """How it went to ask servers for all of a person; what they said is in the catalogue."""

    errors: tuple[ServerError, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"errors","warnings"}``; an error is ``{"server","reason"}``."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class UndoResult:
    """What an undone removal brought back.

    :ivar instances: how many instances are here again that were not.
    :ivar failed: instances that could not be brought back.
    """

    instances: int
    failed: tuple[Failure, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"instances","failed"}``."""
        return {"instances": self.instances, "failed": _failures(self.failed)}


@dataclass(frozen=True)
class ExportResult:
    """Outcome of an export.

    :ivar folder: where the files lie.
    :ivar files: how many are there now, those included that were there already.
    :ivar failed: instances that are not, with the reason.
    """

    folder: str
    files: int
    failed: tuple[Failure, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``export --json``."""
        return {
            "folder": self.folder,
            "files": self.files,
            "failed": _failures(self.failed),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class SendResult:
    """Outcome of sending; complete when the server has confirmed every instance, and lists it if that was asked for.

    :ivar requested: instances that were to be sent, each once.
    :ivar sent: those that the server confirmed, with or without a warning.
    :ivar verified: those that it lists when it is asked afterwards; None if it was not asked, or could not be.
    :ivar check: whether it was to be asked.
    :ivar failed: instances that were not sent, or are not listed, with the reason.
    :ivar rejected: files that hold no instance that could be sent, with the reason.
    :ivar damaged: how many of the rejected claim to be DICOM, or were named one by one.
    :ivar bytes: of the data sets that were confirmed.
    """

    requested: int
    sent: int
    verified: int | None
    failed: tuple[Failure, ...]
    bytes: int
    seconds: float
    rejected: tuple[Failure, ...] = ()
    warnings: tuple[str, ...] = ()
    check: bool = False
    damaged: int = 0

    @property
    def complete(self) -> bool:
        """Whether all that was asked for is on the server, as far as was to be found out."""
        checked = self.verified == self.requested if self.check else True
        return 0 < self.requested == self.sent and checked and not self.failed and not self.damaged

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``send --json``."""
        return {
            "requested": self.requested,
            "sent": self.sent,
            "verified": self.verified,
            "failed": _failures(self.failed),
            "rejected": [{"path": f.subject, "reason": f.reason} for f in self.rejected],
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "warnings": list(self.warnings),
        }


def _failures(failures: tuple[Failure, ...]) -> list[dict[str, str]]:
    return [{"sop_uid": failure.subject, "reason": failure.reason} for failure in failures]
