"""What a server announces for a retrieve: which instances, and how that is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum

from ..dimse.association import Association
from ..dimse.find import Finder
from ..dimse.pool import Associate
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
    REQUEST = "request"


@dataclass
class SeriesPlan:
    """A series, or some instances of it, to be fetched.

    :ivar instances: the wanted ones by SOP Instance UID, empty if the server does not list instances.
    :ivar whole: whether all of the series is wanted.
    :ivar count: how many there are, None if only the transfer will tell.
    :ivar counted_by: how ``count`` is known.
    :ivar cut_off: the server lists only a part of it.
    """

    series: Series
    sop_classes: tuple[str, ...]
    instances: dict[str, Instance] = field(default_factory=dict)
    whole: bool = True
    count: int | None = None
    counted_by: CountedBy = CountedBy.IMAGE_FIND
    cut_off: bool = False

    @property
    def described(self) -> Series:
        """The series with the number of its instances, where the server listed them."""
        listed = self.whole and self.counted_by is CountedBy.IMAGE_FIND and self.instances
        return replace(self.series, instance_count=len(self.instances)) if listed else self.series

    @property
    def certain(self) -> bool:
        """Whether the server named the SOP class of each wanted instance."""
        return bool(self.instances) and all(i.sop_class for i in self.instances.values())


@dataclass
class Plan:
    """Everything to be fetched from one server.

    :ivar found: those identifiers of the target that the server knows.
    :ivar cut_off: the server ended a list before its end, or there is more than anybody asks for.
    :ivar unusable: studies, series and instances that the server lists with a UID that is none, or cannot be read.
    """

    studies: list[Study] = field(default_factory=list)
    series: list[SeriesPlan] = field(default_factory=list)
    found: set[str] = field(default_factory=set)
    cut_off: bool = False
    unusable: int = 0


def make_plan(
    server: Server,
    target: Target,
    catalogue: Catalogue,
    token: CancelToken,
    associate: Associate = Association.request,
) -> Plan:
    """Ask a server what it has of a target, down to the instances; empty if it has nothing of it.

    :raises PeerError: the server did not answer, or refused.
    """
    with Finder.connect(server, token, associate) as finder:
        plan = Plan()
        for place in _places(finder, target, catalogue):
            token.check()
            _add_study(plan, finder, place)
        plan.found = _found(plan, target)
        plan.unusable = len(set(finder.unusable)) + finder.damaged
        return plan


@dataclass(frozen=True)
class _Place:
    """A study with the series and instances in it that are wanted; all of them where none are named.

    :ivar cut_off: there may be other studies that are wanted, too.
    """

    study_uid: str
    series_uids: frozenset[str] = frozenset()
    sop_uids: frozenset[str] = frozenset()
    study: Study | None = None
    cut_off: bool = False


def _places(finder: Finder, target: Target, catalogue: Catalogue) -> Iterator[_Place]:
    if target.level is Level.PATIENT:
        for patient_id in target.uids:
            studies, cut_off = finder.studies({"PatientID": patient_id}, _MAX_STUDIES)
            # Servers that ignore the key, or take it for a pattern, answer with other patients too.
            for study in studies:
                if study.patient.patient_id == patient_id:
                    yield _Place(study.study_uid, study=study, cut_off=cut_off)
    elif target.level is Level.STUDY:
        for study_uid in target.uids:
            yield _Place(study_uid)
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
    finder.unusable.clear()  # what a search of everything came across does not belong to the target
    for study_uid, (series, instances) in grouped.items():
        yield _Place(study_uid, frozenset(series), frozenset(instances))


def _found(plan: Plan, target: Target) -> set[str]:
    known = {
        Level.PATIENT: (study.patient.patient_id for study in plan.studies),
        Level.STUDY: (study.study_uid for study in plan.studies),
        Level.SERIES: (series.series.series_uid for series in plan.series),
        Level.IMAGE: (uid for series in plan.series for uid in series.instances),
    }
    return set(target.uids).intersection(known[target.level])


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


def _add_study(plan: Plan, finder: Finder, place: _Place) -> None:
    study = place.study or _find_study(finder, place.study_uid)
    if study is None:
        return
    plan.studies.append(study)
    listed, cut_off = finder.series(place.study_uid, {}, _MAX_SERIES)
    plan.cut_off |= place.cut_off or (cut_off and not place.series_uids)
    for series in listed:
        if not place.series_uids or series.series_uid in place.series_uids:
            wanted = _plan_series(finder, series, study.sop_classes, place.sop_uids)
            if wanted is not None:
                plan.series.append(wanted)
                plan.cut_off |= wanted.cut_off


def _find_study(finder: Finder, study_uid: str) -> Study | None:
    studies, _ = finder.studies({"StudyInstanceUID": study_uid}, _MAX_STUDIES)
    return next((study for study in studies if study.study_uid == study_uid), None)


def _plan_series(
    finder: Finder, series: Series, study_classes: tuple[str, ...], sop_uids: frozenset[str]
) -> SeriesPlan | None:
    plan = SeriesPlan(series, study_classes, whole=not sop_uids)
    try:
        listed, cut_off = finder.instances(series.study_uid, series.series_uid, {}, _MAX_INSTANCES)
        plan.cut_off = cut_off and plan.whole
    except OperationRefused:  # no query at image level: the counts of the level above, or the request, have to do
        listed = [Instance(uid, series.series_uid, series.study_uid) for uid in sorted(sop_uids)]
        plan.counted_by = CountedBy.REQUEST
    plan.instances = {i.sop_uid: i for i in listed if not sop_uids or i.sop_uid in sop_uids}
    if plan.instances:
        plan.count = len(plan.instances)
        stated = tuple(dict.fromkeys(i.sop_class for i in listed if i.sop_class))
        plan.sop_classes = stated if plan.certain else (study_classes or stated)
        return plan
    if sop_uids:
        return None
    plan.count = series.instance_count
    plan.counted_by = CountedBy.SUB_OPERATIONS if plan.count is None else CountedBy.RELATED_INSTANCES
    return plan
