"""What stays in a database above a series that is removed: rows of a study and of a patient, with their names."""

from __future__ import annotations

import pytest

from support.slicer_fakes.strict import StrictFake
from VisualDICOMBrowserLib.host_slicer.series_remover import SeriesRemover

STUDY = "1.2"


class Scripted(StrictFake):
    """A database with one series, where the rows above it are as the test says; it notes what it is told to remove.

    :ivar _removed: what was removed, in order.
    """

    REAL = "ctkDICOMDatabase"

    def __init__(self, *, stays: bool, series: tuple[str, ...] = (), studies: tuple[str, ...] = ()) -> None:
        super().__init__()
        object.__setattr__(self, "databaseDirectory", "/database")
        self._stays, self._series, self._studies = stays, series, studies
        self._removed: list[str] = []

    def filesForSeries(self, uid: str) -> tuple[str, ...]:
        return ()

    def studyForSeries(self, uid: str) -> str:
        return STUDY if uid == "1.2.1" else ""

    def removeSeries(self, uid: str, clear: bool) -> bool:
        self._removed.append(uid)
        return True

    def patientForStudy(self, uid: str) -> str:
        return "7" if self._stays else ""

    def seriesForStudy(self, uid: str) -> tuple[str, ...]:
        return self._series

    def studiesForPatient(self, patient: str) -> tuple[str, ...]:
        return self._studies

    def cleanupStudy(self, uid: str) -> bool:
        self._removed.append(uid)
        return True

    def cleanupPatient(self, patient: str) -> bool:
        self._removed.append(patient)
        return True


@pytest.mark.parametrize(
    ("uid", "rows", "removed"),
    [
        ("1.2.1", {"stays": True}, ["1.2.1", STUDY, "7"]),
        ("1.2.1", {"stays": True, "studies": ("1.3",)}, ["1.2.1", STUDY]),
        ("1.2.1", {"stays": True, "series": ("1.2.2",)}, ["1.2.1"]),
        ("1.2.1", {"stays": False}, ["1.2.1"]),
        ("1.9", {"stays": True}, ["1.9"]),
    ],
    ids=["nothing left", "another study", "another series", "gone already", "unknown"],
)
def test_a_study_and_a_patient_that_nothing_is_left_of_go_with_the_last_series(qtbot, uid, rows, removed):
    database, failed = Scripted(**rows), []
    remover = SeriesRemover(database, lambda: True, failed.append)
    remover.run([uid])
    qtbot.waitUntil(lambda: failed == [0])
    assert database._removed == removed
