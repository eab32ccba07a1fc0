"""What is removed leaves no trace: of names and IDs, not a byte in any file; and no job brings it back."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.corpus import CorpusFile
from support.dcmqrscp import Dcmqrscp
from support.fault_proxy import FaultProxy, Stall
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.errors import Cancelled
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.jobs.states import JobState

NAME, ID = "Zebulon^Quix", "QX-990017"
SECRETS = ("Zebulon", "zebulon", "ZEBULON", "Quix", "quix", ID, ID.lower())
COUNT = 4
PATIENT = Target(Level.PATIENT, (ID,))

#: Tells which of some texts are in the files below folders, by another process: POSIX would drop the locks of this one.
_LOOK = """
import sys
from pathlib import Path
folders, secrets = sys.argv[1].split("|"), sys.argv[2].split("|")
for folder in folders:
    for path in Path(folder).rglob("*"):
        if path.is_file():
            found = [one for one in secrets if one.encode() in path.read_bytes() or one in path.name]
            if found:
                print(path.relative_to(folder), *found)
"""


def traces(*folders: Path) -> list[str]:
    """Name the files in which anything of the patient can be read."""
    words = ["|".join(map(str, folders)), "|".join(SECRETS)]
    done = subprocess.run([sys.executable, "-c", _LOOK, *words], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the engine makes its session folder."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[CorpusFile]:
    folder = tmp_path_factory.mktemp("traces")
    return make_ct_series(folder, COUNT, 30_000, patient_id=ID, patient_name=NAME, study=71)


@pytest.fixture(scope="module")
def pacs(dcmqrscp: Dcmqrscp, files: list[CorpusFile]) -> Dcmqrscp:
    """A dcmqrscp, with TCP_NODELAY, that has them."""
    dcmqrscp.load(files)
    return dcmqrscp


@pytest.fixture
def others(bench: Any, tmp_path: Path) -> Iterator[list[CorpusFile]]:
    """Somebody else, who stays."""
    made = make_ct_series(tmp_path / "others", 2, 2_000, patient_id="STAYS", patient_name="Stays^Here", study=72)
    assert bench.run("import", tmp_path / "others").code == 0
    yield made
    assert bench.run("verify").document["ok"]
    assert bench.run("list").document["patients"][0]["patient_id"] == "STAYS"


def use(engine: Engine, files: list[CorpusFile], dead_port: int, export: Path) -> None:
    """Do with a patient whatever leaves something somewhere, in vain too."""
    engine.local(QueryFilter(patient_name="zeb"), Level.IMAGE)
    engine.thumbnail(files[0].series_uid)
    engine.stack(files[0].series_uid)
    engine.frame(files[0].sop_uid, 0)
    assert engine.elements(files[0].sop_uid).total > 10
    engine.export(PATIENT, export)
    engine.save_server(Server("DEAD", "127.0.0.1", dead_port, "DEAD"))
    result = engine.send(PATIENT, "DEAD")
    assert not result.complete


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("undoable", [False, True])
def test_of_who_is_on_no_server_nothing_is_left(
    bench: Any, temporary: Path, files: list[CorpusFile], dead_port: int, tmp_path: Path, undoable: bool
):
    assert bench.run("import", files[0].path.parent).code == 0
    with bench.engine() as engine:
        use(engine, files, dead_port, tmp_path / "export")
        assert traces(bench.database, temporary) != []
        assert engine.remove(PATIENT, undoable).instances == COUNT
        left = [line for line in traces(bench.database, temporary) if not line.startswith(".trash/")]
        assert left == []
        assert engine.verify().ok
    assert traces(bench.database, temporary) == []


@pytest.mark.usefixtures("others")
def test_what_a_server_said_stays_until_the_server_is_forgotten(
    bench: Any, temporary: Path, pacs: Dcmqrscp, files: list[CorpusFile], dead_port: int, tmp_path: Path
):
    bench.add("pacs", pacs)
    with bench.engine() as engine:
        engine.query(QueryFilter(patient_id=ID), Level.SERIES)
        assert engine.retrieve(PATIENT, "pacs").complete
        use(engine, files, dead_port, tmp_path / "export")
        assert engine.remove(PATIENT).instances == COUNT
        left = {line.split()[0] for line in traces(bench.database, temporary)}
        assert left <= {"visual-dicom-browser.sqlite", "visual-dicom-browser.sqlite-wal"}
        assert engine.query(QueryFilter(patient_id=ID), Level.PATIENT).patients[0]["name"] == NAME
        engine.remove_server("pacs")
        assert traces(bench.database, temporary) == []


@pytest.mark.usefixtures("others")
def test_what_runs_and_what_was_left_over_does_not_bring_it_back(
    bench: Any, temporary: Path, pacs: Dcmqrscp, files: list[CorpusFile]
):
    with FaultProxy(pacs.address, to_client=[Stall(after=60_000)]) as proxy, ThreadPoolExecutor(1) as pool:
        bench.add("pacs", proxy.address, called_aet=pacs.ae_title)
        engine = bench.engine()
        running = pool.submit(engine.retrieve, PATIENT, "pacs")
        wait_until(lambda: proxy.happened.is_set() and engine.verify().rows > 2, what="something to be here")
        engine.close()
        assert running.exception(10) is not None
        with bench.engine() as engine:
            (left,) = engine.unfinished_jobs()
            again = pool.submit(engine.retrieve, PATIENT, "pacs")
            wait_until(lambda: any(one.state is JobState.RUNNING for one in engine.jobs()), what="a running retrieve")
            assert engine.remove(PATIENT).instances > 0
            assert isinstance(again.exception(5), Cancelled)
            assert engine.unfinished_jobs() == []
            assert left.job_id not in {one.job_id for one in engine.queued_jobs().records}
            assert engine.queued_jobs().records == ()
            engine.remove_server("pacs")
            assert traces(bench.database, temporary) == []
    assert bench.run("verify").document["rows"] == 2


def test_jobs_about_more_than_what_is_removed_are_kept(bench: Any, files: list[CorpusFile], dead_port: int):
    other = make_ct_series(bench.root / "more", 2, 2_000, patient_id=ID, patient_name=NAME, study=73)
    assert bench.run("import", files[0].path.parent, bench.root / "more").code == 0
    with bench.engine() as engine:
        for name, target in (("DEAD", PATIENT), ("TOO", Target(Level.STUDY, (other[0].study_uid,)))):
            engine.save_server(Server(name, "127.0.0.1", dead_port, "DEAD"))
            assert not engine.send(target, name).complete
        engine.remove(Target(Level.IMAGE, (other[0].sop_uid,)))
        assert len(engine.queued_jobs().records) == 2
        engine.remove(Target(Level.SERIES, (other[0].series_uid,)))
        assert [one.description.params["level"] for one in engine.queued_jobs().records] == ["patient"]
        assert len(engine.jobs()) >= 2


def test_an_undone_removal_is_as_it_was(bench: Any, temporary: Path, files: list[CorpusFile]):
    assert bench.run("import", files[0].path.parent).code == 0
    with bench.engine() as engine:
        before = state_of(engine, files)
        removed = engine.remove(PATIENT, undoable=True)
        assert engine.undo_remove(removed.trash).instances == COUNT
        assert state_of(engine, files) == before


def state_of(engine: Engine, files: list[CorpusFile]) -> list[object]:
    """Everything about a series that can be seen: names and bytes of its files, rows, tags, picture."""
    store = engine._store
    paths = [store.path_of(one) for one in store.catalogue.local_files(Level.PATIENT, [ID])]
    content = store._rows.snapshot()
    tags = store._rows.tags_for([file.sop_uid for file in files], ["0010,0010", "0008,0016", "0020,0013"])
    listed = engine.local(QueryFilter(patient_id=ID), Level.IMAGE).patients
    picture = Path(engine.thumbnail(files[0].series_uid).path)
    return [
        {path: path.read_bytes() for path in paths},
        [patient.patient_id for patient in content.patients],
        [(one.study_uid, one.date, one.description) for one in content.studies],
        content.series,
        sorted(content.images, key=lambda image: image.sop_uid),
        tags,
        listed,
        (picture, picture.read_bytes()),
    ]
