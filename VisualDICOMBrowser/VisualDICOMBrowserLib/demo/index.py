"""What the demo PACS holds, and its answers to queries."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

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


class Index:
    """Objects by SOP Instance UID. Queries are answered as a whole, under a lock, from what is held at that moment."""

    def __init__(self, held: Iterable[Held] = ()) -> None:
        self._lock = threading.RLock()
        self._held: dict[str, Held] = {}
        for one in held:
            self.add(one)

    def add(self, held: Held) -> bool:
        """Take in an object; tell whether it was new. The first one with a UID stays."""
        with self._lock:
            uid = str(held.header.SOPInstanceUID)
            return self._held.setdefault(uid, held) is held

    def counts(self) -> dict[str, int]:
        """Count patients, studies, series and instances."""
        names = ("patients", "studies", "series", "instances")
        with self._lock:
            everything = list(self._held.values())
            return {name: len(_groups(level, everything)) for name, level in zip(names, Level, strict=True)}

    def sop_classes(self) -> set[str]:
        """Return the SOP classes of all objects."""
        with self._lock:
            return {str(one.header.SOPClassUID) for one in self._held.values()}

    def select(self, level: Level, identifier: Dataset) -> list[Held]:
        """Return the objects that a retrieve asks for: by a list of unique keys, within those of higher levels.

        :raises BadQuery: the unique key of the level is missing.
        """
        if not texts(identifier.get(UNIQUE_KEYS[level], None) and identifier[UNIQUE_KEYS[level]]):
            raise BadQuery("the unique key of the level is missing")
        with self._lock:
            return self._within(level, identifier)

    def _within(self, level: Level, identifier: Dataset) -> list[Held]:
        wanted = [(key, set(texts(identifier[key]))) for key in _unique_keys_down_to(level) if key in identifier]
        restricting = [(key, uids) for key, uids in wanted if uids and not any("*" in u or "?" in u for u in uids)]
        return [
            held for held in self._held.values()
            if all(_first(held.header, key) in uids for key, uids in restricting)
        ]  # fmt: skip

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
            answers = (self._answer(level, group, usable) for group in groups.values())
            return [answer for answer in answers if answer is not None], len(usable) == len(keys)

    def _answer(self, level: Level, group: list[Held], keys: Sequence[DataElement]) -> Dataset | None:
        """Return what one patient, study, series or image says to the keys, or None if it does not match."""
        header = group[0].header
        answer = Dataset()
        for key in keys:
            element = self._computed(key.keyword, header) or header.get(key.tag)
            if not matches(key, texts(element)):
                return None
            answer[key.tag] = element if element is not None else DataElement(key.tag, key.VR, None)
        if "SpecificCharacterSet" in header:
            answer["SpecificCharacterSet"] = header["SpecificCharacterSet"]
        answer.QueryRetrieveLevel = level.name
        return answer

    def _computed(self, keyword: str, header: Dataset) -> DataElement | None:
        """Return an attribute that is not stored but counted or collected, or None if it is not such a one."""
        if keyword not in _COMPUTED:
            return None
        above, below = _COMPUTED[keyword]
        unique = UNIQUE_KEYS[above]
        family = [one for one in self._held.values() if _first(one.header, unique) == _first(header, unique)]
        if isinstance(below, Level):
            value: object = len(_groups(below, family))
        else:
            value = sorted({word for one in family for word in texts(one.header.get(below) and one.header[below])})
        return DataElement(keyword, dictionary_VR(keyword), value)


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


def _unique_keys_down_to(level: Level) -> list[str]:
    return [UNIQUE_KEYS[one] for one in Level if one <= level]


def _groups(level: Level, held: Iterable[Held]) -> dict[str, list[Held]]:
    groups: dict[str, list[Held]] = {}
    for one in held:
        groups.setdefault(_first(one.header, UNIQUE_KEYS[level]), []).append(one)
    return groups


def _first(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "")
