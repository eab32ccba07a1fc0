"""The local content of a ctkDICOM database, as the catalogue keeps it.

The mirror looks for the parts of the database that were changed (see :mod:`.ctk_parts`), and reads the studies anew
that they have to do with, or had when they were mirrored, and those that this program changed itself meanwhile. So it
misses nothing, and a study that comes or goes among two million images costs seconds, not minutes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from ..domain.model import Instance, Patient, Series, Study
from .catalogue import Catalogue, LocalFile
from .catalogue_mirror import MirroredStudies
from .ctk_content import CtkContent, CtkImage, CtkStudy
from .rows import LocalRows
from .sqlite import chunks

_STUDIES_AT_ONCE = 100
_INTEGER = re.compile("[+-]?[0-9]{1,11}")
_CLASS, _NUMBER = "0008,0016", "0020,0013"


def refresh(catalogue: Catalogue, rows: LocalRows) -> bool:
    """Mirror what anybody changed in the database since the last time; tell whether it was changed."""
    stamp = str(rows.change_stamp())
    if stamp == catalogue.ctk_stamp:
        return False
    # First the digests, then the rows: what changes in between is found by the next refresh.
    before, now, ours = catalogue.mirrored_parts(), rows.parts(), catalogue.unmirrored()
    gone = before.keys() - now.keys()
    changed = {part for part, digest in now.items() if before.get(part) != digest}
    holding = rows.studies_in(sorted(changed))
    studies = catalogue.studies_of_parts({*changed, *gone}).union(ours, *holding.values())
    unchanged: dict[str, set[str]] = {}
    for some in chunks(sorted(studies), _STUDIES_AT_ONCE):
        catalogue.mirror(_read(catalogue, rows, some))
        if len(changed) < len(now):
            for part, held in rows.parts_holding(some).items():
                unchanged.setdefault(part, set()).update(held)
    catalogue.note_holding({part: held for part, held in unchanged.items() if part not in changed})
    catalogue.note_mirrored(stamp, {part: (now[part], holding[part]) for part in changed}, gone, ours)
    return True


def is_stale(catalogue: Catalogue, rows: LocalRows) -> bool:
    """Tell whether the database was changed since it was mirrored."""
    return str(rows.change_stamp()) != catalogue.ctk_stamp


def _read(catalogue: Catalogue, rows: LocalRows, study_uids: Sequence[str]) -> MirroredStudies:
    content = rows.content_of(study_uids)
    studies = _studies(content)
    known = catalogue.local_images_of({*study_uids, *studies})
    fresh = [image for image in content.images if known.pop(image.sop_uid, None) != (image.series_uid, image.filename)]
    return MirroredStudies(
        study_uids=[*{*study_uids, *studies}],
        studies=[*studies.values()],
        series=[
            Series(row.series_uid, row.study_uid, row.number, row.modality, row.description, row.body_part)
            for row in content.series
        ],
        images=_images(content, fresh, rows.tags_for((image.sop_uid for image in fresh), (_NUMBER, _CLASS))),
        gone=[*known],
    )


def _studies(content: CtkContent) -> dict[str, Study]:
    uids = {study.study_uid for study in content.studies}
    patients = {}
    for row in content.patients:
        # Where the object has no ID, CTK writes the study's UID; where it has no name, the ID.
        patient_id = "" if row.patient_id in uids else row.patient_id
        name = "" if row.name == row.patient_id else row.name
        patients[row.uid] = Patient(patient_id, name, row.birth_date, row.sex)
    return {row.study_uid: _study(row, patients[row.patient_uid]) for row in content.studies}


def _study(row: CtkStudy, patient: Patient) -> Study:
    return Study(
        study_uid=row.study_uid,
        patient=patient,
        date=row.date,
        time=row.time,
        description=row.description,
        accession_number=row.accession_number,
        study_id=row.study_id,
    )


def _images(
    content: CtkContent, images: Collection[CtkImage], tags: Mapping[str, Mapping[str, str | None]]
) -> list[LocalFile]:
    """Turn rows into records, with SOP class and instance number as far as the tag cache has them."""
    studies = {row.series_uid: row.study_uid for row in content.series}
    found = []
    for image in images:
        known = tags.get(image.sop_uid, {})
        number, sop_class = _integer(known.get(_NUMBER)), known.get(_CLASS) or ""
        instance = Instance(image.sop_uid, image.series_uid, studies[image.series_uid], number, sop_class)
        found.append(LocalFile(instance, image.filename))
    return found


def _integer(text: str | None) -> int | None:
    """Return an IS value (PS3.5, 6.2: at most 12 characters), None if it is none."""
    return int(text) if text and _INTEGER.fullmatch(text) else None
