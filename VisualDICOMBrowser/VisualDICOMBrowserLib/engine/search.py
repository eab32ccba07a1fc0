"""Searching servers and this computer at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ..dimse.association import Association
from ..dimse.find import Finder
from ..dimse.identifier import Keys
from ..dimse.pool import Associate
from ..domain.cancel import CancelToken
from ..domain.errors import OperationRefused
from ..domain.filters import DateRange, QueryFilter, as_part
from ..domain.model import Instance, Level, Patient, Series, Study
from ..domain.servers import Server
from ..store.catalogue import Catalogue

#: Most series of a study, and most instances of a series, that are asked for.
_MAX_SERIES = 10_000
_MAX_INSTANCES = 100_000


@dataclass
class Findings:
    """What one server, or this computer, has of what was searched for.

    :ivar truncated: there is more than the limit let through.
    :ivar unusable: how many matches were left out, because their UID is none.
    :ivar damaged: how many answers were left out, because they cannot be read.
    """

    patients: list[Patient] = field(default_factory=list)
    studies: list[Study] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    truncated: bool = False
    unusable: int = 0
    damaged: int = 0


def search_server(
    server: Server,
    query: QueryFilter,
    level: Level,
    token: CancelToken,
    *,
    max_looks: int | None = None,
    associate: Associate = Association.request,
) -> Findings:
    """Search one server down to ``level``, over one association.

    Nothing below ``level`` is asked for, with one exception: where modalities are searched for and the server
    does not tell those of a study, its series are looked at.

    :param max_looks: of how many studies they are looked at, before the findings are called truncated.
    :param associate: where the association comes from.
    :raises PeerError: the server did not answer, or refused.
    """
    with Finder.connect(server, token, associate) as finder:
        search = _ServerSearch(finder, query, token, max_looks)
        if level is Level.PATIENT and not query.needs_study_level and finder.has_patient_root:
            try:
                found = search.patients()
            except OperationRefused:  # it takes the service, and cannot do it
                found = _ServerSearch(finder, query, token, max_looks).descend(level)
        else:
            found = search.descend(level)
        found.unusable = sum(_would_match(query, record) for record in set(finder.unusable))
        found.damaged = finder.damaged
        return found


class _ServerSearch:
    def __init__(self, finder: Finder, query: QueryFilter, token: CancelToken, max_looks: int | None) -> None:
        self._finder = finder
        self._query = query
        self._token = token
        self._looks_left = max_looks
        self._found = Findings()

    def patients(self) -> Findings:
        found: dict[Patient, None] = {}
        studies: dict[str, Study] = {}

        def ask(query: QueryFilter) -> None:
            if query.needs_study_level:
                studies.update(self._spelled_studies(query))
            else:
                found.update(dict.fromkeys(self._spelled_patients(query)))

        self._in_each_meaning(ask)
        found.update(dict.fromkeys(study.patient for study in studies.values()))
        self._found.studies = list(studies.values())
        self._found.patients = list(found)[: self._query.limit]
        self._found.truncated |= len(found) > self._query.limit
        return self._found

    def _in_each_meaning(self, ask: Callable[[QueryFilter], None]) -> None:
        """Ask for all that the free text may mean; a server may refuse some of the questions, but not all."""
        answered = False
        problem: OperationRefused | None = None
        for query in _meanings(self._query):
            self._token.check()
            try:
                ask(query)
                answered = True
            except OperationRefused as error:
                problem = error
        if problem is not None and not answered:
            raise problem

    def _spelled_patients(self, meant: QueryFilter) -> list[Patient]:
        found: dict[Patient, None] = {}
        for query in _spellings(meant):
            patients, truncated = self._finder.patients(_patient_keys(query), query.limit)
            self._found.truncated |= truncated
            matching = [p for p in patients if self._query.matches_patient(p)]
            found.update(dict.fromkeys(matching))
            if truncated or any(query.patient_name not in p.name for p in matching):
                break
        return list(found)

    def descend(self, level: Level) -> Findings:
        for study in self._studies():
            self._token.check()
            if len(self._found.studies) >= self._query.limit:
                self._found.truncated = True
                break
            if self._must_look(study) and level < Level.SERIES and self._looks_left is not None:
                if not self._looks_left:
                    self._found.truncated = True
                    break
                self._looks_left -= 1
            self._take_study(study, level)
        self._found.patients = [study.patient for study in self._found.studies]
        return self._found

    def _studies(self) -> list[Study]:
        found: dict[str, Study] = {}
        self._in_each_meaning(lambda query: found.update({**self._spelled_studies(query), **found}))
        return list(found.values())

    def _spelled_studies(self, meant: QueryFilter) -> dict[str, Study]:
        found: dict[str, Study] = {}
        for query in _spellings(meant):
            matching = self._ask_for_studies(query)
            for study in matching:
                found.setdefault(study.study_uid, study)
            if self._found.truncated or any(not _is_spelled(query, study) for study in matching):
                break
        return found

    def _ask_for_studies(self, query: QueryFilter) -> list[Study]:
        matching: list[Study] = []
        # Peers differ in what they make of several modalities in one key: one question for each is safe.
        for modality in query.modalities or ("",):
            keys = {**_study_keys(query), "ModalitiesInStudy": modality}
            studies, truncated = self._finder.studies(keys, query.limit)
            self._found.truncated |= truncated
            matching += [study for study in studies if self._query.matches_study(study)]
        return matching

    def _must_look(self, study: Study) -> bool:
        return bool(self._query.series_uid) or bool(self._query.modalities and not study.modalities)

    def _take_study(self, study: Study, level: Level) -> None:
        must_look = self._must_look(study)
        if level < Level.SERIES and not must_look:
            self._found.studies.append(study)
            return
        series = self._series_of(study)
        if not series and must_look:
            return
        modalities = study.modalities or tuple(sorted({s.modality for s in series if s.modality}))
        self._found.studies.append(replace(study, modalities=modalities))
        if level >= Level.SERIES:
            self._found.series += series
        if level >= Level.IMAGE:
            for found in series:
                self._take_instances(found)

    def _series_of(self, study: Study) -> list[Series]:
        keys: Keys = {"SeriesInstanceUID": self._query.series_uid} if self._query.series_uid else {}
        if len(self._query.modalities) == 1:
            keys["Modality"] = self._query.modalities[0]
        series, truncated = self._finder.series(study.study_uid, keys, _MAX_SERIES)
        self._found.truncated |= truncated
        return [s for s in series if self._query.matches_series(s)]

    def _take_instances(self, series: Series) -> None:
        instances, truncated = self._finder.instances(series.study_uid, series.series_uid, {}, _MAX_INSTANCES)
        self._found.instances += instances
        self._found.truncated |= truncated


def _would_match(query: QueryFilter, record: Study | Series | Instance) -> bool:
    """Check what a record without a usable UID says of itself; an instance says nothing to check."""
    if isinstance(record, Study):
        return query.matches_study(record)
    return isinstance(record, Instance) or query.matches_series(record)


def _is_spelled(query: QueryFilter, study: Study) -> bool:
    """Tell whether a study matches letter by letter; if not, the server does not tell capitals from small letters."""
    return query.patient_name in study.patient.name and query.study_description in study.description


def _meanings(query: QueryFilter) -> list[QueryFilter]:
    """Return the questions for what a free text may be: a part of a name, a part of an ID, an accession number.

    Many servers match IDs whole, whatever the wildcards, or tell capitals from small letters. Where a key is given
    beside the text, that narrows the search enough: answers are checked against the text here.
    """
    text, rest = query.text, replace(query, text="")
    if not text or query.patient_name or query.patient_id or query.accession_number:
        return [rest]
    meanings = [replace(rest, patient_name=text)]
    if not set(text) & set("^,="):
        forms = (as_part(text), as_part(text.upper()), text)
        meanings += [replace(rest, patient_id=form) for form in dict.fromkeys(forms)]
    if any(character.isdigit() for character in text) and not any(map(str.isspace, text)):
        meanings += [replace(rest, accession_number=form) for form in dict.fromkeys((text, text.upper()))]
    return meanings


def _spellings(query: QueryFilter) -> list[QueryFilter]:
    """Return the query as typed, in capitals, and capitalized: many servers tell capitals from small letters.

    Who uses wildcards, and so knows how a server matches, is taken at his word.
    """
    texts = (query.patient_name, query.study_description)
    if any(character in text for text in texts for character in "*?"):
        return [query]
    spelled = dict.fromkeys([texts, *(tuple(map(change, texts)) for change in (str.upper, str.title))])
    return [replace(query, patient_name=name, study_description=description) for name, description in spelled]


def _patient_keys(query: QueryFilter) -> Keys:
    return {"PatientID": query.patient_id, "PatientName": query.name_pattern}


def _study_keys(query: QueryFilter) -> Keys:
    keys: Keys = {
        **_patient_keys(query),
        "AccessionNumber": query.accession_number,
        "StudyDescription": query.description_pattern,
        "StudyInstanceUID": query.study_uid,
    }
    if query.study_date != DateRange():
        keys["StudyDate"] = query.study_date.dicom()
    return keys


def search_local(catalogue: Catalogue, query: QueryFilter, level: Level) -> Findings:
    """Search what is on this computer."""
    found = Findings()
    for study in catalogue.local_studies(query):
        if query.matches_study(study):
            if len(found.studies) >= query.limit:
                found.truncated = True
                break
            found.studies.append(study)
    if level >= Level.SERIES or query.series_uid:
        _take_local_series(catalogue, query, level, found)
    found.patients = [study.patient for study in found.studies]
    return found


def _take_local_series(catalogue: Catalogue, query: QueryFilter, level: Level, found: Findings) -> None:
    series = catalogue.local_series(study.study_uid for study in found.studies)
    found.series = [s for s in series if query.matches_series(s)]
    if query.series_uid:
        holders = {s.study_uid for s in found.series}
        found.studies = [study for study in found.studies if study.study_uid in holders]
    if level >= Level.IMAGE:
        files = catalogue.local_files(Level.SERIES, [s.series_uid for s in found.series])
        found.instances = [file.instance for file in files]
