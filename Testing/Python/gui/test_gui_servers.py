"""The page of servers: typing, what is wrong, saving, tests, removal with undo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QPushButton

from VisualDICOMBrowserLib.domain.errors import StorageError
from VisualDICOMBrowserLib.gui.servers import tls_fields
from VisualDICOMBrowserLib.gui.servers.server_drafts import Drafts, new_values
from VisualDICOMBrowserLib.gui.servers.server_settings import ServerSettings


def server(name: str, **changes: Any) -> dict[str, Any]:
    values = {**new_values(), "name": name, "host": "pacs.example.org", "called_aet": "PACS", "port": 11112}
    return {**values, **changes}


@pytest.fixture
def page(session, qtbot):
    widget = ServerSettings(session)
    qtbot.addWidget(widget)
    widget.resize(800, 560)
    widget.show()
    session.asked("servers")[-1].answer([server("Alpha"), server("Beta")])
    yield widget
    widget.cleanup()


def names(page) -> list[str]:
    return [page.list.item(row).text() for row in range(page.list.count())]


def type_into(page, qtbot, field, text):
    entry = page.form.fields[field]
    entry.setFocus()
    entry.selectAll()
    qtbot.keyClicks(entry, text) if text else qtbot.keyClick(entry, Qt.Key_Delete)


# without a widget


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("host", "two words", "The host must be a host name or an address."),
        ("called_aet", "A\\B", "The called AE title must have 1 to 16 ASCII characters and no backslash."),
        ("calling_aet", "X" * 17, "The calling AE title must have 1 to 16 ASCII characters and no backslash."),
        ("name", "n" * 65, "A server needs a name of 1 to 64 printable characters."),
        ("name", " ", "It needs a name."),
        ("host", "", "It needs a host name or an address."),
        ("port", 0, "The port must lie between 1 and 65535."),
        ("proxy", "Gone", "There is no server Gone."),
        ("proxy", "Alpha", "A server cannot be its own proxy."),
        ("name", "Beta", "Another server has this name."),
    ],
)
def test_each_field_says_what_is_wrong_with_it_alone(field, typed, said):
    drafts = Drafts()
    drafts.take([server("Alpha"), server("Beta")])
    drafts.drafts[0].values[field] = typed
    assert drafts.errors(drafts.drafts[0]) == {field: said}


def test_all_errors_are_said_at_once():
    drafts = Drafts()
    assert set(drafts.errors(drafts.add())) == {"name", "host", "called_aet"}


def test_what_is_typed_stays_when_the_configuration_changes():
    drafts = Drafts()
    drafts.take([server("Alpha"), server("Beta")])
    drafts.drafts[0].values["port"] = 4242
    fresh = drafts.add()
    drafts.take([server("Alpha", host="other.example.org"), server("Gamma")])
    assert [draft.title for draft in drafts.drafts] == ["Alpha", "Gamma", "New server"]
    assert drafts.drafts[0].values["port"] == 4242
    assert drafts.drafts[0].changed
    assert drafts.drafts[2] is fresh


# the page


def test_the_servers_are_listed_and_the_first_is_shown(page):
    assert names(page) == ["Alpha", "Beta"]
    assert page.form.fields["host"].text() == "pacs.example.org"
    assert not page.save.isEnabled()


def test_what_is_wrong_stands_beside_the_field_while_typing(page, qtbot):
    type_into(page, qtbot, "host", "two words")
    assert page.form.errors["host"].text() == "The host must be a host name or an address."
    assert page.form.errors["host"].isVisible()
    assert not page.save.isEnabled()
    type_into(page, qtbot, "host", "10.0.0.7")
    assert not page.form.errors["host"].isVisible()
    assert page.save.isEnabled()


def test_unsaved_changes_are_marked_and_stay_while_another_server_is_looked_at(page, qtbot):
    type_into(page, qtbot, "called_aet", "NEWAET")
    page.list.setCurrentRow(1)
    assert page.form.fields["called_aet"].text() == "PACS"
    assert names(page) == ["Alpha  •", "Beta"]
    page.list.setCurrentRow(0)
    assert page.form.fields["called_aet"].text() == "NEWAET"
    qtbot.mouseClick(page.discard, Qt.LeftButton)
    assert page.form.fields["called_aet"].text() == "PACS"
    assert names(page) == ["Alpha", "Beta"]


def test_saving_one_server_says_nothing_of_the_others(page, session, qtbot):
    page.list.setCurrentRow(1)
    type_into(page, qtbot, "name", "Gamma")
    page.form.fields["port"].setValue(104)
    qtbot.mouseClick(page.save, Qt.LeftButton)
    (ask,) = session.asked("save_server")
    assert ask.params == {"server": server("Gamma", port=104), "replaces": "Beta"}
    ask.answer()
    session.asked("servers")[-1].answer([server("Alpha"), server("Gamma", port=104)])
    assert names(page) == ["Alpha", "Gamma"]
    assert page.title.text() == "Gamma"
    assert not page.save.isEnabled()


def test_a_save_that_fails_keeps_what_was_typed_and_says_why(page, session, qtbot):
    type_into(page, qtbot, "host", "10.0.0.7")
    qtbot.mouseClick(page.save, Qt.LeftButton)
    session.asked("save_server")[0].fail(StorageError("The configuration cannot be written: no space left."))
    assert page.outcome.text() == "The configuration cannot be written: no space left."
    assert page.save.isEnabled()


def test_a_save_that_fails_is_told_by_name_when_another_server_is_looked_at_meanwhile(page, session, qtbot):
    type_into(page, qtbot, "host", "10.0.0.7")
    qtbot.mouseClick(page.save, Qt.LeftButton)
    page.show_server("Beta")
    session.asked("save_server")[0].fail(StorageError("No space left."))
    assert page.outcome.text() == ""
    assert [message.text for message in session.messages] == ["Alpha: No space left."]


def test_a_new_server_begins_on_port_104_without_reproach(page, session, qtbot):
    qtbot.mouseClick(page.add, Qt.LeftButton)
    assert page.form.fields["port"].value() == 104
    assert not any(label.isVisible() for label in page.form.errors.values())
    for field, text in (("name", "Gamma"), ("host", "localhost"), ("called_aet", "ORTHANC")):
        type_into(page, qtbot, field, text)
    qtbot.mouseClick(page.save, Qt.LeftButton)
    assert session.asked("save_server")[0].params["replaces"] is None
    assert session.asked("save_server")[0].params["server"]["name"] == "Gamma"


def test_a_test_is_of_the_values_as_they_are_typed_and_gives_its_reason(page, session, qtbot):
    type_into(page, qtbot, "host", "10.0.0.7")
    qtbot.mouseClick(page.test, Qt.LeftButton)
    ask = session.asked("test_server")[0]
    assert ask.params["server"]["host"] == "10.0.0.7"
    assert page.outcome.text() == "Testing…"
    ask.answer({"server": "Alpha", "ok": False, "seconds": 5.02, "message": "Nobody listens on 10.0.0.7:11112."})
    assert page.outcome.text() == "Nobody listens on 10.0.0.7:11112. (5.0 s)"
    type_into(page, qtbot, "host", "10.0.0.8")
    assert page.outcome.text() == ""


def test_an_older_answer_does_not_count_for_newer_values(page, session, qtbot):
    qtbot.mouseClick(page.test, Qt.LeftButton)
    type_into(page, qtbot, "host", "10.0.0.8")
    qtbot.mouseClick(page.test, Qt.LeftButton)
    first, second = session.asked("test_server")
    assert first.stopped
    first.answer({"server": "Alpha", "ok": False, "seconds": 0.1, "message": "No."})
    second.answer({"server": "Alpha", "ok": True, "seconds": 0.012, "message": ""})
    assert page.outcome.text() == "It answers, after 12 ms."


def test_all_servers_are_tested_at_once_with_a_mark_each(page, session, qtbot):
    qtbot.mouseClick(page.test_all_button, Qt.LeftButton)
    alpha, beta = session.asked("test_server")
    alpha.answer({"server": "Alpha", "ok": True, "seconds": 0.02, "message": ""})
    beta.fail(StorageError("Refused."))
    assert page.list.item(0).toolTip() == "It answers, after 20 ms."
    assert page.list.item(1).toolTip() == "Refused."


def test_a_removed_server_can_be_had_back(page, session, qtbot):
    qtbot.mouseClick(page.remove, Qt.LeftButton)
    session.asked("remove_server")[0].answer()
    session.asked("servers")[-1].answer([server("Beta")])
    assert names(page) == ["Beta"]
    (message,) = session.messages
    assert message.text == "The server Alpha was removed."
    message.remedies[0].act()
    assert session.asked("save_server")[0].params == {"server": server("Alpha"), "replaces": None}


def test_a_proxy_is_chosen_among_the_other_servers(page, session, qtbot):
    proxy = page.form.fields["proxy"]
    assert [proxy.itemText(place) for place in range(proxy.count())] == ["directly, no proxy", "Beta"]
    qtbot.keyClick(proxy, Qt.Key_Down)
    qtbot.keyClick(page.form.fields["retrieve"], Qt.Key_Down)
    qtbot.mouseClick(page.save, Qt.LeftButton)
    sent = session.asked("save_server")[0].params["server"]
    assert (sent["proxy"], sent["retrieve"]) == ("Beta", "move")


def test_fetching_ahead_is_switched_on_and_saved(page, session, qtbot):
    box = page.form.fields["fetch_ahead"]
    assert not box.isChecked()
    box.setFocus()
    qtbot.keyClick(box, Qt.Key_Space)
    assert page.list.item(0).text() != "Alpha"  # it is marked as changed
    page.save.click()
    assert session.asked("save_server")[-1].params["server"]["fetch_ahead"] is True
    page.list.setCurrentRow(1)
    assert not box.isChecked()


def test_without_servers_the_page_says_what_to_do(page, session):
    page.reload()
    session.asked("servers")[-1].answer([])
    assert page.pages.currentIndex() == 1
    assert page.empty.text().startswith("No server yet.")


# TLS


def test_tls_is_switched_on_with_its_files_and_saved(page, session, qtbot):
    line = page.form.fields["tls.ca_file"]
    assert not line.isVisible()
    qtbot.mouseClick(page.form.fields["tls"], Qt.LeftButton, pos=QPoint(8, page.form.fields["tls"].height() // 2))
    assert line.isVisible()
    file = str(Path("ca.pem").absolute())
    type_into(page, qtbot, "tls.ca_file", file)
    assert page.save.isEnabled()
    qtbot.mouseClick(page.save, Qt.LeftButton)
    (ask,) = session.asked("save_server")
    nothing = dict.fromkeys(("certificate", "key", "key_password_file", "host_name"))
    assert ask.params["server"]["tls"] == {**nothing, "ca_file": file}


def test_what_is_wrong_with_tls_stands_beside_its_fields(page, qtbot):
    page.form.fields["tls"].click()
    type_into(page, qtbot, "tls.key", str(Path("key.pem").absolute()))
    assert page.form.errors["tls.key"].text() == "A private key needs its certificate."
    assert not page.save.isEnabled()
    type_into(page, qtbot, "tls.certificate", "mine.pem")
    assert page.form.errors["tls.certificate"].text() == "Our certificate must be named by its full path."
    assert not page.form.errors["tls.key"].isVisible()
    page.form.fields["tls"].click()
    assert not page.form.fields["tls.key"].isVisible()
    assert not page.form.errors["tls.certificate"].isVisible()


def test_each_server_has_its_own_tls(page, session):
    file = str(Path("ca.pem").absolute())
    tls = {**dict.fromkeys(("certificate", "key", "key_password_file", "host_name")), "ca_file": file}
    page.reload()
    session.asked("servers")[-1].answer([server("Alpha", tls=tls), server("Beta")])
    assert page.form.fields["tls"].isChecked()
    assert page.form.fields["tls.ca_file"].text() == file
    page.show_server("Beta")
    assert not page.form.fields["tls"].isChecked()
    assert not page.form.fields["tls.ca_file"].isVisible()


def test_a_file_is_chosen_in_a_dialog(page, monkeypatch):
    file = str(Path("ca.pem").absolute())
    monkeypatch.setattr(tls_fields, "choose_files", lambda parent, title, then: then([file]))
    page.form.fields["tls"].click()
    choose = page.form.fields["tls.ca_file"].parent().findChild(QPushButton)
    choose.click()
    assert page.form.fields["tls.ca_file"].text() == file
    assert page.save.isEnabled()
