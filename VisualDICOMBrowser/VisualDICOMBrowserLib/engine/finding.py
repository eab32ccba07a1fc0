"""What the engine finds: on servers, on this computer, and both merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from ..domain.cancel import CancelToken
from ..domain.errors import PeerError, UsageError
from ..domain.filters import QueryFilter
from ..domain.model import Level, Series, Study
from ..domain.results import ExploreResult, QueryResult, SearchResult, ServerError
from ..domain.servers import Server
from ..jobs.description import JobKind
from ..jobs.job import JobContext
from ..store.catalogue import Catalogue
from .core import Core
from .explore import Explored, Explorer
from .search import Findings, search_local, search_server
from .tree import PatientTree

#: At how many studies' series a search looks, where a server does not tell the modalities of studies.
_MAX_LOOKS = 100

_Answer = TypeVar("_Answer")


class Finding:
    """The part of the engine that answers questions; its methods are described at :class:`.Engine`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def query(
        self, filter: QueryFilter, level: Level, servers: Sequence[str] | None, token: CancelToken | None
    ) -> QueryResult:
        """See :meth:`.Engine.query`."""
        query = self._with_parents(filter)

        def find(server: Server, context: JobContext) -> Findings:
            found = search_server(server, query, level, context.token, associate=self._core.associations.request)
            self._note(lambda c: c.note_found(server.name, found.studies, found.series, found.instances))
            return found

        chosen = self._core.servers(servers)
        answers = self._ask(chosen, find, token)
        tree = PatientTree()
        warnings: list[str] = []
        errors = [f"{error.server}: {error.reason}" for error in _errors(answers)]
        for name, found in answers.items():
            if isinstance(found, Findings):
                _merge(tree, found, name, level)
                warnings += shortcomings(found, name, query.limit)
        local = self._add_local(tree, query, level)
        warnings += shortcomings(local, "This computer", query.limit)
        return QueryResult(
            patients=self._patients_of(tree, level),
            complete=not warnings and not errors,
            warnings=(*errors, *warnings, *tree.disputes()),
            servers_asked=len(chosen),
            servers_failed=len(errors),
        )

    def search(self, filter: QueryFilter, servers: Sequence[str] | None, token: CancelToken | None) -> SearchResult:
        """See :meth:`.Engine.search`."""
        # What a series must be called narrows what is shown below a study, and is no reason to look into all of them.
        query = replace(filter, series_description="")
        level = Level.STUDY if query.needs_study_level else Level.PATIENT
        self._core.decoder_soon()

        def find(server: Server, context: JobContext) -> Findings:
            associate = self._core.associations.request
            found = search_server(server, query, level, context.token, max_looks=_MAX_LOOKS, associate=associate)
            self._note(lambda c: c.note_found(server.name, found.studies, found.series, patients=found.patients))
            return found

        chosen = self._core.servers(servers)
        answers = self._ask(chosen, find, token)
        warnings = [
            sentence
            for server in chosen
            if isinstance(found := answers[server.name], Findings)
            for sentence in shortcomings(found, server.name, query.limit)
        ]
        errors = _errors(answers)
        return SearchResult(not warnings and not errors, tuple(warnings), errors, len(chosen))

    def explore(self, row: int, servers: Sequence[str] | None, token: CancelToken | None) -> ExploreResult:
        """See :meth:`.Engine.explore`."""
        catalogue = self._core.store.catalogue
        person = catalogue.person(row)
        if person is None:
            raise UsageError("This person is not known any more; search again.")
        known = catalogue.study_uids_of_patient(row)
        self._core.decoder_soon()

        def look(server: Server, context: JobContext) -> Explored:
            explorer = Explorer(server, person, known, context.token, self._core.associations.request)
            explorer.on_studies = partial(self._note_studies, server.name, row)
            explorer.on_series = partial(self._note_series, server.name)
            return explorer.run()

        chosen = self._core.servers(servers)
        answers = self._ask(chosen, look, token)
        warnings = [w for found in answers.values() if isinstance(found, Explored) for w in found.warnings]
        return ExploreResult(_errors(answers), tuple(warnings))

    def _note_studies(self, server: str, row: int, studies: Sequence[Study], complete: bool) -> None:
        if complete:
            self._note(lambda catalogue: catalogue.note_studies_of(server, row, studies))
        else:
            self._note(lambda catalogue: catalogue.note_found(server, studies))

    def _note_series(self, server: str, study_uid: str, series: Sequence[Series], complete: bool) -> None:
        if complete:
            self._note(lambda catalogue: catalogue.note_series_of(server, study_uid, series))
        else:
            self._note(lambda catalogue: catalogue.note_found(server, series=series))

    def _ask(
        self, servers: Sequence[Server], work: Callable[[Server, JobContext], _Answer], token: CancelToken | None
    ) -> dict[str, _Answer | PeerError]:
        """Ask servers at once, and return what each answered, or why it did not."""
        if token is not None:
            token.check()
        jobs = self._core.jobs
        handles = [jobs.submit(JobKind.FIND, partial(work, server), server=server.name) for server in servers]
        answers: dict[str, _Answer | PeerError] = {}
        try:
            for server, handle in zip(servers, handles, strict=True):
                try:
                    answers[server.name] = jobs.result(handle, token)
                except PeerError as error:
                    answers[server.name] = error
        except BaseException:
            jobs.cancel_all(handles)
            raise
        return answers

    def _note(self, note: Callable[[Catalogue], None]) -> None:
        """Have the catalogue take something over, and tell; one that is not ours stays as it is."""
        if not self._core.store.read_only:
            note(self._core.store.catalogue)
            self._core.tell_catalogue()

    def local(self, filter: QueryFilter, level: Level) -> QueryResult:
        """See :meth:`.Engine.local`."""
        query = self._with_parents(filter)
        tree = PatientTree()
        found = self._add_local(tree, query, level)
        warnings = shortcomings(found, "This computer", query.limit)
        return QueryResult(self._patients_of(tree, level), complete=not warnings, warnings=tuple(warnings))

    def _patients_of(self, tree: PatientTree, level: Level) -> tuple[dict[str, Any], ...]:
        return tuple(tree.to_list(level, self._core.store.catalogue.shared_ids(tree.patient_ids)))

    def _with_parents(self, query: QueryFilter) -> QueryFilter:
        """Narrow the search for a series to its study, where that is known."""
        parents = self._core.store.catalogue.parents(Level.SERIES, query.series_uid) if query.series_uid else None
        return replace(query, study_uid=parents[0]) if parents and not query.study_uid else query

    def _add_local(self, tree: PatientTree, query: QueryFilter, level: Level) -> Findings:
        store = self._core.store
        store.refresh()
        found = search_local(store.catalogue, query, level)
        _merge(tree, found, None, level)
        tree.note_local_counts(store.catalogue.local_counts(tree.series_uids))
        return found


def _errors(answers: Mapping[str, object]) -> tuple[ServerError, ...]:
    return tuple(ServerError(name, str(error)) for name, error in answers.items() if isinstance(error, PeerError))


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
    if found.damaged:
        sentences.append(f"{where}: answers left out because they cannot be read: {found.damaged}.")
    return sentences
