"""Thumbnails of series: which instance stands for one, and its picture on disk."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..dimse.association import Association
from ..dimse.contexts import Proposal, classes_of, storage_batches
from ..dimse.find import Finder
from ..dimse.get import GetOutcome, get
from ..dimse.identifier import Keys
from ..dimse.models import STUDY_ROOT_FIND, STUDY_ROOT_GET
from ..dimse.pool import Associate
from ..domain.cancel import CancelToken
from ..domain.errors import (
    BadData,
    ConnectionLost,
    NoCommonContext,
    OperationRefused,
    PeerError,
    ProtocolViolation,
    StorageError,
    UsageError,
)
from ..domain.model import Instance, Level, Series, Study, Target
from ..domain.results import ThumbnailResult
from ..domain.servers import Server
from ..imaging.children import Decoder
from ..imaging.libraries import is_outdated
from ..imaging.order import InstanceGeometry, middle_index
from ..store.catalogue import LocalFile
from ..store.files import make_folder, replace_with_retry
from ..store.headers import Header, read_header
from ..store.local import LocalStore
from ..store.receive import Receiver
from ..store.writer import Batch
from .plan import Plan, SeriesPlan
from .retrieve import Retrieval, RetrieveStrategy
from .strategies import ByGet

_log = logging.getLogger(__name__)

_MAX_INSTANCES = 200_000
#: How many presentation contexts are spent on what a series likely holds: more take time, and the rest has its turn.
_STORAGE_CONTEXTS = 60


def local_thumbnail(
    store: LocalStore,
    decoder: Decoder,
    series_uid: str,
    token: CancelToken | None = None,
    on_made: Callable[[], None] = lambda: None,
) -> ThumbnailResult | None:
    """Return the thumbnail of what is here of a series, made if need be; None if nothing is here.

    :param on_made: called if it was.
    :raises StorageError: the picture cannot be written.
    :raises Cancelled: on request, as before the series is removed; no picture is left then.
    """
    files = store.catalogue.local_files(Level.SERIES, [series_uid])
    headers = [(file, header) for file in files if (header := _header(store, file)) is not None]
    if not headers:
        return None
    file, header = headers[middle_index([_geometry(header) for _, header in headers])]
    existing = _existing(store, file)
    if existing is not None:
        return existing
    made = _make(store, decoder, file, header, token or CancelToken())
    on_made()
    return made


def drop_outdated(store: LocalStore) -> None:
    """Forget the placeholders of pictures that could not be made for want of a package which is here now."""
    for name in store.catalogue.drop_placeholders(is_outdated):
        path = store.folder.find(name)
        if path is not None:
            path.unlink(missing_ok=True)


def fetch_middle(
    store: LocalStore,
    strategy: RetrieveStrategy,
    series_uid: str,
    token: CancelToken,
    associate: Associate = Association.request,
) -> None:
    """Fetch the middle instance of a series, by instance number, and nothing else of it.

    By C-GET, usually over one association that first lists the instances. What cannot be had so, because the server
    keeps its services apart or its object needs other presentation contexts, is fetched in the manner of a retrieve.

    :raises UsageError: nobody knows the series.
    :raises PeerError: it could not be had.
    """
    known = store.catalogue.find_series(series_uid)
    if known is None:
        raise UsageError("This series is not known; search for it first.")
    server = strategy.server
    at_once = isinstance(strategy, ByGet)
    instances = _fetch_at_once(store, server, *known, token, associate) if at_once else None
    if instances is None:
        with Finder.connect(server, token, associate) as finder:
            instances = _listed(finder, server, known[1])
    whole = replace(known[1], instance_count=len(instances))
    store.catalogue.note_found(server.name, series=[whole], instances=instances)
    middle = _middle_by_number(instances)
    if not store.readable([middle.sop_uid]):
        _retrieve_alone(store, strategy, *known, middle, token, associate)


def _fetch_at_once(
    store: LocalStore, server: Server, study: Study, series: Series, token: CancelToken, associate: Associate
) -> list[Instance] | None:
    """List a series and fetch its middle instance over one association; None if the server does not list it so.

    :raises PeerError: it cannot be reached, or does not talk to us.
    """
    batch = Batch()
    instances: list[Instance] | None = None
    try:
        with associate(server, _proposals(study, series), token) as association:
            instances = _listed(Finder(lambda: association), server, series)
            receiver = Receiver(store.folder, store.writer, batch, server.called_aet)
            _get_one(association, _middle_by_number(instances), receiver)
    except (NoCommonContext, OperationRefused, ConnectionLost, ProtocolViolation) as error:
        _log.info("A thumbnail takes another association: %s", type(error).__name__)
        token.check()
    finally:
        batch.wait()
    return instances


def _proposals(study: Study, series: Series) -> list[Proposal]:
    likely = classes_of(series.modality)
    classes = [c for c in study.sop_classes if c in likely] or study.sop_classes
    storage = next(storage_batches(classes, [series.modality], _STORAGE_CONTEXTS))
    return [Proposal(STUDY_ROOT_FIND), Proposal(STUDY_ROOT_GET), *storage]


def _listed(finder: Finder, server: Server, series: Series) -> list[Instance]:
    instances, _ = finder.instances(series.study_uid, series.series_uid, {}, _MAX_INSTANCES)
    if not instances:
        raise PeerError(f"{server.name} lists no instance of this series.")
    return instances


def _get_one(association: Association, instance: Instance, receiver: Receiver) -> None:
    offered = {context.abstract_syntax for context in association.contexts.values()}
    if instance.sop_class and instance.sop_class not in offered:
        return
    keys: Keys = {
        "StudyInstanceUID": instance.study_uid,
        "SeriesInstanceUID": instance.series_uid,
        "SOPInstanceUID": instance.sop_uid,
    }
    get(association, Level.IMAGE, keys, receiver, GetOutcome())


def _retrieve_alone(
    store: LocalStore,
    strategy: RetrieveStrategy,
    study: Study,
    series: Series,
    instance: Instance,
    token: CancelToken,
    associate: Associate,
) -> None:
    classes = (instance.sop_class,) if instance.sop_class else study.sop_classes
    wanted = SeriesPlan(series, classes, {instance.sop_uid: instance}, whole=False, count=1)
    target = Target(Level.IMAGE, (instance.sop_uid,))
    retrieval = Retrieval(strategy, target, store, Plan([study], [wanted]), associate=associate)
    retrieval.attempt(token, lambda *_: None)
    if not retrieval.here(wanted):
        reason = retrieval.reasons.get(instance.sop_uid, "the server did not say why.")
        raise PeerError(f"{strategy.server.name} did not provide an image of this series: {reason}")


def _middle_by_number(instances: Sequence[Instance]) -> Instance:
    return instances[middle_index([InstanceGeometry(i.sop_uid, i.number, None, None) for i in instances])]


def _header(store: LocalStore, file: LocalFile) -> Header | None:
    try:
        return read_header(store.path_of(file))
    except (BadData, StorageError):
        return None  # verify tells; for the picture another instance will do


def _geometry(header: Header) -> InstanceGeometry:
    return InstanceGeometry(header.sop_uid, header.instance_number, header.position, header.orientation)


def _existing(store: LocalStore, file: LocalFile) -> ThumbnailResult | None:
    """Return the picture that is there, unless it shows another instance or is older than the file."""
    known = store.catalogue.thumbnail(file.instance.series_uid)
    if known is None or known[0] != file.instance.sop_uid:
        return None
    sop_uid, stored, placeholder, reason = known
    path = store.folder.find(stored)
    try:
        if path is None or path.stat().st_mtime_ns < store.path_of(file).stat().st_mtime_ns:
            return None
    except OSError:
        return None  # gone in this moment
    return ThumbnailResult(file.instance.series_uid, sop_uid, str(path), placeholder, reason)


def _changed_at(path: Path) -> int:
    """Return the time of a file in ns, 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _make(store: LocalStore, decoder: Decoder, file: LocalFile, header: Header, token: CancelToken) -> ThumbnailResult:
    final = store.folder.thumbnail_path(header.study_uid, header.series_uid, header.sop_uid)
    made = store.folder.incoming_folder / f"{uuid.uuid4().hex}.png.part"  # two may be at it
    make_folder(made.parent)
    source = store.path_of(file)
    try:
        before = _changed_at(source)
        outcome = decoder.render(source, made, header.modality)
        token.check()
        make_folder(final.parent)
        if _changed_at(source) != before:  # it was replaced: the picture is out of date already
            os.utime(made, ns=(before, before))
        replace_with_retry(made, final)
    finally:
        with suppress(OSError):  # swept at the next start
            made.unlink(missing_ok=True)
    stored = store.folder.stored_name(final)
    store.catalogue.set_thumbnail(header.series_uid, header.sop_uid, stored, outcome.placeholder, outcome.reason)
    return ThumbnailResult(header.series_uid, header.sop_uid, str(Path(final)), outcome.placeholder, outcome.reason)
