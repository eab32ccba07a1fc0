"""The page of servers: which there are, what they are called and how they are reached."""

from __future__ import annotations

from typing import Any

import qt

from ...domain.errors import VisualDicomError
from ..messages import Message, Remedy, Tone
from ..parts.glyph_button import GlyphButton
from ..parts.glyphs import glyph_icon
from ..parts.portable import value
from ..session import Session
from .server_drafts import Draft, Drafts
from .server_form import ServerForm
from .server_importer import ReadServers, ServerImporter
from .server_tests import Outcome, ServerTests

_GLYPHS = {Outcome.RUNNING: "refresh", Outcome.GOOD: "tick", Outcome.BAD: "failed"}


class ServerSettings(qt.QWidget):
    """All servers on the left, one of them on the right. What is typed stays until it is saved or discarded.

    :param read_servers: returns the servers of 3D Slicer's settings; None if there are none to import.
    """

    _known = False  # the engine said which servers there are

    def __init__(
        self, session: Session, parent: qt.QWidget | None = None, read_servers: ReadServers | None = None
    ) -> None:
        qt.QWidget.__init__(self, parent)
        self._session = session
        self._import = ServerImporter(session, read_servers) if read_servers is not None else None
        self._drafts, self._tests = Drafts(), ServerTests(session)
        self._current: Draft | None = None
        self._problem = ""
        self._setting = False
        self._wanted = ""
        self._build()
        self._endings = [
            session.servers_changed.connect(self.reload),
            self._tests.changed.connect(lambda *_: self._show()),
            session.ready_changed.connect(lambda ready, *_: self.reload() if ready else None),
        ]
        self._show()
        self.reload()

    def reload(self) -> None:
        """Ask for the servers; what is typed and not saved stays."""
        self._session.ask("servers", {}, self._on_servers)

    def add_server(self) -> None:
        """Begin a new server."""
        self._choose(self._drafts.add())
        self.form.focus_first()

    def show_server(self, name: str) -> None:
        """Look at a server, as soon as it is known."""
        self._wanted = name
        found = next((draft for draft in self._drafts.drafts if draft.saved_name == name), None)
        if found is not None:
            self._wanted = ""
            self._choose(found)

    def test_all(self) -> None:
        """Test all servers whose values can be right."""
        for draft in self._drafts.drafts:
            if not self._drafts.errors(draft):
                self._tests.start(id(draft), draft.values)

    def cleanup(self) -> None:
        """Let go of the session."""
        self._tests.stop()
        for end in self._endings:
            end()

    def resizeEvent(self, event: qt.QResizeEvent) -> None:
        """Leave the form its room."""
        qt.QWidget.resizeEvent(self, event)
        self.list.setFixedWidth(max(120, min(240, value(self, "width") // 4)))

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the colours."""
        qt.QWidget.changeEvent(self, event)
        if event.type() == qt.QEvent.PaletteChange and self._known:
            self._show()

    # what there is

    def _on_servers(self, servers: list[dict[str, Any]]) -> None:
        self._known = True
        self._drafts.take(servers)
        drafts = self._drafts.drafts
        if not any(draft is self._current for draft in drafts):
            self._current, self._problem = drafts[0] if drafts else None, ""
        self._show()
        if self._wanted:
            self.show_server(self._wanted)

    def _choose(self, draft: Draft | None) -> None:
        self._current, self._problem = draft, ""
        self._show()

    def _on_row(self, row: int) -> None:
        if not self._setting and 0 <= row < len(self._drafts.drafts):
            self._choose(self._drafts.drafts[row])

    def _on_edited(self, name: str, typed: Any) -> None:
        if self._current is not None:
            self._current.values[name] = typed
            self._current.touched.add(name)
            self._problem = ""
            self._show()

    # what is done

    def _save(self) -> None:
        draft = self._current
        if draft is None or not draft.changed:
            return
        draft.touched.update(draft.values)
        if self._drafts.errors(draft):
            self._show()
            return
        values = dict(draft.values)
        params = {"server": values, "replaces": draft.saved_name}
        self._session.ask(
            "save_server",
            params,
            lambda *_: self._on_saved(draft, values),
            lambda error: self._on_problem(draft, error),
        )

    def _on_saved(self, draft: Draft, values: dict[str, Any]) -> None:
        draft.saved = values
        self._show()
        self.reload()

    def _on_problem(self, draft: Draft, error: VisualDicomError) -> None:
        """Tell what went wrong beside the server, or, if another one is looked at meanwhile, in a message."""
        if draft is self._current:
            self._problem = str(error)
            self._show()
        else:
            self._session.say(f"{draft.title}: {error}", Tone.PROBLEM, f"server:{draft.title}")

    def _discard(self) -> None:
        draft = self._current
        if draft is not None:
            self._drafts.discard(draft)
            gone = draft.saved is None
            self._choose(next(iter(self._drafts.drafts), None) if gone else draft)

    def _remove(self) -> None:
        draft = self._current
        if draft is None or draft.saved is None:
            self._discard()
            return
        saved = dict(draft.saved)
        self._session.ask(
            "remove_server",
            {"name": saved["name"]},
            lambda *_: self._on_removed(saved),
            lambda error: self._on_problem(draft, error),
        )

    def _on_removed(self, saved: dict[str, Any]) -> None:
        params = {"server": saved, "replaces": None}
        undo = Remedy("Undo", lambda: self._session.ask("save_server", params, lambda *_: self.reload()))
        name = saved["name"]
        self._session.said.emit(Message(f"The server {name} was removed.", Tone.NOTE, f"server:{name}", (undo,)))
        self.reload()

    def _test(self) -> None:
        draft = self._current
        if draft is not None:
            draft.touched.update(draft.values)
            if not self._drafts.errors(draft):
                self._tests.start(id(draft), draft.values)
            self._show()

    # what is seen

    def _show(self) -> None:
        self._setting = True
        self._show_list()
        self._show_form()
        self._setting = False

    def _show_list(self) -> None:
        drafts = self._drafts.drafts
        while value(self.list, "count") > len(drafts):
            self.list.takeItem(value(self.list, "count") - 1)
        while value(self.list, "count") < len(drafts):
            self.list.addItem("")
        for row, draft in enumerate(drafts):
            self._show_item(self.list.item(row), draft)
            if draft is self._current:
                self.list.setCurrentRow(row)
        self.test_all_button.setEnabled(bool(drafts))

    def _show_item(self, item: qt.QListWidgetItem, draft: Draft) -> None:
        item.setText(f"{draft.title}  •" if draft.changed else draft.title)
        font = qt.QFont(value(self, "font"))
        font.setItalic(draft.changed)
        item.setFont(font)
        state = self._tests.state(id(draft), draft.values)
        item.setIcon(self._mark(_GLYPHS[state.outcome] if state is not None else "computer"))
        item.setSizeHint(qt.QSize(0, self.fontMetrics().height() + 14))
        words = [] if state is None else [state.words]
        item.setToolTip("\n".join([*words, "Not saved yet"] if draft.changed else words))

    def _mark(self, glyph: str) -> qt.QIcon:
        palette = value(self, "palette")
        icon = glyph_icon(glyph, palette.color(qt.QPalette.Text))
        chosen = glyph_icon(glyph, palette.color(qt.QPalette.HighlightedText))
        icon.addPixmap(chosen.pixmap(16, 16), qt.QIcon.Selected)
        return icon

    def _show_form(self) -> None:
        draft = self._current
        self.pages.setCurrentIndex(1 if draft is None else 0)
        self.empty.setText("No server yet. Add one to search and fetch images from it." if self._known else "")
        if draft is None:
            return
        errors = self._drafts.errors(draft)
        self.title.setText(draft.title)
        self.form.show_values(draft.values, self._drafts.proxies(draft))
        self.form.show_errors(
            {name: sentence for name, sentence in errors.items() if name.partition(".")[0] in draft.touched}
        )
        self.save.setEnabled(draft.changed and not errors)
        self.discard.setEnabled(draft.changed)
        self.remove.setEnabled(draft.saved is not None)
        self._show_test(draft)

    def _show_test(self, draft: Draft) -> None:
        state = self._tests.state(id(draft), draft.values)
        words = self._problem or (state.words if state is not None else "")
        glyph = "failed" if self._problem else _GLYPHS[state.outcome] if state is not None else ""
        self.outcome.setText(words)
        color = value(self, "palette").color(qt.QPalette.WindowText)
        self.outcome_sign.setVisible(bool(glyph))
        if glyph:
            self.outcome_sign.setPixmap(glyph_icon(glyph, color).pixmap(16, 16))

    # how it is built

    def _build(self) -> None:
        middle = qt.QHBoxLayout(self)
        middle.setContentsMargins(0, 0, 0, 0)
        middle.setSpacing(20)
        middle.addLayout(self._build_left(), 0)
        middle.addWidget(self._build_pages(), 1)

    def _build_left(self) -> qt.QVBoxLayout:
        self.list = qt.QListWidget(self)
        self.list.setTextElideMode(qt.Qt.ElideRight)
        self.list.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        self.list.setSpacing(1)
        self.list.setAccessibleName("Servers")
        self.list.currentRowChanged.connect(self._on_row)
        self.add = GlyphButton("plus", "Add", "Add a server", self)
        self.add.clicked.connect(lambda *_: self.add_server())
        self.test_all_button = GlyphButton("refresh", "Test all", "Ask every server whether it answers (C-ECHO)", self)
        self.test_all_button.clicked.connect(lambda *_: self.test_all())
        buttons = qt.QHBoxLayout()
        buttons.addWidget(self.add)
        buttons.addWidget(self.test_all_button)
        buttons.addStretch(1)
        column = qt.QVBoxLayout()
        column.addWidget(self.list, 1)
        column.addLayout(buttons)
        if self._import is not None:
            column.addWidget(self._build_import(self._import))
        return column

    def _build_import(self, importer: ServerImporter) -> qt.QPushButton:
        self.import_button = qt.QPushButton("Import from 3D Slicer", self)
        self.import_button.setToolTip("Add the servers that are checked in 3D Slicer's DICOM settings")
        self.import_button.clicked.connect(lambda *_: importer.run())
        return self.import_button

    def _build_pages(self) -> qt.QStackedWidget:
        self.pages = qt.QStackedWidget(self)
        area = qt.QScrollArea(self.pages)
        area.setWidgetResizable(True)
        area.setFrameShape(qt.QFrame.NoFrame)
        area.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        area.setWidget(self._build_right())
        self.empty = qt.QLabel("", self.pages)
        self.empty.setAlignment(qt.Qt.AlignCenter)
        self.empty.setWordWrap(True)
        self.empty.setForegroundRole(qt.QPalette.PlaceholderText)
        self.pages.addWidget(area)
        self.pages.addWidget(self.empty)
        return self.pages

    def _build_right(self) -> qt.QWidget:
        page = qt.QWidget()
        self.title = qt.QLabel("", page)
        self.title.setTextFormat(qt.Qt.PlainText)
        self.title.setFont(self._bold(1.15))
        self.form = ServerForm(page)
        self.form.edited.connect(self._on_edited)
        column = qt.QVBoxLayout(page)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(10)
        column.addWidget(self.title)
        column.addWidget(self.form)
        column.addLayout(self._build_outcome(page))
        column.addLayout(self._build_buttons(page))
        column.addStretch(1)
        return page

    def _build_outcome(self, page: qt.QWidget) -> qt.QHBoxLayout:
        self.test = qt.QPushButton("Test", page)
        self.test.setToolTip("Ask the server whether it answers (C-ECHO), with the values as they are here")
        self.test.clicked.connect(lambda *_: self._test())
        self.outcome_sign = qt.QLabel("", page)
        self.outcome = qt.QLabel("", page)
        self.outcome.setTextFormat(qt.Qt.PlainText)
        self.outcome.setWordWrap(True)
        row = qt.QHBoxLayout()
        row.addWidget(self.test)
        row.addWidget(self.outcome_sign)
        row.addWidget(self.outcome, 1)
        return row

    def _build_buttons(self, page: qt.QWidget) -> qt.QHBoxLayout:
        self.save = qt.QPushButton("Save", page)
        self.save.clicked.connect(lambda *_: self._save())
        self.discard = qt.QPushButton("Discard", page)
        self.discard.setToolTip("Go back to what was saved")
        self.discard.clicked.connect(lambda *_: self._discard())
        self.remove = GlyphButton("trash", "Remove", "Remove this server; its images stay", page)
        self.remove.clicked.connect(lambda *_: self._remove())
        row = qt.QHBoxLayout()
        row.addWidget(self.save)
        row.addWidget(self.discard)
        row.addStretch(1)
        row.addWidget(self.remove)
        return row

    def _bold(self, factor: float) -> qt.QFont:
        font = qt.QFont(value(self, "font"))
        font.setBold(True)
        font.setPointSizeF(font.pointSizeF() * factor)
        return font
