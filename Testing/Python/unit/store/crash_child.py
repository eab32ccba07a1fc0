"""Works in a folder until it is killed: ``crash_child.py WORK FOLDER SOURCE SEED``, with the work as below."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from unit.store.store_kit import Moved, Sample, bring_in, keep_safe, receive, samples, swap, write_files
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.store import writer
from VisualDICOMBrowserLib.store.local import LocalStore


def _items(turn: int) -> list[Sample]:
    return [Sample(number=n, series=turn % 5 + 1, study=turn // 5 + 1, pixels=bytes(3000)) for n in range(1, 13)]


def _receive(store: LocalStore, source: Path, turn: int) -> None:
    assert receive(store, _items(turn)).failed == []


def _confirm(store: LocalStore, source: Path, turn: int) -> None:
    for item in _items(turn):
        assert keep_safe(store, [item]).failed == []
        sys.stdout.write(f"{item.sop_uid}\n")
        sys.stdout.flush()


def _import(store: LocalStore, source: Path, turn: int) -> None:
    bring_in(store, write_files(source / str(turn), _items(turn)))


def _link(store: LocalStore, source: Path, turn: int) -> None:
    bring_in(store, write_files(source / str(turn), _items(turn)), link=True)


def _remove(store: LocalStore, source: Path, turn: int) -> None:
    assert receive(store, _items(turn)).failed == []
    if turn % 2:
        bring_in(store, write_files(source / str(turn), samples(3, series=9, study=turn // 5 + 1)), link=True)
    store.remove(Target(Level.SERIES, (f"1.2.{turn // 5 + 1}.{turn % 5 + 1}",)))
    store.remove(Target(Level.SERIES, (f"1.2.{turn // 5 + 1}.9",)))


def _swap(store: LocalStore, source: Path, turn: int) -> None:
    kind = Moved if turn % 2 else Sample
    items = [kind(number=n, name=f"Name^{turn}", pixels=bytes(3000)) for n in range(1, 13)]
    assert swap(store, items).failed == []


_WORK = {"receive": _receive, "confirm": _confirm, "import": _import, "link": _link, "remove": _remove, "swap": _swap}


def main(work: str, folder: str, source: str, first: int) -> None:
    writer._GROUP_LENGTH = 5
    with LocalStore.open(Path(folder)) as store:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for turn in itertools.count(first):
            _WORK[work](store, Path(source), turn)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
