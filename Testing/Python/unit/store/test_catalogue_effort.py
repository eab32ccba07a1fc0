"""What SQLite has to do for the window does not grow with the catalogue, where an index can see to that."""

from __future__ import annotations

from contextlib import closing

import pytest

from bench.catalogue import Machine, looks
from support import large_folder
from support.large_folder import Person, Size, study_uid
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.model import Level
from VisualDICOMBrowserLib.domain.overview import Places
from VisualDICOMBrowserLib.store import catalogue_matching, sqlite
from VisualDICOMBrowserLib.store.layout import DatabaseFolder
from VisualDICOMBrowserLib.store.local import LocalStore
from VisualDICOMBrowserLib.store.reader import CatalogueReader

#: What finds twice as much in twice the data, or counts all.
_FINDS_MORE = {
    "all_keys", "totals", "search modality", "search study description", "search beginning of a name",
    "search frequent part", "search on this computer", "search on a server",
}  # fmt: skip
_FINDS_FEW = {"search middle of a name", "search rare name", "search nothing like it", "search accession number"}


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
    assert grown <= _FINDS_MORE
    assert "first_page" not in grown
    assert {large.steps[name] < 20_000 for name in ("first_page", "next_page", "patient_page", "search ID")} == {True}
    assert max(large.steps[name] for name in _FINDS_FEW) < 2_000


def test_what_finds_much_looks_at_each_once(folders, monkeypatch):
    _, large = (_steps(folder, size) for folder, size in folders)
    _, size = folders[1]
    assert max(large.steps[name] for name in _FINDS_MORE) < 40 * size.studies
    monkeypatch.setattr(catalogue_matching, "FEW", 10)
    _, large = (_steps(folder, size) for folder, size in folders)
    assert max(large.steps[name] for name in _FINDS_MORE) < 40 * size.studies
    assert large.steps["search frequent part"] > 2 * size.patients


@pytest.mark.parametrize(
    "query",
    [
        QueryFilter(patient_id="*0500"),
        QueryFilter(text="00500"),
        QueryFilter(text="A0000050?"),
        QueryFilter(accession_number="A0000050?"),
        QueryFilter(text=Person.made(50).name, modalities=("CT", "MR", "US", "DX", "PT", "XA")),
        QueryFilter(patient_name=Person.made(50).name[2:9], series_description="series", study_description="*"),
        QueryFilter(series_description="nothing like it"),
        QueryFilter(modalities=("SM",)),
    ],
    ids=str,
)
def test_parts_of_any_text_alone_and_with_others_are_found_by_an_index(folders, query):
    steps, found = [], []
    for folder, _ in folders:
        with closing(CatalogueReader(folder.root)) as reader:
            reader.totals()
            machine = Machine(reader._connection)
            found.append(reader.patient_rows(query, Places()))
            steps.append(machine.counted(lambda r=reader: r.patient_rows(query, Places())))
    assert max(map(len, found)) < 12
    assert steps[1] < 1.2 * steps[0] + 500
    assert steps[1] < 4_000


def test_the_listing_of_local_studies_looks_at_those_of_few_persons(folders):
    (small, _), (large, _) = folders
    name = QueryFilter(patient_name=Person.made(50).name)
    steps = []
    for folder in (small, large):
        with LocalStore.open(folder.root) as store:
            machine = Machine(store.catalogue._connection)
            assert len(list(store.catalogue.local_studies(name))) == 2
            steps.append(machine.counted(lambda s=store: list(s.catalogue.local_studies(name))))
    assert steps[1] < 1.2 * steps[0] + 500


def test_to_remove_a_study_does_not_look_through_the_catalogue(folders, monkeypatch):
    monkeypatch.setattr(sqlite, "SMALL", 0)  # a small one is written anew, for other reasons
    steps = [_removing(folder, number) for folder, number in ((folders[0][0], 50), (folders[1][0], 50))]
    assert steps[1] < 1.2 * steps[0]


def _removing(folder: DatabaseFolder, number: int) -> int:
    with LocalStore.open(folder.root) as store:
        machine = Machine(store.catalogue._connection)
        uids = [file.instance.sop_uid for file in store.catalogue.local_files(Level.STUDY, [study_uid(number)])]
        assert uids
        return machine.counted(lambda: store.catalogue.remove_local(uids))
