"""The panel that sends, and what is told of sends, without an engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import qt

from support.fake_session import FakeSession
from VisualDICOMBrowserLib.domain.errors import PackageMissing, UsageError
from VisualDICOMBrowserLib.domain.model import Series
from VisualDICOMBrowserLib.domain.overview import SeriesRow
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.gui.messages import Tone
from VisualDICOMBrowserLib.gui.sending.send_panel import SendPanel
from VisualDICOMBrowserLib.gui.sending.sender import Sender
from VisualDICOMBrowserLib.gui.unfinished import Unfinished
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind, JobRecord, Stamp
from VisualDICOMBrowserLib.jobs.states import JobState

SERVERS = [Server(name, "localhost", 104, name.upper()).to_dict() for name in ("Alpha", "Beta")]
HERE = SeriesRow(Series("1.1", "1"), instances=4, local_instances=4, servers=("Alpha",))
PARTLY = SeriesRow(Series("1.2", "1"), instances=4, local_instances=1, servers=("Alpha",))
ALL_SENT = {"requested": 4, "sent": 4, "verified": None, "failed": [], "rejected": [], "warnings": []}


@pytest.fixture
def panel(session, qtbot):
    widget = SendPanel(session)
    qtbot.addWidget(widget)
    widget.resize(700, 120)
    yield widget
    widget.cleanup()


@pytest.fixture
def told(panel) -> list[tuple[Any, ...]]:
    told: list[tuple[Any, ...]] = []
    panel.send_asked.connect(lambda *values: told.append(values))
    return told


SENT = "Of what was being sent, what the server does not list yet is sent."


def open_panel(panel, session: FakeSession, rows, servers=SERVERS) -> None:
    panel.open_for(rows, "Doe, Jane")
    session.asked("servers")[-1].answer(servers)


def test_enter_sends_what_is_here_to_the_chosen_server(panel, session, told, qtbot):
    open_panel(panel, session, [HERE, PARTLY])
    panel._servers.setCurrentIndex(1)
    qtbot.keyClick(panel, qt.Qt.Key_Return)
    assert told == [(["1.1", "1.2"], "Beta", True)]
    assert panel.isHidden()


def test_the_server_and_the_check_are_those_of_the_last_time(panel, session, told, qtbot):
    panel.server, panel.verify = "Beta", False
    open_panel(panel, session, [HERE])
    qtbot.mouseClick(panel._send_button, qt.Qt.LeftButton)
    assert told == [(["1.1"], "Beta", False)]


def test_escape_closes_without_sending(panel, session, told, qtbot):
    closed = []
    panel.closed.connect(lambda: closed.append(True))
    open_panel(panel, session, [HERE])
    qtbot.keyClick(panel, qt.Qt.Key_Escape)
    assert (told, closed, panel.isHidden()) == ([], [True], True)


def test_enter_on_another_button_presses_that(panel, session, told, qtbot):
    for button in (panel._fetch_button, panel._cancel_button):
        with qtbot.waitActive(panel):
            open_panel(panel, session, [HERE, PARTLY])
            panel.activateWindow()
        button.setFocus()
        qtbot.keyClick(button, qt.Qt.Key_Return)
        assert panel.isHidden() == (button is panel._cancel_button)
    assert told == []


def test_until_the_servers_are_known_nothing_can_be_sent(panel, session, told, qtbot):
    panel.open_for([HERE], "Doe, Jane")
    qtbot.keyClick(panel, qt.Qt.Key_Return)
    assert not panel._send_button.isEnabled()
    assert told == []


def test_without_a_server_the_settings_are_offered(panel, session, qtbot):
    asked = []
    panel.settings_asked.connect(lambda: asked.append(True))
    open_panel(panel, session, [HERE], [])
    assert not panel._servers.isVisible()
    qtbot.mouseClick(panel._add_button, qt.Qt.LeftButton)
    assert asked == [True]


def test_what_is_only_on_servers_can_be_fetched_first_and_counts_once_it_is_here(panel, session, told, qtbot):
    fetched = []
    panel.fetch_asked.connect(fetched.append)
    session.reader.series_of = {"1": [HERE, PARTLY]}
    open_panel(panel, session, [HERE, PARTLY])
    assert panel._rest.text() == "3 images are only on servers, and not sent."
    qtbot.mouseClick(panel._fetch_button, qt.Qt.LeftButton)
    assert fetched == [[HERE, PARTLY]]
    session.reader.series_of = {"1": [HERE, replace(PARTLY, local_instances=4)]}
    session.series_changed.emit("1.2")
    qtbot.waitUntil(lambda: panel._title.words == "Send 8 images of 2 series of Doe, Jane")
    assert not panel._fetch_button.isVisible()


def test_a_series_that_is_removed_meanwhile_is_not_counted_any_more(panel, session, qtbot):
    open_panel(panel, session, [HERE, PARTLY])
    session.reader.series_of = {"1": [PARTLY]}
    session.series_changed.emit("1.1")
    qtbot.waitUntil(lambda: panel._title.words == "Send 1 image of 1 series of Doe, Jane")
    assert panel._send_button.isEnabled()


def test_a_choice_stays_when_the_servers_are_read_again(panel, session, qtbot):
    open_panel(panel, session, [HERE])
    panel._servers.setFocus()
    qtbot.keyClick(panel._servers, qt.Qt.Key_Down)
    session.servers_changed.emit()
    session.asked("servers")[-1].answer(SERVERS)
    assert panel._chosen() == "Beta"


GAMMA = Server("Gamma", "localhost", 104, "GAMMA").to_dict()


@pytest.mark.parametrize(("chosen", "left"), [("Alpha", [SERVERS[1]]), ("Beta", [SERVERS[0], GAMMA])])
def test_when_the_chosen_server_goes_away_nothing_is_sent_elsewhere_until_another_is_chosen(
    panel, session, told, qtbot, chosen, left
):
    open_panel(panel, session, [HERE])
    panel._servers.setFocus()
    if chosen == "Beta":
        qtbot.keyClick(panel._servers, qt.Qt.Key_Down)
    assert panel._chosen() == chosen
    for _ in range(2):  # whatever else changes after that
        session.servers_changed.emit()
        session.asked("servers")[-1].answer(left)
        panel._verify.click()
        assert panel._servers.currentIndex() == -1
        assert panel._missing.text() == f"{chosen} is not among the servers any more. Choose another one."
        assert panel._missing.isVisible()
        assert not panel._send_button.isEnabled()
        assert panel._send_button.toolTip() == "Choose a server first"
        qtbot.keyClick(panel, qt.Qt.Key_Return)
    assert told == []
    qtbot.keyClick(panel._servers, qt.Qt.Key_Down)
    assert not panel._missing.isVisible()
    qtbot.keyClick(panel, qt.Qt.Key_Return)
    assert [server for _, server, _ in told] == [left[0]["name"]]


def test_a_server_of_the_last_time_that_is_gone_is_missed_and_chosen_again_when_it_is_back(panel, session):
    panel.server = "Beta"
    open_panel(panel, session, [HERE], SERVERS[:1])
    assert (panel._chosen(), panel._missing.isVisible(), panel.server) == ("", True, "Beta")
    session.servers_changed.emit()
    session.asked("servers")[-1].answer([])
    assert not panel._missing.isVisible()  # there is none at all, which is said
    session.servers_changed.emit()
    session.asked("servers")[-1].answer(SERVERS)
    assert (panel._chosen(), panel._missing.isVisible(), panel._send_button.isEnabled()) == ("Beta", False, True)


# what is told of sends


def note(session: FakeSession, state: JobState, *, ended: float | None = None, kind: JobKind = JobKind.SEND) -> None:
    description = JobDescription("job", kind, "Alpha", {"verify": False})
    stamp = None if ended is None else Stamp(0.0, ended)
    session.jobs.note(JobRecord(description, state, Stamp(0.0, 1.0), "Why.", 1, 4, ended=stamp).to_dict())


@pytest.fixture
def sender(session):
    made = Sender(session)
    yield made
    made.close()


def texts(session: FakeSession) -> list[str]:
    return [message.text for message in session.messages]


def test_a_send_is_told_when_it_begins_and_when_it_ends(session, sender):
    sender.send(["1.1"], "Alpha", verify=True)
    (ask,) = session.asked("send")
    target = {"level": "series", "uids": ["1.1"]}
    assert ask.params == {"target": target, "server": "Alpha", "verify": True}
    ask.answer("job")
    note(session, JobState.RUNNING)
    note(session, JobState.COMPLETED, ended=2.0)
    session.asked("send_result")[0].answer(ALL_SENT)
    assert texts(session) == ["Sending to Alpha …", "Alpha took all 4 images."]
    assert {message.about for message in session.messages} == {"send:job"}


def test_a_send_that_ends_before_it_is_known_to_have_begun_is_told_once(session, sender):
    sender.send(["1.1"], "Alpha", verify=False)
    note(session, JobState.COMPLETED, ended=2.0)
    assert session.asked("send_result") == []
    session.asked("send")[0].answer("job")
    (ask,) = session.asked("send_result")
    ask.answer(ALL_SENT)
    assert texts(session)[-1] == "Alpha took all 4 images."


def test_an_answer_that_comes_after_the_end_tells_nothing_more(session, sender):
    sender.send(["1.1"], "Alpha", verify=False)
    note(session, JobState.RUNNING)
    note(session, JobState.COMPLETED, ended=2.0)
    session.asked("send")[0].answer("job")
    assert len(session.asked("send_result")) == 1
    assert session.messages == []


def test_what_fell_short_can_be_tried_again_and_is_told_again(session, sender):
    note(session, JobState.RUNNING)
    note(session, JobState.INCOMPLETE, ended=2.0)
    session.asked("send_result")[0].answer({**ALL_SENT, "sent": 3})
    (again,) = session.messages[-1].remedies
    again.act()
    assert session.asked("retry_job")[0].params == {"job_id": "job"}
    note(session, JobState.COMPLETED, ended=3.0)  # its other events were overtaken
    session.asked("send_result")[1].answer(ALL_SENT)
    assert texts(session) == ["Alpha took 3 of 4 images.", "Alpha took all 4 images."]
    assert session.messages[-1].remedies == ()


def test_where_the_engine_knows_no_details_the_reason_is_told(session, sender):
    note(session, JobState.RUNNING)
    note(session, JobState.FAILED, ended=2.0)
    session.asked("send_result")[0].fail(UsageError("Not known any more."))
    assert texts(session) == ["Not all was sent to Alpha. Why."]
    assert session.messages[0].tone is Tone.PROBLEM


def test_a_cancelled_send_is_told_without_asking(session, sender):
    note(session, JobState.RUNNING)
    note(session, JobState.CANCELLED, ended=2.0)
    assert session.asked("send_result") == []
    assert texts(session) == ["Sending to Alpha was cancelled after 1 of 4 images."]


def test_other_jobs_and_what_had_ended_long_ago_are_not_told(session, sender):
    note(session, JobState.COMPLETED, ended=2.0)
    note(session, JobState.RUNNING, kind=JobKind.RETRIEVE)
    note(session, JobState.COMPLETED, ended=2.0, kind=JobKind.RETRIEVE)
    assert session.asks == []


def test_a_send_that_cannot_begin_says_why_unless_a_package_lacks_which_is_told_elsewhere(session, sender):
    sender.send(["1.1"], "Alpha", verify=False)
    sender.send(["1.1"], "Alpha", verify=False)
    session.asked("send")[0].fail(UsageError("Nothing of that is on this computer."))
    session.asked("send")[1].fail(PackageMissing("pynetdicom"))
    assert texts(session) == ["Nothing was sent. Nothing of that is on this computer."]


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (["send"], "Of what was being sent, what the server does not list yet is sent."),
        (["retrieve"], "What had arrived is here."),
        (
            ["send", "import"],
            "What had arrived is here. Of what was being sent, what the server does not list yet is sent.",
        ),
    ],
)
def test_what_was_cut_off_is_offered_with_what_becomes_of_it(session, kinds, said):
    offer = Unfinished(session)
    session.ready_changed.emit(True, "")
    session.asked("unfinished_jobs")[0].answer([{"job": {"kind": kind}} for kind in kinds])
    offer.close()
    assert session.messages[0].text.endswith(f"not finished when the program ended. {said}")
