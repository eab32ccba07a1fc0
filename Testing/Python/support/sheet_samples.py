"""A person with studies in every state, for tests of the sheet."""

from __future__ import annotations

from pathlib import Path

from support.fake_session import FakeSession
from VisualDICOMBrowserLib.domain.model import Patient, Series, Study
from VisualDICOMBrowserLib.domain.overview import PatientRow, SeriesRow, StudyRow, Thumbnail
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind, JobRecord, Stamp
from VisualDICOMBrowserLib.jobs.states import JobState

JANE = Patient("4711", "Doe^Jane^^Dr.", "19700101", "F")
YAMADA = Patient("JP-0815", "Yamada^Tarou=山田^太郎=やまだ^たろう", "19620229", "M")


def person(patient: Patient = JANE, row: int = 1) -> PatientRow:
    return PatientRow(row, patient, 3, True, ("Hospital PACS",))


def study(
    uid: str, patient: Patient = JANE, date: str = "20260104", description: str = "CT abdomen", **more
) -> StudyRow:
    values = {"series_count": 3, "servers": ("Hospital PACS",)} | more
    modalities = values.pop("modalities", ("CT",))
    return StudyRow(Study(uid, patient, date, "", description, "A" + uid, "", modalities), **values)


def series(uid: str, study_uid: str, number: int = 1, description: str = "Axial 5 mm", **more) -> SeriesRow:
    values = {"instances": 120, "servers": ("Hospital PACS",)} | more
    modality = values.pop("modality", "CT")
    return SeriesRow(Series(uid, study_uid, number, modality, description, "ABDOMEN"), **values)


def job(job_id: str, state: JobState, uids: list[str], reason: str = "", kind: JobKind = JobKind.RETRIEVE) -> dict:
    description = JobDescription(job_id, kind, "Hospital PACS", {"uids": uids})
    return JobRecord(description, state, Stamp(0, 100.0), reason=reason).to_dict()


def many(session: FakeSession, studies: int, each: int, pictures: list[str] = ()) -> PatientRow:
    """Give the session one person with ``studies`` studies of ``each`` series."""
    rows = [
        study(f"1.{i}", date=f"{2026 - i // 300}{1 + i % 12:02}{1 + i % 28:02}", series_count=each)
        for i in range(studies)
    ]
    session.reader.studies_of[1] = rows
    for i in range(studies):
        session.reader.series_of[f"1.{i}"] = [
            series(
                f"1.{i}.{k}",
                f"1.{i}",
                k + 1,
                f"Axial reconstruction {k} with a long description",
                local_instances=120 if k % 2 else 0,
                thumbnail=Thumbnail(pictures[(i * each + k) % len(pictures)]) if pictures else None,
            )
            for k in range(each)
        ]
    return person()


def one_of_each_state(session: FakeSession, picture: Path, patient: Patient = JANE) -> PatientRow:
    """Give the session a person with a series in every state."""
    here = Thumbnail(str(picture))
    session.reader.studies_of[1] = [
        study(
            "1.1",
            patient,
            "20260104",
            "CT thorax and abdomen with contrast",
            modalities=("CT", "SR"),
            local_instances=161,
            series_count=9,
        ),
        study(
            "1.2",
            patient,
            "20241102",
            "MR brain",
            modalities=("MR",),
            servers=("Hospital PACS", "Research archive", "Orthanc"),
        ),
        study("1.3", patient, "20230518", "", modalities=("US",), local_instances=4, servers=()),
        study("1.4", patient, "", "Mammography screening", modalities=("MG",), matches=False),
    ]
    session.reader.series_of = {
        "1.1": [
            series("1.1.1", "1.1", 1, "Scout", local_instances=2, instances=2, thumbnail=here),
            series("1.1.2", "1.1", 2, "Axial 5 mm soft tissue kernel B30f arterial phase with MIP", thumbnail=here),
            series("1.1.3", "1.1", 3, "Queued one"),
            series("1.1.4", "1.1", 4, "Coronal 2 mm", local_instances=41, thumbnail=here),
            series("1.1.5", "1.1", 5, "Partly here, lung", local_instances=60, thumbnail=here),
            series("1.1.6", "1.1", 6, "Loaded", local_instances=120, thumbnail=here),
            series("1.1.7", "1.1", 7, "Failed to arrive", thumbnail=here),
            series("1.1.8", "1.1", 1001, "", modality="SR", instances=1),
            series(
                "1.1.9",
                "1.1",
                12,
                "腹部造影 動脈相 軸位断 再構成 五ミリ 高分解能",
                local_instances=1500,
                instances=1500,
                thumbnail=here,
            ),
        ],
        "1.2": [
            series(f"1.2.{k}", "1.2", k, text, modality="MR", matches=k != 3, instances=None)
            for k, text in enumerate(
                ("T1 mprage sag iso", "t2_tse_dark-fluid_tra_p2_verylongnamewithoutspaces", "DWI b1000"), 1
            )
        ],
    }
    for record in (
        job("q", JobState.QUEUED, ["1.1.3"]),
        job("a", JobState.RUNNING, ["1.1.4"]),
        job("f", JobState.FAILED, ["1.1.7"], "Hospital PACS closed the connection."),
    ):
        session.jobs.note(record)
    return person(patient)
