"""Objects without pixels: a structured report, a structure set and an encapsulated PDF."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from .geometry import Stack
from .objects import Series, Study, coded, referenced
from .phantoms.painting import Point


def _text(relation: str, concept: tuple[str, str, str], words: str) -> Dataset:
    item = Dataset()
    item.RelationshipType = relation
    item.ValueType = "TEXT"
    item.ConceptNameCodeSequence = coded(*concept)
    item.TextValue = words
    return item


def _container(concept: tuple[str, str, str], content: Sequence[Dataset]) -> Dataset:
    item = Dataset()
    item.RelationshipType = "CONTAINS"
    item.ValueType = "CONTAINER"
    item.ContinuityOfContent = "SEPARATE"
    item.ConceptNameCodeSequence = coded(*concept)
    item.ContentSequence = list(content)
    return item


def _evidence(study: Study, series_uid: UID, sop_class: UID, sop_uids: Sequence[UID]) -> list[Dataset]:
    """Return the items that list, by study and series, the objects a report is about."""
    series = Dataset()
    series.SeriesInstanceUID = series_uid
    series.ReferencedSOPSequence = referenced(sop_class, sop_uids)
    item = Dataset()
    item.StudyInstanceUID = study.uid
    item.ReferencedSeriesSequence = [series]
    return [item]


def report(
    series: Series, findings: Sequence[str], impression: str, seen: tuple[UID, UID, Sequence[UID]]
) -> Dataset:  # fmt: skip
    """Make a Basic Text SR: observer, findings, an image reference and an impression.

    :param seen: series UID, SOP class and SOP Instance UIDs of the images the report is about.
    """
    dataset = series.instance(series.template(), 1)
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.PerformedProcedureCodeSequence = []
    dataset.CompletionFlag = "COMPLETE"
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.CurrentRequestedProcedureEvidenceSequence = _evidence(series.study, *seen)
    dataset.ValueType = "CONTAINER"
    dataset.ContinuityOfContent = "SEPARATE"
    dataset.ConceptNameCodeSequence = coded("18748-4", "LN", "Diagnostic imaging report")
    observer = Dataset()
    observer.RelationshipType = "HAS OBS CONTEXT"
    observer.ValueType = "PNAME"
    observer.ConceptNameCodeSequence = coded("121008", "DCM", "Person Observer Name")
    observer.PersonName = series.study.person.referring
    image = Dataset()
    image.RelationshipType = "CONTAINS"
    image.ValueType = "IMAGE"
    image.ReferencedSOPSequence = referenced(seen[1], seen[2][:1])
    texts = [_text("CONTAINS", ("121071", "DCM", "Finding"), words) for words in findings]
    closing = [_text("CONTAINS", ("121073", "DCM", "Impression"), impression)]
    dataset.ContentSequence = [
        observer,
        _container(("121070", "DCM", "Findings"), [*texts, image]),
        _container(("121072", "DCM", "Impressions"), closing),
    ]
    return dataset


def pdf(series: Series, title: str, document: bytes) -> Dataset:
    """Make an Encapsulated PDF object."""
    dataset = series.instance(series.template(), 1)
    dataset.AcquisitionDateTime = ""
    dataset.BurnedInAnnotation = "YES"
    dataset.ConversionType = "WSD"
    dataset.ConceptNameCodeSequence = coded("18748-4", "LN", "Diagnostic imaging report")
    dataset.DocumentTitle = title
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    dataset.EncapsulatedDocumentLength = len(document)
    return dataset


def structures(
    series: Series, images: Series, stack: Stack, balls: Sequence[tuple[str, Point, float, tuple[int, int, int]]]
) -> Dataset:
    """Make an RT Structure Set with one ball-shaped structure for each (name, centre, radius, colour).

    :param images: the axial series that was drawn on.
    :param stack: its slices, numbered from 1 as in the series.
    """
    dataset = series.instance(series.template(), 1)
    dataset.StructureSetLabel = "DEMO"
    dataset.StructureSetDate, dataset.StructureSetTime = series.study.date, series.time
    sop_uids = [images.sop_uid(number) for number in range(1, len(stack.positions) + 1)]
    dataset.ReferencedFrameOfReferenceSequence = [_drawn_on(images, sop_uids)]
    dataset.StructureSetROISequence = []
    dataset.ROIContourSequence = []
    dataset.RTROIObservationsSequence = []
    for number, (name, centre, radius, colour) in enumerate(balls, 1):
        roi, contour, observation = Dataset(), Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ROIGenerationAlgorithm = number, name, "MANUAL"
        roi.ReferencedFrameOfReferenceUID = images.study.frame_of_reference
        contour.ReferencedROINumber, contour.ROIDisplayColor = number, list(colour)
        contour.ContourSequence = _circles(images, stack, sop_uids, centre, radius)
        observation.ObservationNumber = observation.ReferencedROINumber = number
        observation.RTROIInterpretedType, observation.ROIInterpreter = "GTV", ""
        dataset.StructureSetROISequence.append(roi)
        dataset.ROIContourSequence.append(contour)
        dataset.RTROIObservationsSequence.append(observation)
    return dataset


def _drawn_on(images: Series, sop_uids: Sequence[UID]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = images.uid
    series.ContourImageSequence = referenced(images.sop_class, sop_uids)
    study = Dataset()
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, as RT objects name it
    study.ReferencedSOPInstanceUID = images.study.uid
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = images.study.frame_of_reference
    frame.RTReferencedStudySequence = [study]
    return frame


def _circles(images: Series, stack: Stack, sop_uids: Sequence[UID], centre: Point, radius: float) -> list[Dataset]:
    """Cut a ball with the slices: one closed planar contour for each slice that meets it."""
    angles = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    items = []
    for sop_uid, position in zip(sop_uids, stack.positions, strict=True):
        rest = radius**2 - (position[2] - centre[2]) ** 2
        if rest <= 0:
            continue
        x, y = centre[0] + np.sqrt(rest) * np.cos(angles), centre[1] + np.sqrt(rest) * np.sin(angles)
        points = np.column_stack([x, y, np.full(len(angles), position[2])])
        item = Dataset()
        item.ContourImageSequence = referenced(images.sop_class, [sop_uid])
        item.ContourGeometricType = "CLOSED_PLANAR"
        item.NumberOfContourPoints = len(angles)
        item.ContourData = [f"{value:.2f}" for value in points.ravel()]
        items.append(item)
    return items
