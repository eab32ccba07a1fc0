"""Tells of images that came with other content than what is here: what was here is kept, until the user says otherwise.

An import tells of its own by itself: see :mod:`.actions`. This is about what comes while nobody waits for an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..domain.results import conflict_words
from ..jobs.description import JobKind, JobRecord
from .activity.job_words import label_of
from .messages import Message, Remedy, Tone, counted
from .session import Session

_MOST_DETAILS = 200
_KEPT = "other content than what is here, which was kept."
_SEND_AGAIN = "To have them instead, remove what is here first, and have them sent again."


class ConflictNotes:
    """See the module; listens until :meth:`close`. The jobs of one round of fetching share a message.

    :param show_job: shows what happened to a job.
    """

    def __init__(self, session: Session, show_job: Callable[[str], object]) -> None:
        self._session = session
        self._show_job = show_job
        self._under_way: set[str] = set()
        self._round: dict[str, JobRecord] = {}
        self._ends = [session.jobs.changed.connect(self._on_job), session.calls.ended.connect(self._on_call)]

    def close(self) -> None:
        """Hear nothing more of the session."""
        for end in self._ends:
            end()

    def _on_job(self, job_id: str | None) -> None:
        if job_id is None:
            self._under_way = {one for one in self._under_way if self._session.jobs.get(one) is not None}
            return
        record = self._session.jobs.get(job_id)
        if record is None or record.description.kind is not JobKind.RETRIEVE:
            return
        if not record.state.terminal:
            if not self._under_way:
                self._round = {}
            self._under_way.add(record.job_id)
        elif record.job_id in self._under_way:  # else it ended in another session
            self._under_way.discard(record.job_id)
            if record.conflicts:
                self._round[record.job_id] = record
                self._tell_round()

    def _tell_round(self) -> None:
        records = list(self._round.values())
        came = f"{counted(sum(record.conflicts for record in records), 'image')} came with {_KEPT}"
        label = label_of(records[-1])
        text = f"{label}: {came}" if len(records) == 1 and label else f"Of {len(records):,} fetches, {came}"
        newest, uids = records[-1].job_id, _series_of(records)
        remedies = [Remedy("Details", lambda: self._show_job(newest))]
        if uids:
            remedies.append(Remedy("Fetch again and replace", lambda: self._replace(uids)))
        details = [f"{label_of(record)}: {counted(record.conflicts, 'image')}" for record in records]
        shown = tuple(details[:_MOST_DETAILS]) if len(records) > 1 else ()
        self._session.said.emit(Message(text, Tone.WARNING, "conflicts", tuple(remedies), shown))

    def _replace(self, series_uids: list[str]) -> None:
        self._session.ask("fetch", {"series_uids": series_uids, "force": True})

    def _on_call(self, call: Mapping[str, Any]) -> None:
        if not call["conflicting"] or call["asked_for"]:  # what was asked for, the fetch tells
            return
        who = call["aet"] or call["address"]
        text = f"{who} sent {counted(call['conflicting'], 'image')} with {_KEPT} {_SEND_AGAIN}"
        details = tuple(conflict_words(conflict, source="") for conflict in call["conflicts"])
        self._session.said.emit(Message(text, Tone.WARNING, f"conflicts:{who}", (), details))


def _series_of(records: list[JobRecord]) -> list[str]:
    """Return the series that jobs were about, as far as they were about series."""
    uids = [
        str(uid)
        for record in records
        if record.description.params.get("level") == "series"
        for uid in record.description.params.get("uids", ())
    ]
    return list(dict.fromkeys(uids))
