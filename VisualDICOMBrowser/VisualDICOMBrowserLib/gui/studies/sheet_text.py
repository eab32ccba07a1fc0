"""What a sheet says of studies and series, in words; without Qt."""

from __future__ import annotations

from ...domain.model import readable_date
from ...domain.overview import SeriesRow, StudyRow
from .series_state import Presence, SeriesState

#: What a click on the pictogram of a state does; nothing for the others.
ACTIONS = {
    Presence.REMOTE: "fetch",
    Presence.PARTLY: "fetch",
    Presence.QUEUED: "cancel",
    Presence.ARRIVING: "cancel",
    Presence.FAILED: "retry",
}
#: The line in place of the series of a study.
NO_SERIES = "No series are known of this study yet."
_DEEDS = {"fetch": "Click to fetch it.", "cancel": "Click to stop.", "retry": "Click to try again."}


def study_title(row: StudyRow) -> str:
    """Return the date of a study for people."""
    return readable_date(row.study.date) or "No date"


def series_title(row: SeriesRow) -> str:
    """Return the description of a series, or what stands for it."""
    return row.series.description or row.series.body_part or "No description"


def count_text(state: SeriesState) -> str:
    """Return how many images there are: ``120 images``, or ``41 of 120`` if some are missing."""
    if state.total is None:
        return counted(state.here, "image", "images") if state.here else ""
    if 0 < state.here < state.total or state.presence is Presence.ARRIVING:
        return f"{state.here:,} of {state.total:,}"
    return counted(state.total, "image", "images")


def whereabouts(row: StudyRow, here: bool) -> str:
    """Return where images of a study are; ``here``: some are known to be here."""
    return " · ".join((["this computer"] if row.local_instances or here else []) + list(row.servers))


def counted(number: int, one: str, many: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {one if number == 1 else many}"


def others_text(number: int) -> str:
    """Return the line that stands for studies that do not match."""
    return f"{number:,} more {'study does' if number == 1 else 'studies do'} not match the filter – show"


def series_facts(row: SeriesRow, state: SeriesState, picture_failed: str) -> list[str]:
    """Return where a series is, why it has not got further, and why it has no picture."""
    places = (["this computer"] if row.local_instances else []) + list(row.servers)
    facts = [
        f"On {', '.join(places)}" if places else "",
        f"{state.presence.value.capitalize()}: {state.reason}" if state.reason else "",
        row.thumbnail.reason if row.thumbnail is not None and row.thumbnail.placeholder else picture_failed,
    ]
    return [fact for fact in facts if fact]


def series_tip(row: SeriesRow, state: SeriesState, picture_failed: str, chip: bool) -> str:
    """Return what is told of a series under the mouse."""
    lines = [
        series_title(row),
        " · ".join(part for part in (row.series.modality, row.series.body_part, count_text(state)) if part),
        *series_facts(row, state, picture_failed),
        _DEEDS[ACTIONS[state.presence]] if chip and state.presence in ACTIONS else "",
    ]
    return "\n".join(line for line in lines if line)


def study_facts(row: StudyRow, where: str) -> list[str]:
    """Return where a study is, and its accession number."""
    number = row.study.accession_number
    return [fact for fact in (where, f"Accession number {number}" if number else "") if fact]


def study_tip(row: StudyRow, where: str) -> str:
    """Return what is told of a study under the mouse."""
    return "\n".join(line for line in (row.study.description, *study_facts(row, where)) if line)


def spoken_series(row: SeriesRow, state: SeriesState, chosen: bool) -> str:
    """Return a series for a screen reader: ``CT, Abdomen, 120 images, on this computer, selected``.

    What arrives is not counted: each image would be read aloud.
    """
    count = "" if state.presence is Presence.ARRIVING else count_text(state)
    presence = "on this computer" if state.presence is Presence.HERE else state.presence.value
    parts = (row.series.modality, series_title(row), count, presence, "selected" if chosen else "")
    return ", ".join(part for part in parts if part)


def spoken_study(row: StudyRow, series: str, unfolded: bool, share: float) -> str:
    """Return a study for a screen reader: ``Study 2026-01-04, CT abdomen, 3 series, unfolded, partly selected``.

    :param series: how many there are, in words.
    :param share: how much of it is chosen, 0 to 1.
    """
    fold = "unfolded" if unfolded else "folded"
    selected = "" if not share else "selected" if share == 1 else "partly selected"
    parts = (f"Study {study_title(row)}", row.study.description, series, fold, selected)
    return ", ".join(part for part in parts if part)
