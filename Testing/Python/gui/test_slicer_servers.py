"""Servers come over from 3D Slicer: from its settings as Qt gives them, and by the button of the window."""

from __future__ import annotations

import json
from typing import Any

import pytest
import qt
from PySide6.QtCore import QByteArray, QCoreApplication, QSettings, Qt

from support import browser_window
from support.window_hands import Hands
from VisualDICOMBrowserLib.domain.errors import BadData, UsageError
from VisualDICOMBrowserLib.domain.results import Failure
from VisualDICOMBrowserLib.domain.server_import import ServerImport
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.domain.slicer_servers import FoundServers
from VisualDICOMBrowserLib.gui.browser_widget import BrowserWidget
from VisualDICOMBrowserLib.gui.host import Host
from VisualDICOMBrowserLib.gui.messages import Tone
from VisualDICOMBrowserLib.gui.servers.server_importer import told
from VisualDICOMBrowserLib.gui.servers.server_settings import ServerSettings
from VisualDICOMBrowserLib.host_desktop.app import desktop_host
from VisualDICOMBrowserLib.host_slicer.slicer_servers import read_servers
from VisualDICOMBrowserLib.store import slicer_ini

PACS = Server("PACS", "pacs.example.org", 104, "ANY", "SLICER")
ROW = {
    "Name": "PACS",
    "QueryRetrieveCheckState": 2,
    "Calling AETitle": "SLICER",
    "Called AETitle": "ANY",
    "Address": "pacs.example.org",
    "Port": "104",
    "Timeout": 10,
    "Retrieve Protocol": "CGET",
    "Retrieve Proxy": "",
}
JSON = json.dumps(ROW, indent=4)
DIALOG_ROW = {"Name": "Old", "CheckState": 2, "AETitle": "OLD", "Address": "old", "Port": "105", "CGET": 2}


# Slicer's own settings


@pytest.fixture
def application_settings(tmp_path, qapp, monkeypatch):
    """Have ``QSettings()`` mean a file of this test, as the application Slicer does."""
    before = QSettings.defaultFormat()
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path))
    names = QCoreApplication.organizationName(), QCoreApplication.applicationName()
    QCoreApplication.setOrganizationName("slicer.org")
    QCoreApplication.setApplicationName("Slicer")
    yield QSettings()
    QCoreApplication.setOrganizationName(names[0])
    QCoreApplication.setApplicationName(names[1])
    QSettings.setDefaultFormat(before)


@pytest.mark.parametrize("form", [str, lambda text: QByteArray(text.encode()), json.loads])
def test_the_running_slicers_settings_are_read(application_settings, form):
    for key, value in {
        "DICOM/ServerNodeCount": 2,
        "DICOM/ServerNodes/0": form(JSON),
        "DICOM/ServerNodes/1": ["a", "b"],
        "ServerNodeCount": 1,
        "ServerNodes/0": DIALOG_ROW,
        "CallingAETitle": "ME",
    }.items():
        application_settings.setValue(key, value)
    found = read_servers()
    assert found.servers == (PACS, Server("Old", "old", 105, "OLD", "ME"))
    assert found.unusable == (Failure("entry 2", "It is in a form that is not known here."),)


@pytest.mark.parametrize("count", [1, "1"])
def test_numbers_that_come_back_as_texts_do_no_harm(monkeypatch, count):
    """PythonQt gives what was read from a file as texts, a map as a dict, a list as a tuple."""

    class Settings:
        def value(self, key: str) -> Any:
            return {
                "DICOM/ServerNodeCount": count,
                "DICOM/ServerNodes/0": {**ROW, "QueryRetrieveCheckState": "2"},
                "ServerNodeCount": count,
                "ServerNodes/0": ("a", "b"),
            }.get(key)

    monkeypatch.setattr(qt, "QSettings", Settings)
    assert (read_servers().servers, len(read_servers().unusable)) == ((PACS,), 1)


def test_a_slicer_without_servers_has_none(application_settings):
    assert read_servers() == FoundServers()


# the button


def make_page(session, qtbot, read=None) -> ServerSettings:
    page = ServerSettings(session, read_servers=read)
    qtbot.addWidget(page)
    page.show()
    session.asked("servers")[-1].answer([])
    return page


def test_without_a_slicer_there_is_no_button(session, qtbot):
    page = make_page(session, qtbot)
    assert not [button for button in page.findChildren(qt.QPushButton) if "Slicer" in button.text()]
    page.cleanup()


def test_the_button_hands_over_what_slicer_has_and_tells_the_outcome(session, qtbot):
    found = FoundServers((PACS,), unchecked=("Example",), unusable=(Failure("Bad", "It has no address."),))
    page = make_page(session, qtbot, lambda: found)
    qtbot.mouseClick(page.import_button, Qt.MouseButton.LeftButton)
    (ask,) = session.asked("import_servers")
    assert ask.params == {"servers": [PACS.to_dict()]}
    ask.answer(ServerImport(added=(PACS,), known=("Mine",)).to_dict())
    (message,) = session.messages
    assert message.text == (
        "Imported from 3D Slicer: PACS. Known already: Mine. Not checked in 3D Slicer: Example."
        " Cannot be imported: Bad."
    )
    assert (message.tone, message.details) == (Tone.WARNING, ("Bad: It has no address.",))
    page.cleanup()


def test_settings_that_cannot_be_read_are_told(session, qtbot):
    def read() -> FoundServers:
        raise BadData("The file Slicer.ini is no file of settings.")

    page = make_page(session, qtbot, read)
    qtbot.mouseClick(page.import_button, Qt.MouseButton.LeftButton)
    assert session.asked("import_servers") == []
    assert [message.text for message in session.messages] == ["The file Slicer.ini is no file of settings."]
    page.cleanup()


def test_a_configuration_that_cannot_be_written_is_told(session, qtbot):
    page = make_page(session, qtbot, lambda: FoundServers((PACS,)))
    qtbot.mouseClick(page.import_button, Qt.MouseButton.LeftButton)
    session.asked("import_servers")[0].fail(UsageError("The configuration file cannot be written."))
    assert [message.tone for message in session.messages] == [Tone.PROBLEM]
    page.cleanup()


def test_many_names_are_counted_and_nothing_imported_is_said():
    many = told(FoundServers(unchecked=tuple("ABCDEF")), ServerImport().to_dict())
    assert many.text == "No server was imported. Not checked in 3D Slicer: A, B, C, D and 2 more."
    assert told(FoundServers(), ServerImport().to_dict()).text == "No server was imported."


# the desktop


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(slicer_ini, "_settings_folder", lambda: tmp_path / "config")
    return tmp_path / "config" / "slicer.org" / "Slicer.ini"


def test_the_desktop_offers_it_only_where_slicer_has_a_file(home):
    assert desktop_host() == Host()
    home.parent.mkdir(parents=True)
    settings = QSettings(str(home), QSettings.Format.IniFormat)
    settings.setValue("DICOM/ServerNodeCount", 1)
    settings.setValue("DICOM/ServerNodes/0", JSON)
    settings.sync()
    read = desktop_host().read_servers
    assert read is not None
    assert read() == FoundServers((PACS,))


def test_in_the_whole_window_the_imported_server_stands_in_the_list(open_window, monkeypatch):
    host = Host(read_servers=lambda: FoundServers((PACS,)))
    monkeypatch.setattr(browser_window, "BrowserWidget", lambda session: BrowserWidget(session, None, host))
    hands: Hands = open_window()
    hands.wait(hands.browser._welcome.isVisible, "the first page")
    hands.press("Add a server…", hands.browser._welcome)
    hands.press("Import from 3D Slicer", hands.settings)
    hands.wait_for_message("Imported from 3D Slicer: PACS.")
    assert hands.ask("servers") == [PACS.to_dict()]
    hands.press("Import from 3D Slicer", hands.settings)
    hands.wait_for_message("No server was imported. Known already: PACS.")
