"""``demo``: the main job from end to end, on the embedded PACS, touching nothing of the user's."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .demo.launcher import demo_pacs
from .domain.errors import UsageError, VisualDicomError
from .domain.filters import QueryFilter
from .domain.model import Level, Target, readable_date
from .domain.people import display_name
from .engine.engine import Engine
from .imaging.contact_sheet import SheetCell, SheetSection, contact_sheet
from .imaging.contact_sheet import display_name as drawable_name

Say = Callable[[str], None]


def run_demo(say: Say, output: Path) -> dict[str, Any]:
    """Search, make thumbnails, retrieve a whole patient, verify, and draw a contact sheet of all series.

    :param output: where the contact sheet goes.
    :returns: ``{"patients","series","requested","verified","thumbnails","contact_sheet"}``.
    :raises UsageError: nothing can be written there; told at once, and not when all is done.
    """
    _require_writable(output)
    with tempfile.TemporaryDirectory(prefix="visual-dicom-browser-demo-") as folder:
        say("Starting the embedded PACS with sample studies ...")
        started = time.monotonic()
        with demo_pacs() as pacs, Engine(Path(folder, "database"), Path(folder, "config.json")) as engine:
            say(
                f"  ready after {time.monotonic() - started:.1f} s: {pacs.patients} patients, {pacs.studies} studies,"
                f" {pacs.series} series, {pacs.instances} instances"
            )
            engine.configuration.add(pacs.server)
            return _Demo(engine, say).run(output)


def _require_writable(output: Path) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The folder {output.parent} cannot be made: {error.strerror}.") from error
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        raise UsageError(f"The contact sheet cannot be written to {output}.")


class _Demo:
    def __init__(self, engine: Engine, say: Say) -> None:
        self._engine = engine
        self._say = say
        self._pictures: dict[str, Path] = {}

    def run(self, output: Path) -> dict[str, Any]:
        found = self._engine.query(QueryFilter(), Level.SERIES)
        series = [s for patient in found.patients for study in patient["studies"] for s in study["series"]]
        self._say(f"Search: {len(found.patients)} patients, {len(series)} series.")
        self._make_thumbnails(series)
        requested, verified = self._retrieve(_largest(found.patients))
        sheet = self._draw(found.patients, output)
        return {
            "patients": len(found.patients),
            "series": len(series),
            "requested": requested,
            "verified": verified,
            "thumbnails": len(self._pictures),
            "contact_sheet": str(sheet),
        }

    def _make_thumbnails(self, series: list[Mapping[str, Any]]) -> None:
        started = time.monotonic()
        for found in series:
            try:
                result = self._engine.thumbnail(found["series_uid"])
            except VisualDicomError as error:
                self._say(f"  no thumbnail of a {found['modality']} series: {error}")
            else:
                self._pictures[found["series_uid"]] = Path(result.path)
        self._say(f"Thumbnails: {len(self._pictures)} in {time.monotonic() - started:.1f} s.")

    def _retrieve(self, patient: Mapping[str, Any]) -> tuple[int, int]:
        self._say(f"Retrieving everything of {display_name(patient['name']) or patient['patient_id']} ...")
        result = self._engine.retrieve(Target(Level.PATIENT, (patient["patient_id"],)))
        self._say(
            f"  {result.verified} of {result.requested} instances here and verified,"
            f" {result.bytes / 1e6:.1f} MB in {result.seconds:.1f} s"
        )
        checked = self._engine.verify()
        self._say(f"  {checked.rows} rows and {checked.files} files agree: {'yes' if checked.ok else 'no'}")
        return result.requested, result.verified if checked.ok else 0

    def _draw(self, patients: tuple[dict[str, Any], ...], output: Path) -> Path:
        sections = [self._section(patient, study) for patient in patients for study in patient["studies"]]
        contact_sheet([section for section in sections if section.cells], output, title="Visual DICOM Browser")
        return output.absolute()

    def _section(self, patient: Mapping[str, Any], study: Mapping[str, Any]) -> SheetSection:
        who = drawable_name(patient["name"], patient["patient_id"])
        shown = [series for series in study["series"] if series["series_uid"] in self._pictures]
        cells = tuple(SheetCell(self._pictures[series["series_uid"]], _caption(series)) for series in shown)
        return SheetSection(f"{who} · {readable_date(study['date'])} · {study['description']}", cells)


def _largest(patients: tuple[dict[str, Any], ...]) -> Mapping[str, Any]:
    return max(patients, key=lambda p: sum(s["instances"] or 0 for study in p["studies"] for s in study["series"]))


def _caption(series: Mapping[str, Any]) -> tuple[str, ...]:
    count = series["instances"]
    images = "1 image" if count == 1 else f"{count} images"
    return (series["description"] or series["modality"], f"{series['modality']} · {images}")
