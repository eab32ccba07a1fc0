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

Whatever asks a server raises :class:`.PackageMissing` where pynetdicom is not installed; all else does without it.

Events, as ``callback(name, subject, data)``:

=====================  ===================  =========================================================================
name                   subject              data
=====================  ===================  =========================================================================
``job``                job id               the job's record, with ``old`` state; for each transition
``progress``           job id               the job's record, when it got on
``series-changed``     Series Instance UID  ``{"local_instances": n}``, when instances of it were stored or removed, or
                                            its picture was made
``catalogue-changed``  ``catalogue``        ``{}``, when there is more or less to show: a server answered, an import, a
                                            removal, series that are here for the first time
``servers-changed``    ``servers``          ``{}``, when the configuration changed
``listener-changed``   ``listener``         ``{}``, when others can call from now on, or no more
``association``        ``association N``    an association that somebody else asked for, when it begins and ends, and
                                            now and then meanwhile: :class:`.CallRecord`
``caller-refused``     ``listener``         somebody did not get in: :class:`.CallRecord`
``index-wanted``       ``index``            ``{"files", "urgent"}``: files wait for rows: :meth:`.Engine.index_batch`
``removal-wanted``     ``removal``          ``{"series"}``: rows are in the way: :meth:`.Engine.series_to_remove`
=====================  ===================  =========================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ..domain.cancel import CancelToken
from ..domain.errors import UsageError
from ..domain.filters import QueryFilter
from ..domain.listener import ListenerSettings, ListenerStatus, ListenResult
from ..domain.model import Level, Target
from ..domain.results import (
    EchoResult,
    ExploreResult,
    ExportResult,
    ImportResult,
    QueryResult,
    RebuildResult,
    RemoveResult,
    RetrieveResult,
    SearchResult,
    SendResult,
    ThumbnailResult,
    UndoResult,
    VerifyResult,
)
from ..domain.server_import import ServerImport
from ..domain.servers import Server
from ..domain.views import ElementPage, FrameView, Stack
from ..imaging.children import Decoder
from ..jobs.job import JobTransition
from ..jobs.queue import InMemoryJobQueueStore
from ..jobs.retry import RetryStrategy
from ..store.host_link import HostPlan
from ..store.index_queue import IndexBatch, IndexOutcome
from ..store.local import LocalStore
from ..store.mirror import Watch
from ..store.rows import LocalRows
from .background import BackgroundFetching
from .comparing import Comparing
from .configuration import Configuration, default_configuration_file
from .core import Core, Events, Subscriber
from .fetching import Fetching
from .finding import Finding
from .hosted_rows import HostedRows
from .job_desk import JobDesk
from .job_queue import CatalogueJobQueue
from .job_targets import Overlap
from .left_over import LeftOver
from .listener_job import ListenerJob
from .listening import Listening, OpenListener
from .local_actions import LocalActions
from .runner import JobRunner
from .sending import Sending
from .server_setup import ServerSetup, server_limits
from .thumbnails import drop_outdated
from .viewing import Viewer


class Engine(JobDesk):
    """See the module.

    :param database: the database folder; made if need be.
    :param config: the configuration file; the user's own if None.
    :param read_only: do not write in the folder. It is read-only as well if another engine holds it.
    :param retry: whether and when what failed is tried again.
    :param rows_by_host: whoever runs the engine keeps the rows of the ctkDICOM database, as Slicer does: it follows the
        events ``index-wanted`` and ``removal-wanted``. The engine then only reads the database.
    :param rows: where these rows are read then, if not in the file.
    :param decode_here: make pictures in this process, for where no other one can be started.
    :param listen: follow the configuration where it says that others can call all the time. What a server is asked
        to send here is received in any case.
    :param rebuild: make damaged databases of local content anew from the files first: :attr:`rebuilt` tells.
    :param opening: called with how many studies of how many were read (0: not known yet), where there is much to read
        that is new; what it raises ends the opening, and the next one begins the reading again.
    :raises SchemaMismatch: the folder holds a database of another version.
    :raises StorageError: the folder cannot be used; if a database is damaged, the sentence says what to do.
    """

    def __init__(
        self,
        database: Path | str,
        config: Path | str | None = None,
        *,
        read_only: bool = False,
        retry: RetryStrategy | None = None,
        rows_by_host: bool = False,
        rows: LocalRows | None = None,
        decode_here: bool = False,
        listen: bool = False,
        rebuild: bool = False,
        opening: Watch = lambda done, total: None,
    ) -> None:
        self.configuration = Configuration(Path(config) if config is not None else default_configuration_file())
        self._events = Events()
        host = HostPlan(self._tell_host, rows) if rows_by_host else None
        self._store = LocalStore.open(Path(database), read_only=read_only, host=host, rebuild=rebuild, watch=opening)
        try:
            self._assemble(retry, decode_here=decode_here, listen=listen)
        except BaseException:
            self._store.close()
            raise

    def _assemble(self, retry: RetryStrategy | None, *, decode_here: bool, listen: bool) -> None:
        if not self.read_only:
            drop_outdated(self._store)
        self._viewer = Viewer(self._store, decoder=Decoder(max_children=2, here=decode_here))
        self._queue = CatalogueJobQueue(self._store.catalogue)
        self._jobs = JobRunner(
            server_limits(self.configuration),
            retry,
            InMemoryJobQueueStore() if self.read_only else self._queue,
            self._on_transition,
            lambda record: self._events.emit("progress", record.job_id, record.to_dict()),
        )
        listening = Listening(self.configuration, self._store, self._events.emit)
        decoder = Decoder(here=decode_here)
        self._core = Core(self.configuration, self._store, self._jobs, self._events, listening, decoder)
        self._store.on_stored = self._core.tell_stored
        self._comparing = Comparing(here=decode_here)
        self._store.duplicates.compare = self._comparing
        self._setup = ServerSetup(self._core)
        self._finding = Finding(self._core)
        self._fetching = Fetching(self._core)
        self._background = BackgroundFetching(self._core)
        self._sending = Sending(self._core)
        self._actions = LocalActions(self._core)
        self._hosted = HostedRows(self._core)
        self._left_over = LeftOver(self._queue, self._jobs, ours=not self.read_only)
        self._actions.finish_removals()
        self._listener_job = ListenerJob(self._jobs, listening)
        self._events.subscribe(self._listener_job.hear)
        if listen:
            listening.begin()

    def _on_transition(self, step: JobTransition) -> None:
        data = {**step.job.to_dict(), "old": step.old.value if step.old else None}
        self._events.emit("job", step.job.job_id, data)

    def _tell_host(self, name: str, data: dict[str, Any]) -> None:
        self._events.emit(name, name.partition("-")[0], data)

    def close(self) -> None:
        """Cancel what runs, keep what is here, give the folder back. Bounded; the engine is of no use afterwards."""
        self._comparing.close()  # a connection may wait for it
        self._core.listening.close()
        self._jobs.close(2.0)
        self._core.associations.close()
        self._core.decoder.close()
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

    @property
    def rebuilt(self) -> RebuildResult | None:
        """What was made anew from the files when the engine began; None if that was not asked for."""
        return self._store.rebuilt

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Have ``callback(name, subject, data)`` called with each event; return what ends that."""
        return self._events.subscribe(callback)

    # Servers

    def servers(self) -> list[Server]:
        """Return the configured servers."""
        return self.configuration.servers()

    def echo(self, server: str, *, token: CancelToken | None = None) -> EchoResult:
        """Try whether a server answers.

        :raises UsageError: there is no such server.
        """
        return self._setup.echo(server, token)

    def test_server(self, server: Server, *, token: CancelToken | None = None) -> EchoResult:
        """Try whether a server answers that need not be configured."""
        return self._setup.test(server, token)

    def save_server(self, server: Server, replaces: str | None = None) -> None:
        """Configure a server, in the place of the one called ``replaces`` if that is not None.

        Work that is under way or queued goes on with the settings it began with.

        :raises UsageError: the name is taken, or its proxy or what it replaces is not configured.
        """
        self._setup.save(server, replaces)

    def import_servers(self, servers: Sequence[Server]) -> ServerImport:
        """Configure servers of another program's settings; what is configured stays as it is.

        Those that are known already are not added again, names that are taken get a number, and proxies, which are
        among ``servers``, are followed: see :mod:`..domain.server_import`.

        :raises UsageError: the configuration cannot be read or written.
        """
        return self._setup.import_servers(servers)

    def remove_server(self, name: str) -> None:
        """Forget a server, and what it said it has; what is on this computer stays.

        :raises UsageError: there is no such server, or another one needs it as its proxy.
        """
        self._setup.remove(name)

    # Receiving

    def listener(self) -> ListenerStatus:
        """Return how others can call, and whether they can now.

        :raises UsageError: the configuration cannot be read.
        """
        return self._core.listening.status()

    def calls(self) -> list[dict[str, Any]]:
        """Return what came of the calls of others, the newest first, as :meth:`.CallRecord.to_dict` writes it.

        They are all associations that stand, and the last 20 calls that are over or were refused; who is refused again
        and again for one reason is there once, counted.
        """
        return self._core.listening.calls()

    def set_listener(self, settings: ListenerSettings) -> None:
        """Keep and follow other settings. Associations that stand are ended.

        That it cannot listen by them is no error: :meth:`listener` tells.

        :raises UsageError: the configuration cannot be written.
        """
        self._core.listening.change(settings)

    def listen(
        self,
        settings: ListenerSettings,
        *,
        token: CancelToken,
        ready: Callable[[OpenListener], None] = lambda _: None,
    ) -> ListenResult:
        """Receive what others send, by other settings than the configured ones, until the token is raised.

        :param ready: called once others can call.
        :raises UsageError: it cannot listen there.
        :raises FolderInUse: another engine holds the folder.
        """
        stop = CancelToken()
        with token.calling(stop.cancel), self._listener_job.stopped_by(stop.cancel):
            return self._core.listening.listen(settings, stop, ready)

    # Finding

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
        return self._finding.query(filter or QueryFilter(), level, servers, token)

    def search(
        self,
        filter: QueryFilter | None = None,
        servers: Sequence[str] | None = None,
        *,
        token: CancelToken | None = None,
    ) -> SearchResult:
        """Ask servers (all of them if None) who fits, and note what they say in the catalogue, server by server.

        Patients are asked for where the filter lets them be told apart, else studies; nothing below. An engine that
        may not write in the folder asks as well, and notes nothing.

        :raises UsageError: there is no such server.
        """
        return self._finding.search(filter or QueryFilter(), servers, token)

    def explore(
        self, patient: int, servers: Sequence[str] | None = None, *, token: CancelToken | None = None
    ) -> ExploreResult:
        """Ask servers (all of them if None) for the studies of a person and the series of each, and note them.

        :param patient: the person's row in the catalogue.
        :raises UsageError: there is no such server or person.
        """
        return self._finding.explore(patient, servers, token)

    def local(self, filter: QueryFilter | None = None, level: Level = Level.SERIES) -> QueryResult:
        """Return what is on this computer."""
        return self._finding.local(filter or QueryFilter(), level)

    # Fetching

    def retrieve(
        self,
        target: Target,
        server: str | None = None,
        *,
        force: bool = False,
        token: CancelToken | None = None,
    ) -> RetrieveResult:
        """Fetch what is not here yet of a target, and verify all of it.

        What comes, and is here with other content by then, is named in ``conflicts`` and not kept.

        :param server: where from; None asks the servers one after the other. Series and instances are asked for until
            they are here; of patients and studies each server may have another part, so all of them are asked.
        :param force: fetch again what is here. Each instance takes the place of the old one once it is whole and
            readable: what does not come stays as it was, counts as missing, and is fetched by a retry.
        :raises UsageError: no such server, or one that cannot be retrieved from.
        :raises FolderInUse: another engine holds the folder.
        """
        return self._fetching.retrieve(target, server, token, force=force)

    def fetch(self, series_uids: Sequence[str], force: bool = False) -> list[str]:
        """Have series fetched, one job each, and return the jobs' ids without waiting.

        Of the servers that said they have a series, the next is asked for what the one before did not provide. A job
        that fetches one ahead (see :meth:`show`) gets the user's priority, and there is no other then.

        :param force: fetch again what is here, as :meth:`retrieve` does.
        :raises UsageError: nobody is known to have one of them, or none that has can be retrieved from.
        :raises FolderInUse: another engine holds the folder.
        """
        return self._background.fetch(series_uids, force=force)

    def thumbnail(
        self, series_uid: str, server: str | None = None, *, token: CancelToken | None = None
    ) -> ThumbnailResult:
        """Return a picture of a series: of what is here, else of its middle instance, which is fetched alone.

        :raises UsageError: nobody knows the series.
        :raises PeerError: the instance could not be had.
        """
        return self._fetching.thumbnail(series_uid, server, token)

    # Sending

    def send(
        self, target: Target, server: str, *, verify: bool = False, token: CancelToken | None = None
    ) -> SendResult:
        """Send what is here of a target to a server by C-STORE, and say of each instance what became of it.

        What the server does not take as it is, goes uncompressed if it can be decompressed; nothing is compressed.

        :param verify: ask the server afterwards whether it lists what it confirmed.
        :raises UsageError: no such server, or nothing of the target is here.
        """
        return self._sending.send(target, server, verify, token)

    def send_files(
        self, paths: Sequence[Path], server: str, *, verify: bool = False, token: CancelToken | None = None
    ) -> SendResult:
        """Send files, and all DICOM files in folders, to a server, as :meth:`send` does; they are not imported.

        :raises UsageError: no such server, or a path that does not exist.
        """
        return self._sending.send_files(paths, server, verify, token)

    def begin_send(self, target: Target, server: str, verify: bool = False) -> str:
        """Have a target sent as :meth:`send` does, and return the job's id without waiting.

        :raises UsageError: no such server, or nothing of the target is here.
        """
        return self._sending.begin(target, server, verify)

    def begin_send_files(self, paths: Sequence[Path], server: str, verify: bool = False) -> str:
        """Have files sent as :meth:`send_files` does, and return the job's id without waiting.

        :raises UsageError: no such server, or a path that does not exist.
        """
        return self._sending.begin_files(paths, server, verify)

    def send_result(self, job_id: str) -> SendResult:
        """Return what became so far of what a job sends; the first 1,000 instances that failed are named.

        :raises UsageError: it is no send of this engine, or so long ago that it is forgotten.
        """
        return self._sending.result(job_id)

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
        if not images:
            raise UsageError("No instance or series of this UID is on this computer.")
        return images[0][0]

    # Local content

    def import_paths(
        self,
        paths: Sequence[Path],
        link: bool = False,
        replace: bool = False,
        *,
        token: CancelToken | None = None,
    ) -> ImportResult:
        """Import files, and folders with all that is below them.

        What is here already is kept; files that have other content are named in ``conflicts``.

        :param link: leave the files where they are instead of copying them.
        :param replace: have instances that are here already replaced by the files; files that are linked stay.
        :raises UsageError: a path that does not exist.
        :raises FolderInUse: another engine holds the folder.
        """
        return self._actions.import_paths(paths, link, token, replace=replace)

    def remove(self, target: Target, undoable: bool = False) -> RemoveResult:
        """Remove what a target names from this computer, never from a server; linked files stay where they are.

        Work that is bringing any of it here, or sends or exports any of it, is cancelled first. What the queue on disk
        holds about nothing else is forgotten, and so are the viewer's copies.

        :param undoable: keep the files until this engine is closed; ``trash`` of the result is for :meth:`undo_remove`.
        :raises FolderInUse: another engine holds the folder.
        """
        self._store.require_writable()
        about = Overlap(self._store.catalogue, target)
        self._background.leave_alone(self._store.catalogue.series_uids_of(target.level, target.uids))
        jobs = about.whole(record.description for record in (*self._jobs.records(), *self._left_over.records()))
        result = self._actions.remove(target, undoable, about)
        self._left_over.forget(jobs)
        self._jobs.unsave(jobs)
        self._viewer.forget_gone()
        return result

    def undo_remove(self, trash: str) -> UndoResult:
        """Bring back what was removed. What is here again meanwhile is kept as it is.

        :raises UsageError: there is no such removal, or it cannot be undone any more.
        :raises FolderInUse: another engine holds the folder.
        """
        return self._actions.undo_remove(trash)

    def export(self, target: Target, folder: Path, *, token: CancelToken | None = None) -> ExportResult:
        """Copy what is here of a target into a folder, in folders named after patient, study and series.

        Nothing is overwritten. Files that cannot be read are named in the result.

        :raises UsageError: nothing of the target is here, or the folder is the database's own.
        :raises StorageError: the folder cannot be written, or has not enough room.
        """
        return self._actions.export(target, folder, token)

    # For the program that keeps the rows

    def index_batch(self, limit: int = 5000) -> IndexBatch:
        """Return files to be taken into the database; none while a batch is under way, or if this engine only reads.

        :raises UsageError: the engine keeps the rows itself.
        """
        return self._hosted.index_batch(limit)

    def index_done(self, batch: int) -> IndexOutcome:
        """Look for the rows of a batch; what is missing will be in another one, three times in all.

        :raises UsageError: the engine keeps the rows itself.
        :raises StorageError: the rows cannot be read now; all of the batch will be in another one.
        """
        return self._hosted.index_done(batch)

    def series_to_remove(self) -> dict[str, Any]:
        """Return ``{"removal", "series"}``: series whose rows are to be removed; no file that stays is in the way.

        :raises UsageError: the engine keeps the rows itself.
        """
        return self._hosted.series_to_remove()

    def series_removed(self, removal: str) -> None:
        """Look whether the rows of a removal are gone.

        :raises UsageError: the engine keeps the rows itself.
        """
        self._hosted.series_removed(removal)

    def refresh_local(self) -> dict[str, Any]:
        """Take over what other programs changed in the database; return ``{"changed"}``.

        :raises StorageError: the database cannot be read now.
        """
        return self._hosted.refresh()

    def verify(self, *, token: CancelToken | None = None) -> VerifyResult:
        """Check that every row has a readable file, and every file a row."""
        return self._actions.verify(token)
