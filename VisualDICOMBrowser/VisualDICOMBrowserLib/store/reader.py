"""Reads the catalogue for windows: short indexed statements, read-only, only what is about to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..domain.filters import QueryFilter
from ..domain.overview import PatientRow, Places, SeriesRow, StudyRow


class CatalogueReader:
    """Reads the catalogue of a database folder that an engine, another process, writes.

    Used on one thread. A folder without a catalogue has nothing to show; the file is looked for again each time.

    :param folder: the database folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def close(self) -> None:
        """Close the file."""

    def patient_rows(self, filter: QueryFilter, places: Places) -> list[int]:
        """Return the keys of the persons that fit, sorted by name."""
        return []

    def patients(self, rows: Sequence[int]) -> list[PatientRow]:
        """Return persons by key, in the order asked for; those that are gone are left out."""
        return []

    def studies(self, patient_row: int, filter: QueryFilter, places: Places) -> list[StudyRow]:
        """Return the studies of a person, newest first."""
        return []

    def series(self, study_uids: Sequence[str], filter: QueryFilter, places: Places) -> dict[str, list[SeriesRow]]:
        """Return the series of studies by study, sorted by number."""
        return {}

    def series_by_uid(self, series_uids: Sequence[str]) -> dict[str, SeriesRow]:
        """Return series by UID; those that are gone are left out."""
        return {}
