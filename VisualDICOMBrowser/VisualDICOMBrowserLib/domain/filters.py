"""What the user searches for, and whether a record matches it.

Peers ignore keys, or match in ways of their own (case, accents), so every answer is checked again here.
Wildcards are those of PS3.4, C.2.2.2.4: ``*`` for any text, ``?`` for one character.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache

from .errors import UsageError
from .model import Patient, Series, Study

DEFAULT_LIMIT = 1000


@dataclass(frozen=True)
class DateRange:
    """Study dates from ``first`` to ``last``, both included; an empty text leaves the end open."""

    first: str = ""
    last: str = ""

    @classmethod
    def parse(cls, text: str) -> DateRange:
        """Read ``FROM``, ``FROM-TO``, ``FROM-`` or ``-TO``; dates as YYYYMMDD or YYYY-MM-DD.

        :raises UsageError: not a date, or a range that ends before it begins.
        """
        match = _RANGE.fullmatch(text.strip())
        if match is None or text.strip() in ("", "-"):
            raise UsageError(f"{text!r} is not a date or a range of dates (YYYYMMDD or YYYYMMDD-YYYYMMDD).")
        first = _checked_date(match["first"])
        last = _checked_date(match["last"]) if match["dash"] else first
        if first and last and last < first:
            raise UsageError(f"The range of dates {text!r} ends before it begins.")
        return cls(first, last)

    def dicom(self) -> str:
        """Return the range as DICOM range matching writes it (PS3.4, C.2.2.2.5)."""
        return self.first if self.first == self.last else f"{self.first}-{self.last}"

    def holds(self, day: str) -> bool:
        """Tell whether ``day`` (YYYYMMDD, or ACR-NEMA's YYYY.MM.DD) lies in the range; what is no date does not."""
        day = plain_day(day)
        return bool(day) and (not self.first or day >= self.first) and (not self.last or day <= self.last)


def plain_day(date: str) -> str:
    """Return a date as YYYYMMDD, from that or ACR-NEMA's YYYY.MM.DD; empty if it is no date."""
    day = date.replace(".", "")
    return day if _DAY.fullmatch(day) else ""


_SEPARATORS = re.compile("[\\^,=]")
_DAY = re.compile(r"[0-9]{8}")
_ONE = r"[0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2}"
_RANGE = re.compile(rf"(?P<first>{_ONE}|)(?:(?P<dash> ?- ?)(?P<last>{_ONE}|))?")


def _checked_date(text: str | None) -> str:
    if not text:
        return ""
    digits = text.replace("-", "")
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError as error:
        raise UsageError(f"{text!r} is not a date.") from error
    return digits


@dataclass(frozen=True)
class QueryFilter:
    """The search keys; empty ones match everything.

    ``patient_name`` and the descriptions without wildcards match as a part of the text; the
    other texts match whole. Comparison ignores case and accents.

    :ivar text: what a person types into one field: parts of a name or of a patient ID, in any order, or an accession
        number. With wildcards it matches like ``patient_name``, or a whole ID or accession number.
    """

    text: str = ""
    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    study_date: DateRange = field(default_factory=DateRange)
    modalities: tuple[str, ...] = ()
    study_description: str = ""
    series_description: str = ""
    study_uid: str = ""
    series_uid: str = ""
    limit: int = DEFAULT_LIMIT

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", self.text.strip())  # what is pasted often ends in a blank
        if self.limit < 1:
            raise UsageError("The limit must be at least 1.")

    @property
    def needs_study_level(self) -> bool:
        """Whether a search with these keys cannot be answered from patients alone."""
        return bool(
            self.accession_number
            or self.study_date != DateRange()
            or self.modalities
            or self.study_description
            or self.series_description
            or self.study_uid
            or self.series_uid
        )

    @property
    def name_pattern(self) -> str:
        """The patient name as a DICOM wildcard key."""
        return as_part(self.patient_name.replace(", ", "^"))

    @property
    def text_pattern(self) -> str:
        """The free text as a DICOM wildcard key for names."""
        return as_part(self.text.replace(", ", "^"))

    @property
    def description_pattern(self) -> str:
        """The study description as a DICOM wildcard key."""
        return as_part(self.study_description)

    def matches_patient(self, patient: Patient) -> bool:
        """Check the keys of the patient level."""
        return self._matches_patient_keys(patient) and (not self.text or self._text_names(patient))

    def _matches_patient_keys(self, patient: Patient) -> bool:
        return matches(self.patient_id, patient.patient_id) and (
            not self.patient_name or matches_name(self.name_pattern, patient.name)
        )

    @property
    def text_words(self) -> tuple[str, ...] | None:
        """The words of the free text, folded, each a part of name or ID; None if it has wildcards. At most 64."""
        if has_wildcards(self.text):
            return None
        words = _SEPARATORS.sub(" ", self.text).split()
        return tuple(dict.fromkeys(filter(None, map(fold, words))))[:64]

    def _text_names(self, patient: Patient) -> bool:
        words = self.text_words
        if words is None:
            return matches_name(self.text_pattern, patient.name) or matches(self.text, patient.patient_id)
        name, patient_id = fold(patient.name), fold(patient.patient_id)
        return all(word in name or word in patient_id for word in words)

    def matches_study(self, study: Study) -> bool:
        """Check the keys of the patient and study level; modalities only where the study has them."""
        return (
            self._matches_patient_keys(study.patient)
            and (not self.text or self._text_names(study.patient) or matches(self.text, study.accession_number))
            and matches(self.accession_number, study.accession_number)
            and (self.study_date == DateRange() or self.study_date.holds(study.date))
            and matches(self.description_pattern, study.description)
            and (not self.study_uid or self.study_uid == study.study_uid)
            and (not self.modalities or not study.modalities or not set(self.modalities).isdisjoint(study.modalities))
        )

    def matches_series(self, series: Series) -> bool:
        """Check the keys of the series level."""
        return (not self.modalities or series.modality in self.modalities) and (
            (not self.series_uid or self.series_uid == series.series_uid)
            and matches(as_part(self.series_description), series.description)
        )


def matches_name(pattern: str, name: str) -> bool:
    """Match a DICOM wildcard pattern against a whole name or one of its component groups."""
    return any(matches(pattern, group.rstrip("^ ")) for group in {name, *name.split("=")})


def as_part(text: str) -> str:
    """Turn a text without wildcards into one that matches as a part: ``doe`` becomes ``*doe*``."""
    return f"*{text}*" if text and not has_wildcards(text) else text


def has_wildcards(text: str) -> bool:
    """Tell whether a key asks for any text or character somewhere."""
    return "*" in text or "?" in text


def fold(text: str) -> str:
    """Return ``text`` for comparison: without case and without accents."""
    if text.isascii():
        return text.lower()  # the same, in a tenth of the time
    decomposed = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if not unicodedata.combining(c))).casefold()


def matches(pattern: str, value: str) -> bool:
    """Match a DICOM wildcard pattern against a value; an empty pattern matches everything."""
    if not pattern:
        return True
    value = fold(value)
    first, *others = _pieces(pattern)
    if not others:
        return first.regex.fullmatch(value) is not None
    # Each piece as early as it can be, the last one at the end: no way back is ever needed. One regular expression
    # for all of it would try all ways, and hang on forty asterisks.
    found = first.regex.match(value)
    for piece in others[:-1]:
        found = found and piece.regex.search(value, found.end())
    last = others[-1]
    return found is not None and last.regex.fullmatch(value, max(found.end(), len(value) - last.length)) is not None


@dataclass(frozen=True)
class _Piece:
    """What stands between two asterisks; ``length`` is how many characters it matches."""

    regex: re.Pattern[str]
    length: int


@lru_cache(maxsize=256)
def _pieces(pattern: str) -> tuple[_Piece, ...]:
    return tuple(map(_piece, re.split(r"\*+", pattern)))


def _piece(text: str) -> _Piece:
    parts = [part if part == "?" else fold(part) for part in re.split(r"(\?)", text)]
    regex = "".join("." if part == "?" else re.escape(part) for part in parts)
    return _Piece(re.compile(regex, re.DOTALL), sum(map(len, parts)))
