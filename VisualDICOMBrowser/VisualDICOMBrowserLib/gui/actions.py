"""What a user does with chosen series: fetch, cancel, try again, remove and undo, export, import.

Each asks the engine and tells the outcome in a sentence; nothing here waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..domain.errors import VisualDicomError
from ..domain.overview import SeriesRow
from ..jobs.description import JobRecord, Priority
from .activity.job_words import RETRIED
from .messages import Message, Remedy, Tone, counted
from .session import Session

_MOST_DETAILS = 200


class Actions:
    """See the module."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def fetch(self, series: Iterable[SeriesRow]) -> None:
        """Have series that are not wholly here fetched; what is under way by a wish is left alone."""
        lacking = [row for row in series if not row.complete and row.servers]
        wanted = [row for row in lacking if (job := self._under_way(row)) is None or _is_ahead(job)]
        if wanted:
            self._session.ask("fetch", {"series_uids": [row.uid for row in wanted]})

    def cancel(self, series: Iterable[SeriesRow]) -> None:
        """Cancel the retrieves of series."""
        jobs = {job.job_id for row in series if (job := self._under_way(row)) is not None}
        for job_id in sorted(jobs):
            self.cancel_job(job_id)

    def cancel_job(self, job_id: str) -> None:
        """Cancel one job."""
        self._session.ask("cancel_job", {"job_id": job_id})

    def retry_job(self, job_id: str) -> None:
        """Try one job again."""
        self._session.ask("retry_job", {"job_id": job_id})

    def are_under_way(self, series: Iterable[SeriesRow]) -> bool:
        """Tell whether any of them is being fetched, or waits to be."""
        return any(self._under_way(row) is not None for row in series)

    def have_failed(self, series: Iterable[SeriesRow]) -> bool:
        """Tell whether the last retrieve of any of them failed or fell short."""
        return any(self._stopped(row) is not None for row in series)

    def retry(self, series: Iterable[SeriesRow]) -> None:
        """Try failed retrieves again; series without one are fetched."""
        fresh = []
        jobs = set()
        for row in series:
            job = self._stopped(row)
            if job is not None:
                jobs.add(job.job_id)
            else:
                fresh.append(row)
        for job_id in sorted(jobs):
            self.retry_job(job_id)
        self.fetch(fresh)

    def remove(self, series: Sequence[SeriesRow]) -> None:
        """Remove series from this computer, never from a server; the message that tells so can undo it."""
        here = [row.uid for row in series if row.local_instances]
        if not here:
            self._session.say("Nothing of the selection is on this computer.", about="remove")
            return
        target = {"level": "series", "uids": here}
        self._session.ask("remove", {"target": target, "undoable": True}, self._removed, self._not_removed)

    def export(self, series: Sequence[SeriesRow], folder: str) -> None:
        """Copy what is here of series into a folder."""
        here = [row.uid for row in series if row.local_instances]
        if not here:
            self._session.say("Nothing of the selection is on this computer; fetch it first.", about="export")
            return
        self._session.say(f"Exporting to {folder} …", about="export")
        params = {"target": {"level": "series", "uids": here}, "folder": folder}
        self._session.ask("export", params, self._exported, self._failed("export", "Nothing was exported"))

    def fetch_again(self, series: Iterable[SeriesRow]) -> None:
        """Have series fetched again that are here: each image takes the place of the old one once it is safely here."""
        wanted = [row.uid for row in series if row.local_instances and row.servers and not self._under_way(row)]
        if wanted:
            self._session.ask("fetch", {"series_uids": wanted, "force": True})

    def import_paths(self, paths: Sequence[str], *, link: bool = False, replace: bool = False) -> None:
        """Take files and folders into the database: copies, or links to where they lie.

        :param replace: what is here already gives way to the files.
        """
        self._session.say("Importing …", about="import")
        params = {"paths": list(paths), "link": link, "replace": replace}
        failed = self._failed("import", "The import failed")
        self._session.ask("import_paths", params, lambda result: self._imported(result, paths, link), failed)

    def _under_way(self, row: SeriesRow) -> JobRecord | None:
        job = self._session.jobs.retrieve_of(row)
        return job if job is not None and not job.state.terminal else None

    def _stopped(self, row: SeriesRow) -> JobRecord | None:
        job = self._session.jobs.retrieve_of(row)
        return job if job is not None and job.state in RETRIED and not row.complete else None

    def _removed(self, result: dict[str, Any]) -> None:
        count = result["instances"]
        text = f"Removed {counted(count, 'image')} of {counted(result['series'], 'series')} from this computer."
        undo = Remedy("Undo", lambda: self._undo(result["trash"]))
        self._session.said.emit(Message(text, Tone.WARNING, "remove", (undo,)))

    def _not_removed(self, error: VisualDicomError) -> None:
        self._session.say(f"Nothing was removed. {error}", Tone.PROBLEM, "remove")

    def _undo(self, trash: str) -> None:
        def back(result: dict[str, Any]) -> None:
            text = "1 image is back." if result["instances"] == 1 else f"{result['instances']:,} images are back."
            self._tell("remove", text, [f"{item['sop_uid']}: {item['reason']}" for item in result["failed"]])

        self._session.ask("undo_remove", {"trash": trash}, back, self._failed("remove", "The removal stays"))

    def _exported(self, result: dict[str, Any]) -> None:
        text = f"Exported {counted(result['files'], 'file')} to {result['folder']}."
        self._tell("export", text, [f"{item['sop_uid']}: {item['reason']}" for item in result["failed"]])

    def _imported(self, result: dict[str, Any], all_paths: Sequence[str], link: bool) -> None:
        conflicts = result["conflicts"]
        rejected = [f"{Path(item['path']).name}: {item['reason']}" for item in result["rejected"]]
        named_all = len(conflicts) == result["conflicting"]
        paths = [item["source"] for item in conflicts] if named_all else all_paths
        replace = Remedy("Replace", lambda: self.import_paths(paths, link=link, replace=True))
        self._tell(
            "import",
            import_words(result),
            rejected,
            [conflict_words(conflict) for conflict in conflicts],
            (replace,) if conflicts else (),
            count=result["left_out"],
        )

    def _tell(
        self,
        about: str,
        text: str,
        left_out: Sequence[str],
        others: Sequence[str] = (),
        remedies: tuple[Remedy, ...] = (),
        count: int | None = None,
    ) -> None:
        """Tell an outcome; what was left out, and other lines worth a warning, are in the details.

        :param count: how many files were left out, if not all are named.
        """
        if left_out:
            text += f" {counted(len(left_out) if count is None else count, 'file')} had to be left out."
        lines = [*others, *left_out]
        tone = Tone.WARNING if lines else Tone.NOTE
        self._session.said.emit(Message(text, tone, about, remedies, tuple(lines[:_MOST_DETAILS])))

    def _failed(self, about: str, what: str) -> Any:
        return lambda error: self._session.say(f"{what}. {error}", Tone.PROBLEM, about)


def _is_ahead(job: JobRecord) -> bool:
    return job.description.priority > Priority.USER


def import_words(result: Mapping[str, Any]) -> str:
    """Return what an import did, as :meth:`.ImportResult.to_dict` tells it; files that were rejected are not in it."""
    text = f"Imported {counted(result['imported'], 'image')}"
    text += f"; {result['duplicates']:,} were here already." if result["duplicates"] else "."
    if result["replaced"]:
        text += f" {counted(result['replaced'], 'image')} that had been here gave way to the files."
    conflicts = result["conflicting"]
    if conflicts:
        has = "1 file has" if conflicts == 1 else f"{conflicts:,} files have"
        text += f" {has} another content than the image that is here under the same UID; that was kept."
    return text


def conflict_words(conflict: Mapping[str, Any]) -> str:
    """Return what differs between a file and the image that is here, as :meth:`.Conflict.to_dict` tells it."""
    words = f"{Path(conflict['source']).name}: {conflict['reason']}"
    return f"{words} ({', '.join(conflict['tags'])})" if conflict["tags"] else words
