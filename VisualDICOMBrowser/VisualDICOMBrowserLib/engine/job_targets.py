"""What a job is about, as its parameters keep it: ``{"level", "uids", "label"}``, the label for a list of jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..domain.errors import BadData
from ..domain.model import Level, Series, Study, Target, readable_date
from ..domain.people import display_name
from ..jobs.description import JobDescription, JobKind, Priority
from ..store.catalogue import Catalogue

_MAX_LABEL = 80


def job_params(catalogue: Catalogue, target: Target) -> dict[str, Any]:
    """Return the parameters of a job that is about ``target``."""
    params: dict[str, Any] = {"level": target.level.name.lower(), "uids": list(target.uids)}
    label = _label(catalogue, target)
    return {**params, "label": label} if label else params


def target_of(job: JobDescription) -> Target:
    """Read what :func:`job_params` wrote.

    :raises BadData: the job is about something else.
    """
    level, uids = job.params.get("level"), job.params.get("uids")
    if not isinstance(level, str) or not isinstance(uids, list) or not all(isinstance(uid, str) for uid in uids):
        raise BadData("The job does not say what it is about.")
    try:
        return Target(Level.from_word(level), tuple(uids))
    except KeyError as error:
        raise BadData("The job does not say what it is about.") from error


def priority_when_shown(series_uids: frozenset[str], job: JobDescription) -> Priority:
    """Return how urgent a job is while these series, and no others, are on the screen."""
    if job.priority is Priority.USER:
        return job.priority
    if series_uids.isdisjoint(job.params.get("uids", ())):
        return Priority.REST
    return Priority.VISIBLE_THUMBNAIL if job.kind is JobKind.THUMBNAIL else Priority.VISIBLE_STUDY


#: What brings instances of a target to this computer, or needs them here.
_CONCERNED = (JobKind.RETRIEVE, JobKind.THUMBNAIL, JobKind.SEND, JobKind.EXPORT)


class Overlap:
    """Tells which jobs have to do with instances that a target names, in whole or in part.

    Made before a target is removed: afterwards nobody knows any more what belongs to it.
    """

    def __init__(self, catalogue: Catalogue, target: Target) -> None:
        self._catalogue = catalogue
        self._target = target
        self._series = catalogue.series_uids_of(target.level, target.uids)

    def __call__(self, job: JobDescription) -> bool:
        """Tell it of one job."""
        other = self._target_of(job)
        if other is None:
            return False
        if other.level is self._target.level:
            return not set(other.uids).isdisjoint(self._target.uids)
        return not self._series.isdisjoint(self._catalogue.series_uids_of(other.level, other.uids))

    def whole(self, jobs: Iterable[JobDescription]) -> Callable[[JobDescription], bool]:
        """Return what tells, also later, which of some jobs have to do with nothing else."""
        ids = {job.job_id for job in jobs if self._holds(job)}
        return lambda job: job.job_id in ids

    def _holds(self, job: JobDescription) -> bool:
        other = self._target_of(job)
        if other is None:
            return False
        if other.level is self._target.level:
            return set(other.uids).issubset(self._target.uids)
        if self._target.level is Level.IMAGE:
            return False  # of the series there may be more
        series = self._catalogue.series_uids_of(other.level, other.uids)
        return bool(series) and series.issubset(self._series)

    @staticmethod
    def _target_of(job: JobDescription) -> Target | None:
        try:
            return target_of(job) if job.kind in _CONCERNED else None
        except BadData:
            return None


def _label(catalogue: Catalogue, target: Target) -> str:
    if not target.uids:
        return ""
    first = _name(catalogue, target.level, target.uids[0])
    more = f" and {len(target.uids) - 1} more" if first and len(target.uids) > 1 else ""
    return f"{first[: _MAX_LABEL - len(more)]}{more}"


def _name(catalogue: Catalogue, level: Level, uid: str) -> str:
    if level is Level.PATIENT:
        return uid
    if level is Level.STUDY:
        study = catalogue.find_study(uid)
        return _study_name(study) if study is not None else ""
    parents = catalogue.parents(level, uid)
    known = catalogue.find_series(parents[1]) if parents is not None else None
    return _series_name(*known) if known is not None else ""


def _study_name(study: Study) -> str:
    return _joined(_person(study), readable_date(study.date), study.description)


def _series_name(study: Study, series: Series) -> str:
    return _joined(_person(study), series.modality, series.description)


def _person(study: Study) -> str:
    return display_name(study.patient.name) or study.patient.patient_id


def _joined(*parts: str) -> str:
    return " · ".join(part for part in parts if part)
