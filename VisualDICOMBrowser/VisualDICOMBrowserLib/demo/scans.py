"""How each modality turns phantoms into series of DICOM objects."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from .geometry import Stack
from .objects import Series, Study, coded, put_pixels, slices, whole
from .phantoms import ultrasound
from .phantoms.painting import Floats

SOFT, LUNG, BRAIN, BONE = (40, 400), (-600, 1500), (35, 80), (450, 2000)

_MR_SEQUENCES: dict[str, dict[str, Any]] = {
    "T1": {"ScanningSequence": "SE", "SequenceVariant": "SK", "RepetitionTime": "550", "EchoTime": "11"},
    "T2": {"ScanningSequence": "SE", "SequenceVariant": "SK", "RepetitionTime": "4200", "EchoTime": "98"},
    "FLAIR": {"ScanningSequence": ["SE", "IR"], "SequenceVariant": "SK", "RepetitionTime": "9000", "EchoTime": "120",
              "InversionTime": "2500"},
    "STIR": {"ScanningSequence": ["SE", "IR"], "SequenceVariant": "SK", "RepetitionTime": "4000", "EchoTime": "60",
             "InversionTime": "160"},
    "MPRAGE": {"ScanningSequence": ["GR", "IR"], "SequenceVariant": ["SP", "MP"], "RepetitionTime": "1900",
               "EchoTime": "2.9", "InversionTime": "900", "MRAcquisitionType": "3D"},
    "DWI": {"ScanningSequence": "EP", "SequenceVariant": "SK", "RepetitionTime": "5200", "EchoTime": "85",
            "DiffusionBValue": 1000.0},
    "ADC": {"ScanningSequence": "EP", "SequenceVariant": "SK", "RepetitionTime": "5200", "EchoTime": "85"},
}  # fmt: skip


def ct(
    study: Study, number: int, description: str, body_part: str, *, kernel: str, window: tuple[int, int],
    minute: int = 2, contrast: str = "", syntax: UID = ExplicitVRLittleEndian,
) -> Series:  # fmt: skip
    """Describe a CT series; ``window`` is (centre, width) in HU."""
    extra: dict[str, Any] = {
        "KVP": "120", "ConvolutionKernel": kernel, "XRayTubeCurrent": 210, "ExposureTime": 500, "Exposure": 105,
        "FilterType": "WEDGE", "GantryDetectorTilt": "0", "DataCollectionDiameter": "500",
        "RescaleIntercept": "-1024", "RescaleSlope": "1", "RescaleType": "HU", "ProtocolName": description,
        "WindowCenter": str(window[0]), "WindowWidth": str(window[1]),
    }  # fmt: skip
    if contrast:
        extra |= {"ContrastBolusAgent": contrast, "ContrastBolusVolume": "90"}
    return Series(study, number, "CT", CTImageStorage, description, body_part, minute, syntax, extra)


def ct_slices(series: Series, stack: Stack, first: int = 1, *, reformatted: bool = False) -> Iterator[Dataset]:
    """Make the objects of a CT series from Hounsfield units."""
    stored = Stack(
        whole(stack.pixels, -1024, signed=True), stack.positions, stack.orientation, stack.spacing, stack.step
    )
    kind = ["DERIVED", "SECONDARY", "REFORMATTED"] if reformatted else ["ORIGINAL", "PRIMARY", "AXIAL"]
    for dataset in slices(series, stored, first):
        dataset.ImageType = kind
        yield dataset


def localizer(series: Series, number: int, view: NDArray[np.int16], position: NDArray[Any], pixel: float) -> Dataset:
    """Make the frontal scout view that lies in the same series as the slices it planned."""
    stack = Stack(
        (view[None] + np.int16(1024)).astype(np.int16), position[None], (1.0, 0, 0, 0, 0, -1.0), (pixel, pixel), 1.0
    )
    dataset = next(slices(series, stack, number))
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dataset.WindowCenter, dataset.WindowWidth = "-500", "1000"
    return dataset


def mr(
    study: Study, number: int, description: str, body_part: str, sequence: str,
    *, minute: int = 5, syntax: UID = ExplicitVRLittleEndian, contrast: str = "", window: tuple[int, int] = (480, 960),
) -> Series:  # fmt: skip
    """Describe an MR series; ``sequence`` is a key of the table of sequences."""
    extra: dict[str, Any] = {
        "ImageType": ["DERIVED", "PRIMARY", "ADC"] if sequence == "ADC" else ["ORIGINAL", "PRIMARY", "M"],
        "ScanOptions": "", "MRAcquisitionType": "2D", "FlipAngle": "90", "EchoTrainLength": 1,
        "MagneticFieldStrength": "1.5", "ImagingFrequency": "63.68", "ImagedNucleus": "1H", "NumberOfAverages": "1",
        "ProtocolName": description, "SequenceName": sequence, "WindowCenter": str(window[0]),
        "WindowWidth": str(window[1]),
    }  # fmt: skip
    extra |= _MR_SEQUENCES[sequence]
    if contrast:
        extra["ContrastBolusAgent"] = contrast
    return Series(study, number, "MR", MRImageStorage, description, body_part, minute, syntax, extra)


def mr_slices(series: Series, stack: Stack, first: int = 1) -> Iterator[Dataset]:
    """Make the objects of an MR series from magnitudes."""
    stored = Stack(whole(stack.pixels), stack.positions, stack.orientation, stack.spacing, stack.step)
    return slices(series, stored, first)


def pet(study: Study, number: int, description: str, count: int) -> Series:
    """Describe a PET series of ``count`` slices; values are activity concentrations."""
    tracer = Dataset()
    tracer.RadiopharmaceuticalStartTime = f"{int(study.time[:2]) - 1:02d}{study.time[2:]}"
    tracer.RadionuclideTotalDose = "320000000"
    tracer.RadionuclideHalfLife = "6586.2"
    tracer.RadionuclidePositronFraction = "0.967"
    tracer.RadionuclideCodeSequence = coded("C-111A1", "SRT", "^18^Fluorine")
    tracer.RadiopharmaceuticalCodeSequence = coded("C-B1031", "SRT", "Fluorodeoxyglucose F^18^")
    extra: dict[str, Any] = {
        "ImageType": ["ORIGINAL", "PRIMARY"], "Units": "BQML", "CountsSource": "EMISSION",
        "SeriesType": ["WHOLE BODY", "IMAGE"], "NumberOfSlices": count, "DecayCorrection": "START",
        "CorrectedImage": ["DECY", "ATTN", "SCAT", "DTIM", "RAN", "NORM"], "CollimatorType": "NONE",
        "AttenuationCorrectionMethod": "CT", "ReconstructionMethod": "OSEM 3i24s", "RescaleIntercept": "0",
        "RescaleSlope": "4", "FrameReferenceTime": "0", "ActualFrameDuration": "180000", "DecayFactor": "1",
        "PatientWeight": "78", "PatientSize": "1.79", "RadiopharmaceuticalInformationSequence": [tracer],
        "WindowCenter": "6000", "WindowWidth": "12000",
    }  # fmt: skip
    return Series(study, number, "PT", PositronEmissionTomographyImageStorage, description, "CHEST", 20, extra=extra)


def pet_slices(series: Series, stack: Stack) -> Iterator[Dataset]:
    """Make the objects of a PET series from standardised uptake: 78 kg and 320 MBq make 4,100 Bq/ml of 1.0."""
    activity = whole(stack.pixels * np.float32(4100 / 4))
    stored = Stack(activity, stack.positions, stack.orientation, stack.spacing, stack.step)
    for number, dataset in enumerate(slices(series, stored), 1):
        dataset.ImageIndex = number
        yield dataset


def capture(
    study: Study,
    number: int,
    description: str,
    pictures: NDArray[np.uint8],
    *,
    modality: str = "OT",
    syntax: UID = ExplicitVRLittleEndian,
) -> tuple[Series, list[Dataset]]:
    """Make a Secondary Capture series: ``(pictures, rows, columns[, 3])``."""
    extra = {"ConversionType": "WSD", "ImageType": ["DERIVED", "SECONDARY"], "PatientOrientation": ""}
    series = Series(study, number, modality, SecondaryCaptureImageStorage, description, "", 30, syntax, extra)
    template, made = series.template(), []
    for index, picture in enumerate(pictures, 1):
        dataset = series.instance(template, index)
        put_pixels(dataset, picture)
        made.append(dataset)
    return series, made


def radiographs(
    study: Study, first: int, description: str, views: dict[str, NDArray[np.uint16]], *, digital: bool = True
) -> Iterator[tuple[Series, list[Dataset]]]:
    """Make one series of one radiograph for each view position (PA, LL), as DX or as CR."""
    for number, (view, pixels) in enumerate(views.items(), first):
        extra: dict[str, Any] = {
            "ViewPosition": view, "KVP": "125", "PatientOrientation": ["L", "F"] if view == "PA" else ["A", "F"],
            "WindowCenter": "2048", "WindowWidth": "4096", "ImagerPixelSpacing": ["0.75", "0.75"],
            "BurnedInAnnotation": "NO", "LossyImageCompression": "00", "PresentationLUTShape": "IDENTITY",
            "ImageType": ["ORIGINAL", "PRIMARY"],
        }  # fmt: skip
        if digital:
            extra |= {
                "PresentationIntentType": "FOR PRESENTATION", "PixelIntensityRelationship": "LOG",
                "PixelIntensityRelationshipSign": 1, "RescaleIntercept": "0", "RescaleSlope": "1",
                "RescaleType": "US", "ImageLaterality": "U", "DetectorType": "SCINTILLATOR",
                "AnatomicRegionSequence": coded("T-D3000", "SRT", "Chest"),
            }  # fmt: skip
        sop_class = DigitalXRayImageStorageForPresentation if digital else ComputedRadiographyImageStorage
        modality = "DX" if digital else "CR"
        series = Series(study, number, modality, sop_class, f"{description} {view}", "CHEST", number, extra=extra)
        dataset = series.instance(series.template(), 1)
        put_pixels(dataset, pixels, 12)
        yield series, [dataset]


def cine(
    study: Study, number: int, description: str, frames: NDArray[np.uint8], *, jpeg: bool = False
) -> tuple[Series, list[Dataset]]:
    """Make an ultrasound clip; ``jpeg`` stores it as lossy JPEG, as scanners do."""
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = ultrasound.WIDTH - 1, ultrasound.HEIGHT - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = ultrasound.PIXEL_MM / 10
    extra: dict[str, Any] = {
        "ImageType": ["ORIGINAL", "PRIMARY"], "FrameTime": str(ultrasound.FRAME_TIME_MS), "CineRate": "30",
        "FrameIncrementPointer": 0x00181063, "NumberOfFrames": len(frames), "HeartRate": "60",
        "SequenceOfUltrasoundRegions": [region], "LossyImageCompression": "01" if jpeg else "00",
    }  # fmt: skip
    syntax = JPEGBaseline8Bit if jpeg else ExplicitVRLittleEndian
    series = Series(
        study, number, "US", UltrasoundMultiFrameImageStorage, description, "HEART", number, syntax, extra
    )  # fmt: skip
    dataset = series.instance(series.template(), 1)
    put_pixels(dataset, frames)
    if jpeg:
        _compress(dataset, frames)
    return series, [dataset]


def _compress(dataset: Dataset, frames: NDArray[np.uint8]) -> None:
    """Replace the pixels by JPEG Baseline frames (PS3.5 8.2.1), with the attributes that tell of the loss."""
    packed = []
    for frame in frames:
        stream = io.BytesIO()
        Image.fromarray(frame).save(stream, "JPEG", quality=85, subsampling="4:2:2")
        packed.append(stream.getvalue())
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.LossyImageCompressionRatio = f"{frames.nbytes / sum(map(len, packed)):.1f}"
    dataset.LossyImageCompressionMethod = "ISO_10918_1"
    dataset.PixelData = encapsulate(packed)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


def structured_report(study: Study, number: int, description: str) -> Series:
    """Describe a series for a Basic Text SR."""
    return Series(study, number, "SR", BasicTextSRStorage, description, "", 45)


def structure_set(study: Study, number: int, description: str) -> Series:
    """Describe a series for an RT Structure Set."""
    return Series(study, number, "RTSTRUCT", RTStructureSetStorage, description, "", 60)


def document(study: Study, number: int, description: str) -> Series:
    """Describe a series for an encapsulated PDF."""
    return Series(study, number, "DOC", EncapsulatedPDFStorage, description, "", 50)


def grey(values: Floats, highest: float) -> NDArray[np.uint8]:
    """Show values as 8 bit grey, dark for high ones, as nuclear medicine prints them."""
    return np.asarray(255 - np.clip(values / np.float32(highest), 0, 1) * 255, np.uint8)
