"""The engine: one object that owns network, jobs and store, and does everything the product does.

Example::

    from VisualDICOMBrowserLib import Engine
    from VisualDICOMBrowserLib.domain.filters import QueryFilter
    from VisualDICOMBrowserLib.domain.model import Level, Target

    with Engine("database", "config.json") as engine:
        found = engine.query(QueryFilter(patient_name="doe"), Level.SERIES)
        result = engine.retrieve(Target(Level.PATIENT, (found.patients[0]["patient_id"],)))
        print(result.verified, "of", result.requested)

Threads: every method may be called from any thread and blocks until its work is done; the work itself runs as a job
on the engine's own threads. ``token`` cancels it from elsewhere. Callbacks given to :meth:`Engine.subscribe`
run on the engine's threads and must return at once.

Events, as ``callback(name, subject, data)``:

==================  ===================  ============================================================================
name                subject              data
==================  ===================  ============================================================================
``job``             job id               the job's record, with ``old`` state; for each transition
``progress``        job id               the job's record, when it got on
``series-changed``  Series Instance UID  ``{"local_instances": n}``, when instances of it were stored
==================  ===================  ============================================================================
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from ..dimse.echo import echo
from ..dimse.quiet import silence_pynetdicom
from ..domain.cancel import CancelToken
from ..domain.errors import InternalError, PeerError, StorageError, UsageError
from ..domain.filters import QueryFilter
from ..domain.model import Level, Target
from ..domain.results import (
    EchoResult,
    ImportResult,
    QueryResult,
    RemoveResult,
    RetrieveResult,
    ThumbnailResult,
    VerifyResult,
)
from ..domain.servers import Server
from ..domain.views import ElementPage, FrameView, Stack
from ..imaging.children import Decoder
from ..jobs.description import JobKind, JobRecord
from ..jobs.job import JobContext, JobHandle, JobTransition, Outcome
from ..jobs.lanes import Limits
from ..jobs.queue import InMemoryJobQueueStore, JobQueueStore
from ..jobs.retry import RetryStrategy
from ..store.importer import Importer
from ..store.local import LocalStore
from .configuration import Configuration, default_configuration_file
from .job_queue import CatalogueJobQueue
from .retrieve import Retrieval, can_get, require_get, result_of
from .runner import JobRunner
from .search import Findings, search_local, search_server
from .thumbnails import fetch_middle, local_thumbnail
from .tree import PatientTree
from .viewing import Viewer

_log = logging.getLogger(__name__)

Subscriber = Callable[[str, str, Any], None]


class Engine:
    """See the module.

    :param database: the database folder; made if need be.
    :param config: the configuration file; the user's own if None.
    :param read_only: do not write in the folder. It is read-only as well if another engine holds it.
    :param retry: whether and when what failed is tried again.
    :raises SchemaMismatch: the folder holds a database of another version.
    :raises StorageError: the folder cannot be used.
    """

    def __init__(
        self,
        database: Path | str,
        config: Path | str | None = None,
        *,
        read_only: bool = False,
        retry: RetryStrategy | None = None,
    ) -> None:
        silence_pynetdicom()
        self.configuration = Configuration(Path(config) if config is not None else default_configuration_file())
        self._store = LocalStore.open(Path(database), read_only=read_only)
        self._store.on_stored = self._tell_stored
        self._decoder = Decoder()
        self._viewer = Viewer(self._store)
        self._subscribers: list[Subscriber] = []
        self._lock = threading.Lock()
        self._jobs = JobRunner(
            Limits(servers=self._server_limits()),
            retry,
            self._job_store(),
            self._on_transition,
            lambda record: self._emit("progress", record.job_id, record.to_dict()),
        )

    def _server_limits(self) -> dict[str, int]:
        try:
            return {server.name: server.max_associations for server in self.configuration.servers()}
        except UsageError:
            return {}  # local work goes on with a broken configuration; whoever needs a server is told

    def _job_store(self) -> JobQueueStore:
        return InMemoryJobQueueStore() if self.read_only else CatalogueJobQueue(self._store.catalogue)

    def close(self) -> None:
        """Cancel what runs, keep what is here, give the folder back. Bounded; the engine is of no use afterwards."""
        self._jobs.close(2.0)
        self._decoder.close()
        self._viewer.close()
        self._store.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written in the folder."""
        return self._store.read_only

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Have ``callback(name, subject, data)`` called with each event; return what ends that."""
        with self._lock:
            self._subscribers.append(callback)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._subscribers:
                    self._subscribers.remove(callback)

        return unsubscribe

    def jobs(self) -> list[JobRecord]:
        """Return the jobs of this engine, oldest first."""
        return self._jobs.records()

    # Servers

    def servers(self) -> list[Server]:
        """Return the configured servers."""
        return self.configuration.servers()

    def echo(self, server: str, *, token: CancelToken | None = None) -> EchoResult:
        """Try whether a server answers.

        :raises UsageError: there is no such server.
        """
        chosen = self.configuration.server(server)
        started = time.monotonic()
        try:
            self._jobs.do(JobKind.ECHO, lambda context: echo(chosen, context.token), server=server, token=token)
        except PeerError as error:
            return EchoResult(server, False, round(time.monotonic() - started, 3), str(error))
        return EchoResult(server, True, round(time.monotonic() - started, 3), "The server answers.")

    # Searching

    def query(
        self,
        filter: QueryFilter | None = None,
        level: Level = Level.STUDY,
        servers: Sequence[str] | None = None,
        *,
        token: CancelToken | None = None,
    ) -> QueryResult:
        """Search servers (all of them if None) and this computer, and merge what they know.

        A server that fails makes the result incomplete, not wrong: its error is among the warnings.

        :raises UsageError: there is no such server.
        """
        if token is not None:
            token.check()
        query = self._with_parents(filter or QueryFilter())
        names = dict.fromkeys(servers) if servers is not None else None
        chosen = self.servers() if names is None else [self.configuration.server(name) for name in names]
        handles = [self._submit_find(server, query, level) for server in chosen]
        tree = PatientTree()
        warnings, errors = [], []
        try:
            for server, handle in zip(chosen, handles, strict=True):
                try:
                    found: Findings = self._jobs.result(handle, token)
                except PeerError as error:
                    errors.append(f"{server.name}: {error}")
                else:
                    self._merge(tree, found, server.name, level)
                    warnings += _shortcomings(found, server.name, query.limit)
        except BaseException:
            self._jobs.cancel_all(handles)
            raise
        local = self._add_local(tree, query, level)
        warnings += _shortcomings(local, "This computer", query.limit)
        return QueryResult(
            patients=tuple(tree.to_list(level)),
            complete=not warnings and not errors,
            warnings=(*errors, *warnings),
            servers_asked=len(chosen),
            servers_failed=len(errors),
        )

    def local(self, filter: QueryFilter | None = None, level: Level = Level.SERIES) -> QueryResult:
        """Return what is on this computer."""
        query = self._with_parents(filter or QueryFilter())
        tree = PatientTree()
        found = self._add_local(tree, query, level)
        warnings = _shortcomings(found, "This computer", query.limit)
        return QueryResult(tuple(tree.to_list(level)), complete=not warnings, warnings=tuple(warnings))

    def _with_parents(self, query: QueryFilter) -> QueryFilter:
        """Narrow the search for a series to its study, where that is known."""
        parents = self._store.catalogue.parents(Level.SERIES, query.series_uid) if query.series_uid else None
        return replace(query, study_uid=parents[0]) if parents and not query.study_uid else query

    def _submit_find(self, server: Server, query: QueryFilter, level: Level) -> JobHandle:
        def find(context: JobContext) -> Findings:
            found = search_server(server, query, level, context.token)
            if not self.read_only:
                self._store.catalogue.note_found(server.name, found.studies, found.series, found.instances)
            return found

        return self._jobs.submit(JobKind.FIND, find, server=server.name)

    def _add_local(self, tree: PatientTree, query: QueryFilter, level: Level) -> Findings:
        self._store.refresh()
        found = search_local(self._store.catalogue, query, level)
        self._merge(tree, found, None, level)
        tree.note_local_counts(self._store.catalogue.local_counts(tree.series_uids))
        return found

    @staticmethod
    def _merge(tree: PatientTree, found: Findings, server: str | None, level: Level) -> None:
        for patient in found.patients if level is Level.PATIENT else ():
            tree.add_patient(patient)
        for study in found.studies if level >= Level.STUDY else ():
            tree.add_study(study, server)
        for series in found.series if level >= Level.SERIES else ():
            tree.add_series(series, server)
        for instance in found.instances if level >= Level.IMAGE else ():
            tree.add_instance(instance, server)

    # Fetching

    def retrieve(
        self, target: Target, server: str | None = None, *, token: CancelToken | None = None
    ) -> RetrieveResult:
        """Fetch what is not here yet of a target, and verify all of it.

        :param server: where from; None asks the servers one after the other. Series and instances are asked for until
            they are here; of patients and studies each server may have another part, so all of them are asked.
        :raises UsageError: no such server, or one that cannot be retrieved from by C-GET.
        :raises FolderInUse: another engine holds the folder.
        """
        self._store.require_writable()
        if target.level is Level.PATIENT and "" in target.uids:
            raise UsageError("Patients without an ID are one to no server; retrieve their studies.")
        done: list[Retrieval] = []
        result: RetrieveResult | None = None
        for chosen in self._sources(server):
            if token is not None:
                token.check()
            provided = result is not None and result.complete
            if provided and target.level >= Level.SERIES:
                break
            done.append(Retrieval(chosen, target, self._store, once=provided))
            alone = self._run_retrieval(done[-1], token)
            result = alone if alone is not None and len(done) == 1 else result_of(done)
        return result if result is not None else result_of(done)

    def _sources(self, server: str | None) -> list[Server]:
        if server is not None:
            chosen = self.configuration.server(server)
            require_get(chosen)
            return [chosen]
        servers = self.servers()
        if not servers:
            raise UsageError("There is no server to retrieve from; add one with: servers add.")
        usable = [s for s in servers if can_get(s)]
        if not usable:
            require_get(servers[0])
        return usable

    def _run_retrieval(self, retrieval: Retrieval, token: CancelToken | None) -> RetrieveResult | None:
        """Run a retrieve as a job, and return what it came to; None if it broke off, why is in the retrieval."""

        def work(context: JobContext) -> Outcome:
            retrieval.attempt(context.token, context.progress)
            result = result_of([retrieval])
            if result.complete or not result.requested:
                return Outcome(result)
            return context.incomplete(result, f"{result.requested - result.verified} instances are missing.")

        target = retrieval.target
        params = {"level": target.level.name.lower(), "uids": list(target.uids)}
        handle = self._jobs.submit(JobKind.RETRIEVE, work, server=retrieval.server.name, params=params)
        outcome = self._jobs.wait(handle, token)
        if outcome.error is not None and not isinstance(outcome.error, (PeerError, StorageError)):
            raise outcome.error
        result: RetrieveResult | None = outcome.result
        return result

    def thumbnail(
        self, series_uid: str, server: str | None = None, *, token: CancelToken | None = None
    ) -> ThumbnailResult:
        """Return a picture of a series: of what is here, else of its middle instance, which is fetched alone.

        :raises UsageError: nobody knows the series.
        :raises PeerError: the instance could not be had.
        """
        self._store.require_writable()
        made: ThumbnailResult | None = self._jobs.do(
            JobKind.THUMBNAIL, lambda _: local_thumbnail(self._store, self._decoder, series_uid), token=token
        )
        if made is not None:
            return made
        problem: PeerError | None = None
        for source in self._thumbnail_sources(series_uid, server):
            try:
                return self._fetch_thumbnail(series_uid, source, token)
            except PeerError as error:
                problem = problem or error
        raise problem or UsageError("This series is not here, and no server is known to have it; search for it first.")

    def _thumbnail_sources(self, series_uid: str, server: str | None) -> list[Server]:
        if server is not None:
            chosen = self.configuration.server(server)
            require_get(chosen)
            return [chosen]
        holders = self._store.catalogue.servers_of_series(series_uid)
        known = [s for s in self.servers() if s.name in holders] if holders else []
        usable = [s for s in known if can_get(s)]
        if known and not usable:
            require_get(known[0])
        return usable

    def _fetch_thumbnail(self, series_uid: str, source: Server, token: CancelToken | None) -> ThumbnailResult:
        def fetch(context: JobContext) -> ThumbnailResult:
            fetch_middle(self._store, source, series_uid, context.token)
            fetched = local_thumbnail(self._store, self._decoder, series_uid)
            if fetched is None:
                raise InternalError("What was fetched for a thumbnail is not there.")
            return fetched

        result: ThumbnailResult = self._jobs.do(JobKind.THUMBNAIL, fetch, server=source.name, token=token)
        return result

    # Looking at local content

    def stack(self, series_uid: str, *, token: CancelToken | None = None) -> Stack:
        """Return the images of a series that are here, in the order to look through them."""
        return self._viewer.stack(series_uid, token or CancelToken())

    def frame(self, sop_uid: str, frame: int = 0, *, token: CancelToken | None = None) -> FrameView:
        """Return a frame of an instance that is here, counted from 0; a placeholder if it cannot be shown.

        :raises UsageError: the instance is not here.
        :raises StorageError: the picture cannot be written.
        """
        return self._viewer.frame(sop_uid, frame, token or CancelToken())

    def elements(
        self, sop_uid: str, offset: int = 0, limit: int = 1000, search: str = "", *, token: CancelToken | None = None
    ) -> ElementPage:
        """Return some of the elements of an instance that is here.

        :param limit: at most 1000 rows.
        :param search: only rows that have this in tag, name, keyword or value, and those they stand below.
        :raises UsageError: the instance is not here.
        :raises BadData: its file is not DICOM, or cannot be read through.
        """
        return self._viewer.elements(sop_uid, offset, limit, search, token or CancelToken())

    def representative(self, uid: str) -> str:
        """Return the SOP Instance UID of an instance that is here, or of the first one of a series.

        :raises UsageError: neither is here.
        """
        if self._store.catalogue.local_files(Level.IMAGE, [uid]):
            return uid
        images = self.stack(uid).images
        files = self._store.catalogue.local_files(Level.SERIES, [uid])
        if not files:
            raise UsageError("No instance or series of this UID is on this computer.")
        return images[0][0] if images else files[0].instance.sop_uid

    # Local content

    def import_paths(
        self, paths: Sequence[Path], link: bool = False, *, token: CancelToken | None = None
    ) -> ImportResult:
        """Import files, and folders with all that is below them.

        :param link: leave the files where they are instead of copying them.
        :raises UsageError: a path that does not exist.
        :raises FolderInUse: another engine holds the folder.
        """
        self._store.require_writable()
        for path in paths:
            if not path.exists():
                raise UsageError(f"There is no file or folder {path}.")

        def work(context: JobContext) -> ImportResult:
            return Importer(self._store, link=link, token=context.token, progress=context.progress).run(paths)

        params = {"paths": [str(path) for path in paths], "link": link}
        result: ImportResult = self._jobs.do(JobKind.IMPORT, work, params=params, token=token)
        return result

    def remove(self, target: Target) -> RemoveResult:
        """Remove what a target names from this computer, never from a server; linked files stay where they are.

        :raises FolderInUse: another engine holds the folder.
        """
        self._store.require_writable()
        result: RemoveResult = self._jobs.do(JobKind.REMOVE, lambda _: self._store.remove(target))
        return result

    def verify(self, *, token: CancelToken | None = None) -> VerifyResult:
        """Check that every row has a readable file, and every file a row."""
        result: VerifyResult = self._jobs.do(JobKind.VERIFY, lambda _: self._store.verify(), token=token)
        return result

    # Events

    def _on_transition(self, step: JobTransition) -> None:
        self._emit("job", step.job.job_id, {**step.job.to_dict(), "old": step.old.value if step.old else None})

    def _tell_stored(self, series_uids: frozenset[str]) -> None:
        for series_uid, count in self._store.catalogue.local_counts(series_uids).items():
            self._emit("series-changed", series_uid, {"local_instances": count})

    def _emit(self, name: str, subject: str, data: Any) -> None:
        with self._lock:
            subscribers = list(self._subscribers)
        for callback in subscribers:
            try:
                callback(name, subject, data)
            except Exception as error:
                # Somebody else's fault, and no reason to lose the job whose event it was.
                _log.error("A subscriber failed: %s", type(error).__name__)


def _shortcomings(found: Findings, where: str, limit: int) -> list[str]:
    sentences = []
    if found.truncated:
        sentences.append(f"{where}: more than {limit} matches exist; narrow the search or raise the limit.")
    if found.unusable:
        sentences.append(f"{where}: matches left out because their UID is invalid: {found.unusable}.")
    return sentences
