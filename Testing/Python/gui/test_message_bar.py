"""Messages replace each other, go away or stay, and never ask for attention more than three at a time."""

from __future__ import annotations

import pytest
import qt

from VisualDICOMBrowserLib.gui.messages import Message, Remedy, Tone
from VisualDICOMBrowserLib.gui.parts import message_bar
from VisualDICOMBrowserLib.gui.parts.message_bar import MessageBar
from VisualDICOMBrowserLib.gui.parts.message_stack import MAX_KEPT, MessageStack


@pytest.fixture
def bar(session, qtbot):
    bar = MessageBar(session)
    qtbot.addWidget(bar)
    bar.resize(700, 200)
    yield bar
    bar.cleanup()


def texts(bar) -> list[str]:
    return [message.text for message in bar.shown()]


def click(qtbot, widget):
    qtbot.mouseClick(widget, qt.Qt.LeftButton)


def test_the_newer_takes_the_place_of_the_older_about_the_same():
    stack = MessageStack()
    stack.add(Message("A is gone.", Tone.PROBLEM, "server:A"))
    stack.add(Message("B is gone.", Tone.PROBLEM, "server:B"))
    stack.add(Message("A is back.", Tone.NOTE, "server:A"))
    assert [entry.message.text for entry in stack.shown()] == ["B is gone.", "A is back."]


def test_the_same_words_twice_are_one_message():
    stack = MessageStack()
    for _ in range(3):
        stack.add(Message("Saved."))
    stack.add(Message("Saved.", Tone.WARNING))
    assert len(stack.shown()) == 2


def test_the_gravest_are_shown_and_the_rest_counted():
    stack = MessageStack()
    for number in range(4):
        stack.add(Message(f"note {number}"))
    stack.add(Message("problem", Tone.PROBLEM))
    assert [entry.message.text for entry in stack.shown()] == ["problem", "note 3", "note 2"]
    assert stack.hidden() == 2


def test_a_flood_is_cut():
    stack = MessageStack()
    for number in range(MAX_KEPT + 20):
        stack.add(Message(f"note {number}"))
    assert len(stack.shown()) + stack.hidden() == MAX_KEPT


def test_without_messages_the_bar_takes_no_room(bar, session, qtbot):
    assert bar.isHidden()
    session.say("Done.")
    assert bar.isVisible()
    click(qtbot, bar.card(0).cross)
    assert bar.isHidden()


def test_notes_vanish_and_problems_stay(bar, session, qtbot, monkeypatch):
    monkeypatch.setattr(message_bar, "NOTE_MS", 30)
    session.say("Done.")
    session.say("Watch out.", Tone.WARNING)
    session.say("Broken.", Tone.PROBLEM)
    assert texts(bar) == ["Broken.", "Watch out.", "Done."]
    qtbot.wait_until(lambda: texts(bar) == ["Broken.", "Watch out."])
    assert bar._timers == {} or not any(timer.isActive() for timer in bar._timers.values())


def test_a_note_that_replaces_a_problem_vanishes_too(bar, session, qtbot, monkeypatch):
    monkeypatch.setattr(message_bar, "NOTE_MS", 30)
    session.say("Gone.", Tone.PROBLEM, "server:A")
    session.say("Back.", Tone.NOTE, "server:A")
    assert texts(bar) == ["Back."]
    qtbot.wait_until(lambda: texts(bar) == [])


def test_a_remedy_acts_and_closes_its_message(bar, session, qtbot):
    acted = []
    session.said.emit(Message("No answer.", Tone.PROBLEM, "", (Remedy("Retry", lambda: acted.append(1)),)))
    button = bar.card(0).remedies[0]
    assert button.text() == "Retry"
    click(qtbot, button)
    assert acted == [1]
    assert texts(bar) == []


def test_what_a_remedy_says_about_the_same_is_shown(bar, session, qtbot):
    again = Remedy("Retry", lambda: session.say("Still no answer.", Tone.PROBLEM, "server:A"))
    session.said.emit(Message("No answer.", Tone.PROBLEM, "server:A", (again,)))
    click(qtbot, bar.card(0).remedies[0])
    assert texts(bar) == ["Still no answer."]


def test_details_are_folded_until_asked_for(bar, session, qtbot):
    session.said.emit(Message("Some failed.", Tone.WARNING, "", (), ("one", "two")))
    card = bar.card(0)
    assert not card._details.isVisible()
    click(qtbot, card.fold)
    assert card._details.isVisible()
    assert card._details.text() == "one\ntwo"
    click(qtbot, card.fold)
    assert not card._details.isVisible()


def test_many_details_are_scrolled_in_the_room_of_a_few(bar, session, qtbot):
    lines = tuple(f"line {number}" for number in range(200))
    session.said.emit(Message("Some failed.", Tone.WARNING, "", (), lines))
    card = bar.card(0)
    click(qtbot, card.fold)
    assert card._details.toPlainText() == "\n".join(lines)
    assert card.sizeHint().height() < 15 * card.fontMetrics().height()


def test_a_message_without_details_has_nothing_to_fold(bar, session):
    session.say("Done.")
    assert not bar.card(0).fold.isVisible()


def test_more_than_three_are_counted_and_closed_together(bar, session, qtbot):
    for number in range(5):
        session.say(f"Problem {number}", Tone.PROBLEM)
    assert len(texts(bar)) == 3
    assert bar._rest_text.text() == "and 2 more"
    bar.close_all()
    assert texts(bar) == []
    assert bar.isHidden()


def test_markup_in_a_message_stays_text(bar, session):
    session.say("<b>bold</b>", Tone.PROBLEM)
    assert bar.card(0)._text.textFormat() == qt.Qt.PlainText


def test_in_a_narrow_window_remedies_stand_under_the_text(bar, session, qtbot):
    session.said.emit(Message("A rather long sentence. " * 4, Tone.PROBLEM, "", (Remedy("Retry", int),)))
    card = bar.card(0)

    def under() -> bool:
        return card.remedies[0].geometry().top() >= card._text.geometry().bottom()

    assert not under()
    bar.resize(360, 200)
    qtbot.wait_until(under)
    bar.resize(800, 200)
    qtbot.wait_until(lambda: not under())


def test_what_is_over_can_be_taken_away(bar, session):
    session.say("Asking…", Tone.WARNING, "search")
    bar.close_about("search")
    assert texts(bar) == []
