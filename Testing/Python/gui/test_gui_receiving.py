"""The settings' page on receiving, without an engine."""

from __future__ import annotations

from typing import Any

import pytest
import qt

from support.fake_session import FakeSession
from VisualDICOMBrowserLib.domain.errors import UsageError
from VisualDICOMBrowserLib.domain.listener import CallRecord, ListenerSettings, ListenerStatus
from VisualDICOMBrowserLib.gui.receiving.receiving_draft import ReceivingDraft
from VisualDICOMBrowserLib.gui.settings_page import SettingsPage

SETTINGS = ListenerSettings("US", 11112)
TLS = {"certificate": "/c.pem", "key": None, "key_password_file": None, "ca_file": None}


def status(settings: ListenerSettings = SETTINGS, **values: Any) -> dict[str, Any]:
    return ListenerStatus(settings, **{"open": False, **values}).to_dict()


def call(number: int = 1, **values: Any) -> dict[str, Any]:
    return CallRecord(number, "CT", "192.0.2.7", **values).to_dict()


@pytest.fixture
def settings(session, qtbot):
    widget = SettingsPage(session)
    qtbot.addWidget(widget)
    widget.resize(900, 700)
    with qtbot.waitExposed(widget):
        widget.show()
    yield widget
    widget.cleanup()


@pytest.fixture
def page(settings, session):
    settings.tabs.setCurrentIndex(1)
    answer(session, status())
    return settings.receiving


def answer(session: FakeSession, told: dict[str, Any]) -> None:
    session.asked("listener")[-1].answer(told)
    session.asked("servers")[-1].answer([])


def type_into(qtbot, field, text: str) -> None:
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, text) if text else qtbot.keyClick(field, qt.Qt.Key_Delete)


# without a widget


@pytest.mark.parametrize(
    ("name", "typed", "field"),
    [
        ("aet", "", "aet"),
        ("aet", "A\\B", "aet"),
        ("bind", "", "bind"),
        ("bind", "host.example", "bind"),
        ("tls", {**TLS, "certificate": None}, "tls.certificate"),
        ("tls", {**TLS, "key": "relative.pem"}, "tls.key"),
    ],
)
def test_a_wrong_value_is_told_at_its_field_alone(name, typed, field):
    draft = ReceivingDraft()
    draft.take(SETTINGS.to_dict())
    assert draft.errors() == {}
    draft.edit(name, typed)
    assert set(draft.errors()) == {field}


def test_what_is_typed_stays_when_the_configuration_changes():
    draft = ReceivingDraft()
    draft.take(SETTINGS.to_dict())
    draft.edit("port", 104)
    draft.take({**SETTINGS.to_dict(), "aet": "OTHER"})
    assert (draft.values["port"], draft.values["aet"]) == (104, "US")
    draft.discard()
    assert (draft.values["port"], draft.values["aet"]) == (11112, "OTHER")


# the page


def test_the_settings_and_the_state_are_shown(page):
    assert page.form.fields["aet"].text() == "US"
    assert page.state.text().startswith("Closed.")
    assert page.others.text() == "AE title: US\nAddress: this computer's name or address\nPort: 11112"
    assert not page.save.isEnabled()


def test_a_port_that_is_not_set_is_shown_as_such_and_stays_so(page, session, qtbot):
    page.reload()
    answer(session, status(ListenerSettings("US", 0)))
    port = page.form.fields["port"]
    assert (port.value(), port.text()) == (0, "Any free")
    assert (page.draft.values["port"], page.draft.changed) == (0, False)
    page.form.fields["aet"].setFocus()
    qtbot.keyClicks(page.form.fields["aet"], "X")
    assert page.draft.values["port"] == 0


def test_nothing_can_be_typed_before_the_settings_are_known(settings):
    settings.tabs.setCurrentIndex(1)
    assert not settings.receiving.form.isEnabled()


def test_what_is_typed_is_saved_whole(page, session, qtbot):
    type_into(qtbot, page.form.fields["aet"], "NEWAET")
    page.form.fields["port"].setValue(104)
    page.form.fields["bind"].setCurrentIndex(1)
    qtbot.mouseClick(page.form.fields["enabled"], qt.Qt.LeftButton, pos=qt.QPoint(8, 10))
    qtbot.mouseClick(page.form.fields["unsolicited"], qt.Qt.LeftButton, pos=qt.QPoint(8, 10))
    qtbot.mouseClick(page.save, qt.Qt.LeftButton)
    (ask,) = session.asked("set_listener")
    wanted = ListenerSettings("NEWAET", 104, "0.0.0.0", unsolicited=True, enabled=True)
    assert ask.params == {"settings": wanted.to_dict()}
    ask.answer()
    answer(session, status(wanted, open=True, address="0.0.0.0", port=104))
    assert page.state.text() == "Open at all addresses of this computer, port 104."
    assert not page.save.isEnabled()


def test_one_address_is_typed_and_what_is_wrong_with_it_told_there(page, qtbot):
    page.form.fields["bind"].setCurrentIndex(2)
    assert page.form.fields["address"].isVisible()
    assert page.form.errors["bind"].isVisible()
    assert not page.save.isEnabled()
    type_into(qtbot, page.form.fields["address"], "127.0.0.1")  # also one that a choice stands for can be typed
    assert page.form.fields["address"].text() == "127.0.0.1"
    assert not page.form.errors["bind"].isVisible()


def test_callers_are_added_and_removed(page, qtbot):
    callers = page.form.fields["allowed"]
    type_into(qtbot, callers.aet, "CT")
    type_into(qtbot, callers.host, "192.0.2.7")
    qtbot.keyClick(callers.host, qt.Qt.Key_Return)
    qtbot.mouseClick(callers.add_button, qt.Qt.LeftButton)
    assert page.draft.values["allowed"] == ["CT@192.0.2.7", "*@*"]
    callers.list.setCurrentRow(0)
    qtbot.mouseClick(callers.remove_button, qt.Qt.LeftButton)
    assert page.draft.values["allowed"] == ["*@*"]
    assert [callers.list.item(row).text() for row in range(callers.list.count())] == ["anybody, from anywhere"]


def test_a_caller_that_cannot_be_is_told_and_not_added(page, qtbot):
    callers = page.form.fields["allowed"]
    type_into(qtbot, callers.aet, "A\\B")
    qtbot.mouseClick(callers.add_button, qt.Qt.LeftButton)
    assert page.form.errors["allowed"].text().startswith("An allowed peer's AE title must have")
    assert page.draft.values["allowed"] == []
    qtbot.mouseClick(page.discard, qt.Qt.LeftButton)
    type_into(qtbot, callers.aet, "CT")
    qtbot.mouseClick(callers.add_button, qt.Qt.LeftButton)
    assert not page.form.errors["allowed"].isVisible()


def test_tls_needs_a_certificate(page, qtbot):
    qtbot.mouseClick(page.form.fields["tls"], qt.Qt.LeftButton, pos=qt.QPoint(8, 10))
    assert page.form.errors["tls.certificate"].text() == "The listener needs a certificate."
    type_into(qtbot, page.form.fields["tls.certificate"], "/etc/us.pem")
    assert page.draft.values["tls"] == {**TLS, "certificate": "/etc/us.pem"}
    assert page.save.isEnabled()


def test_a_save_that_fails_keeps_what_was_typed_and_says_why(page, session, qtbot):
    page.form.fields["port"].setValue(104)
    qtbot.mouseClick(page.save, qt.Qt.LeftButton)
    session.asked("set_listener")[0].fail(UsageError("The certificate cannot be read."))
    assert page._outcome.text() == "The certificate cannot be read."
    assert page.save.isEnabled()


def test_unsaved_changes_are_marked_and_stay_while_the_servers_are_looked_at(settings, page, session):
    page.form.fields["port"].setValue(104)
    settings.show_servers()
    assert settings.tabs.tabText(1) == "Receiving  •"
    settings.tabs.setCurrentIndex(1)
    answer(session, status())
    assert page.form.fields["port"].value() == 104
    page.discard.click()
    assert settings.tabs.tabText(1) == "Receiving"


def test_the_listener_is_looked_at_again_when_it_changes_but_not_while_nobody_looks(settings, page, session):
    before = len(session.asked("listener"))
    session.listener_changed.emit()
    assert len(session.asked("listener")) == before + 1
    settings.show_servers()
    session.listener_changed.emit()
    assert len(session.asked("listener")) == before + 1


def test_what_others_must_register_is_copied(page, qtbot):
    qtbot.mouseClick(page._copy_button, qt.Qt.LeftButton)
    assert qt.QApplication.clipboard().text() == page.others.text()


def test_the_last_calls_are_listed_and_read_again_when_somebody_calls(page, session, qtbot):
    asked = len(session.asked("calls"))
    session.caller_refused.emit(call(over=True, admitted=False))
    qtbot.waitUntil(lambda: len(session.asked("calls")) > asked)
    session.asked("calls")[-1].answer([call(2, stored=3), call(over=True, admitted=False, reason="No.")])
    table = page._calls
    lines = [[table.topLevelItem(at).text(column) for column in (1, 2, 3)] for at in range(2)]
    assert lines == [["CT", "192.0.2.7", "3 images so far"], ["CT", "192.0.2.7", "Refused: No."]]
    table.setCurrentItem(table.topLevelItem(1))
    qtbot.keyClick(table, qt.Qt.Key_C, qt.Qt.ControlModifier)
    assert qt.QApplication.clipboard().text().endswith("CT\t192.0.2.7\tRefused: No.")


def test_escape_and_the_cross_close_the_settings(settings, qtbot):
    closed = []
    settings.closed.connect(lambda: closed.append(True))
    qtbot.keyClick(settings.servers, qt.Qt.Key_Escape)
    (cross,) = [one for one in settings.findChildren(qt.QToolButton) if one.toolTip() == "Back to the images (Escape)"]
    qtbot.mouseClick(cross, qt.Qt.LeftButton)
    assert closed == [True, True]
