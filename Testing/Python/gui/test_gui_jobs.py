"""Jobs in one line and in a table."""

from __future__ import annotations

import time
from typing import Any

import pytest
from PySide6.QtCore import QModelIndex, QObject, QPoint, Qt
from PySide6.QtWidgets import QApplication

from VisualDICOMBrowserLib.domain.listener import CallRecord
from VisualDICOMBrowserLib.domain.model import Series
from VisualDICOMBrowserLib.domain.overview import SeriesRow
from VisualDICOMBrowserLib.gui.activity.job_rates import JobRates
from VisualDICOMBrowserLib.gui.activity.job_watch import JobWatch
from VisualDICOMBrowserLib.gui.activity.job_words import KINDS, STATE_GLYPHS, STATES, label_of, rate_words, summary_of
from VisualDICOMBrowserLib.gui.activity.jobs_model import RATE, STATE, WHAT, JobsModel
from VisualDICOMBrowserLib.gui.activity.jobs_panel import JobsPanel
from VisualDICOMBrowserLib.gui.activity.jobs_strip import JobsStrip
from VisualDICOMBrowserLib.gui.parts.glyphs import GLYPHS
from VisualDICOMBrowserLib.jobs.description import JobKind, JobRecord
from VisualDICOMBrowserLib.jobs.states import JobState


def job(number: int, state: str = "running", **changes: Any) -> dict[str, Any]:
    values = {
        "job": {
            "job_id": f"job-{number}", "kind": changes.pop("kind", "retrieve"), "server": changes.pop("server", "PACS"),
            "params": changes.pop("params", {"level": "series", "uids": ["1.2"]}), "priority": "user",
        },
        "state": state, "reason": "", "done": 0, "total": None, "bytes": 0, "created": 1000.0 + number,
        "started": 1000.0 + number, "ended": 2000.0 + number if state in ("completed", "failed") else None,
        "retry_at": None, "tries": 1,
    }  # fmt: skip
    return {**values, **changes}


def record(number: int, state: str = "running", **changes: Any) -> JobRecord:
    return JobRecord.from_dict(job(number, state, **changes))


@pytest.fixture
def panel(session, qtbot):
    widget = JobsPanel(session)
    qtbot.addWidget(widget)
    widget.resize(900, 320)
    widget.show()
    yield widget
    widget.cleanup()


@pytest.fixture
def strip(session, qtbot):
    widget = JobsStrip(session)
    qtbot.addWidget(widget)
    widget.resize(800, 30)
    widget.show()
    yield widget
    widget.cleanup()


def ids(model: JobsModel) -> list[str]:
    return [model.record(row).job_id for row in range(model.rowCount())]


def note(session, panel, *jobs: dict[str, Any]) -> None:
    for values in jobs:
        session.jobs.note(values)
    panel._watch.look()


# without a widget


def test_a_rate_is_the_mean_of_three_seconds_and_falls_to_nothing():
    rates = JobRates()
    for second in range(11):
        rates.note("a", second * 1_000_000, float(second))
    assert rates.rate("a", 10.0) == 1_000_000
    assert rates.rate("a", 12.0) == pytest.approx(333_333, rel=0.5)
    assert rates.rate("a", 20.0) == 0.0
    assert rates.rate("unknown", 1.0) == 0.0


def test_a_new_try_counts_from_nothing_and_what_has_ended_is_forgotten():
    rates = JobRates()
    rates.note("a", 5_000_000, 0.0)
    rates.note("a", 0, 1.0)
    rates.note("a", 1_000_000, 2.0)
    assert rates.total(2.0) == 1_000_000
    rates.keep(())
    assert rates.total(2.0) == 0.0


@pytest.mark.parametrize(
    ("rate", "words"),
    [(0, ""), (900, "900 B/s"), (1234, "1.2 kB/s"), (62_000_000, "62 MB/s"), (1.5e9, "1.5 GB/s")],
)
def test_rates_are_said_in_units_that_people_use(rate, words):
    assert rate_words(rate) == words


def test_what_a_job_is_about_is_its_label_or_a_count():
    assert label_of(record(1, params={"label": "CT Abdomen", "uids": ["1"]})) == "CT Abdomen"
    assert label_of(record(1, params={"level": "study", "uids": ["1", "2"]})) == "2 studies"
    assert label_of(record(1, kind="import", params={"paths": ["/a"]})) == "1 file or folder"
    assert label_of(record(1, params={})) == ""


def test_the_sum_does_not_run_backwards_when_one_of_several_ends():
    first, second = record(1, done=50, total=100), record(2, done=0, total=100)
    before = summary_of([second, first])
    assert (before.running, before.fraction) == (2, 0.25)
    after = summary_of([second, record(1, "completed")])
    assert after.fraction == 0.5
    assert summary_of([record(1, "completed")]).fraction is None


def test_the_line_says_what_runs_what_waits_and_what_went_wrong_last():
    jobs = [record(4), record(3, "waiting"), record(2, "failed", reason="The server is out of reach."), record(1)]
    summary = summary_of(jobs)
    assert summary.words(62e6) == "2 running · 1 waiting · 62 MB/s"
    assert summary.problem == "Fetch failed: The server is out of reach."
    assert summary_of([record(1, kind="find")]).words(0) == "No jobs under way"


def test_every_kind_has_a_word_and_every_state_a_pictogram_too():
    assert set(KINDS) == set(JobKind)
    assert set(STATES) == set(STATE_GLYPHS) == set(JobState)
    assert set(STATE_GLYPHS.values()) <= set(GLYPHS)


# the table


def test_rows_come_go_and_change_without_a_reset(panel, session, qtbot):
    resets = []
    panel.model.modelReset.connect(lambda: resets.append(1))
    note(session, panel, *(job(number) for number in range(5)))
    assert ids(panel.model) == [f"job-{number}" for number in (4, 3, 2, 1, 0)]
    panel.choose("job-2")
    note(session, panel, job(7), job(3, "completed"))
    assert [record.job_id for record in panel.chosen()] == ["job-2"]
    session.jobs.forget(["job-4", "job-0"])
    panel._watch.look()
    assert ids(panel.model) == [f"job-{number}" for number in (7, 3, 2, 1)]
    assert panel.model.data(panel.model.index(1, STATE)) == "Done"
    assert resets == []


def test_changes_are_taken_together(panel, session, qtbot):
    looked = []
    panel._watch.updated.connect(lambda: looked.append(1))
    for number in range(300):
        session.jobs.note(job(1, done=number, total=300))
    assert len(looked) <= 1
    qtbot.waitUntil(lambda: len(looked) == 2 and panel.model.record(0).done == 299, timeout=2000)


def test_two_thousand_jobs_are_no_burden(panel, session):
    note(session, panel, *(job(number, "completed") for number in range(2000)))
    started = time.perf_counter()
    note(session, panel, job(2001))
    assert time.perf_counter() - started < 0.1  # a tenth is usual
    assert panel.model.rowCount() == 2001


def test_quick_jobs_are_hidden_until_asked_for_and_the_filter_looks_at_all_that_is_said(panel, session, qtbot):
    params = {"label": "MR Brain", "uids": ["1"]}
    note(session, panel, job(1, kind="find"), job(2, params=params), job(3, server="Archive"))
    assert ids(panel.model) == ["job-3", "job-2"]
    qtbot.mouseClick(panel.quick, Qt.LeftButton, pos=QPoint(8, panel.quick.height() // 2))
    assert ids(panel.model) == ["job-3", "job-2", "job-1"]
    qtbot.keyClicks(panel.search, "brain")
    qtbot.waitUntil(lambda: ids(panel.model) == ["job-2"], timeout=2000)
    panel.search.setText("nothing like it")
    qtbot.waitUntil(lambda: panel.pages.currentIndex() == 1, timeout=2000)
    assert panel.empty.text() == "No job matches."


def test_a_selected_job_says_why_in_full_and_can_be_tried_again(panel, session, qtbot):
    chosen = []
    panel.job_chosen.connect(chosen.append)
    reason = "The server did not answer within 30 s. " * 5
    note(session, panel, job(1, "failed", reason=reason, done=40, total=120, bytes=21_000_000))
    panel.choose("job-1")
    assert panel.reason.text() == reason
    assert "40 of 120" in panel.facts.text()
    assert [record.job_id for record in chosen] == ["job-1"]
    assert (panel.cancel.isEnabled(), panel.retry.isEnabled()) == (False, True)
    qtbot.mouseClick(panel.retry, Qt.LeftButton)
    assert session.asked("retry_job")[0].params == {"job_id": "job-1"}


def test_a_job_that_is_chosen_stays_in_sight_when_its_reason_takes_room(panel, session, qtbot):
    note(session, panel, *(job(number, "failed", reason="The server did not answer. " * 20) for number in range(30)))
    height, last = panel.height(), panel.view.rowAt(panel.view.viewport().height() - 1) - 1
    panel.choose(panel.model.record(last).job_id)
    assert panel.details.isVisible()
    assert panel.height() == height
    row = panel.view.visualRect(panel.model.index(last, WHAT))
    assert panel.view.viewport().rect().contains(row.center())


def test_jobs_are_cancelled_and_those_that_ended_taken_off_the_list(panel, session, qtbot):
    note(session, panel, job(1), job(2, "completed"), job(3, "queued"))
    panel.view.selectAll()
    qtbot.mouseClick(panel.cancel, Qt.LeftButton)
    assert [ask.params["job_id"] for ask in session.asked("cancel_job")] == ["job-3", "job-1"]
    qtbot.mouseClick(panel.clear, Qt.LeftButton)
    session.asked("clear_jobs")[0].answer()
    panel._watch.look()
    assert ids(panel.model) == ["job-3", "job-1"]


def test_the_rate_of_a_job_is_shown_while_it_runs(session, qapp):
    now, owner = [0.0], QObject()
    watch = JobWatch(session, owner, lambda: now[0])
    model = JobsModel(watch, owner)
    for second in range(3):
        now[0] = float(second)
        session.jobs.note(job(1, bytes=second * 4_000_000))
        watch.look()
    assert model.data(model.index(0, RATE)) == "4.0 MB/s"
    assert model.data(model.index(0, WHAT)) == "1 series"
    assert model.data(QModelIndex()) is None
    watch.cleanup()


# the line


def test_the_strip_shows_the_sum_and_opens_the_list(strip, session, qtbot):
    shown = []
    strip.show_toggled.connect(shown.append)
    assert strip.line.text() == "No jobs under way"
    assert not strip.bar.isVisible()
    note(session, strip, job(1, done=3, total=4), job(2, "failed", reason="Refused."))
    assert strip.line.text() == "1 running"
    assert strip.bar.isVisible()
    assert strip.problem.words == "Fetch failed: Refused."
    qtbot.mouseClick(strip.button, Qt.LeftButton)
    assert strip.button.text() == "Hide"
    qtbot.mouseClick(strip.button, Qt.LeftButton)
    assert shown == [True, False]


def test_a_list_that_nobody_sees_rests_and_catches_up_when_it_is_shown(panel, session):
    panel.hide()
    session.jobs.note(job(1))
    assert panel.model.rowCount() == 0
    panel.show()
    assert ids(panel.model) == ["job-1"]


def test_a_job_about_one_series_has_its_name(panel, session):
    session.reader.series_of["1"] = [SeriesRow(Series("1.2.9", "1", 4, "MR", "T1 MPRAGE"), 192)]
    note(session, panel, job(1, params={"level": "series", "uids": ["1.2.9"]}), job(2))
    assert panel.model.data(panel.model.index(1, WHAT)) == "MR T1 MPRAGE"
    assert panel.model.data(panel.model.index(0, WHAT)) == "1 series"
    panel.choose("job-1")
    assert panel.title.text() == "Fetch  ·  MR T1 MPRAGE  ·  PACS  ·  Running"


# who sends


def call(stored: int, *, over: bool = False) -> dict[str, Any]:
    return CallRecord(1, "CT", "192.0.2.7", over=over, stored=stored).to_dict()


def test_who_sends_is_shown_until_it_has_left(strip, session):
    session.calls.note(call(41))
    assert strip.calls.text() == "CT is sending, 41 images"
    assert strip.calls.isVisible()
    session.calls.note(call(42, over=True))
    assert not strip.calls.isVisible()


def test_a_server_that_sends_what_it_was_asked_for_is_not_shown(strip, session):
    session.calls.note({**call(41), "asked_for": 41})
    assert not strip.calls.isVisible()


def test_an_end_that_was_not_told_is_noticed_when_everything_is_read_again(strip, session):
    session.calls.note(call(41))
    session.calls.replace([call(41, over=True)])
    assert not strip.calls.isVisible()


# what happened to a job


LOG = {"lines": [{"at": 5.0, "text": "Association requested."}], "dropped": 0}


def open_log(panel, session, qtbot, *jobs: dict[str, Any]) -> None:
    note(session, panel, *jobs)
    panel.choose(jobs[0]["job"]["job_id"])
    panel.view.setFocus()
    qtbot.keyClick(panel.view, Qt.Key_Return)


def test_enter_opens_what_happened_to_a_job_and_escape_closes_it(panel, session, qtbot):
    open_log(panel, session, qtbot, job(1, "failed", reason="PACS hung up."))
    (ask,) = session.asked("job_log")
    assert ask.params == {"job_id": "job-1"}
    ask.answer(LOG)
    text = panel.log.text.toPlainText()
    assert "PACS hung up." in text
    assert text.endswith("Association requested.")
    qtbot.keyClick(panel.view, Qt.Key_Escape)
    assert not panel.log.isVisible()


def test_what_happened_is_copied(panel, session, qtbot):
    open_log(panel, session, qtbot, job(1, "failed"))
    session.asked("job_log")[0].answer(LOG)
    qtbot.mouseClick(panel.log._copy, Qt.LeftButton)
    assert QApplication.clipboard().text() == panel.log.text.toPlainText()


def test_the_log_is_read_again_while_the_job_goes_on_and_not_once_it_stands_still(panel, session, qtbot):
    open_log(panel, session, qtbot, job(1, done=1, total=3))
    note(session, panel, job(1, done=2, total=3))
    qtbot.waitUntil(lambda: len(session.asked("job_log")) == 2, timeout=3000)
    panel._watch.look()
    panel.log._ask_later.cancel()
    panel._watch.look()
    assert len(session.asked("job_log")) == 2


def test_a_late_log_of_another_job_is_not_shown(panel, session, qtbot):
    open_log(panel, session, qtbot, job(1, "failed"), job(2, "failed"))
    panel.choose("job-2")
    first, second = session.asked("job_log")
    second.answer(LOG)
    first.answer({"lines": [{"at": 5.0, "text": "Of another job."}], "dropped": 0})
    assert "Of another job." not in panel.log.text.toPlainText()


def test_without_a_job_there_is_a_hint(panel, session, qtbot):
    qtbot.mouseClick(panel.log_button, Qt.LeftButton)
    assert panel.log.text.toPlainText() == "Choose a job to see what happened to it."
    assert session.asked("job_log") == []
