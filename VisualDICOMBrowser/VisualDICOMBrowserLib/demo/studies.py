"""The sample studies: seven invented patients, one for each common character set, and their examinations."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from . import people, scans
from .documents import pdf, report, structures
from .geometry import axial, coronal, oblique, sagittal, tilted
from .objects import Series, Study
from .part10 import Held, SeriesWriter
from .phantoms import graphics, head, nuclear, radiograph, spine, torso, ultrasound
from .phantoms.radiograph import Projections
from .phantoms.torso import Torso

Made = Iterator[tuple[Series, Iterable[Dataset]]]


#: Slices of the torso and of the head that a series shows.
_SECOND, _CHEST, _LOW_DOSE, _ABDOMEN = slice(0, None, 2), slice(44, 108, 2), slice(44, 108, 3), slice(0, 60, 3)
_BRAIN = slice(12, None, 2)


def write_studies(folder: Path, patient_ids: Collection[str] = ()) -> Iterator[Held]:
    """Make sample studies as :func:`sample_studies` does, and write them, one by one, as files named by number.

    :param folder: where to; it exists.
    """
    numbers = itertools.count(1)
    for series, datasets in sample_studies(patient_ids):
        writer = SeriesWriter(series.syntax)
        for dataset in datasets:
            yield writer.write(dataset, folder / f"{next(numbers):05d}.dcm")


def sample_studies(patient_ids: Collection[str] = ()) -> Made:
    """Make everything, series by series; UIDs and pixels are the same in every run.

    :param patient_ids: only these patients, for those who cannot wait for all; empty means everybody.
    """
    bodies = _Bodies()
    for person, studies in _STUDIES.items():
        if not patient_ids or person.patient_id in patient_ids:
            yield from studies(bodies)


class _Bodies:
    """What is examined: each takes a while to build, and most patients need few of them."""

    @cached_property
    def torso(self) -> Torso:
        return torso.build()

    @cached_property
    def head(self) -> head.Head:
        return head.build()

    @cached_property
    def projections(self) -> Projections:
        return radiograph.project(self.torso)


def _mueller(bodies: _Bodies) -> Made:
    body, projections = bodies.torso, bodies.projections
    study = Study(people.MUELLER, "A2023-1101", "20230314", "091530", "CT Thorax/Abdomen mit KM")
    yield from _contrast_ct(study, body, projections)
    chest = Study(people.MUELLER, "A2022-1102", "20221102", "141005", "Röntgen Thorax in 2 Ebenen")
    yield from scans.radiographs(chest, 1, "Thorax", _two_views(projections, 512))
    whole = Study(people.MUELLER, "A2023-1103", "20230420", "080042", "PET/CT Ganzkörper, Süßstoff-Tracer")
    yield from _pet_ct(whole, body)


def _two_views(projections: Projections, size: int) -> dict[str, NDArray[np.uint16]]:
    frontal, lateral = projections
    return {"PA": radiograph.radiograph(frontal, size, 41), "LL": radiograph.radiograph(lateral, size, 42)}


def _contrast_ct(study: Study, body: Torso, projections: Projections) -> Made:
    agent = "Iopromid 370"
    clean = body.attenuation(torso.VENOUS_HU)
    soft = torso.soft_kernel(clean, 51)
    main = scans.ct(
        study, 1, "Thorax/Abdomen venös 6.0 B30f", "CHEST", kernel="B30f", window=scans.SOFT, contrast=agent
    )
    stack = axial(soft[::2], body.grid.part(_SECOND))
    pixel = 384 / 256
    corner = np.array([body.grid.first[2], 0.0, float(body.grid.axis(0)[-1])])
    scout = scans.localizer(main, len(stack.positions) + 1, radiograph.scout(projections[0]), corner, pixel)
    yield main, [*scans.ct_slices(main, stack), scout]
    lung = scans.ct(
        study, 2, "Lunge 6.0 B70f", "CHEST", kernel="B70f", window=scans.LUNG, contrast=agent, minute=3,
        syntax=JPEGLSLossless,
    )  # fmt: skip
    yield lung, scans.ct_slices(lung, axial(torso.hard_kernel(clean[_CHEST], 52), body.grid.part(_CHEST)))
    front = scans.ct(study, 3, "Coronal 12.0 B30f", "CHEST", kernel="B30f", window=scans.SOFT, contrast=agent, minute=6)
    yield front, scans.ct_slices(front, coronal(soft, body.grid, range(54, 206, 8)), reformatted=True)
    slanted = scans.ct(
        study, 4, "Schräg Lungenhilus 5.0", "CHEST", kernel="B50f", window=scans.LUNG, contrast=agent, minute=8
    )
    cut = oblique(
        clean, body.grid, (0, 0, 10), tilted(25, 15), size=200, spacing=1.7, count=20, step=5.0, outside=-1000
    )
    yield slanted, scans.ct_slices(slanted, cut, reformatted=True)
    doses = [("Topogram", 0.2), ("Thorax", 5.1), ("Abdomen", 7.4), ("Lunge", 2.3)]
    picture = graphics.dose_report("Dosisbericht CTDIvol mGy", doses)[None]
    yield scans.capture(study, 5, "Dosisbericht", picture, syntax=RLELossless)
    drawn = scans.structure_set(study, 6, "Strukturen")
    balls = [
        ("Rundherd", torso.NODULE_CENTRE, 8.0, (255, 60, 60)),
        ("Leberherd", torso.LESION_CENTRE, 16.0, (60, 200, 90)),
    ]
    yield drawn, [structures(drawn, main, stack, balls)]


def _pet_ct(study: Study, body: Torso) -> Made:
    low = scans.ct(study, 1, "AC CT 6.0 B19f", "CHEST", kernel="B19f", window=scans.SOFT)
    clean = body.attenuation(torso.NATIVE_HU, _SECOND)[:, ::2, ::2]
    yield low, scans.ct_slices(low, axial(torso.soft_kernel(clean, 61, 20), body.grid.part(_SECOND, 2)))
    uptake, grid = nuclear.emission(body, 62)
    tracer = scans.pet(study, 2, "PET korrigiert", len(uptake))
    yield tracer, scans.pet_slices(tracer, axial(uptake, grid))
    views = scans.grey(nuclear.rotating_projections(uptake, grid, 12), 9.0)
    yield scans.capture(study, 3, "MIP rotierend", views, modality="PT")


def _obraztsova(bodies: _Bodies) -> Made:
    brain = bodies.head
    first = Study(people.OBRAZTSOVA, "A2021-1201", "20210908", "113000", "МРТ головного мозга")
    yield from _brain_mr(first, brain.with_lesion(13.0), with_contrast=False)
    later = Study(people.OBRAZTSOVA, "A2024-1202", "20240219", "102215", "МРТ головного мозга с контрастом")
    yield from _brain_mr(later, brain.with_lesion(9.0), with_contrast=True)


def _brain_mr(study: Study, brain: head.Head, *, with_contrast: bool) -> Made:
    grid = brain.grid
    t1 = brain.signal(head.T1, 71)
    planes = scans.mr(study, 1, "Локализатор", "HEAD", "T1", minute=1)
    z, y, x = (n // 2 for n in grid.shape)
    views = [
        axial(t1[z : z + 1], grid.part(slice(z, z + 1))),
        coronal(t1, grid, range(y, y + 1)),
        sagittal(t1, grid, range(x, x + 1)),
    ]
    yield planes, [ds for n, view in enumerate(views, 1) for ds in scans.mr_slices(planes, view, n)]
    kinds = [("T2 аксиальная", "T2", head.T2), ("FLAIR аксиальная", "FLAIR", head.FLAIR)]
    if with_contrast:
        kinds.append(("T1 с контрастом", "T1", head.T1_CONTRAST))
    else:
        kinds += [("ДВИ b1000", "DWI", head.DIFFUSION), ("ИКД", "ADC", head.ADC)]
    for number, (name, sequence, values) in enumerate(kinds, 2):
        contrast = "Gadobutrol" if name.endswith("контрастом") else ""
        window = (1000, 2000) if sequence == "ADC" else (480, 960)
        series = scans.mr(study, number, name, "HEAD", sequence, minute=4 * number, contrast=contrast, window=window)
        every = 2 if sequence in ("DWI", "ADC") else 1
        signal = brain.signal(values, 70 + number, _BRAIN)[:, ::every, ::every]
        yield series, scans.mr_slices(series, axial(signal, grid.part(_BRAIN, every)))
    if not with_contrast:
        side = scans.mr(study, 9, "T1 3D сагиттальная", "HEAD", "MPRAGE", minute=24, syntax=ImplicitVRLittleEndian)
        yield side, scans.mr_slices(side, sagittal(t1, grid, range(14, 164, 6)))


def _yamada(bodies: _Bodies) -> Made:
    projections = bodies.projections
    heart = Study(people.YAMADA, "A2020-1301", "20200630", "151200", "心臓超音波検査")
    clip, made = scans.cine(heart, 1, "四腔断面", ultrasound.four_chamber())
    yield clip, made
    yield scans.cine(heart, 2, "カラードプラ", ultrasound.colour_doppler(), jpeg=True)
    seen = (clip.uid, clip.sop_class, [clip.sop_uid(1)])
    findings = ("左室壁運動は正常。", "僧帽弁に軽度の逆流を認める。")
    text = scans.structured_report(heart, 3, "報告書")
    yield text, [report(text, findings, "軽度僧帽弁逆流。架空の患者である。", seen)]
    chest = Study(people.YAMADA, "A2019-1302", "20190117", "083000", "胸部X線")
    yield from scans.radiographs(chest, 1, "胸部", {"PA": _two_views(projections, 400)["PA"]}, digital=False)


def _hong(_: _Bodies) -> Made:
    study = Study(people.HONG, "A2023-1401", "20231005", "164512", "요추 자기공명영상")
    back = spine.build(spine.SAGITTAL_GRID)
    kinds = [("T1 시상면", "T1", spine.T1), ("T2 시상면", "T2", spine.T2), ("STIR 시상면", "STIR", spine.STIR)]
    for number, (name, sequence, values) in enumerate(kinds, 1):
        series = scans.mr(study, number, name, "LSPINE", sequence, minute=5 * number)
        signal = back.signal(values, 80 + number)
        yield series, scans.mr_slices(series, sagittal(signal, back.grid, range(back.grid.shape[2])))
    thick = spine.build(spine.AXIAL_GRID)
    series = scans.mr(study, 4, "T2 축상면", "LSPINE", "T2", minute=22, syntax=RLELossless)
    yield series, scans.mr_slices(series, axial(thick.signal(spine.T2, 88), thick.grid))


def _wang(bodies: _Bodies) -> Made:
    study = Study(people.WANG, "A2022-1501", "20220811", "201833", "头部CT平扫")
    brain = bodies.head.with_lesion(11.0)
    soft = brain.hounsfield(91)
    series = scans.ct(study, 1, "脑窗 4.8 H31s", "HEAD", kernel="H31s", window=scans.BRAIN)
    yield series, scans.ct_slices(series, axial(soft[_BRAIN], brain.grid.part(_BRAIN)))
    bone = scans.ct(
        study, 2, "骨窗 4.8 H60s", "HEAD", kernel="H60s", window=scans.BONE, minute=3, syntax=JPEG2000Lossless
    )
    yield bone, scans.ct_slices(bone, axial(torso.hard_kernel(soft[_BRAIN], 92, 25), brain.grid.part(_BRAIN)))
    front = scans.ct(study, 3, "冠状位重建", "HEAD", kernel="H31s", window=scans.BRAIN, minute=5)
    yield front, scans.ct_slices(front, coronal(soft, brain.grid, range(16, 196, 9)), reformatted=True)
    lines = ["Radiology report", "", "Invented patient, invented findings.", "Head CT: a ring-shaped lesion."]
    paper = scans.document(study, 4, "诊断报告")
    yield paper, [pdf(paper, "诊断报告", graphics.letter(lines))]


def _eleni(bodies: _Bodies) -> Made:
    body = bodies.torso
    for year, radius, accession in (("2024", 4.0, "A2024-1601"), ("2025", 8.5, "A2025-1602")):
        study = Study(people.ELENI, accession, f"{year}0527", "121212", "Αξονική θώρακος χαμηλής δόσης")
        clean = body.with_nodule(radius).attenuation(torso.NATIVE_HU, _LOW_DOSE)
        soft = scans.ct(
            study, 1, "Μεσοθωράκιο 9.0", "CHEST", kernel="B31f", window=scans.SOFT,
            syntax=DeflatedExplicitVRLittleEndian,
        )  # fmt: skip
        yield soft, scans.ct_slices(soft, axial(torso.soft_kernel(clean, 93, 24), body.grid.part(_LOW_DOSE)))
        lung = scans.ct(study, 2, "Πνεύμονες 9.0", "CHEST", kernel="B60f", window=scans.LUNG, minute=3)
        yield lung, scans.ct_slices(lung, axial(torso.hard_kernel(clean, 94, 60), body.grid.part(_LOW_DOSE)))


def _sample(bodies: _Bodies) -> Made:
    body, projections = bodies.torso, bodies.projections
    study = Study(people.SAMPLE, "A2025-1701", "20250109", "073000", "CT Abdomen two phases")
    phases = (("Arterial 9.0 B30f", torso.ARTERIAL_HU, 2), ("Portal venous 9.0 B30f", torso.VENOUS_HU, 4))
    for number, (name, values, minute) in enumerate(phases, 1):
        series = scans.ct(
            study, number, name, "ABDOMEN", kernel="B30f", window=scans.SOFT, contrast="Iohexol 350", minute=minute
        )
        clean = body.attenuation(values, _ABDOMEN)
        yield series, scans.ct_slices(series, axial(torso.soft_kernel(clean, 95 + number), body.grid.part(_ABDOMEN)))
    doses = [("Scout", 0.2), ("Arterial", 6.3), ("Venous", 6.4)]
    yield scans.capture(study, 3, "Dose report", graphics.dose_report("Dose report CTDIvol mGy", doses)[None])
    chest = Study(people.SAMPLE, "A2018-1702", "20180822", "170000", "Chest PA and lateral")
    yield from scans.radiographs(chest, 1, "Chest", _two_views(projections, 448))


_STUDIES: dict[people.Person, Callable[[_Bodies], Made]] = {
    people.MUELLER: _mueller,
    people.OBRAZTSOVA: _obraztsova,
    people.YAMADA: _yamada,
    people.HONG: _hong,
    people.WANG: _wang,
    people.ELENI: _eleni,
    people.SAMPLE: _sample,
}
