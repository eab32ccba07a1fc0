"""Killed at any step while another program keeps the rows: afterwards nothing is lost, and nothing half-done."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from support.host_of_rows import HostOfRows, StoreAsEngine
from support.waiting import wait_until
from unit.store.hosted_kit import SlicerHost
from unit.store.store_kit import assert_at_rest, child, dicom_files, environment, local_uids, samples
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.store.host_link import HostPlan
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.local import LocalStore

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

#: Three instances with rows, one linked; three more come in; then one of the first three is removed.
_STEPS = """
import os, signal, sys, threading
from pathlib import Path
from support.host_of_rows import HostOfRows
from unit.store.store_kit import bring_in, receive, samples, write_files
from unit.store.test_store_hosted_crashes import Link
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.store import catalogue, host_removal, index_queue, local, removing, trash

def die(*_args, **_options):
    os.kill(os.getpid(), signal.SIGKILL)

folder, source, name, when = sys.argv[1:]
owner, name = name.rsplit(".", 1)
owner = eval(owner)
host = HostOfRows(Path(folder))
link = Link(Path(folder))
items = samples(3, series=9)
receive(link.store, items[:2])
bring_in(link.store, write_files(Path(source), items[2:]), link=True)
host.index(link)
original = getattr(owner, name)
def then_die(*args, **options):
    original(*args, **options)
    die()
setattr(owner, name, die if when == "before" else then_die)
receive(link.store, samples(3))
host.index(link)
thread = threading.Thread(target=link.store.remove, args=(Target(Level.IMAGE, (items[0].sop_uid,)),), daemon=True)
thread.start()
while thread.is_alive():
    host.remove(link)
    thread.join(0.02)
"""


class Link(StoreAsEngine):
    """A folder opened for it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(LocalStore.open(folder, host=HostPlan(lambda *_: None)))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "step",
    [
        "catalogue.Catalogue.add_intents",
        "catalogue.Catalogue.add_local",
        "index_queue.IndexQueue.offer",
        "index_queue.IndexQueue.next_batch",
        "HostOfRows.write_rows",
        "index_queue.IndexQueue.done",
        "catalogue.Catalogue.clear_intents",
        "trash.Trash.make",
        "trash.Trash.mark",
        "trash.Trash.take",
        "host_removal.HostWishes.next",
        "HostOfRows.remove_series",
        "host_removal.HostWishes.note_done",
        "catalogue.Catalogue.remove_local",
        "local.bring_back",
        "removing.forget",
    ],
)
def test_after_a_crash_at_any_step_the_next_start_goes_on(folder, tmp_path, step, when):
    arguments = [str(folder.root), str(tmp_path / "source"), step, when]
    done = subprocess.run([sys.executable, "-c", _STEPS, *arguments], env=environment(), timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    local = _settled(folder)
    removed, *staying = (item.sop_uid for item in samples(3, series=9))
    assert local >= set(staying)
    assert local <= {removed, *staying, *(item.sop_uid for item in samples(3))}
    assert not folder.trash_folder.exists()
    assert assert_at_rest(folder) == local


def _settled(folder) -> set[str]:
    """Let the next start and the other program do what is left to do, and return what is local."""
    host, link = HostOfRows(folder.root), Link(folder.root)
    with link.store as store:
        if store.has_open_removals:
            thread = threading.Thread(target=store.finish_removals, args=(CancelToken(),))
            thread.start()
            while thread.is_alive():
                host.remove(link)
                thread.join(0.02)
        while host.index(link).settled:
            pass
        store.refresh()
        local = local_uids(store)
        assert store.readable(local) == local
        assert store.verify().ok
        return local


#: Three instances with rows, one linked; two of them, the linked one among them, give way to others.
_SWAP = """
import os, signal, sys
from pathlib import Path
from support.host_of_rows import StoreAsEngine
from support.waiting import wait_until
from unit.store.hosted_kit import SlicerHost
from unit.store.store_kit import bring_in, receive, swap, write_files
from unit.store.test_store_hosted_crashes import NEW, OLD, Link
from VisualDICOMBrowserLib.store import (
    catalogue, host_removal, host_swaps, index_queue, local, removing, safekeeping, trash)
from VisualDICOMBrowserLib.store.files import PartFile

def die(*_args, **_options):
    os.kill(os.getpid(), signal.SIGKILL)

folder, source, name, when = sys.argv[1:]
owner, name = name.rsplit(".", 1)
owner = eval(owner)
host_swaps._GATHER_S = 0.0
host = SlicerHost(Path(folder))
link = Link(Path(folder))
receive(link.store, OLD[:2])
bring_in(link.store, write_files(Path(source), OLD[2:]), link=True)
host.index(link)
original = getattr(owner, name)
def then_die(*args, **options):
    original(*args, **options)
    die()
setattr(owner, name, die if when == "before" else then_die)
swap(link.store, NEW)
def settled():
    host.remove(link)
    host.index(link)
    return not link.store.unseen(item.sop_uid for item in OLD)
wait_until(settled)
"""
OLD = samples(3, series=9)
NEW = [replace(item, name="Roe^Mary", pixels=b"others") for item in OLD[1:]]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "step",
    [
        "catalogue.Catalogue.add_intents",
        "PartFile.commit",
        "host_swaps.fsync_folder",
        "index_queue.IndexQueue.expect",
        "trash.Trash.make",
        "trash.Trash.mark",
        "trash.Trash.take",
        "host_removal.HostWishes.next",
        "SlicerHost.remove_series",
        "host_removal.HostWishes.note_done",
        "catalogue.Catalogue.remove_local",
        "safekeeping.SafeFile.commit",
        "catalogue.Catalogue.add_local",
        "index_queue.IndexQueue.offer",
        "removing.forget",
        "local.bring_back",
        "catalogue.Catalogue.clear_intents",
        "index_queue.IndexQueue.expect_no_more",
        "SlicerHost.write_rows",
        "index_queue.IndexQueue.done",
    ],
)
def test_after_a_crash_in_a_swap_there_is_the_old_or_the_new_and_never_none(folder, tmp_path, step, when):
    arguments = [str(folder.root), str(tmp_path / "source"), step, when]
    done = subprocess.run([sys.executable, "-c", _SWAP, *arguments], env=environment(), timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    uids = {item.sop_uid for item in OLD}
    # No name of a file in a hosted folder leads elsewhere, so that a copy of it can be looked at as well.
    alone = DatabaseFolder(Path(shutil.copytree(folder.root, tmp_path / "alone")))
    assert assert_at_rest(alone) == uids
    assert _settled_swap(folder) == uids
    assert assert_at_rest(folder) == uids
    linked = [path.read_bytes() for path in (tmp_path / "source").iterdir()]
    assert linked == [item.file for item in OLD[2:]]
    assert not folder.trash_folder.exists()
    for mended in (alone, folder):
        contents = {path.read_bytes() for path in dicom_files(mended)}
        assert contents in _outcomes(begun=(step, when) not in _NOTHING_KEPT)


#: Before a swap is promised, it is as if nobody had asked for it.
_NOTHING_KEPT = {
    ("catalogue.Catalogue.add_intents", "before"),
    ("catalogue.Catalogue.add_intents", "after"),
    ("PartFile.commit", "before"),
}


def _outcomes(*, begun: bool) -> list[set[bytes]]:
    """Return what files there may be: all new ones, or if nothing was promised all old ones; only a first one kept."""
    old, new = [item.file for item in OLD], [item.file for item in NEW]
    if not begun:
        return [{*old[:2]}]
    return [{old[0], *new}, {old[0], new[0]}]


def _settled_swap(folder: DatabaseFolder) -> set[str]:
    """Let the next start and the other program do what is left to do, and return what is local."""
    host, link = SlicerHost(folder.root), Link(folder.root)
    with link.store as store:
        uids = [item.sop_uid for item in OLD]
        assert store.readable(uids) == {*uids}

        def is_settled() -> bool:
            host.remove(link)
            host.index(link)
            return not store.unseen(uids)

        wait_until(is_settled)
        store.refresh()
        assert store.verify().ok
        return local_uids(store)


#: Replaces the same three instances again and again, until it is killed.
_FOREVER = """
import itertools, sys
from dataclasses import replace
from pathlib import Path
from support.waiting import wait_until
from unit.store.hosted_kit import SlicerHost
from unit.store.store_kit import receive, swap
from unit.store.test_store_hosted_crashes import OLD, Link
from VisualDICOMBrowserLib.store import host_swaps

host_swaps._GATHER_S = 0.0
host = SlicerHost(Path(sys.argv[1]))
link = Link(Path(sys.argv[1]))

def settled():
    host.remove(link)
    host.index(link)
    return not link.store.unseen(item.sop_uid for item in OLD)

receive(link.store, OLD)
wait_until(settled)
sys.stdout.write("ready")
sys.stdout.flush()
for turn in itertools.count(int(sys.argv[2])):
    swap(link.store, [replace(item, name=f"Turn^{turn}") for item in OLD[turn % 2 :]])
    wait_until(settled)
"""


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 6))
def test_after_many_crashes_of_swaps_nothing_is_missing(folder, tmp_path, seed):
    generator = random.Random(seed)
    uids = {item.sop_uid for item in OLD}
    for number in range(10):
        with child(_FOREVER, folder.root, number * 1000) as process:
            assert process.stdout.read(5) == b"ready"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(generator.uniform(0.0, 0.5))
        alone = DatabaseFolder(Path(shutil.copytree(folder.root, tmp_path / str(number))))
        assert assert_at_rest(alone) == uids
    assert _settled_swap(folder) == uids
    assert assert_at_rest(folder) == uids
