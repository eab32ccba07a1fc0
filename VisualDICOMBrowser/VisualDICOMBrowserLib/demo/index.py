"""What the demo PACS holds, and its answers to queries."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from ..domain.model import Level
from .matching import matches, texts
from .part10 import Held

#: The unique key of each level (PS3.4 C.6.1.1).
UNIQUE_KEYS = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}
_PATIENT_KEYS = {
    "PatientID", "PatientName", "IssuerOfPatientID", "PatientBirthDate", "PatientBirthTime", "PatientSex",
    "OtherPatientIDs", "OtherPatientNames", "EthnicGroup", "PatientComments", "NumberOfPatientRelatedStudies",
    "NumberOfPatientRelatedSeries", "NumberOfPatientRelatedInstances",
}  # fmt: skip
_STUDY_KEYS = {
    "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "IssuerOfAccessionNumberSequence", "StudyID",
    "StudyDescription", "ReferringPhysicianName", "ModalitiesInStudy", "SOPClassesInStudy", "PatientAge",
    "PatientSize", "PatientWeight", "NameOfPhysiciansReadingStudy", "AdmittingDiagnosesDescription",
    "ProcedureCodeSequence", "AdditionalPatientHistory", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
}  # fmt: skip
_SERIES_KEYS = {
    "SeriesInstanceUID", "SeriesNumber", "SeriesDate", "SeriesTime", "SeriesDescription", "Modality",
    "BodyPartExamined", "Laterality", "ProtocolName", "PatientPosition", "PerformingPhysicianName", "OperatorsName",
    "Manufacturer", "ManufacturerModelName", "InstitutionName", "InstitutionalDepartmentName", "StationName",
    "FrameOfReferenceUID", "RequestAttributesSequence", "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime", "NumberOfSeriesRelatedInstances",
}  # fmt: skip
_OF_THE_REQUEST = {"SpecificCharacterSet", "QueryRetrieveLevel", "TimezoneOffsetFromUTC"}
_OF_THE_PACS = {"RetrieveAETitle", "InstanceAvailability"}


class BadQuery(ValueError):
    """The identifier of a request does not fit the information model (status 0xA900)."""


def level_of(identifier: Dataset, *, study_root: bool) -> Level:
    """Read the Query/Retrieve Level (0008,0052).

    :raises BadQuery: none, an unknown one, or PATIENT in the Study Root model.
    """
    try:
        level = Level.from_word(str(identifier.get("QueryRetrieveLevel", "")))
    except KeyError as error:
        raise BadQuery("unknown level") from error
    if study_root and level is Level.PATIENT:
        raise BadQuery("the Study Root model has no patient level")
    return level


@dataclass(frozen=True)
class _Entry:
    """An object and its unique keys, by level."""

    held: Held
    keys: tuple[str, ...]


class Index:
    """Objects by SOP Instance UID. Queries are answered as a whole, under a lock, from what is held at that moment."""

    def __init__(self, held: Iterable[Held] = ()) -> None:
        self._lock = threading.RLock()
        self._entries: dict[str, _Entry] = {}
        for one in held:
            self.add(one)

    def add(self, held: Held) -> bool:
        """Take in an object; tell whether it was new. The first one with a UID stays."""
        keys = tuple(str(held.header.get(UNIQUE_KEYS[level]) or "") for level in Level)
        with self._lock:
            return self._entries.setdefault(keys[Level.IMAGE], _Entry(held, keys)).held is held

    def counts(self) -> dict[str, int]:
        """Count patients, studies, series and instances."""
        names = ("patients", "studies", "series", "instances")
        with self._lock:
            return {
                name: len({entry.keys[level] for entry in self._entries.values()})
                for name, level in zip(names, Level, strict=True)
            }

    def select(self, level: Level, identifier: Dataset) -> list[Held]:
        """Return the objects that a retrieve asks for: by a list of unique keys, within those of higher levels.

        :raises BadQuery: the unique key of the level is missing.
        """
        if not texts(_element(identifier, UNIQUE_KEYS[level])):
            raise BadQuery("the unique key of the level is missing")
        with self._lock:
            return [entry.held for entry in self._within(level, identifier)]

    def find(self, level: Level, identifier: Dataset) -> tuple[list[Dataset], bool]:
        """Answer a C-FIND.

        :return: the identifiers of the responses, and whether all keys were supported at this level. Keys of
            a lower level are neither matched nor returned (PS3.4 C.2.2.1.3). Keys of the higher levels need
            not be given: queries are relational.
        """
        keys = [key for key in identifier if key.keyword not in _OF_THE_REQUEST | _OF_THE_PACS]
        usable = [key for key in keys if _key_level(key.keyword) <= level]
        with self._lock:
            groups = _groups(level, self._within(level, identifier))
            collected = {key.keyword: self._collected(key.keyword) for key in usable if key.keyword in _COMPUTED}
            answers = (_answer(level, group[0], usable, collected) for group in groups.values())
            return [answer for answer in answers if answer is not None], len(usable) == len(keys)

    def _within(self, level: Level, identifier: Dataset) -> list[_Entry]:
        """Return the objects under the unique keys that are given without wildcards, down to a level."""
        wanted = {one: set(texts(_element(identifier, UNIQUE_KEYS[one]))) for one in Level if one <= level}
        exact = {one: keys for one, keys in wanted.items() if keys and not any(c in k for k in keys for c in "*?")}
        return [
            entry for entry in self._entries.values() if all(entry.keys[one] in keys for one, keys in exact.items())
        ]

    def _collected(self, keyword: str) -> dict[str, object]:
        """Count or collect an attribute that is not stored, for all entities of its level."""
        above, below = _COMPUTED[keyword]
        families = _groups(above, self._entries.values())
        if isinstance(below, Level):
            return {key: len({entry.keys[below] for entry in family}) for key, family in families.items()}
        return {
            key: sorted({word for entry in family for word in texts(_element(entry.held.header, below))})
            for key, family in families.items()
        }


def _answer(
    level: Level, entry: _Entry, keys: Sequence[DataElement], collected: Mapping[str, Mapping[str, object]]
) -> Dataset | None:
    """Return what one patient, study, series or image says to the keys, or None if it does not match."""
    header, answer = entry.held.header, Dataset()
    for key in keys:
        if key.keyword in collected:
            above, _ = _COMPUTED[key.keyword]
            value = collected[key.keyword][entry.keys[above]]
            element: DataElement | None = DataElement(key.tag, dictionary_VR(key.tag), value)
        else:
            element = header.get(key.tag)
        if not matches(key, texts(element)):
            return None
        answer[key.tag] = element if element is not None else DataElement(key.tag, key.VR, None)
    if "SpecificCharacterSet" in header:
        answer["SpecificCharacterSet"] = header["SpecificCharacterSet"]
    answer.QueryRetrieveLevel = level.name
    return answer


#: Attribute -> the level it is about, and what is counted (a level) or collected (an attribute).
_COMPUTED: dict[str, tuple[Level, Level | str]] = {
    "NumberOfPatientRelatedStudies": (Level.PATIENT, Level.STUDY),
    "NumberOfPatientRelatedSeries": (Level.PATIENT, Level.SERIES),
    "NumberOfPatientRelatedInstances": (Level.PATIENT, Level.IMAGE),
    "NumberOfStudyRelatedSeries": (Level.STUDY, Level.SERIES),
    "NumberOfStudyRelatedInstances": (Level.STUDY, Level.IMAGE),
    "NumberOfSeriesRelatedInstances": (Level.SERIES, Level.IMAGE),
    "ModalitiesInStudy": (Level.STUDY, "Modality"),
    "SOPClassesInStudy": (Level.STUDY, "SOPClassUID"),
}


def _key_level(keyword: str) -> Level:
    if keyword in _PATIENT_KEYS:
        return Level.PATIENT
    if keyword in _STUDY_KEYS:
        return Level.STUDY
    return Level.SERIES if keyword in _SERIES_KEYS else Level.IMAGE


def _element(dataset: Dataset, keyword: str) -> DataElement | None:
    return dataset.get(Tag(keyword))


def _groups(level: Level, entries: Iterable[_Entry]) -> dict[str, list[_Entry]]:
    groups: dict[str, list[_Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.keys[level], []).append(entry)
    return groups
