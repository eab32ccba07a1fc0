"""Real processes, killed at random times: afterwards rows and files agree, and nothing is half-done."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from unit.store import crash_child
from unit.store.store_kit import assert_at_rest, dicom_files, environment, part_files, rows
from VisualDICOMBrowserLib.domain.errors import StorageError
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.local import LocalStore

WORK = ("receive", "import", "link", "remove")


def _killed_after(work: str, folder: DatabaseFolder, source: Path, first: int, seconds: float) -> None:
    command = [sys.executable, crash_child.__file__, work, str(folder.root), str(source), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(seconds)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL


def _crash_again_and_again(
    work: str, folder: DatabaseFolder, source: Path, seed: int = 0, rounds: int = 10
) -> set[str]:
    generator = random.Random(f"{work}{seed}")
    stored: set[str] = set()
    for number in range(rounds):
        _killed_after(work, folder, source, number * 1000, generator.uniform(0.0, 0.25))
        _look_at_the_ruins(folder, work)
        local = assert_at_rest(folder)
        assert work == "remove" or local >= stored
        stored = local
        if work == "link":
            assert dicom_files(folder) == []
    if work == "remove":  # linked files are never deleted
        links = {name for (name,) in rows(folder.ctk_database, "SELECT Filename FROM Images") if name.startswith("/")}
        assert all(Path(name).is_file() for name in links)
        turns = sorted(source.iterdir()) if source.exists() else []  # a child may be killed before its first files
        assert all(len(list(turn.iterdir())) == 3 for turn in turns[:-1])
    else:
        # Twelve instances are swapped in all, and on a slow computer no more than the first groups of them come.
        assert len(stored) > (0 if work == "swap" else rounds)
    return stored


def _look_at_the_ruins(folder: DatabaseFolder, work: str) -> None:
    """Read a folder before anybody mended anything: no row is without its file, unless that is being removed."""
    try:
        with LocalStore.open(folder.root, read_only=True) as reader:
            assert reader.verify().missing == () or work == "remove"
    except StorageError as error:
        assert "open the folder for writing once" in str(error)  # noqa: PT017 - both outcomes are right
        assert any(path.name.endswith("-journal") for path in folder.root.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("work", WORK)
def test_after_some_crashes_everything_agrees(folder, tmp_path, work):
    """Of the store alone; the whole program is killed in integration/test_crash_safety.py."""
    assert _crash_again_and_again(work, folder, tmp_path / "source", rounds=4) == assert_at_rest(folder)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 11))
@pytest.mark.parametrize("work", [*WORK, "confirm", "swap"])
def test_after_a_hundred_crashes_everything_agrees(folder, tmp_path, work, seed):
    assert _crash_again_and_again(work, folder, tmp_path / "source", seed) == assert_at_rest(folder)


_STEPS = """
import os, signal, sys
from pathlib import Path
from unit.store.store_kit import receive, samples
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.store import catalogue, ctk_database, local, recovery, writer
from VisualDICOMBrowserLib.store.files import PartFile

def die(*_args, **_options):
    os.kill(os.getpid(), signal.SIGKILL)

owner, name, when = sys.argv[2:]
owner = eval(owner)
with local.LocalStore.open(Path(sys.argv[1])) as store:
    receive(store, samples(3, series=9))
    original = getattr(owner, name)
    def then_die(*args, **options):
        original(*args, **options)
        die()
    setattr(owner, name, die if when == "before" else then_die)
    receive(store, samples(3))
    store.remove(Target(Level.SERIES, ("1.2.1.9",)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("owner", "name", "received", "kept"),
    [
        ("catalogue.Catalogue", "add_intents", False, True),
        ("PartFile", "commit", None, True),
        ("writer", "fsync_folder", True, True),
        ("ctk_database", "add_instances", True, True),
        ("ctk_database.CtkDatabase", "insert", True, True),
        ("catalogue.Catalogue", "add_local", True, True),
        ("ctk_database", "remove_images", True, False),
        ("ctk_database.CtkDatabase", "remove", True, False),
        ("catalogue.Catalogue", "remove_local", True, False),
        ("recovery", "unlink_with_retry", True, False),
        ("catalogue.Catalogue", "clear_intents", True, False),
    ],
)
def test_after_a_crash_at_any_step_the_next_start_finishes_or_undoes_it(folder, owner, name, when, received, kept):
    command = [sys.executable, "-c", _STEPS, str(folder.root), owner, name, when]
    assert subprocess.run(command, env=environment(), timeout=60, check=False).returncode == -signal.SIGKILL
    local = assert_at_rest(folder)
    assert {uid for uid in local if uid.startswith("1.2.1.9.")} == (
        {f"1.2.1.9.{n}" for n in (1, 2, 3)} if kept else set()
    )
    here = {uid for uid in local if uid.startswith("1.2.1.1.")}
    if received is not None:
        # Receiving is finished if the file had its name, which is so after the first in any case.
        assert bool(here) is received
    assert part_files(folder) == []
