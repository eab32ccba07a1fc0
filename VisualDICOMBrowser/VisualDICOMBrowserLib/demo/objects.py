"""DICOM objects of the demo: patient, study, series and equipment, and the modules of each kind of object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from .geometry import Stack
from .people import ISSUER, Person


def made_uid(*names: object) -> UID:
    """Return a UID that is the same in every run for the same names."""
    return generate_uid(entropy_srcs=["visual-dicom-browser demo", *map(str, names)])


@dataclass(frozen=True)
class Study:
    """A study of the demo; times as DICOM writes them."""

    person: Person
    accession: str
    date: str
    time: str
    description: str

    @property
    def uid(self) -> UID:
        """Study Instance UID."""
        return made_uid("study", self.accession)

    @property
    def frame_of_reference(self) -> UID:
        """Frame of Reference UID of everything that was made in one session."""
        return made_uid("frame", self.accession)


@dataclass(frozen=True)
class Series:
    """A series of the demo.

    :ivar minute: minutes from the start of the study to that of the series.
    :ivar extra: attributes that all its objects share, by keyword.
    """

    study: Study
    number: int
    modality: str
    sop_class: UID
    description: str
    body_part: str = ""
    minute: int = 0
    syntax: UID = ExplicitVRLittleEndian
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def uid(self) -> UID:
        """Series Instance UID."""
        return made_uid("series", self.study.accession, self.number)

    @property
    def time(self) -> str:
        """Series Time."""
        clock = self.study.time
        minutes = int(clock[:2]) * 60 + int(clock[2:4]) + self.minute
        return f"{minutes // 60:02d}{minutes % 60:02d}{clock[4:]}"

    def sop_uid(self, number: int) -> UID:
        """SOP Instance UID of an object by its instance number."""
        return made_uid("instance", self.study.accession, self.number, number)

    def template(self) -> Dataset:
        """Return the attributes that all objects of the series have in common."""
        dataset = _patient_and_study(self.study)
        dataset.SOPClassUID = self.sop_class
        dataset.Modality = self.modality
        dataset.SeriesInstanceUID = self.uid
        dataset.SeriesNumber = self.number
        dataset.SeriesDate = dataset.ContentDate = self.study.date
        dataset.SeriesTime = dataset.ContentTime = self.time
        dataset.SeriesDescription = self.description
        if self.body_part:
            dataset.BodyPartExamined = self.body_part
        for keyword, value in self.extra.items():
            setattr(dataset, keyword, value)
        return dataset

    def instance(self, template: Dataset, number: int) -> Dataset:
        """Return a new object with the attributes of ``template``."""
        dataset = Dataset()
        dataset.update(template)
        dataset.SOPInstanceUID = self.sop_uid(number)
        dataset.InstanceNumber = number
        return dataset


def _patient_and_study(study: Study) -> Dataset:
    """Return the Patient, General Study and General Equipment modules."""
    person = study.person
    dataset = Dataset()
    if person.charset:
        dataset.SpecificCharacterSet = list(person.charset) if len(person.charset) > 1 else person.charset[0]
    dataset.PatientName = person.name
    dataset.PatientID = person.patient_id
    dataset.IssuerOfPatientID = ISSUER
    dataset.PatientBirthDate = person.birth_date
    dataset.PatientSex = person.sex
    dataset.PatientAge = f"{int(study.date[:4]) - int(person.birth_date[:4]):03d}Y"
    dataset.StudyInstanceUID = study.uid
    dataset.StudyDate = study.date
    dataset.StudyTime = study.time
    dataset.StudyID = study.accession[-4:]
    dataset.StudyDescription = study.description
    dataset.AccessionNumber = study.accession
    dataset.ReferringPhysicianName = person.referring
    dataset.InstitutionName = person.institution
    dataset.Manufacturer = "Visual DICOM Browser"
    dataset.ManufacturerModelName = "Demo Phantom"
    dataset.StationName = "DEMO1"
    dataset.SoftwareVersions = "1"
    dataset.DeviceSerialNumber = "0"
    return dataset


def put_pixels(dataset: Dataset, pixels: NDArray[Any], stored: int = 0) -> None:
    """Fill in the Image Pixel module for one frame or more; 8 or 16 bit, grey or RGB.

    :param stored: Bits Stored, if fewer than allocated.
    """
    colour = pixels.ndim >= 3 and pixels.shape[-1] == 3
    rows, columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    bits = pixels.dtype.itemsize * 8
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated = bits
    dataset.BitsStored = stored or bits
    dataset.HighBit = (stored or bits) - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    data = np.ascontiguousarray(pixels).tobytes()
    dataset.add_new("PixelData", "OW" if bits == 16 else "OB", data + b"\0" * (len(data) % 2))


def slices(series: Series, stack: Stack, first: int = 1) -> Iterator[Dataset]:
    """Make one object a slice, with the General Image and Image Plane modules; pixels must be integers."""
    template = series.template()
    template.FrameOfReferenceUID = series.study.frame_of_reference
    template.PositionReferenceIndicator = ""
    template.PatientPosition = "HFS"
    template.AcquisitionNumber = 1
    template.AcquisitionDate, template.AcquisitionTime = series.study.date, series.time
    template.ImageOrientationPatient = [_decimal(v) for v in stack.orientation]
    template.PixelSpacing = [_decimal(v) for v in stack.spacing]
    template.SliceThickness = _decimal(stack.step)
    template.SpacingBetweenSlices = _decimal(stack.step)
    normal = np.cross(stack.orientation[:3], stack.orientation[3:])
    bits = 12 if stack.pixels.dtype.kind == "u" else 16
    for number, (pixels, position) in enumerate(zip(stack.pixels, stack.positions, strict=True), first):
        dataset = series.instance(template, number)
        dataset.ImagePositionPatient = [_decimal(v) for v in position]
        dataset.SliceLocation = _decimal(float(normal @ position))
        put_pixels(dataset, pixels, bits)
        yield dataset


def whole(pixels: NDArray[Any], intercept: float = 0.0, *, signed: bool = False) -> NDArray[Any]:
    """Round to stored values: 16 bit signed, or 12 bit unsigned, after taking off the rescale intercept."""
    limits = (-32768, 32767) if signed else (0, 4095)
    return np.clip(np.rint(pixels - intercept), *limits).astype(np.int16 if signed else np.uint16)


def coded(value: str, scheme: str, meaning: str) -> list[Dataset]:
    """Return a code sequence of one item (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return [item]


def referenced(sop_class: UID, sop_uids: Sequence[UID]) -> list[Dataset]:
    """Return items of a sequence that refers to SOP instances."""
    items = []
    for sop_uid in sop_uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_uid
        items.append(item)
    return items


def _decimal(value: float) -> str:
    """Write a number as a DS, at most 16 characters (PS3.5 6.2)."""
    return f"{value + 0.0:.6f}".rstrip("0").rstrip(".")[:16] or "0"
