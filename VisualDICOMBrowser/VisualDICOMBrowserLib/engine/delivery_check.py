"""Whether a server lists what was sent there: C-FIND for the instances of each series that was sent."""

from __future__ import annotations

from collections.abc import Sequence

from ..dimse.find import Finder
from ..dimse.pool import Associate
from ..domain.cancel import CancelToken
from ..domain.servers import Server
from ..store.outgoing import OutgoingFile

#: Seconds before the server is asked again for what it does not list: some take in what they got only after a while.
_PATIENCE_S = (0.5, 1.0, 2.0)
_MAX_INSTANCES = 100_000


def listed_by(server: Server, files: Sequence[OutgoingFile], token: CancelToken, associate: Associate) -> set[str]:
    """Return those of the instances that a server lists where they belong.

    :param associate: where associations come from.
    :raises PeerError: it cannot be asked, or refuses.
    """
    missing = {file.sop_uid: file for file in files}
    listed: set[str] = set()
    for delay in (*_PATIENCE_S, None):
        listed |= listed_now(server, list(missing.values()), token, associate)
        missing = {uid: file for uid, file in missing.items() if uid not in listed}
        if not missing or delay is None:
            break
        token.wait(delay)
        token.check()
    return listed


def listed_now(server: Server, files: Sequence[OutgoingFile], token: CancelToken, associate: Associate) -> set[str]:
    """Return what :func:`listed_by` does, without patience for a server that needs some time."""
    series = dict.fromkeys((file.study_uid, file.series_uid) for file in files)
    wanted = {file.sop_uid for file in files}
    found: set[str] = set()
    with Finder.connect(server, token, associate) as finder:
        for study_uid, series_uid in series:
            token.check()
            if study_uid and series_uid:
                instances, _ = finder.instances(study_uid, series_uid, {}, _MAX_INSTANCES)
                found |= {instance.sop_uid for instance in instances}
    return found & wanted
