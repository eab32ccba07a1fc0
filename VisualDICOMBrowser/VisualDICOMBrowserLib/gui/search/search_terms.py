"""What the search bar is set to, and what that means as a filter and in words; without Qt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from typing import Any

from ...domain.filters import DateRange, QueryFilter
from ...domain.model import readable_date
from ...domain.overview import Places

#: The modalities most people look for, with what they are.
USUAL_MODALITIES = {
    "CR": "Computed radiography",
    "CT": "Computed tomography",
    "DX": "Digital radiography",
    "MG": "Mammography",
    "MR": "Magnetic resonance",
    "NM": "Nuclear medicine",
    "PT": "Positron emission tomography",
    "RF": "Fluoroscopy",
    "SEG": "Segmentation",
    "SR": "Structured report",
    "US": "Ultrasound",
    "XA": "Angiography",
}

#: The other defined terms of PS3.3, C.7.3.1.1.1.
_OTHERS = (
    "ANN AR ASMT AU BDUS BI BMD DG DOC ECG EEG EMG EOG EPS ES FID GM HC HD IO IOL IVOCT IVUS KER KO LEN LS M3D "
    "OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PLAN POS PR PX REG RESP RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD "
    "RTRECORD RTSEGANN RTSTRUCT RWV SM SMR SRF STAIN TEXTUREMAP TG VA XC"
)
OTHER_MODALITIES = tuple(_OTHERS.split())

#: Stands for this computer among the names of places; names of servers are never empty.
HERE = ""
_HERE_LABEL = "This computer"


class Days(Enum):
    """The choices of study dates; the value is their label."""

    ANY = "Any date"
    TODAY = "Today"
    YESTERDAY = "Yesterday"
    WEEK = "Last 7 days"
    MONTH = "Last 30 days"
    YEAR = "Last 365 days"
    CUSTOM = "Custom…"


_BACK = {Days.TODAY: (0, 0), Days.YESTERDAY: (1, 1), Days.WEEK: (7, 0), Days.MONTH: (30, 0), Days.YEAR: (365, 0)}


@dataclass(frozen=True)
class SearchTerms:
    """What is typed and chosen.

    :ivar first: the custom dates, ``YYYYMMDD`` or empty; in either order.
    """

    text: str = ""
    modalities: tuple[str, ...] = ()
    days: Days = Days.ANY
    first: str = ""
    last: str = ""
    study_description: str = ""
    series_description: str = ""

    def date_range(self, today: date) -> DateRange:
        """Return the study dates; "last 7 days" goes from this day a week ago to today, both included."""
        if self.days is Days.CUSTOM:
            wrong_way = self.first and self.last and self.last < self.first
            return DateRange(self.last, self.first) if wrong_way else DateRange(self.first, self.last)
        if self.days not in _BACK:
            return DateRange()
        begin, end = _BACK[self.days]
        return DateRange(_day(today - timedelta(begin)), _day(today - timedelta(end)))

    def query(self, today: date) -> QueryFilter:
        """Return the filter that this means on the day ``today``."""
        return QueryFilter(
            text=" ".join(self.text.split()),
            study_date=self.date_range(today),
            modalities=self.modalities,
            study_description=self.study_description.strip(),
            series_description=self.series_description.strip(),
        )

    def summary(self) -> str:
        """Return what is chosen beside the text, in words: ``CT · last 30 days``; empty if nothing is."""
        parts = [
            ", ".join(self.modalities),
            self._days_in_words(),
            f"study “{self.study_description.strip()}”" if self.study_description.strip() else "",
            f"series “{self.series_description.strip()}”" if self.series_description.strip() else "",
        ]
        return " · ".join(part for part in parts if part)

    def _days_in_words(self) -> str:
        if self.days is Days.ANY:
            return ""
        if self.days is not Days.CUSTOM:
            return self.days.value.lower()
        days = self.date_range(date.min)
        if days.first and days.first == days.last:
            return readable_date(days.first)
        begin = f"from {readable_date(days.first)}" if days.first else ""
        end = f"until {readable_date(days.last)}" if days.last else ""
        return " ".join(part for part in (begin, end) if part)


def modality_label(modalities: tuple[str, ...]) -> str:
    """Return what the button for modalities says."""
    if not modalities:
        return "Modality"
    return ", ".join(modalities) if len(modalities) <= 3 else f"{len(modalities)} modalities"


def days_label(days: Days) -> str:
    """Return what the button for study dates says."""
    return {Days.ANY: "Study date", Days.CUSTOM: "Custom dates"}.get(days, days.value)


def _day(day: date) -> str:
    return day.strftime("%Y%m%d")


@dataclass(frozen=True)
class PlaceChoice:
    """Which places are ticked. What was unticked stays so when the list of servers changes; new ones are ticked.

    :ivar servers: the configured servers by name.
    :ivar off: names that are not ticked, :data:`HERE` for this computer.
    """

    servers: tuple[str, ...] = ()
    off: frozenset[str] = frozenset()

    def known(self, servers: Iterable[str]) -> PlaceChoice:
        """Return the choice among these servers."""
        return PlaceChoice(tuple(servers), self.off)

    def ticked(self, place: str, on: bool) -> PlaceChoice:
        """Return the choice with one place ticked or not."""
        return PlaceChoice(self.servers, self.off - {place} if on else self.off | {place})

    def all_ticked(self) -> PlaceChoice:
        """Return the choice of every place."""
        return PlaceChoice(self.servers)

    def is_on(self, place: str) -> bool:
        """Tell whether a place is ticked."""
        return place not in self.off

    def places(self) -> Places:
        """Return where to look."""
        on = tuple(name for name in self.servers if self.is_on(name))
        return Places(self.is_on(HERE), None if on == self.servers else on)

    def label(self) -> str:
        """Return what the button for places says."""
        on = self._on()
        if len(on) == len(self.servers) + 1:
            return "All servers" if self.servers else _HERE_LABEL
        if not on:
            return "Nowhere"
        return on[0] if len(on) == 1 else f"{len(on)} of {len(self.servers) + 1} places"

    def summary(self) -> str:
        """Return the choice in words; empty if every place is ticked."""
        on = self._on()
        if len(on) == len(self.servers) + 1:
            return ""
        return f"only {', '.join(on)}" if on else "no place to look is ticked"

    def _on(self) -> list[str]:
        here = [_HERE_LABEL] if self.is_on(HERE) else []
        return [*here, *(name for name in self.servers if self.is_on(name))]


def wire(query: QueryFilter) -> dict[str, Any]:
    """Return a filter as the engine reads it: only what is set, the dates as one text."""
    values: dict[str, Any] = {
        name: getattr(query, name)
        for name in (
            "text",
            "patient_id",
            "patient_name",
            "accession_number",
            "study_description",
            "series_description",
            "study_uid",
            "series_uid",
        )
        if getattr(query, name)
    }
    if query.study_date != DateRange():
        values["study_date"] = query.study_date.dicom()
    if query.modalities:
        values["modalities"] = list(query.modalities)
    return {**values, "limit": query.limit}
