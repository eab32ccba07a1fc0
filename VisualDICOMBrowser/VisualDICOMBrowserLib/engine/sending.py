"""What the engine sends to servers: instances of this computer's database, and files."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..dimse.library import require_pynetdicom
from ..domain.cancel import CancelToken
from ..domain.errors import BadData, PeerError, UsageError
from ..domain.model import Target
from ..domain.results import SendResult
from ..jobs.description import JobDescription, JobKind, Missing
from ..jobs.job import JobContext, JobHandle, Outcome
from ..jobs.states import JobState
from ..store.files import storage_error
from ..store.importer import exists
from .core import Core
from .delivery import Delivery, Parcel
from .job_targets import job_params, target_of
from .runner import Task

#: Deliveries that are remembered, so that a retry sends only what is missing.
_MAX_REMEMBERED = 100
#: Instances and files that a result names: it has to cross the pipe, and somebody is to read it.
MAX_NAMED = 1000


class Sending:
    """The part of the engine that sends; its methods are described at :class:`.Engine`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._deliveries: OrderedDict[str, Delivery] = OrderedDict()
        core.jobs.learn(JobKind.SEND, self._retry, require_pynetdicom)

    def send(self, target: Target, server: str, verify: bool, token: CancelToken | None) -> SendResult:
        """See :meth:`.Engine.send`."""
        return self._wait(*self._begin(*self._of_target(target), server, verify), token)

    def send_files(self, paths: Sequence[Path], server: str, verify: bool, token: CancelToken | None) -> SendResult:
        """See :meth:`.Engine.send_files`."""
        return self._wait(*self._begin(*_of_paths(paths), server, verify), token)

    def begin(self, target: Target, server: str, verify: bool) -> str:
        """See :meth:`.Engine.begin_send`."""
        require_pynetdicom()  # nobody waits for the job, which would only fail by it
        return self._begin(*self._of_target(target), server, verify)[0].job_id

    def begin_files(self, paths: Sequence[Path], server: str, verify: bool) -> str:
        """See :meth:`.Engine.begin_send_files`."""
        require_pynetdicom()
        return self._begin(*_of_paths(paths), server, verify)[0].job_id

    def result(self, job_id: str) -> SendResult:
        """See :meth:`.Engine.send_result`."""
        known = self._deliveries.get(job_id)
        if known is None:
            raise UsageError("It is not known any more what this job has sent.")
        result = known.result()
        return replace(result, failed=result.failed[:MAX_NAMED], rejected=result.rejected[:MAX_NAMED])

    def _of_target(self, target: Target) -> tuple[Callable[[], Iterable[Parcel]], dict[str, Any]]:
        if not self._core.store.catalogue.local_files(target.level, target.uids):
            raise UsageError("Nothing of that is on this computer.")
        return partial(self._parcels, target), job_params(self._core.store.catalogue, target)

    def _parcels(self, target: Target) -> Iterator[Parcel]:
        store = self._core.store
        for file in store.catalogue.local_files(target.level, target.uids):
            sop_uid = file.instance.sop_uid
            try:
                yield Parcel(store.path_of(file), sop_uid)
            except BadData as error:
                yield Parcel(Path(), sop_uid, problem=str(error))

    def _begin(
        self, parcels: Callable[[], Iterable[Parcel]], params: Mapping[str, Any], server: str, verify: bool
    ) -> tuple[JobHandle, Delivery]:
        delivery = self._delivery(server, parcels, check=verify)
        handle = self._core.jobs.submit(
            JobKind.SEND, partial(_attempt, delivery), server=server, params={**params, "verify": verify}
        )
        self._remember(handle.job_id, delivery)
        return handle, delivery

    def _delivery(self, server: str, parcels: Callable[[], Iterable[Parcel]], *, check: bool) -> Delivery:
        associate = self._core.associations.request_new
        return Delivery(self._core.configuration.server(server), parcels, check=check, associate=associate)

    def _wait(self, handle: JobHandle, delivery: Delivery, token: CancelToken | None) -> SendResult:
        outcome = self._core.jobs.wait(handle, token)
        if outcome.error is not None and not isinstance(outcome.error, PeerError):
            raise outcome.error
        return delivery.result()

    def _remember(self, job_id: str, delivery: Delivery) -> None:
        self._deliveries[job_id] = delivery
        while len(self._deliveries) > _MAX_REMEMBERED:
            self._deliveries.popitem(last=False)

    def _retry(self, job: JobDescription) -> Task:
        """Go on with a delivery; after a restart of the program the server is asked what it has of it."""
        known = self._deliveries.get(job.job_id)
        if known is not None:
            known.server = self._core.configuration.server(job.server or "")
            known.renew()
            return partial(_attempt, known)
        delivery = self._delivery(job.server or "", self._parcels_of(job), check=bool(job.params["verify"]))
        delivery.interrupted = True
        self._remember(job.job_id, delivery)
        return partial(_attempt, delivery)

    def _parcels_of(self, job: JobDescription) -> Callable[[], Iterable[Parcel]]:
        paths = job.params.get("paths")
        if isinstance(paths, list):
            return partial(_files_of, [Path(path) for path in paths])
        return partial(self._parcels, target_of(job))


def _attempt(delivery: Delivery, context: JobContext) -> Outcome:
    """Do one try of a delivery, as the work of a job."""
    error: PeerError | None = None
    try:
        delivery.attempt(context.token, context.progress)
    except PeerError as broken:
        error = broken
    result = delivery.result()
    if error is None and result.complete:
        return Outcome(result)
    reason = f"{error or ''} {_shortfall(result)}".strip()
    return Outcome(result, JobState.INCOMPLETE, reason, error, _missing(result))


def _missing(result: SendResult) -> Missing:
    uids = [failure.subject for failure in result.failed]
    return Missing.of(uids, result.requested - result.sent)


def _shortfall(result: SendResult) -> str:
    missing = result.requested - result.sent
    if missing:
        return f"{missing} of {result.requested} instances were not sent."
    if not result.requested:
        return "There was no instance that could be sent."
    if result.check and result.verified != result.requested:
        listed = "nobody knows what" if result.verified is None else f"only {result.verified} of {result.requested}"
        return f"All instances were sent, but {listed} the server lists."
    return f"{result.damaged} files could not be sent."


def _of_paths(paths: Sequence[Path]) -> tuple[Callable[[], Iterable[Parcel]], dict[str, Any]]:
    for path in paths:
        if not exists(path):
            raise UsageError(f"There is no file or folder {path}.")
    absolute = [path.absolute() for path in paths]
    return partial(_files_of, absolute), {"paths": [_as_text(path) for path in absolute]}


def _as_text(path: Path) -> str:
    """Return a path that JSON can keep, for a retry after a restart.

    :raises BadData: its name is no text.
    """
    text = str(path)
    if text.encode("utf-8", "replace").decode() != text:
        raise BadData("The name of a file is no text; rename it before it is sent.")
    return text


def _files_of(paths: Iterable[Path]) -> Iterator[Parcel]:
    for path in paths:
        if not path.is_dir():
            yield Parcel(path)
            continue
        problems: list[OSError] = []
        for parent, folders, names in os.walk(path, onerror=problems.append):
            folders.sort()
            for name in sorted(names):
                yield Parcel(Path(parent, name), named=False)
        for problem in problems:
            yield Parcel(Path(problem.filename), problem=str(storage_error(problem, "read the folder")))
