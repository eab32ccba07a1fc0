"""What a server announces for a retrieve: which instances, and how that is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum

from ..dimse.find import Finder
from ..domain.cancel import CancelToken
from ..domain.errors import OperationRefused
from ..domain.model import Instance, Level, Series, Study, Target
from ..domain.servers import Server
from ..store.catalogue import Catalogue

_MAX_STUDIES = 10_000
_MAX_SERIES = 10_000
_MAX_INSTANCES = 200_000


class CountedBy(Enum):
    """How the number of requested instances is known, the most certain first."""

    IMAGE_FIND = "image-find"
    RELATED_INSTANCES = "related-instances"
    SUB_OPERATIONS = "sub-operations"


@dataclass
class SeriesPlan:
    """A series, or some instances of it, to be fetched.

    :ivar instances: the announced ones by SOP Instance UID, empty if the server does not list instances.
    :ivar whole: whether all of the series is wanted.
    :ivar count: how many there are, None if only the transfer will tell.
    """

    series: Series
    sop_classes: tuple[str, ...]
    instances: dict[str, Instance] = field(default_factory=dict)
    whole: bool = True
    count: int | None = None

    @property
    def counted_by(self) -> CountedBy:
        """How ``count`` is known."""
        if self.instances:
            return CountedBy.IMAGE_FIND
        return CountedBy.SUB_OPERATIONS if self.count is None else CountedBy.RELATED_INSTANCES


@dataclass
class Plan:
    """Everything to be fetched from one server."""

    studies: list[Study] = field(default_factory=list)
    series: list[SeriesPlan] = field(default_factory=list)


def make_plan(server: Server, target: Target, catalogue: Catalogue, token: CancelToken) -> Plan:
    """Ask a server what it has of a target, down to the instances; empty if it has nothing of it.

    :raises PeerError: the server did not answer, or refused.
    """
    with Finder.connect(server, token) as finder:
        plan = Plan()
        for study_uid, series_uids, sop_uids in _places(finder, target, catalogue):
            token.check()
            _add_study(plan, finder, study_uid, series_uids, sop_uids)
        return plan


#: Study UID, and the series and instances in it that are wanted (empty: all).
_Place = tuple[str, frozenset[str], frozenset[str]]


def _places(finder: Finder, target: Target, catalogue: Catalogue) -> Iterator[_Place]:
    if target.level is Level.PATIENT:
        for patient_id in target.uids:
            studies, _ = finder.studies({"PatientID": patient_id}, _MAX_STUDIES)
            # Servers that ignore the key, or take it for a pattern, answer with other patients too.
            for study in studies:
                if study.patient.patient_id == patient_id:
                    yield study.study_uid, frozenset(), frozenset()
    elif target.level is Level.STUDY:
        for study_uid in target.uids:
            yield study_uid, frozenset(), frozenset()
    else:
        yield from _located(finder, target, catalogue)


def _located(finder: Finder, target: Target, catalogue: Catalogue) -> Iterator[_Place]:
    """Group series or instances by study: a query below the study level needs the UIDs above (PS3.4, C.4.1.2.1)."""
    grouped: dict[str, tuple[set[str], set[str]]] = {}
    for uid in target.uids:
        parents = catalogue.parents(target.level, uid) or _locate(finder, target.level, uid)
        if parents is None:
            continue
        series, instances = grouped.setdefault(parents[0], (set(), set()))
        series.add(parents[1])
        if target.level is Level.IMAGE:
            instances.add(uid)
    for study_uid, (series, instances) in grouped.items():
        yield study_uid, frozenset(series), frozenset(instances)


def _locate(finder: Finder, level: Level, uid: str) -> tuple[str, str] | None:
    """Find study and series of a UID that nobody here knows: asking for it alone, or else searching everything."""
    found: Iterable[Series | Instance] = ()
    with suppress(OperationRefused):
        if level is Level.SERIES:
            found = finder.series("", {"SeriesInstanceUID": uid}, _MAX_SERIES)[0]
        else:
            found = finder.instances("", "", {"SOPInstanceUID": uid}, _MAX_SERIES)[0]
    for record in found:
        own = record.series_uid if isinstance(record, Series) else record.sop_uid
        if own == uid and record.study_uid and record.series_uid:
            return record.study_uid, record.series_uid
    return _search_everything(finder, level, uid)


def _search_everything(finder: Finder, level: Level, uid: str) -> tuple[str, str] | None:
    for study in finder.studies({}, _MAX_STUDIES)[0]:
        for series in finder.series(study.study_uid, {}, _MAX_SERIES)[0]:
            if level is Level.SERIES:
                if series.series_uid == uid:
                    return study.study_uid, uid
                continue
            instances = finder.instances(study.study_uid, series.series_uid, {"SOPInstanceUID": uid}, _MAX_INSTANCES)[0]
            if any(instance.sop_uid == uid for instance in instances):
                return study.study_uid, series.series_uid
    return None


def _add_study(
    plan: Plan, finder: Finder, study_uid: str, series_uids: frozenset[str], sop_uids: frozenset[str]
) -> None:
    studies = [s for s in finder.studies({"StudyInstanceUID": study_uid}, 100)[0] if s.study_uid == study_uid]
    if not studies:
        return
    plan.studies.append(studies[0])
    for series in finder.series(study_uid, {}, _MAX_SERIES)[0]:
        if not series_uids or series.series_uid in series_uids:
            wanted = _plan_series(finder, series, studies[0].sop_classes, sop_uids)
            if wanted is not None:
                plan.series.append(wanted)


def _plan_series(
    finder: Finder, series: Series, study_classes: tuple[str, ...], sop_uids: frozenset[str]
) -> SeriesPlan | None:
    try:
        found = finder.instances(series.study_uid, series.series_uid, {}, _MAX_INSTANCES)[0]
    except OperationRefused:
        found = []  # no query at image level: the counts of the level above have to do
    instances = {i.sop_uid: i for i in found if not sop_uids or i.sop_uid in sop_uids}
    if not instances and sop_uids:
        return None
    stated = tuple(dict.fromkeys(i.sop_class for i in instances.values() if i.sop_class))
    all_stated = bool(instances) and all(i.sop_class for i in instances.values())
    return SeriesPlan(
        series=series,
        sop_classes=stated if all_stated else (study_classes or stated),
        instances=instances,
        whole=not sop_uids,
        count=len(instances) if instances else series.instance_count,
    )
