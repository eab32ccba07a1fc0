"""What the engine does with files on this computer: import, removal, checks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..domain.cancel import CancelToken
from ..domain.errors import UsageError
from ..domain.model import Target
from ..domain.results import ExportResult, ImportResult, RemoveResult, UndoResult, VerifyResult, kept_words
from ..jobs.description import JobDescription, JobKind, Missing
from ..jobs.job import JobContext, Outcome
from ..jobs.states import JobState
from ..store.exporter import Exporter
from ..store.importer import Importer, exists
from .conflict_log import log_conflict
from .core import Core
from .job_targets import Overlap, job_params, target_of
from .runner import Task, Unfinished
from .seen import when_seen


class LocalActions:
    """The part of the engine that works on local files; its methods are described at :class:`.Engine`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        core.jobs.learn(JobKind.IMPORT, self._retry_import)
        core.jobs.learn(JobKind.EXPORT, self._retry_export)

    def import_paths(
        self, paths: Sequence[Path], link: bool, token: CancelToken | None, *, replace: bool = False
    ) -> ImportResult:
        """See :meth:`.Engine.import_paths`."""
        self._core.store.require_writable()
        for path in paths:
            if not exists(path):
                raise UsageError(f"There is no file or folder {path}.")

        params = {"paths": [str(path.absolute()) for path in paths], "link": link, "replace": replace}
        work = partial(self._import, paths, link, replace)
        result: ImportResult = self._core.jobs.do(JobKind.IMPORT, work, params=params, token=token)
        return result

    def _import(self, paths: Sequence[Path], link: bool, replace: bool, context: JobContext) -> Outcome | Unfinished:
        store = self._core.store
        importer = Importer(store, link=link, replace=replace, token=context.token, progress=context.progress)
        try:
            result = importer.run(paths)
        finally:
            self._core.tell_catalogue()
        for number, conflict in enumerate(result.conflicts):
            log_conflict(conflict, number, source="")  # a path may name a patient
        return when_seen(store, store.unseen(importer.stored), lambda: _imported(importer.as_seen(result)))

    def _retry_import(self, job: JobDescription) -> Task:
        """Begin an import anew; what is here already is not copied again."""
        link, replace = bool(job.params["link"]), bool(job.params.get("replace"))
        return partial(self._import, [Path(path) for path in job.params["paths"]], link, replace)

    def remove(self, target: Target, undoable: bool, about: Overlap) -> RemoveResult:
        """See :meth:`.Engine.remove`.

        :param about: tells which jobs have to do with it.
        """
        core = self._core
        core.jobs.stop(about)  # else what is removed would come back at once

        def work(context: JobContext) -> RemoveResult:
            series_uids = core.store.catalogue.series_uids_of(target.level, target.uids)
            try:
                return core.store.remove(target, undoable=undoable, token=context.token)
            finally:
                core.tell_removed(series_uids)

        result: RemoveResult = core.jobs.do(JobKind.REMOVE, work, params=job_params(core.store.catalogue, target))
        return result

    def finish_removals(self) -> None:
        """Have removals finished that another program had still to do when the last engine ended."""
        core = self._core
        if core.store.has_open_removals:

            def work(context: JobContext) -> None:
                core.store.finish_removals(context.token)
                core.tell_catalogue()

            core.jobs.submit(JobKind.REMOVE, work)

    def undo_remove(self, trash: str) -> UndoResult:
        """See :meth:`.Engine.undo_remove`."""
        self._core.store.require_writable()

        def work(_: JobContext) -> UndoResult:
            try:
                return self._core.store.undo_remove(trash)
            finally:
                self._core.tell_catalogue()

        result: UndoResult = self._core.jobs.do(JobKind.REMOVE, work)
        return result

    def export(self, target: Target, folder: Path, token: CancelToken | None) -> ExportResult:
        """See :meth:`.Engine.export`."""
        store = self._core.store
        params = {**job_params(store.catalogue, target), "folder": str(folder.absolute())}
        work = partial(self._export, target, folder)
        result: ExportResult = self._core.jobs.do(JobKind.EXPORT, work, params=params, token=token)
        return result

    def _export(self, target: Target, folder: Path, context: JobContext) -> Outcome:
        result = Exporter(self._core.store, context.token, context.progress).run(target, folder)
        if not result.failed:
            return Outcome(result)
        missing = Missing.of(failure.subject for failure in result.failed)
        return Outcome(result, JobState.INCOMPLETE, f"{missing.count} files could not be exported.", missing=missing)

    def _retry_export(self, job: JobDescription) -> Task:
        """Begin an export anew; what is in the folder already is not copied again."""
        return partial(self._export, target_of(job), Path(job.params["folder"]))

    def verify(self, token: CancelToken | None) -> VerifyResult:
        """See :meth:`.Engine.verify`."""
        result: VerifyResult = self._core.jobs.do(JobKind.VERIFY, lambda _: self._core.store.verify(), token=token)
        return result


def _imported(result: ImportResult) -> Outcome:
    """Say how an import ended: what is no DICOM is left out, but nothing at all is no success.

    What could not be kept is wanted still, and a retry takes it in.
    """
    conflicts = len(result.conflicts)
    if result.not_kept:
        missing = Missing(len(result.not_kept))
        return Outcome(result, JobState.INCOMPLETE, result.shortfall, missing=missing, conflicts=conflicts)
    if result.any_dicom:
        return Outcome(result, reason=kept_words(conflicts), conflicts=conflicts)
    reason = "None of the files is a DICOM object that could be imported."
    return Outcome(result, JobState.INCOMPLETE, reason, missing=Missing(len(result.rejected)))
