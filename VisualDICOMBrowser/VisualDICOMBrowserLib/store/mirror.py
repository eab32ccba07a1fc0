"""The local content of a ctkDICOM database, as the catalogue keeps it.

The mirror looks for the parts of the database that were changed (see :mod:`.ctk_parts`), and reads the studies anew
that they have to do with, or had when they were mirrored, and those that this program changed itself meanwhile. So it
misses nothing, and a study that comes or goes among two million images costs seconds, not minutes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from ..domain.model import Patient, Series, Study
from .catalogue import Catalogue
from .catalogue_mirror import MirroredStudies
from .catalogue_records import ImageRow
from .ctk_content import CtkContent, CtkImage, CtkStudy
from .rows import LocalRows
from .sqlite import chunks

#: Told how many studies were read, and of how many (0: not known yet). What it raises ends the reading, which the next
#: refresh begins again; what was read by then need not be written again.
Watch = Callable[[int, int], None]

_STUDIES_AT_ONCE = 100
_PARTS_AT_ONCE = 200
_INTEGER = re.compile("[+-]?[0-9]{1,11}")
_CLASS, _NUMBER = "0008,0016", "0020,0013"


def refresh(catalogue: Catalogue, rows: LocalRows, watch: Watch = lambda done, total: None) -> bool:
    """Mirror what anybody changed in the database since the last time; tell whether it was changed.

    :param watch: told now and then if that is much.
    """
    stamp = str(rows.change_stamp())
    if stamp == catalogue.ctk_stamp:
        return False
    # First the digests, then the rows: what changes in between is found by the next refresh.
    before, now, ours = catalogue.mirrored_parts(), rows.parts(), catalogue.unmirrored()
    gone = before.keys() - now.keys()
    changed = {part for part, digest in now.items() if before.get(part) != digest}
    holding: dict[str, list[str]] = {}
    for parts in chunks(sorted(changed), _PARTS_AT_ONCE):
        holding |= rows.studies_in(parts)
        if len(changed) > _PARTS_AT_ONCE:
            watch(0, 0)
    studies = catalogue.studies_of_parts({*changed, *gone}).union(ours, *holding.values())
    unchanged: dict[str, set[str]] = {}
    with catalogue.much_to_write(len(studies) > _STUDIES_AT_ONCE):
        for number, some in enumerate(chunks(sorted(studies), _STUDIES_AT_ONCE)):
            if len(studies) > _STUDIES_AT_ONCE:
                watch(number * _STUDIES_AT_ONCE, len(studies))
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
    tags = rows.tags_for((image.sop_uid for image in fresh), (_NUMBER, _CLASS))
    return MirroredStudies(
        study_uids=[*{*study_uids, *studies}],
        studies=[*studies.values()],
        series=[
            Series(row.series_uid, row.study_uid, row.number, row.modality, row.description, row.body_part)
            for row in content.series
        ],
        images=[_image(image, tags.get(image.sop_uid, {})) for image in fresh],
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


def _image(image: CtkImage, tags: Mapping[str, str | None]) -> ImageRow:
    """Return a row with SOP class and instance number as far as the tag cache has them."""
    return image.sop_uid, image.series_uid, _integer(tags.get(_NUMBER)), tags.get(_CLASS) or "", image.filename


def _integer(text: str | None) -> int | None:
    """Return an IS value (PS3.5, 6.2: at most 12 characters), None if it is none."""
    return int(text) if text and _INTEGER.fullmatch(text) else None
