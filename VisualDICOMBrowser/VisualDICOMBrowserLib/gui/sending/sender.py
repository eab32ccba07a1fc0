"""Has series sent, and tells how each send ends; after a retry, again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...domain.errors import PackageMissing, VisualDicomError
from ...jobs.description import JobKind, JobRecord
from ...jobs.states import JobState
from ..messages import Message, Remedy, Tone
from ..session import Session
from .send_words import about_job, told


class Sender:
    """See the module; listens until :meth:`close`. Sends that an earlier engine left are told of, too."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: set[str] = set()
        self._told: dict[str, float] = {}  # when a job ended that was told of: events overtake answers
        self.close = session.jobs.changed.connect(self._on_job)

    def send(self, series_uids: Sequence[str], server: str, *, verify: bool) -> None:
        """Have what is here of series sent to a server.

        :param verify: ask the server afterwards what it lists.
        """
        target = {"level": "series", "uids": list(series_uids)}
        params = {"target": target, "server": server, "verify": verify}
        self._session.ask("send", params, lambda job_id: self._on_begun(job_id, server), self._on_refused)

    def _on_begun(self, job_id: str, server: str) -> None:
        self._known.add(job_id)
        if job_id not in self._told:
            self._session.say(f"Sending to {server} …", about=about_job(job_id))
        self._on_job(job_id)

    def _on_refused(self, error: VisualDicomError) -> None:
        if not isinstance(error, PackageMissing):
            self._session.say(f"Nothing was sent. {error}", Tone.PROBLEM, "send")

    def _on_job(self, job_id: str | None) -> None:
        record = self._session.jobs.get(job_id) if job_id is not None else None
        if record is None or record.description.kind is not JobKind.SEND:
            return
        if not record.state.terminal:
            self._known.add(record.job_id)
        elif record.job_id in self._known:
            ended = record.ended.wall if record.ended is not None else 0.0
            if self._told.get(record.job_id) != ended:
                self._told[record.job_id] = ended
                self._tell(record)

    def _tell(self, record: JobRecord) -> None:
        if record.state is JobState.CANCELLED:
            self._session.said.emit(told(record, None))
            return
        again = Remedy("Try again", lambda: self._session.ask("retry_job", {"job_id": record.job_id}))
        remedies = () if record.state is JobState.COMPLETED else (again,)

        def say(message: Message) -> None:
            self._session.said.emit(replace(message, remedies=remedies))

        self._session.ask(
            "send_result",
            {"job_id": record.job_id},
            lambda result: say(told(record, result)),
            lambda _: say(told(record, None)),  # the engine that sent it is gone
        )
