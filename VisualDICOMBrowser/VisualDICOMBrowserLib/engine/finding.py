"""What the engine finds: on servers, on this computer, and both merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..domain.cancel import CancelToken
from ..domain.errors import PeerError
from ..domain.filters import QueryFilter
from ..domain.model import Level
from ..domain.results import QueryResult
from ..domain.servers import Server
from ..jobs.description import JobKind
from ..jobs.job import JobContext, JobHandle
from .core import Core
from .search import Findings, search_local, search_server
from .tree import PatientTree


class Finding:
    """The part of the engine that answers questions; its methods are described at :class:`.Engine`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def query(
        self, filter: QueryFilter, level: Level, servers: Sequence[str] | None, token: CancelToken | None
    ) -> QueryResult:
        """See :meth:`.Engine.query`."""
        if token is not None:
            token.check()
        query = self._with_parents(filter)
        chosen = self._core.servers(servers)
        handles = [self._submit_find(server, query, level) for server in chosen]
        tree = PatientTree()
        warnings, errors = [], []
        try:
            for server, handle in zip(chosen, handles, strict=True):
                try:
                    found: Findings = self._core.jobs.result(handle, token)
                except PeerError as error:
                    errors.append(f"{server.name}: {error}")
                else:
                    _merge(tree, found, server.name, level)
                    warnings += shortcomings(found, server.name, query.limit)
        except BaseException:
            self._core.jobs.cancel_all(handles)
            raise
        local = self._add_local(tree, query, level)
        warnings += shortcomings(local, "This computer", query.limit)
        return QueryResult(
            patients=tuple(tree.to_list(level)),
            complete=not warnings and not errors,
            warnings=(*errors, *warnings),
            servers_asked=len(chosen),
            servers_failed=len(errors),
        )

    def local(self, filter: QueryFilter, level: Level) -> QueryResult:
        """See :meth:`.Engine.local`."""
        query = self._with_parents(filter)
        tree = PatientTree()
        found = self._add_local(tree, query, level)
        warnings = shortcomings(found, "This computer", query.limit)
        return QueryResult(tuple(tree.to_list(level)), complete=not warnings, warnings=tuple(warnings))

    def _with_parents(self, query: QueryFilter) -> QueryFilter:
        """Narrow the search for a series to its study, where that is known."""
        parents = self._core.store.catalogue.parents(Level.SERIES, query.series_uid) if query.series_uid else None
        return replace(query, study_uid=parents[0]) if parents and not query.study_uid else query

    def _submit_find(self, server: Server, query: QueryFilter, level: Level) -> JobHandle:
        def find(context: JobContext) -> Findings:
            found = search_server(server, query, level, context.token)
            if not self._core.store.read_only:
                self._core.store.catalogue.note_found(server.name, found.studies, found.series, found.instances)
            return found

        return self._core.jobs.submit(JobKind.FIND, find, server=server.name)

    def _add_local(self, tree: PatientTree, query: QueryFilter, level: Level) -> Findings:
        store = self._core.store
        store.refresh()
        found = search_local(store.catalogue, query, level)
        _merge(tree, found, None, level)
        tree.note_local_counts(store.catalogue.local_counts(tree.series_uids))
        return found


def _merge(tree: PatientTree, found: Findings, server: str | None, level: Level) -> None:
    for patient in found.patients if level is Level.PATIENT else ():
        tree.add_patient(patient)
    for study in found.studies if level >= Level.STUDY else ():
        tree.add_study(study, server)
    for series in found.series if level >= Level.SERIES else ():
        tree.add_series(series, server)
    for instance in found.instances if level >= Level.IMAGE else ():
        tree.add_instance(instance, server)


def shortcomings(found: Findings, where: str, limit: int) -> list[str]:
    """Return sentences on what is missing in findings."""
    sentences = []
    if found.truncated:
        sentences.append(f"{where}: more than {limit} matches exist; narrow the search or raise the limit.")
    if found.unusable:
        sentences.append(f"{where}: matches left out because their UID is invalid: {found.unusable}.")
    return sentences
