"""Thumbnails of series: which instance stands for one, and its picture on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..dimse.find import Finder
from ..domain.cancel import CancelToken
from ..domain.errors import BadData, PeerError, StorageError, UsageError
from ..domain.model import Instance, Level, Target
from ..domain.results import ThumbnailResult
from ..domain.servers import Server
from ..imaging.children import Decoder
from ..imaging.order import InstanceGeometry, middle_index
from ..store.catalogue import LocalFile
from ..store.files import replace_with_retry
from ..store.headers import Header, read_header
from ..store.local import LocalStore
from .plan import Plan, SeriesPlan
from .retrieve import Retrieval

_MAX_INSTANCES = 200_000


def local_thumbnail(store: LocalStore, decoder: Decoder, series_uid: str) -> ThumbnailResult | None:
    """Return the thumbnail of what is here of a series, made if need be; None if nothing is here.

    :raises StorageError: the picture cannot be written.
    """
    files = store.catalogue.local_files(Level.SERIES, [series_uid])
    headers = [(file, header) for file in files if (header := _header(store, file)) is not None]
    if not headers:
        return None
    file, header = headers[middle_index([_geometry(header) for _, header in headers])]
    return _existing(store, file) or _make(store, decoder, file, header)


def fetch_middle(store: LocalStore, server: Server, series_uid: str, token: CancelToken) -> None:
    """Fetch the middle instance of a series, by instance number, and nothing else of it.

    :raises UsageError: nobody knows the series.
    :raises PeerError: it could not be had.
    """
    known = store.catalogue.find_series(series_uid)
    if known is None:
        raise UsageError("This series is not known; search for it first.")
    study, series = known
    with Finder.connect(server, token) as finder:
        instances, _ = finder.instances(study.study_uid, series_uid, {}, _MAX_INSTANCES)
    if not instances:
        raise BadData(f"{server.name} lists no instance of this series.")
    store.catalogue.note_found(server.name, instances=instances)
    middle = _middle_by_number(instances)
    classes = (middle.sop_class,) if middle.sop_class else study.sop_classes
    wanted = SeriesPlan(series, classes, {middle.sop_uid: middle}, whole=False, count=1)
    target = Target(Level.IMAGE, (middle.sop_uid,))
    retrieval = Retrieval(server, target, store, Plan([study], [wanted]))
    retrieval.attempt(token, lambda *_: None)
    if not retrieval.here(wanted):
        reason = retrieval.reasons.get(middle.sop_uid, "the server did not say why.")
        raise PeerError(f"{server.name} did not provide an image of this series: {reason}")


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
    if path is None or path.stat().st_mtime_ns < store.path_of(file).stat().st_mtime_ns:
        return None
    return ThumbnailResult(file.instance.series_uid, sop_uid, str(path), placeholder, reason)


def _make(store: LocalStore, decoder: Decoder, file: LocalFile, header: Header) -> ThumbnailResult:
    final = store.folder.thumbnail_path(header.study_uid, header.series_uid, header.sop_uid)
    made = store.folder.incoming_folder / f"{final.name}.part"
    made.parent.mkdir(parents=True, exist_ok=True)
    outcome = decoder.render(store.path_of(file), made, header.modality)
    final.parent.mkdir(parents=True, exist_ok=True)
    replace_with_retry(made, final)
    stored = store.folder.stored_name(final)
    store.catalogue.set_thumbnail(header.series_uid, header.sop_uid, stored, outcome.placeholder, outcome.reason)
    return ThumbnailResult(header.series_uid, header.sop_uid, str(Path(final)), outcome.placeholder, outcome.reason)
