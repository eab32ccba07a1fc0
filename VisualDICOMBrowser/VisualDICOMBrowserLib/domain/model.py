"""Patients, studies, series and instances as records.

Dates and times are DICOM texts (DA ``YYYYMMDD``, TM ``HHMMSS[.ffffff]``, PS3.5 6.2), or empty. Names are
Unicode in DICOM's ``Family^Given^Middle^Prefix^Suffix`` form, with ideographic and phonetic groups
after ``=`` where the object has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """The levels of the query/retrieve information models (PS3.4, C.6), from the top."""

    PATIENT = 0
    STUDY = 1
    SERIES = 2
    IMAGE = 3

    @classmethod
    def from_word(cls, word: str) -> Level:
        """Read ``patient``, ``study``, ``series`` or ``image``.

        :raises KeyError: any other word.
        """
        return cls[word.upper()]


@dataclass(frozen=True)
class Patient:
    """Who the images are of."""

    patient_id: str
    name: str = ""
    birth_date: str = ""
    sex: str = ""
    issuer: str = ""


@dataclass(frozen=True)
class Study:
    """One study. Counts are None where nobody said."""

    study_uid: str
    patient: Patient
    date: str = ""
    time: str = ""
    description: str = ""
    accession_number: str = ""
    study_id: str = ""
    modalities: tuple[str, ...] = ()
    sop_classes: tuple[str, ...] = ()
    series_count: int | None = None
    instance_count: int | None = None


@dataclass(frozen=True)
class Series:
    """One series. ``instance_count`` is None where nobody said."""

    series_uid: str
    study_uid: str
    number: int | None = None
    modality: str = ""
    description: str = ""
    body_part: str = ""
    instance_count: int | None = None


@dataclass(frozen=True)
class Instance:
    """One SOP instance."""

    sop_uid: str
    series_uid: str
    study_uid: str
    number: int | None = None
    sop_class: str = ""


@dataclass(frozen=True)
class Target:
    """What a retrieve, a removal or a listing is about: exactly one kind of identifier.

    :param level: the level of ``uids``.
    :param uids: patient IDs, or study, series or SOP instance UIDs.
    """

    level: Level
    uids: tuple[str, ...]


def readable_date(date: str) -> str:
    """Return a DICOM date for people: ``YYYY-MM-DD``; anything else as it is."""
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isdigit() else date
