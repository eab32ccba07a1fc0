"""The desktop's window remembers its place and begins to end without waiting; colours, log and messages of the host."""

from __future__ import annotations

import logging
import signal
import sys

import pytest
import qt

from support.fake_session import FakeSession
from VisualDICOMBrowserLib.engine.log_file import MAX_BYTES, trim
from VisualDICOMBrowserLib.host_desktop import app, theme
from VisualDICOMBrowserLib.host_desktop.log import except_hook, start_log, stop_log
from VisualDICOMBrowserLib.host_desktop.main_window import MainWindow
from VisualDICOMBrowserLib.host_desktop.theme import Group, Role


class Session(FakeSession):
    def __init__(self):
        super().__init__()
        self.steps = []

    def begin_close(self):
        self.steps.append("begun")


class Browser(qt.QWidget):
    def __init__(self, session, parent):
        qt.QWidget.__init__(self, parent)
        self.session = session

    def arrangement(self):
        return "as it is"

    def arrange(self, text):
        self.arranged = text

    def close_session(self):
        self.session.steps.append("closed")


@pytest.fixture
def make_window(tmp_path, qtbot):
    def make():
        window = MainWindow(Session(), Browser, tmp_path / "window.ini")
        qtbot.addWidget(window)
        return window

    return make


def test_the_browser_is_what_the_window_shows(make_window):
    window = make_window()
    assert window.centralWidget() is window.browser
    assert window.windowTitle() == "Visual DICOM Browser"


def test_a_signal_closes_the_window_but_not_in_the_middle_of_what_it_does(make_window, qtbot):
    window = make_window()
    window.show()
    with app._closed_by_signals() as close_on_signals:
        close_on_signals(window)
        signal.raise_signal(signal.SIGTERM)
        assert window.isVisible()
        qtbot.waitUntil(lambda: not window.isVisible())


def test_a_signal_that_comes_before_the_window_closes_it_all_the_same(make_window, qtbot):
    with app._closed_by_signals() as close_on_signals:
        signal.raise_signal(signal.SIGINT)
        window = make_window()
        window.show()
        close_on_signals(window)
        assert window.isVisible()
        qtbot.waitUntil(lambda: not window.isVisible())


def test_closing_begins_the_end_and_finishing_completes_it(make_window):
    window = make_window()
    window.show()
    window.close()
    assert window.browser.session.steps == ["begun"]
    assert not window.isVisible()
    window.finish()
    assert window.browser.session.steps == ["begun", "closed"]


def test_the_place_on_the_screen_is_remembered(make_window):
    first = make_window()
    first.show()
    first.resize(790, 500)
    first.close()
    assert make_window().size() == qt.QSize(790, 500)


def test_what_the_user_made_of_the_browser_is_remembered(make_window):
    first = make_window()
    first.show()
    first.close()
    assert make_window().browser.arranged == "as it is"


@pytest.mark.parametrize("name", ["light", "dark"])
def test_the_style_sheet_has_a_colour_for_every_name(name):
    text = theme.style_sheet(name)
    assert "<" not in text
    assert theme.PALETTES[name][Role.Highlight] in text


@pytest.mark.parametrize("text", ["", "[window]\ngeometry=nonsense\n", "[window]\ngeometry=@ByteArray(abc)\n", "\0\0"])
def test_a_damaged_memory_of_the_place_is_ignored(make_window, tmp_path, text):
    (tmp_path / "window.ini").write_text(text, encoding="utf-8")
    window = make_window()
    assert window.width() >= 700
    assert window.width() <= window.screen().availableGeometry().width()


def test_ctrl_q_closes(make_window, qtbot):
    window = make_window()
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    qtbot.keyClick(window, qt.Qt.Key_Q, qt.Qt.ControlModifier)
    assert window.browser.session.steps == ["begun"]


# Colours

PAIRS = [
    (Role.WindowText, Role.Window),
    (Role.Text, Role.Base),
    (Role.Text, Role.AlternateBase),
    (Role.WindowText, Role.Base),
    (Role.ButtonText, Role.Button),
    (Role.BrightText, Role.Window),
    (Role.ToolTipText, Role.ToolTipBase),
    (Role.PlaceholderText, Role.Base),
    (Role.PlaceholderText, Role.Window),
    (Role.HighlightedText, Role.Highlight),
    (Role.Link, Role.Base),
    (Role.LinkVisited, Role.Base),
]


def luminance(colour):
    """Relative luminance as WCAG 2.1 defines it."""
    parts = [colour.redF(), colour.greenF(), colour.blueF()]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(palette, group, text, background):
    light, dark = sorted((luminance(palette.color(group, role)) for role in (text, background)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.usefixtures("qapp")
@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("group", [Group.Active, Group.Inactive])
def test_text_can_be_read_on_its_background(name, group):
    palette = theme.palette(name)
    faint = {pair: round(found, 1) for pair in PAIRS if (found := contrast(palette, group, *pair)) < 4.5}
    assert faint == {}


@pytest.mark.usefixtures("qapp")
@pytest.mark.parametrize("name", ["light", "dark"])
def test_what_cannot_be_used_is_fainter_and_still_visible(name):
    palette = theme.palette(name)
    for text, background in [(Role.WindowText, Role.Window), (Role.ButtonText, Role.Button), (Role.Text, Role.Base)]:
        faint = contrast(palette, Group.Disabled, text, background)
        assert 2.5 < faint < contrast(palette, Group.Active, text, background)


class FakeHints:
    def __init__(self, scheme):
        self._scheme = scheme
        self.colorSchemeChanged = self
        self.listeners = []

    def colorScheme(self):
        return self._scheme

    def connect(self, listener):
        self.listeners.append(listener)


class FakeApplication:
    def __init__(self, scheme):
        self.hints = FakeHints(scheme)
        self.palettes = []

    def styleHints(self):
        return self.hints

    def setStyle(self, name):
        self.style = name

    def setPalette(self, palette, kind=""):
        if not kind:
            self.palettes.append(palette.color(Role.Base).name())

    def setStyleSheet(self, text):
        self.style_sheet = text


SCHEME = qt.Qt.ColorScheme
BASE = {name: palette[Role.Base] for name, palette in theme.PALETTES.items()}


def test_the_colours_follow_the_system():
    app = FakeApplication(SCHEME.Dark)
    theme.apply(app)
    assert app.palettes == [BASE["dark"]]
    for scheme in (SCHEME.Light, SCHEME.Unknown, SCHEME.Dark):
        app.hints.listeners[0](scheme)
    assert app.palettes[1:] == [BASE["light"], BASE["light"], BASE["dark"]]
    assert app.style == "Fusion"


def test_colours_that_were_chosen_stay():
    app = FakeApplication(SCHEME.Dark)
    theme.apply(app, "light")
    assert app.palettes == [BASE["light"]]
    assert app.hints.listeners == []


@pytest.fixture
def plain(qapp):
    before = qapp.palette()
    yield qapp
    qapp.setStyleSheet("")
    qapp.setPalette(before)


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("kind", [qt.QCheckBox, qt.QSpinBox, qt.QComboBox, qt.QListWidget])
def test_what_fusion_outlines_can_be_seen_on_the_window(plain, qtbot, name, kind):
    theme.apply(plain, name)
    widget = kind()
    qtbot.addWidget(widget)
    widget.ensurePolished()
    outline = widget.palette().color(Role.Window).darker(140)  # as Fusion does
    window = plain.palette().color(Role.Window)
    assert window.name() == theme.PALETTES[name][Role.Window]
    assert abs(outline.lightness() - window.lightness()) >= 40


# The log


def test_the_log_says_where_and_not_what(tmp_path):
    handler = start_log(tmp_path / "logs")
    try:
        raise ValueError("DOE^JANE")
    except ValueError:
        logging.getLogger("a.listener").info("A listener failed.", exc_info=True)  # below what fails a test
        record = logging.LogRecord("a.listener", logging.ERROR, "", 1, "Failed.", (), sys.exc_info())
        handler.handle(record)
    stop_log(handler)
    text = (tmp_path / "logs" / "window.log").read_text()
    assert "ERROR a.listener: Failed.\nValueError in test_the_log_says_where_and_not_what" in text
    assert "DOE" not in text


@pytest.mark.expects_log("A handler failed: ValueError")
def test_what_a_handler_raises_is_logged_and_told_without_its_text(caplog):
    told = []
    error = ValueError("DOE^JANE")
    except_hook(lambda: told.append(1))(ValueError, error, None)
    assert told == [1]
    assert "DOE" not in caplog.text


def test_a_long_log_is_put_aside(tmp_path):
    log = tmp_path / "engine.log"
    trim(log)
    log.write_bytes(b"x" * (MAX_BYTES + 1))
    trim(log)
    assert not log.exists()
    assert (tmp_path / "engine.log.1").stat().st_size == MAX_BYTES + 1
    log.write_bytes(b"short")
    trim(log)
    assert log.read_bytes() == b"short"
