"""What a file on this computer says of itself, as the store's records have it."""

from __future__ import annotations

from pathlib import Path

from ..domain.errors import BadData, StorageError
from ..domain.model import Instance, Patient, Series, Study
from .catalogue import LocalInstance
from .headers import Header, read_header
from .layout import DatabaseFolder


def header_of(folder: DatabaseFolder, sop_uid: str, file: str) -> Header | None:
    """Return the header of a local instance's file, or None if it is not there, not whole, or another instance.

    :param file: its stored name.
    """
    found = file_of(folder, sop_uid, file)
    return found[1] if found is not None else None


def file_of(folder: DatabaseFolder, sop_uid: str, file: str) -> tuple[Path, Header] | None:
    """Return where the file of a local instance lies, and what :func:`header_of` does; None if that is None."""
    try:
        path = folder.absolute(file)
        header = read_header(path)
    except (BadData, StorageError):
        return None
    return (path, header) if header.sop_uid == sop_uid else None


def local_instance(header: Header, file: str) -> LocalInstance:
    """Return what the catalogue keeps of an instance.

    :param file: stored name of its file.
    """
    patient = Patient(header.patient_id, header.patient_name, header.birth_date, header.sex, header.issuer)
    study = Study(
        study_uid=header.study_uid,
        patient=patient,
        date=header.study_date,
        time=header.study_time,
        description=header.study_description,
        accession_number=header.accession_number,
        study_id=header.study_id,
    )
    series = Series(
        series_uid=header.series_uid,
        study_uid=header.study_uid,
        number=header.series_number,
        modality=header.modality,
        description=header.series_description,
        body_part=header.body_part,
    )
    instance = Instance(header.sop_uid, header.series_uid, header.study_uid, header.instance_number, header.sop_class)
    return LocalInstance(study, series, instance, file)
