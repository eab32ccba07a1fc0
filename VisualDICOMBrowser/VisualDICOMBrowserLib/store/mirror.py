"""The local content of a ctkDICOM database, as the catalogue keeps it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from ..domain.model import Instance, Patient, Series, Study
from .catalogue import Catalogue, LocalInstance
from .ctk_content import CtkContent
from .rows import LocalRows

_TRIES = 5
_INTEGER = re.compile("[+-]?[0-9]{1,11}")
_CLASS, _NUMBER = "0008,0016", "0020,0013"


def refresh(catalogue: Catalogue, rows: LocalRows) -> bool:
    """Mirror the database again if anybody changed it since the last time; tell whether it was."""
    if not is_stale(catalogue, rows):
        return False
    for _ in range(_TRIES):
        stamp, content = rows.change_stamp(), rows.snapshot()
        if rows.change_stamp() == stamp:
            break
        # Changed while it was read, page by page. With the older stamp, the next refresh looks again.
    # A catalogue that was never mirrored may be one made anew; another has numbers and SOP classes already.
    tags = {} if catalogue.ctk_stamp else rows.tags_for((image.sop_uid for image in content.images), (_NUMBER, _CLASS))
    catalogue.replace_local(list(local_content(content, tags)), str(stamp))
    return True


def is_stale(catalogue: Catalogue, rows: LocalRows) -> bool:
    """Tell whether the database was changed since it was mirrored."""
    return str(rows.change_stamp()) != catalogue.ctk_stamp


def local_content(
    content: CtkContent, tags: Mapping[str, Mapping[str, str | None]] = MappingProxyType({})
) -> Iterator[LocalInstance]:
    """Turn CTK's rows into the catalogue's records.

    :param tags: SOP class and instance number of instances by SOP Instance UID, as far as the tag cache has them.
    """
    study_uids = {study.study_uid for study in content.studies}
    patients = {}
    for row in content.patients:
        # Where the object has no ID, CTK writes the study's UID; where it has no name, the ID.
        patient_id = "" if row.patient_id in study_uids else row.patient_id
        name = "" if row.name == row.patient_id else row.name
        patients[row.uid] = Patient(patient_id, name, row.birth_date, row.sex)
    studies = {
        row.study_uid: Study(
            study_uid=row.study_uid,
            patient=patients[row.patient_uid],
            date=row.date,
            time=row.time,
            description=row.description,
            accession_number=row.accession_number,
            study_id=row.study_id,
        )
        for row in content.studies
    }
    series = {
        row.series_uid: Series(row.series_uid, row.study_uid, row.number, row.modality, row.description, row.body_part)
        for row in content.series
    }
    for image in content.images:
        found = series[image.series_uid]
        known = tags.get(image.sop_uid, {})
        number, sop_class = _integer(known.get(_NUMBER)), known.get(_CLASS) or ""
        instance = Instance(image.sop_uid, image.series_uid, found.study_uid, number, sop_class)
        yield LocalInstance(studies[found.study_uid], found, instance, image.filename)


def _integer(text: str | None) -> int | None:
    """Return an IS value (PS3.5, 6.2: at most 12 characters), None if it is none."""
    return int(text) if text and _INTEGER.fullmatch(text) else None
