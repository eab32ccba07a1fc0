"""Nothing takes long on the GUI thread: the longest stretches of work, with generous bounds.

The bounds fail where something grows with the number of persons or series; ``bench gui`` measures the real figures.
Processor time of this thread alone is counted, so a busy machine does not fail them.
"""

from __future__ import annotations

import statistics

import pytest
from PySide6 import QtTest

from support.catalogue_filler import Filling, add_patient, fill
from support.fake_session import FakeSession
from support.gui_watch import turn_wheel, turns
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.overview import Places
from VisualDICOMBrowserLib.gui.browser_widget import BrowserWidget
from VisualDICOMBrowserLib.gui.studies import thumbnail_requests
from VisualDICOMBrowserLib.store.reader import CatalogueReader

#: Milliseconds of one turn; the aim is 16.
BOUND = 50


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    folder = tmp_path_factory.mktemp("budgets")
    fill(folder, Filling(patients=1500, series=6000, local=False))
    add_patient(folder, 50_000, "Ordinary^Patient", 10, 10)
    return folder


@pytest.fixture
def browser(database, qtbot):
    session = FakeSession()
    session.reader = CatalogueReader(database)
    session.close = session.reader.close
    widget = BrowserWidget(session)
    widget.resize(1280, 820)
    widget.show()
    qtbot.addWidget(widget)
    qtbot.waitExposed(widget)
    qtbot.wait(100)
    yield widget
    widget.close_session()


@pytest.fixture
def ordinary(browser):
    reader = browser._session.reader
    (key,) = reader.patient_rows(QueryFilter(patient_name="Ordinary*"), Places())
    return key


def longest_turns(qtbot, act, times=3):
    """Do something some times; return the median of the longest turn of each, in milliseconds."""
    longest = []
    for _ in range(times):
        with turns() as spent:
            act()
            qtbot.wait(250)
        longest.append(1000 * max(spent))
    return statistics.median(longest)


def pictures_are_here(browser):
    sheet = browser._page.sheet
    rows = sheet.canvas.visible_rows()
    return bool(rows) and all(sheet._picture(row) is not None for row in rows)


def test_choosing_a_patient_of_a_hundred_series_keeps_the_thread_free(browser, ordinary, qtbot):
    keys = iter([ordinary, browser._patients._model.keys[0]] * 3)
    assert longest_turns(qtbot, lambda: browser.choose_patient(next(keys)), times=5) < BOUND


def test_typing_among_many_patients_keeps_the_thread_free(browser, qtbot):
    field = browser._search_bar._field
    assert longest_turns(qtbot, lambda: QtTest.QTest.keyClick(field, "d")) < BOUND
    assert len(browser._patients._model.keys) < 1501


def test_news_of_the_catalogue_keep_the_thread_free(browser, ordinary, qtbot):
    browser.choose_patient(ordinary)
    qtbot.waitUntil(lambda: pictures_are_here(browser))
    assert longest_turns(qtbot, browser._session.catalogue_changed.emit) < BOUND


def test_scrolling_keeps_the_thread_free_and_finds_its_pictures_read(browser, ordinary, qtbot):
    sheet = browser._page.sheet
    browser.choose_patient(ordinary)
    qtbot.waitUntil(lambda: len(sheet.content.studies) == 10)
    for study in list(sheet.content.studies):
        sheet.unfold(study.study.study_uid)
    qtbot.waitUntil(lambda: pictures_are_here(browser))
    top = sheet.canvas.top
    assert longest_turns(qtbot, lambda: turn_wheel(sheet.canvas, -1)) < BOUND
    assert sheet.canvas.top > top
    assert pictures_are_here(browser)


def test_news_of_a_row_do_not_lay_out_the_whole_list(browser, qtbot, monkeypatch):
    asked = []
    model = browser._patients._model
    row_count = type(model).rowCount
    monkeypatch.setattr(type(model), "rowCount", lambda self, *parent: asked.append(1) or row_count(self, *parent))
    browser._session.catalogue_changed.emit()
    qtbot.wait(100)
    assert len(asked) < 200


def test_pictures_near_what_is_seen_are_read_ahead(browser, ordinary, qtbot):
    sheet = browser._page.sheet
    browser.choose_patient(ordinary)
    qtbot.waitUntil(lambda: len(sheet.content.studies) == 10)
    for study in list(sheet.content.studies):
        sheet.unfold(study.study.study_uid)

    def are_read() -> bool:
        seen = {row.uid for row in sheet.canvas.visible_rows()}
        ahead = [row for row in sheet.canvas.rows_around() if row.uid not in seen]
        return bool(ahead) and all(sheet._picture(row) is not None for row in ahead)

    qtbot.waitUntil(are_read, timeout=20_000)
    assert are_read()


def test_answers_about_pictures_do_not_pile_up(qtbot, monkeypatch):
    monkeypatch.setattr(thumbnail_requests, "MAX_REMEMBERED", 3)
    session = FakeSession()
    requests = thumbnail_requests.ThumbnailRequests(session)
    for number in range(6):
        requests.want({f"1.2.{number}": ()})
        session.asked("thumbnail")[-1].answer({"path": f"{number}.png"})
    remembered = [requests.thumbnail(f"1.2.{number}") is not None for number in range(6)]
    assert remembered == [False] * 3 + [True] * 3


def test_reading_unchanged_series_again_gives_the_same_records(database):
    reader = CatalogueReader(database)
    try:
        (key,) = reader.patient_rows(QueryFilter(patient_name="Ordinary*"), Places())
        studies = [row.study.study_uid for row in reader.studies(key, QueryFilter(), Places())]
        first, again = (reader.series(studies, QueryFilter(), Places()) for _ in range(2))
    finally:
        reader.close()
    assert sum(map(len, first.values())) == 100
    assert all(one is other for uid in studies for one, other in zip(first[uid], again[uid], strict=True))
