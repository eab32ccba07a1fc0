"""What SQLite has to do for the window does not grow with the catalogue, where an index can see to that."""

from __future__ import annotations

import pytest

from bench.catalogue import Machine, looks
from support import large_folder
from support.large_folder import Size, study_uid
from VisualDICOMBrowserLib.domain.model import Level
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.local import LocalStore
from VisualDICOMBrowserLib.store.reader import CatalogueReader

#: What looks through persons or studies one by one, on purpose: parts of texts have no index, and persons are few.
_LOOKS_THROUGH = {
    "all_keys", "totals", "search modality", "search study description", "search beginning of a name",
    "search middle of a name", "search rare name", "search frequent part", "search nothing like it",
    "search on this computer", "search on a server",
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[tuple[DatabaseFolder, Size]]:
    """Two folders, the second one twice as large."""
    made = []
    for patients in (500, 1000):
        size = Size(patients, instances_each=1)
        folder = large_folder.make(tmp_path_factory.mktemp("large") / "database", size)
        LocalStore.open(folder.root).close()
        large_folder.add_servers(folder)
        made.append((folder, size))
    return made


def _steps(folder: DatabaseFolder, size: Size) -> Machine:
    reader = CatalogueReader(folder.root)
    reader.totals()  # opens the file
    machine = Machine(reader._connection)
    for name, look in looks(reader, size).items():
        machine.steps[name] = machine.counted(look)
    reader.close()
    return machine


def test_what_is_looked_at_hardly_grows_with_the_catalogue(folders):
    small, large = (_steps(folder, size) for folder, size in folders)
    grown = {name for name, steps in large.steps.items() if steps > 1.2 * small.steps[name] + 500}
    assert grown <= _LOOKS_THROUGH
    assert "first_page" not in grown
    assert {large.steps[name] < 20_000 for name in ("first_page", "next_page", "patient_page", "search ID")} == {True}


def test_what_looks_through_all_looks_at_each_once(folders):
    _, large = (_steps(folder, size) for folder, size in folders)
    _, size = folders[1]
    assert large.steps["search nothing like it"] < 20 * size.patients
    assert max(large.steps[name] for name in _LOOKS_THROUGH) < 40 * size.studies


def test_to_remove_a_study_does_not_look_through_the_catalogue(folders):
    steps = [_removing(folder, number) for folder, number in ((folders[0][0], 50), (folders[1][0], 50))]
    assert steps[1] < 1.2 * steps[0]


def _removing(folder: DatabaseFolder, number: int) -> int:
    with LocalStore.open(folder.root) as store:
        machine = Machine(store.catalogue._connection)
        uids = [file.instance.sop_uid for file in store.catalogue.local_files(Level.STUDY, [study_uid(number)])]
        assert uids
        return machine.counted(lambda: store.catalogue.remove_local(uids))
