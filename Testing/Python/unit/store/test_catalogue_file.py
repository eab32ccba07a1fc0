"""The catalogue's file: traces after removals, damage, other versions, readers and threads, odd file systems."""

from __future__ import annotations

import random
import sqlite3
import threading
from pathlib import Path

import pytest

from support.large_folder import Person
from support.waiting import join_all
from unit.store.store_kit import change, child, rows
from VisualDICOMBrowserLib.domain.errors import StorageError
from VisualDICOMBrowserLib.domain.model import Instance, Patient, Series, Study
from VisualDICOMBrowserLib.store import catalogue_schema, damage, sqlite
from VisualDICOMBrowserLib.store.catalogue import Catalogue, LocalInstance

_READ_ALONG = """
import sys
from pathlib import Path
from VisualDICOMBrowserLib.domain.model import Level
from VisualDICOMBrowserLib.store.catalogue import Catalogue
catalogue = Catalogue.open(Path(sys.argv[1]), read_only=True)
assert not catalogue.writable
print("open", flush=True)
for line in sys.stdin:
    if line == "hold\\n":
        catalogue._connection.execute("BEGIN")
    if line == "let go\\n":
        catalogue._connection.execute("COMMIT")
    print(*catalogue.local_totals(), flush=True)
catalogue.close()
"""


def _local(number: int, name: str = "Doe^Jane") -> LocalInstance:
    study = Study(f"1.{number}", Patient(f"ID-{number}", name, "19700101"))
    series = Series(f"1.{number}.1", study.study_uid, description=f"Series of {name}")
    return LocalInstance(
        study, series, Instance(f"1.{number}.1.1", series.series_uid, study.study_uid), f"dicom/{number}"
    )


def _everything(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(path.name + "*")))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalogue.sqlite"


@pytest.fixture
def catalogue(path: Path):
    opened = Catalogue.open(path)
    yield opened
    opened.close()


# Traces


def test_a_removal_leaves_no_name_in_file_and_log(catalogue, path):
    generator = random.Random(1)
    names = [f"Secret{generator.randrange(10**12):012}^Name" for _ in range(600)]
    kept = set(names[::2])
    for number, name in enumerate(names):  # one by one, so that pages fill and split as in years of use
        catalogue.add_local([_local(number, name)])
    catalogue.add_intents(
        "remove", [(f"1.{n}.1.1", f"/data/{name}/1", "") for n, name in enumerate(names) if name not in kept]
    )
    catalogue.remove_local([f"1.{n}.1.1" for n, name in enumerate(names) if name not in kept])
    catalogue.clear_intents("unlink", [uid for uid, _, _ in catalogue.intents("unlink")])
    traces = _everything(path)  # the locks do not matter here: nobody else has it open
    assert [name for name in names if name.encode() in traces and name not in kept] == []
    assert {name for name in names if name.encode() in traces} == kept


@pytest.mark.parametrize("small", [True, False])
def test_forgetting_a_server_leaves_no_copy_that_sqlite_made_when_it_moved_rows(catalogue, path, monkeypatch, small):
    monkeypatch.setattr(sqlite, "SMALL", sqlite.SMALL if small else 0)
    generator = random.Random(3)
    secrets = ["".join(generator.choices("bcdfghjkvwxz", k=10)) + "^Q" for _ in range(60)]
    for turn, name in enumerate(secrets):
        catalogue.note_found("GONE", [Study(f"9.{turn}", Patient(f"S{turn:05}", name))])
        others = [Person.made(number) for number in range(1 + turn * 50, 51 + turn * 50)]
        kept = [Patient(one.patient_id, one.name, one.birth_date.replace("-", "")) for one in others]
        catalogue.note_found("KEPT", [Study(f"1.{turn}.{n}", patient) for n, patient in enumerate(kept)])
    catalogue.forget_server("GONE")
    if not small:
        catalogue.rewrite()
    traces = _everything(path).lower()
    assert [name for name in secrets if name[:6].encode() in traces] == []
    assert kept[-1].name.lower().encode() in traces


def test_a_name_that_a_file_corrects_leaves_no_trace_when_its_server_is_forgotten(catalogue, path):
    catalogue.note_found("PACS", [Study("1.1", Patient("4711", "Wrong^Name", "19700101"))])
    catalogue.add_local(
        [LocalInstance(Study("1.1", Patient("4712", "Right^Name")), Series("2", "1.1"), Instance("3", "2", "1.1"), "x")]
    )
    assert b"Wrong^Name" in _everything(path)  # what the server says, whoever is shown
    catalogue.forget_server("PACS")
    assert b"Wrong^Name" not in _everything(path)
    assert b"Right^Name" in _everything(path)


def test_what_a_file_said_leaves_no_trace_after_its_removal_though_the_study_stays(catalogue, path):
    patient = Patient("4711", "DOE^JANE")
    catalogue.note_found("PACS", [Study("1.1", patient)], [Series("2", "1.1")])
    local = Patient("4711", "Doe^Jane", "19700101", "F", "Hospital")
    catalogue.add_local([LocalInstance(Study("1.1", local), Series("2", "1.1"), Instance("3", "2", "1.1"), "x")])
    assert b"Doe^Jane" in _everything(path)
    catalogue.remove_local(["3"])
    assert catalogue.find_study("1.1").patient == patient
    assert b"Doe^Jane" not in _everything(path)
    assert b"19700101" not in _everything(path)


def test_a_finished_job_leaves_no_trace(catalogue, path):
    catalogue.save_job("1", "running", 1.0, '{"uids": ["SECRET-ID"]}')
    assert b"SECRET-ID" in _everything(path)
    catalogue.delete_job("1")
    assert b"SECRET-ID" not in _everything(path)


def test_while_another_process_reads_the_traces_stay_until_it_lets_go(catalogue, path):
    catalogue.add_local([_local(1, "Secret^Name")])
    with child(_READ_ALONG, path) as reader:
        assert reader.stdout.readline() == b"open\n"
        reader.stdin.write(b"hold\n")
        reader.stdin.flush()
        assert reader.stdout.readline() == b"1 1 1 1\n"
        catalogue.remove_local(["1.1.1.1"])  # is not kept waiting by the reader
        assert catalogue.local_totals() == (0, 0, 0, 0)
        reader.stdin.write(b"let go\n")
        reader.stdin.flush()
        assert reader.stdout.readline() == b"0 0 0 0\n"
        catalogue.save_job("1", "queued", 1.0, "{}")  # whatever is written next
        assert rows_in_child(path) == "[]"
        assert b"Secret^Name" not in _everything(path)
        reader.stdin.close()
        assert reader.wait(10) == 0


def rows_in_child(path: Path) -> str:
    code = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT name FROM patients').fetchall())"
    with child(code, path) as process:
        return process.communicate(timeout=30)[0].decode().strip()


def test_a_removal_interrupted_before_its_traces_were_wiped_is_made_good_at_the_next_start(path):
    code = """
import os, sys
from pathlib import Path
from unit.store.test_catalogue_file import _local
from VisualDICOMBrowserLib.store.catalogue import Catalogue
catalogue = Catalogue.open(Path(sys.argv[1]))
catalogue.add_local([_local(1, "Secret^Name")])
catalogue._scrub = lambda: None
catalogue.remove_local(["1.1.1.1"])
os._exit(0)
"""
    with child(code, path) as process:
        assert process.wait(30) == 0
    assert b"Secret^Name" in _everything(path)
    catalogue = Catalogue.open(path)
    assert b"Secret^Name" not in _everything(path)
    catalogue.close()


def test_closing_leaves_one_file(catalogue, path):
    catalogue.add_local([_local(1)])
    catalogue.close()
    catalogue.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with pytest.raises(StorageError):
        catalogue.local_totals()


# Damage and other versions


def _fill(path: Path, count: int = 300) -> None:
    catalogue = Catalogue.open(path)
    catalogue.add_local([_local(number) for number in range(count)])
    catalogue.close()


@pytest.mark.parametrize("content", [b"no database" * 500, b"\0" * 4096, b"SQLite format 3\0" + b"\xff" * 5000])
def test_what_is_no_database_is_set_aside(path, content):
    path.write_bytes(content)
    catalogue = Catalogue.open(path)
    catalogue.add_local([_local(1)])
    assert catalogue.local_totals() == (1, 1, 1, 1)
    assert path.with_name("catalogue.sqlite.unusable").read_bytes() == content
    catalogue.close()


def test_an_empty_file_becomes_a_catalogue(path):
    path.touch()
    _fill(path)
    assert not path.with_name("catalogue.sqlite.unusable").exists()


@pytest.mark.parametrize("statement", ["UPDATE meta SET value = '0'", "DELETE FROM meta", "DROP TABLE meta"])
def test_another_version_is_set_aside_and_made_anew(path, statement):
    _fill(path)
    change(path, statement)
    before = path.read_bytes()
    catalogue = Catalogue.open(path)
    assert catalogue.local_totals() == (0, 0, 0, 0)
    aside = path.with_name("catalogue.sqlite.unusable")
    assert aside.read_bytes() == before
    catalogue.add_local([_local(1)])
    catalogue.remove_local(["1.1.1.1"])
    assert not aside.exists()  # it names patients
    catalogue.close()


def test_a_locked_catalogue_is_not_set_aside(path, monkeypatch):
    _fill(path)
    monkeypatch.setattr("VisualDICOMBrowserLib.store.sqlite.BUSY_TIMEOUT_S", 0.0)
    code = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA locking_mode = EXCLUSIVE")
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""
    with child(code, path) as holder:
        assert holder.stdout.readline() == b"held\n"
        for read_only in (False, True):
            with pytest.raises(StorageError, match="locked") as caught:
                Catalogue.open(path, read_only=read_only)
            assert caught.value.retryable
    assert [file.name for file in path.parent.glob("*.unusable")] == []
    catalogue = Catalogue.open(path)
    assert catalogue.local_totals() == (300, 300, 300, 300)
    catalogue.close()


def test_a_catalogue_that_cannot_be_opened_is_left_alone(tmp_path):
    (tmp_path / "catalogue.sqlite").mkdir()
    with pytest.raises(StorageError):
        Catalogue.open(tmp_path / "catalogue.sqlite")
    assert (tmp_path / "catalogue.sqlite").is_dir()


def test_damage_in_the_middle_is_a_storage_error_and_known_as_damage(path):
    _fill(path)
    data = bytearray(path.read_bytes())
    data[32 * 4096 :] = b"\xa5" * (len(data) - 32 * 4096)  # behind the roots of the tables
    path.write_bytes(data)
    catalogue = Catalogue.open(path)
    with pytest.raises(StorageError, match="damaged"):
        catalogue.local_totals()
    catalogue.close()
    assert damage.is_damaged(path)
    _fill(path.with_name("other"))
    assert not damage.is_damaged(path.with_name("other"))


def test_read_only_a_missing_or_unusable_catalogue_is_an_empty_one_in_memory(path):
    for content in (None, b"nonsense" * 1000):
        if content is not None:
            path.write_bytes(content)
        catalogue = Catalogue.open(path, read_only=True)
        assert catalogue.writable
        catalogue.add_local([_local(1)])
        assert catalogue.local_totals() == (1, 1, 1, 1)
        catalogue.close()
        assert (path.read_bytes() if path.exists() else None) == content


def test_read_only_nothing_can_be_written_unless_it_is_detached(path):
    _fill(path, 2)
    before = path.read_bytes()
    catalogue = Catalogue.open(path, read_only=True)
    assert not catalogue.writable
    with pytest.raises(StorageError):
        catalogue.add_local([_local(5)])
    copy = catalogue.detached()
    assert copy.writable
    copy.add_local([_local(5)])
    assert copy.local_totals() == (3, 3, 3, 3)
    assert catalogue.local_totals() == (2, 2, 2, 2)
    copy.close()
    catalogue.close()
    assert path.read_bytes() == before


# Others who use it at the same time


def test_another_process_sees_what_is_written(catalogue, path):
    with child(_READ_ALONG, path) as reader:
        assert reader.stdout.readline() == b"open\n"
        for number in range(20):
            catalogue.add_local([_local(number)])
            reader.stdin.write(b"\n")
            reader.stdin.flush()
            assert reader.stdout.readline().split() == [str(number + 1).encode()] * 4
        reader.stdin.close()
        assert reader.wait(10) == 0


def test_threads_may_share_a_catalogue(catalogue):
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            for n in range(25):
                item = _local(worker * 1000 + n)
                catalogue.add_intents("receive", [(item.instance.sop_uid, item.file, "x")])
                catalogue.add_local([item])
                catalogue.note_found("PACS", [item.study], [item.series], [item.instance])
                assert catalogue.local_counts([item.series.series_uid]) == {item.series.series_uid: 1}
                list(catalogue.local_studies())
                if n % 2:
                    catalogue.remove_local([item.instance.sop_uid])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    join_all(threads, 60)
    assert failures == []
    assert catalogue.local_totals() == (52, 52, 52, 52)
    assert catalogue.intents("receive") == []


def test_a_statement_that_fails_undoes_its_transaction(catalogue):
    def studies():
        yield _local(1).study
        raise KeyError("no more")

    with pytest.raises(KeyError):
        catalogue.note_found("PACS", studies())
    assert rows_of(catalogue, "SELECT count(*) FROM studies") == [(0,)]
    catalogue.add_local([_local(1)])
    assert catalogue.local_totals() == (1, 1, 1, 1)


def rows_of(catalogue: Catalogue, statement: str) -> list[tuple[object, ...]]:
    return catalogue._rows(statement)


# File systems


def test_where_memory_cannot_be_shared_a_rollback_journal_is_used(path):
    path.with_name(path.name + "-shm").mkdir()  # what SQLite would map
    _fill(path, 3)
    catalogue = Catalogue.open(path)
    assert catalogue.local_totals() == (3, 3, 3, 3)
    assert rows_of(catalogue, "PRAGMA journal_mode") == [("delete",)]
    assert rows_of(catalogue, "PRAGMA synchronous") == [(2,)]
    with child(_READ_ALONG, path) as reader:
        assert reader.stdout.readline() == b"open\n"
        catalogue.remove_local(["1.1.1.1"])
        assert b"ID-1" not in path.read_bytes()
        reader.stdin.close()
        assert reader.stdout.read() == b""
    catalogue.close()


def test_where_the_vfs_knows_no_log_it_is_done_without(path, monkeypatch):
    original = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda name, **options: original(f"{name}&vfs=unix-dotfile", **options))
    catalogue = Catalogue.open(path)
    assert rows_of(catalogue, "PRAGMA journal_mode") == [("delete",)]
    catalogue.add_local([_local(1)])
    catalogue.add_intents("remove", [("1.1.1.1", "x", "")])
    assert rows_of(catalogue, "PRAGMA synchronous") == [(2,)]
    catalogue.close()


def test_a_log_of_a_crash_is_not_lost_where_memory_cannot_be_shared(path):
    code = """
import os, sys
from pathlib import Path
from unit.store.test_catalogue_file import _local
from VisualDICOMBrowserLib.store.catalogue import Catalogue
catalogue = Catalogue.open(Path(sys.argv[1]))
catalogue.add_local([_local(1)])
os._exit(0)
"""
    with child(code, path) as process:
        assert process.wait(30) == 0
    path.with_name(path.name + "-shm").unlink()
    path.with_name(path.name + "-shm").mkdir()
    catalogue = Catalogue.open(path)
    assert catalogue.local_totals() == (1, 1, 1, 1)
    catalogue.close()


def test_intents_are_on_the_disk_when_they_are_written_down(catalogue, monkeypatch):
    seen: list[object] = []
    original = catalogue_schema.transaction
    monkeypatch.setattr(
        "VisualDICOMBrowserLib.store.catalogue_connection.transaction",
        lambda db: (seen.append(db.execute("PRAGMA synchronous").fetchall()[0][0]), original(db))[1],
    )
    catalogue.add_intents("receive", [("1.2", "f", "s")])
    catalogue.clear_intents("receive", ["1.2"])
    assert seen == [2, 1]


def test_a_full_disk_is_said_and_the_catalogue_goes_on_afterwards(catalogue):
    pages = rows_of(catalogue, "PRAGMA page_count")[0][0]
    rows_of(catalogue, f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StorageError, match="The disk is full"):
        catalogue.add_local([_local(number) for number in range(500)])
    assert catalogue.local_totals() == (0, 0, 0, 0)
    rows_of(catalogue, "PRAGMA max_page_count = 1000000")
    catalogue.add_local([_local(number) for number in range(500)])
    assert catalogue.local_totals() == (500, 500, 500, 500)
    assert rows_of(catalogue, "PRAGMA integrity_check") == [("ok",)]


def test_a_crash_while_the_tables_are_made_leaves_none(path, monkeypatch):
    monkeypatch.setattr(catalogue_schema, "TABLES", "CREATE TABLE meta (key TEXT, value TEXT);\nCREATE NONSENSE;\n")
    with pytest.raises(StorageError):
        Catalogue.open(path)
    monkeypatch.undo()
    assert rows(path, "SELECT name FROM sqlite_master") == []
    _fill(path)
    assert rows(path, "SELECT count(*) FROM instances") == [(300,)]
