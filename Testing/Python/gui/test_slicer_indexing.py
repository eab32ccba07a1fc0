"""What the engine wants done in Slicer's database is done there, one thing at a time, and reported."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import qt

from support.slicer_fakes.database import FakeSlicer, work
from support.synthetic import make_ct_series
from VisualDICOMBrowserLib.domain.errors import LocalError, StorageError
from VisualDICOMBrowserLib.gui.parts.signals import Signal
from VisualDICOMBrowserLib.host_slicer import batch_indexer, changes, indexing, pace

SHORT_MS = 20
NO_BATCH = {"batch": 0, "files": [], "left": 0, "urgent": False}
NO_REMOVAL = {"removal": "", "series": []}


@pytest.fixture
def slicer(monkeypatch, tmp_path):
    fake = FakeSlicer(tmp_path / "database")
    fake.install(monkeypatch)
    return fake


@pytest.fixture
def files(tmp_path):
    return make_ct_series(tmp_path / "database" / "dicom" / "a", 3, 200)


@pytest.fixture
def soon(monkeypatch):
    """Make all pauses short but those between batches, and before changes are told."""
    monkeypatch.setattr(batch_indexer, "_LOOK_MS", SHORT_MS)
    monkeypatch.setattr(indexing, "_FIRST_PAUSE_S", SHORT_MS / 1000)
    monkeypatch.setattr(indexing, "_LOOK_AGAIN_S", SHORT_MS / 1000)


class Engine:
    """Answers what the keeper asks, as the engine would, when told to.

    :ivar keeper: the part under test.
    """

    def __init__(self, session, slicer):
        self.session = session
        self.slicer = slicer
        self.keeper = indexing.DatabaseKeeper(session)

    def names(self):
        return [ask.method for ask in self.session.asks]

    def open_asks(self):
        return [ask for ask in self.session.asks if not ask.settled]

    def answer(self, method, **result):
        """Answer the only open call, which is this."""
        (ask,) = self.open_asks()
        assert ask.method == method
        ask.answer(result)
        return ask.params

    def rest(self):
        """Answer what is asked at the start: there is nothing."""
        self.answer("series_to_remove", **NO_REMOVAL)
        self.answer("index_batch", **NO_BATCH)
        assert self.open_asks() == []
        self.session.asks.clear()

    def give(self, batch, names, left=0, *, urgent=False):
        self.answer("index_batch", batch=batch, files=[str(name) for name in names], left=left, urgent=urgent)

    def want(self, *, urgent=False):
        self.session.index_wanted.emit({"files": 1, "urgent": urgent})

    def end(self):
        """Have the engine go away; its open calls fail then."""
        self.session.ready = False
        self.session.ready_changed.emit(False, "It is gone.")
        for ask in self.open_asks():
            ask.fail(LocalError("It is gone."))

    def begin(self):
        self.session.ready = True
        self.session.ready_changed.emit(True, "")


@pytest.fixture
def following(monkeypatch):
    """Make changes be told soon, too; comes before the engine."""
    monkeypatch.setattr(changes, "PAUSE_MS", SHORT_MS)


@pytest.fixture
def engine(session, slicer, soon):
    engine = Engine(session, slicer)
    yield engine
    engine.keeper.close()


@pytest.fixture
def resting(engine):
    engine.rest()
    return engine


def test_at_the_start_the_engine_is_asked_for_removals_and_files(engine):
    engine.answer("series_to_remove", **NO_REMOVAL)
    engine.answer("index_batch", **NO_BATCH)
    assert engine.names() == ["series_to_remove", "index_batch"]
    assert engine.open_asks() == []


def test_an_engine_that_is_not_up_is_asked_when_it_is(session, slicer):
    session.ready = False
    engine = Engine(session, slicer)
    assert session.asks == []
    engine.begin()
    engine.rest()
    engine.keeper.close()


def test_files_are_handed_over_in_one_call_and_reported(resting, slicer, files, tmp_path):
    (linked,) = make_ct_series(tmp_path / "elsewhere", 1, 200, study=2)
    resting.want()
    names = [file.path.relative_to(tmp_path / "database") for file in files]
    resting.give(7, [*names, linked.path])
    assert slicer.indexer._calls == [[str(file.path) for file in [*files, linked]]]
    assert resting.open_asks() == []
    work(slicer.indexer)
    assert slicer.database.filesForSeries(files[0].series_uid) == tuple(str(file.path) for file in files)
    assert resting.answer("index_done", settled=4, missing=0) == {"batch": 7}
    assert resting.open_asks() == []


def test_one_indexer_does_all_batches(resting, slicer, files):
    for batch, file in enumerate(files, 1):
        resting.want(urgent=True)
        resting.give(batch, [file.path])
        work(slicer.indexer)
        resting.answer("index_done", settled=1, missing=0)
    assert len(slicer.indexer._calls) == 3
    assert slicer.database.imagesCount() == 3


def test_no_files_are_added_while_a_batch_runs(resting, slicer, files):
    resting.want(urgent=True)
    resting.give(1, [files[0].path])
    for _ in range(3):
        resting.want(urgent=True)
    assert resting.open_asks() == []
    work(slicer.indexer)
    resting.answer("index_done", settled=1, missing=0)
    resting.give(2, [files[1].path])
    assert len(slicer.indexer._calls) == 2


def test_what_is_left_or_missing_is_asked_for_again(resting, slicer, files):
    resting.want(urgent=True)
    resting.give(1, [files[0].path], left=1, urgent=True)
    work(slicer.indexer)
    resting.answer("index_done", settled=1, missing=0)
    resting.give(2, [files[1].path], urgent=True)
    work(slicer.indexer)
    resting.answer("index_done", settled=1, missing=1)
    resting.give(3, [files[1].path], urgent=True)
    assert resting.names().count("index_done") == 2


def test_a_batch_that_failed_altogether_is_not_tried_again_at_once(resting, slicer, files, qtbot):
    resting.want(urgent=True)
    resting.give(1, [files[0].path], urgent=True)
    work(slicer.indexer)
    resting.answer("index_done", settled=0, missing=1)
    resting.want(urgent=True)
    assert resting.open_asks() == []
    qtbot.waitUntil(lambda: bool(resting.open_asks()))
    resting.give(2, [files[0].path], urgent=True)


def test_a_wish_whose_urgency_was_lost_may_be_urgent(resting, slicer, files):
    resting.want()
    resting.give(1, [files[0].path])
    work(slicer.indexer)
    resting.answer("index_done", settled=1, missing=0)
    resting.session.index_wanted.emit({})
    resting.give(2, [files[1].path])
    assert resting.names().count("index_done") == 1


def test_batches_that_nobody_waits_for_keep_their_distance(resting, slicer, files, qtbot, monkeypatch):
    monkeypatch.setattr(pace, "INTERVAL_S", 0.3)
    resting.want()
    resting.give(1, [files[0].path])
    work(slicer.indexer)
    resting.answer("index_done", settled=1, missing=0)
    resting.want()
    assert resting.open_asks() == []
    qtbot.waitUntil(lambda: bool(resting.open_asks()))
    resting.give(2, [files[1].path])


def test_an_urgent_wish_ends_the_wait(resting, slicer, files):
    resting.want()
    resting.give(1, [files[0].path], left=1)
    work(slicer.indexer)
    resting.answer("index_done", settled=1, missing=0)
    assert resting.open_asks() == []
    resting.want(urgent=True)
    resting.give(2, [files[1].path])


@pytest.mark.expects_log("without a word")
def test_an_indexer_that_falls_silent_ends_the_batch(resting, slicer, files, qtbot):
    resting.want()
    resting.give(1, [files[0].path])
    slicer.indexer._importing = False
    qtbot.waitUntil(lambda: resting.names()[-1] == "index_done")
    resting.answer("index_done", settled=0, missing=0)
    assert resting.names().count("index_done") == 1


def test_an_indexer_at_work_is_waited_for(resting, slicer, files, qtbot):
    resting.want()
    resting.give(1, [files[0].path])
    qtbot.wait(10 * batch_indexer._SILENT_LOOKS * SHORT_MS // 5)
    assert resting.open_asks() == []
    work(slicer.indexer)
    resting.answer("index_done", settled=1, missing=0)


@pytest.mark.expects_log("did not take 1 files", "without a word")
def test_files_that_the_indexer_does_not_take_are_reported(resting, slicer, files, qtbot, caplog):
    def refuse(*_arguments):
        raise ValueError(f"Could not find matching overload for {files[0].path}")

    object.__setattr__(slicer.indexer, "addListOfFiles", refuse)
    resting.want()
    resting.give(1, [files[0].path])
    qtbot.waitUntil(lambda: bool(resting.open_asks()))
    assert resting.answer("index_done", settled=0, missing=0) == {"batch": 1}
    assert "did not take 1 files: ValueError" in caplog.text
    assert str(files[0].path) not in caplog.text


def test_series_are_removed_and_reported(resting, slicer, files, qtbot):
    index(slicer, files)
    take_away(files)
    resting.session.removal_wanted.emit({"series": 2})
    resting.answer("series_to_remove", removal="r1", series=[files[0].series_uid, "1.2.3"])
    qtbot.waitUntil(lambda: bool(resting.open_asks()))
    assert resting.answer("series_removed") == {"removal": "r1"}
    assert slicer.database._removed == [files[0].series_uid, "1.2.3"]
    assert slicer.database.imagesCount() == 0


def index(slicer, files):
    slicer.indexer.addListOfFiles([str(file.path) for file in files], False)
    work(slicer.indexer)


def take_away(files):
    """Do as the engine does before it wants series removed."""
    for file in files:
        file.path.unlink()


@pytest.mark.expects_log("did not remove 1 series")
def test_a_file_that_others_took_in_meanwhile_is_not_deleted_with_its_series(resting, slicer, files, qtbot):
    index(slicer, files)
    take_away(files[1:])
    resting.session.removal_wanted.emit({"series": 1})
    resting.answer("series_to_remove", removal="r1", series=[files[0].series_uid])
    qtbot.waitUntil(lambda: bool(resting.open_asks()))
    assert resting.answer("series_removed") == {"removal": "r1"}
    assert files[0].path.is_file()
    assert slicer.database.imagesCount() == len(files)


def test_linked_files_are_no_reason_to_keep_a_series(resting, slicer, tmp_path, qtbot):
    linked = make_ct_series(tmp_path / "elsewhere", 2, 200)
    index(slicer, linked)
    resting.session.removal_wanted.emit({"series": 1})
    resting.answer("series_to_remove", removal="r1", series=[linked[0].series_uid])
    qtbot.waitUntil(lambda: bool(resting.open_asks()))
    resting.answer("series_removed")
    assert slicer.database.imagesCount() == 0
    assert all(file.path.is_file() for file in linked)


def test_many_series_leave_the_window_its_turns(resting, slicer, qtbot, monkeypatch):
    monkeypatch.setattr("VisualDICOMBrowserLib.host_slicer.series_remover.BUDGET_S", 0)
    turns = []
    timer = qt.QTimer()
    timer.timeout.connect(lambda: turns.append(len(slicer.database._removed)))
    timer.start(0)
    resting.session.removal_wanted.emit({"series": 20})
    resting.answer("series_to_remove", removal="r", series=[f"1.2.{number}" for number in range(20)])
    qtbot.waitUntil(lambda: bool(resting.open_asks()))
    timer.stop()
    assert len(set(turns)) > 10


def test_a_removal_waits_for_the_indexer_and_goes_before_the_next_batch(resting, slicer, files):
    resting.want(urgent=True)
    resting.give(1, [files[0].path], left=2, urgent=True)
    resting.session.removal_wanted.emit({"series": 1})
    assert resting.open_asks() == []
    work(slicer.indexer)
    resting.answer("index_done", settled=1, missing=0)
    resting.answer("series_to_remove", **NO_REMOVAL)
    resting.give(2, [files[1].path])


def test_no_batch_begins_during_a_removal(resting, slicer, files, qtbot):
    resting.session.removal_wanted.emit({"series": 1})
    resting.answer("series_to_remove", removal="r", series=["1.2.3"])
    resting.want(urgent=True)
    assert resting.open_asks() == []
    qtbot.waitUntil(lambda: bool(resting.open_asks()))
    resting.answer("series_removed")
    resting.give(1, [files[0].path])


@pytest.mark.expects_log("did not remove")
def test_a_series_that_cannot_be_removed_ends_nothing(resting, slicer, files, qtbot, caplog):
    index(slicer, files)
    take_away(files)
    real = slicer.database.removeSeries

    def remove(uid, clear):
        if uid == "1.2.3":
            raise ValueError("DOE^JANE")
        return real(uid, clear)

    object.__setattr__(slicer.database, "removeSeries", remove)
    resting.session.removal_wanted.emit({"series": 2})
    resting.answer("series_to_remove", removal="r", series=["1.2.3", files[0].series_uid])
    qtbot.waitUntil(lambda: bool(resting.open_asks()))
    resting.session.removal_wanted.emit({"series": 1})
    resting.answer("series_removed")
    assert resting.open_asks() == []
    assert slicer.database.imagesCount() == 0
    assert "did not remove 1 series" in caplog.text
    assert "DOE" not in caplog.text
    qtbot.waitUntil(lambda: bool(resting.open_asks()))
    resting.answer("series_to_remove", **NO_REMOVAL)


def test_nothing_is_done_in_another_folder(resting, slicer, files, tmp_path, qtbot):
    resting.want()
    slicer.open_folder(tmp_path / "other")
    resting.give(1, [files[0].path])
    resting.answer("index_done", settled=0, missing=1)
    resting.session.removal_wanted.emit({"series": 1})
    resting.want(urgent=True)
    assert resting.open_asks() == []
    assert slicer.indexer._calls == []
    slicer.open_folder(tmp_path / "database")
    qtbot.waitUntil(lambda: bool(resting.open_asks()))
    resting.answer("series_to_remove", **NO_REMOVAL)
    resting.give(2, [files[0].path])
    assert len(slicer.indexer._calls) == 1


@pytest.mark.expects_log("did not remove 1 series")
def test_a_removal_ends_when_slicer_opens_another_folder(resting, slicer, files, tmp_path, qtbot):
    index(slicer, files)
    resting.session.removal_wanted.emit({"series": 1})
    resting.answer("series_to_remove", removal="r", series=[files[0].series_uid])
    slicer.open_folder(tmp_path / "other")
    qtbot.waitUntil(lambda: bool(resting.open_asks()))
    resting.answer("series_removed")
    assert slicer.database._removed == []


@pytest.mark.expects_log("The database is locked.")
def test_an_engine_that_cannot_answer_is_asked_again(resting, slicer, files, qtbot, caplog):
    resting.want()
    resting.give(1, [files[0].path])
    work(slicer.indexer)
    for _ in range(2):
        (ask,) = resting.open_asks()
        ask.fail(StorageError("The database is locked."))
        assert resting.open_asks() == []
        qtbot.waitUntil(lambda: bool(resting.open_asks()))
    assert resting.answer("index_done", settled=0, missing=0) == {"batch": 1}
    assert "The database is locked." in caplog.text
    resting.want(urgent=True)
    resting.give(2, [files[0].path])  # the engine offers it again


def test_the_next_engine_hears_nothing_of_the_batch_of_the_last(resting, slicer, files):
    resting.want()
    resting.give(1, [files[0].path])
    resting.end()
    resting.begin()
    assert resting.open_asks() == []
    work(slicer.indexer)
    assert "index_done" not in resting.names()
    resting.answer("series_to_remove", **NO_REMOVAL)


@pytest.mark.parametrize("method", ["series_to_remove", "index_batch"])
def test_calls_that_end_with_the_engine_are_made_to_the_next(engine, method):
    if method == "index_batch":
        engine.answer("series_to_remove", **NO_REMOVAL)
    (ask,) = engine.open_asks()
    assert ask.method == method
    engine.end()
    assert engine.open_asks() == []
    engine.begin()
    engine.rest()


def test_a_removal_ends_with_the_engine_that_wanted_it(resting, slicer, qtbot):
    resting.session.removal_wanted.emit({"series": 1})
    resting.answer("series_to_remove", removal="r", series=["1.2.3"])
    resting.end()
    resting.begin()
    resting.answer("series_to_remove", **NO_REMOVAL)
    qtbot.wait(3 * SHORT_MS)
    assert slicer.database._removed == []


def test_a_closed_keeper_gives_back_what_is_under_way(resting, slicer, files):
    resting.want()
    resting.give(5, [files[0].path])
    resting.keeper.close()
    assert slicer.indexer._waiting == []
    assert slicer.indexer._is_deleted
    assert resting.answer("index_done", settled=0, missing=1) == {"batch": 5}
    work(slicer.indexer)
    resting.want(urgent=True)
    assert resting.open_asks() == []


def test_a_keeper_that_was_closed_meanwhile_gives_back_what_comes(resting, slicer, files):
    resting.want()
    resting.keeper.close()
    resting.give(5, [files[0].path])
    assert slicer.indexer._calls == []
    assert resting.answer("index_done", settled=0, missing=1) == {"batch": 5}
    assert resting.open_asks() == []


def counting(signal: Signal) -> list[int]:
    heard: list[int] = []
    slot: Callable[[], None] = lambda: heard.append(1)  # noqa: E731
    signal.connect(slot)
    return heard


@pytest.mark.usefixtures("following")
def test_slicer_is_told_once_and_the_engine_of_what_others_change(resting, slicer, files, qtbot):
    resting.want()
    resting.give(1, [files[0].path])
    work(slicer.indexer)
    resting.answer("index_done", settled=1, missing=0)
    heard = counting(slicer.database.databaseChanged)
    qtbot.waitUntil(lambda: len(resting.open_asks()) == 1 and len(heard) == 1)
    resting.answer("refresh_local", changed=False)  # what Slicer's watch on the file noticed
    qtbot.wait(5 * SHORT_MS)
    assert len(heard) == 1
    assert resting.open_asks() == []


@pytest.mark.usefixtures("following")
def test_changes_of_others_are_followed_once(resting, slicer, qtbot):
    for _ in range(27):
        slicer.database.databaseChanged()
    assert resting.open_asks() == []
    qtbot.waitUntil(lambda: bool(resting.open_asks()))
    slicer.database.databaseChanged()
    qtbot.wait(3 * SHORT_MS)
    resting.answer("refresh_local", changed=True)
    resting.answer("refresh_local", changed=True)  # the change that came meanwhile
    heard = counting(slicer.database.databaseChanged)
    qtbot.wait(3 * SHORT_MS)
    assert resting.open_asks() == []
    assert heard == []


@pytest.mark.usefixtures("following")
def test_changes_that_come_while_the_indexer_runs_are_followed_after_it(resting, slicer, files, qtbot):
    resting.want()
    resting.give(1, [files[0].path])
    slicer.database.databaseChanged()
    qtbot.wait(5 * SHORT_MS)
    assert resting.open_asks() == []
    work(slicer.indexer)
    assert [ask.method for ask in resting.open_asks()] == ["index_done", "refresh_local"]


@pytest.mark.usefixtures("following")
@pytest.mark.expects_log("could not be followed")
def test_a_change_that_cannot_be_followed_yet_is_followed_later(resting, slicer, qtbot):
    slicer.database.databaseChanged()
    qtbot.waitUntil(lambda: bool(resting.open_asks()))
    (ask,) = resting.open_asks()
    ask.fail(StorageError("The database is locked.", retryable=True))
    qtbot.waitUntil(lambda: bool(resting.open_asks()))
    (ask,) = resting.open_asks()
    ask.fail(StorageError("The database is damaged."))
    qtbot.wait(3 * SHORT_MS)
    assert resting.open_asks() == []


@pytest.mark.usefixtures("following")
def test_a_closed_keeper_follows_nothing(resting, slicer, qtbot):
    slicer.database.databaseChanged()
    resting.keeper.close()
    slicer.database.databaseChanged()
    qtbot.wait(3 * SHORT_MS)
    assert resting.open_asks() == []
