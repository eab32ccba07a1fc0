"""Fills the catalogue of a database folder, for measuring the window: no files, only what is known of them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from VisualDICOMBrowserLib.domain.model import Instance, Patient, Series, Study
from VisualDICOMBrowserLib.store.catalogue import Catalogue, LocalInstance
from VisualDICOMBrowserLib.store.layout import DatabaseFolder

SERVERS = ("Archive", "Clinic")
_FAMILIES = ("Doe", "Müller", "Ng", "O'Brien", "Schmidt", "Tanaka", "van der Berg", "Šimić")
_GIVEN = ("Ann", "Bela", "Chen", "Dora", "Emil", "Jane", "John", "Zoë")
_MODALITIES = ("CT", "MR", "US", "DX", "PT")
_REGIONS = ("Abdomen", "Head", "Knee", "Spine", "Thorax")


@dataclass(frozen=True)
class Filling:
    """How much; every third study is local, every fifth of these nowhere else.

    :ivar series: in all, spread over the studies.
    :ivar instances: of each series.
    :ivar local: False if all is on servers alone: an engine forgets at once what it misses on the disk.
    """

    patients: int = 1000
    studies_each: int = 2
    series: int = 10_000
    instances: int = 10
    local: bool = True


def fill(root: Path, filling: Filling | None = None) -> None:
    """Fill the catalogue of a folder, which is made if need be. About 3 s for the default on one core."""
    filling = filling or Filling()
    folder = DatabaseFolder(root)
    folder.root.mkdir(parents=True, exist_ok=True)
    catalogue = Catalogue.open(folder.catalogue)
    try:
        studies = [_study(number, filling) for number in range(filling.patients * filling.studies_each)]
        series = [_series(number, studies) for number in range(filling.series)]
        if filling.local:
            catalogue.add_local(list(_local(folder, studies, series, filling)))
        _note_remote(catalogue, studies, series, filling)
        _note_thumbnails(folder, catalogue, series[::2])
    finally:
        catalogue.close()


def _study(number: int, filling: Filling) -> Study:
    chance = random.Random(number)
    person = number % filling.patients
    name = f"{_FAMILIES[person % 8]}^{_GIVEN[person // 8 % 8]}^{person}"
    return Study(
        study_uid=f"1.2.{number}",
        patient=Patient(f"ID{person:06}", name, f"{1930 + person % 80}0101", "FMO"[person % 3]),
        date=f"{2000 + chance.randrange(26)}{1 + chance.randrange(12):02}{1 + chance.randrange(28):02}",
        time=f"{chance.randrange(24):02}0000",
        description=f"{chance.choice(_REGIONS)} {number % 7}",
        accession_number=f"A{number:07}",
        study_id=str(number),
        modalities=(chance.choice(_MODALITIES),),
    )


def _series(number: int, studies: list[Study]) -> Series:
    study = studies[number % len(studies)]
    modality = study.modalities[0]
    return Series(
        f"{study.study_uid}.{number}", study.study_uid, number // len(studies) + 1, modality, f"Series {number}"
    )


def _local(folder: DatabaseFolder, studies: list[Study], series: list[Series], filling: Filling):
    by_uid = {study.study_uid: study for study in studies[::3]}
    for found in series:
        study = by_uid.get(found.study_uid)
        for number in range(filling.instances if study else 0):
            instance = Instance(f"{found.series_uid}.{number}", found.series_uid, found.study_uid, number, "1.2.3")
            path = folder.instance_path(found.study_uid, found.series_uid, instance.sop_uid)
            yield LocalInstance(study, found, instance, path.relative_to(folder.root).as_posix())


def _note_remote(catalogue: Catalogue, studies: list[Study], series: list[Series], filling: Filling) -> None:
    only_here = {study.study_uid for study in studies[::15]} if filling.local else set()
    for index, server in enumerate(SERVERS):
        there = {study.study_uid for study in studies[index:] if study.study_uid not in only_here}
        catalogue.note_found(
            server,
            [study for study in studies if study.study_uid in there],
            [
                Series(**{**vars(found), "instance_count": filling.instances})
                for found in series
                if found.study_uid in there
            ],
            patients=[study.patient for study in studies if study.study_uid in there],
        )


def _note_thumbnails(folder: DatabaseFolder, catalogue: Catalogue, series: list[Series]) -> None:
    for found in series:
        sop_uid = f"{found.series_uid}.0"
        path = folder.thumbnail_path(found.study_uid, found.series_uid, sop_uid)
        stored = path.relative_to(folder.root).as_posix()
        catalogue.set_thumbnail(found.series_uid, sop_uid, stored, placeholder=False, reason="")


def add_patient(root: Path, number: int, name: str, studies: int, series_each: int) -> list[str]:
    """Add a person whose series have pictures, to a filled folder; return the series' UIDs, newest study last.

    All is on a server; the pictures are files as the engine makes them, each of another brightness.

    :param number: part of the UIDs, above the number of studies there are.
    """
    folder = DatabaseFolder(root)
    patient = Patient(f"ID{number:06}", name, "19500101", "F")
    made = [
        Study(f"1.3.{number}.{at}", patient, f"20{10 + at:02}0101", "120000", f"Study {at}", modalities=("CT",))
        for at in range(studies)
    ]
    series = [
        Series(f"{study.study_uid}.{each}", study.study_uid, each, "CT", f"Series {each}", instance_count=100)
        for study in made
        for each in range(1, series_each + 1)
    ]
    catalogue = Catalogue.open(folder.catalogue)
    try:
        catalogue.note_found(SERVERS[0], made, series, patients=[patient])
        _note_thumbnails(folder, catalogue, series)
    finally:
        catalogue.close()
    for one in series:
        _draw(folder.thumbnail_path(one.study_uid, one.series_uid, f"{one.series_uid}.0"), one.series_uid)
    return [one.series_uid for one in series]


def _draw(path: Path, seed: str) -> None:
    chance = random.Random(seed)
    grey = np.random.default_rng(chance.randrange(1 << 30)).integers(0, 40, (256, 256), dtype=np.uint8)
    ramp = np.add.outer(np.arange(256, dtype=np.uint16), np.arange(256, dtype=np.uint16)) * chance.randrange(60, 100)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey + (ramp // 256 + 20).astype(np.uint8)).save(path)
