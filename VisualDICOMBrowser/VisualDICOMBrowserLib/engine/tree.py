"""Patients, studies, series and instances from servers and from this computer, merged into one tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..domain.filters import fold
from ..domain.model import Instance, Level, Patient, Series, Study
from ..domain.people import completed, grouped, is_tellable, put_together, same_person


@dataclass
class _SeriesNode:
    series: Series
    servers: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    unknown_count: bool = False
    local: int = 0
    images: dict[str, _ImageNode] = field(default_factory=dict)


@dataclass
class _ImageNode:
    instance: Instance
    servers: list[str] = field(default_factory=list)
    local: bool = False


@dataclass
class _StudyNode:
    study: Study
    servers: list[str] = field(default_factory=list)
    series: dict[str, _SeriesNode] = field(default_factory=dict)
    said: dict[str | None, Patient] = field(default_factory=dict)  # of its patient, by servers and this computer


@dataclass
class _PatientNode:
    patient: Patient
    studies: list[_StudyNode]


class PatientTree:
    """Merges records: persons by the rule of :mod:`..domain.people`, all else by UID.

    ``server`` is a server's name, or None for what is on this computer.
    """

    def __init__(self) -> None:
        self._patients: list[Patient] = []
        self._studies: dict[str, _StudyNode] = {}
        self._series: dict[str, _SeriesNode] = {}

    def add_patient(self, patient: Patient) -> None:
        """Add what somebody says of a person."""
        self._patients.append(patient)

    def add_study(self, study: Study, server: str | None) -> None:
        """Add a study, or complete it."""
        node = self._studies.setdefault(study.study_uid, _StudyNode(study))
        modalities = tuple(dict.fromkeys((*node.study.modalities, *study.modalities)))
        node.study = replace(_completed(node.study, study), modalities=modalities)
        node.said[server] = study.patient
        _note_server(node.servers, server)

    def add_series(self, series: Series, server: str | None) -> None:
        """Add a series below its study, which must be there; ``instance_count`` of a local one is what is here."""
        node = self._series.get(series.series_uid)
        if node is None:
            node = _SeriesNode(series)
            self._series[series.series_uid] = node
            self._studies[series.study_uid].series[series.series_uid] = node
        else:
            node.series = _completed(node.series, series)
        if server is None:
            node.local = series.instance_count or 0
        elif series.instance_count is None:
            node.unknown_count = True
        else:
            node.counts.append(series.instance_count)
        _note_server(node.servers, server)

    def add_instance(self, instance: Instance, server: str | None) -> None:
        """Add an instance below its series, which must be there."""
        images = self._series[instance.series_uid].images
        node = images.setdefault(instance.sop_uid, _ImageNode(instance))
        node.instance = _completed(node.instance, instance)
        node.local = node.local or server is None
        _note_server(node.servers, server)

    @property
    def study_uids(self) -> list[str]:
        """All studies."""
        return list(self._studies)

    @property
    def series_uids(self) -> list[str]:
        """All series."""
        return list(self._series)

    def note_local_counts(self, counts: dict[str, int]) -> None:
        """Set how many instances of series are here, however the series were found."""
        for series_uid, count in counts.items():
            self._series[series_uid].local = count

    def disputes(self) -> list[str]:
        """Return a sentence for each server that names another patient of studies than is shown."""
        studies = [(_whose(node), node.said) for node in self._studies.values()]
        liars = Counter(
            server
            for shown, said in studies
            for server, patient in said.items()
            if server is not None and is_tellable(patient) and not same_person(shown, patient)
        )
        return [
            f"{server}: another patient than shown is named for studies: {liars[server]}." for server in sorted(liars)
        ]

    @property
    def patient_ids(self) -> set[str]:
        """The IDs of all patients."""
        return {node.patient.patient_id for node in self._persons()}

    def to_list(self, level: Level, shared_ids: Collection[str] = ()) -> list[dict[str, Any]]:
        """Return the tree down to a level as plain values, as ``query --json`` prints it.

        Patients are sorted by name, studies from the newest on, series and instances by number.

        :param shared_ids: patient IDs that are known to be those of several persons, beside those of the tree.
        """
        nodes = sorted(self._persons(), key=lambda n: (fold(n.patient.name), n.patient.patient_id))
        times = Counter(node.patient.patient_id for node in nodes)
        shared = {*shared_ids, *(uid for uid, count in times.items() if uid and count > 1)}
        return [_patient_dict(node, level, node.patient.patient_id in shared) for node in nodes]

    def _persons(self) -> Iterator[_PatientNode]:
        studies = list(self._studies.values())
        records = [*map(_whose, studies), *self._patients]
        records = [replace(record, patient_id=record.patient_id.strip()) for record in records]
        for places in grouped(records):
            first, *others = (records[place] for place in places)
            yield _PatientNode(completed(first, others), [studies[at] for at in places if at < len(studies)])


def _whose(node: _StudyNode) -> Patient:
    said: Mapping[str, Patient] = {server: patient for server, patient in node.said.items() if server is not None}
    return put_together(node.said.get(None), said) or node.study.patient


def _note_server(servers: list[str], server: str | None) -> None:
    if server is not None and server not in servers:
        servers.append(server)


def _completed(known: Any, other: Any) -> Any:
    """Return ``known`` with its empty fields taken from ``other``, a record of the same kind."""
    missing = {
        name: value
        for name, value in vars(other).items()
        if value not in ("", None, ()) and getattr(known, name) in ("", None, ())
    }
    return replace(known, **missing) if missing else known


def _patient_dict(node: _PatientNode, level: Level, shares_id: bool) -> dict[str, Any]:
    patient = node.patient
    values: dict[str, Any] = {
        "patient_id": patient.patient_id,
        "name": patient.name,
        "birth_date": patient.birth_date,
        "sex": patient.sex,
        "shares_id": shares_id,
    }
    if level >= Level.STUDY:
        studies = sorted(node.studies, key=lambda n: (n.study.date, n.study.time), reverse=True)
        values["studies"] = [_study_dict(study, level) for study in studies]
    return values


def _study_dict(node: _StudyNode, level: Level) -> dict[str, Any]:
    study = node.study
    modalities = (*study.modalities, *(n.series.modality for n in node.series.values()))
    values: dict[str, Any] = {
        "study_uid": study.study_uid,
        "date": study.date,
        "time": study.time,
        "description": study.description,
        "accession_number": study.accession_number,
        "modalities": sorted({m for m in modalities if m}),
        "servers": node.servers,
    }
    if level >= Level.SERIES:
        values["series"] = [_series_dict(n, level) for n in _by_number(node.series.values())]
    return values


def _by_number(nodes: Iterable[_SeriesNode]) -> list[_SeriesNode]:
    return sorted(nodes, key=lambda n: (n.series.number is None, n.series.number or 0, n.series.series_uid))


def _series_dict(node: _SeriesNode, level: Level) -> dict[str, Any]:
    values: dict[str, Any] = {
        "series_uid": node.series.series_uid,
        "number": node.series.number,
        "modality": node.series.modality,
        "description": node.series.description,
        "instances": _instance_count(node),
        "local_instances": node.local,
        "servers": node.servers,
    }
    if level >= Level.IMAGE:
        images = sorted(node.images.values(), key=lambda n: (n.instance.number or 0, n.instance.sop_uid))
        values["images"] = [
            {
                "sop_uid": n.instance.sop_uid,
                "number": n.instance.number,
                "sop_class_uid": n.instance.sop_class,
                "local": n.local,
                "servers": n.servers,
            }
            for n in images
        ]
    return values


def _instance_count(node: _SeriesNode) -> int | None:
    """Return how many instances the series has; None if a server has it and none said how many."""
    if node.images:
        return max(len(node.images), *node.counts, 0)
    if node.unknown_count and not node.counts:
        return None
    return max([*node.counts, node.local])
