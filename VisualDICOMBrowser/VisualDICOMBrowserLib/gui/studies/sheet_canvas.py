"""The painted surface of a sheet: what is seen of it, and what mouse and keys do there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import qt

from ...domain.overview import SeriesRow
from ..parts.portable import value
from ..parts.signals import Signal
from .selection import Selection
from .sheet_content import SheetContent
from .sheet_keys import SheetKeys
from .sheet_layout import HEADER, LINE, Box, SheetLayout, Spot
from .sheet_look import Look, ThumbnailSize, look_of
from .sheet_painter import Cell, Header, SheetPainter, check_box, chip_box, header_chip
from .sheet_text import ACTIONS, NO_SERIES, others_text, series_tip, study_tip
from .sheet_voice import SheetVoice

#: So far the mouse moves before a press becomes a drag.
_DRAG_DISTANCE = 8
Picture = Callable[[SeriesRow], "qt.QPixmap | None"]


@dataclass
class _Press:
    """A mouse button that is down.

    :ivar below: how far below the top of the whole sheet it went down.
    :ivar alone: a series that letting go chooses alone.
    """

    x: int
    y: int
    below: int
    spot: Spot | None
    alone: str = ""


class SheetCanvas(qt.QWidget):
    """Paints the visible part of a sheet and turns input into signals.

    =====================  ======================  ==============================================
    signal                 values                  when
    =====================  ======================  ==============================================
    ``scroll_asked``       top                     something further up or down is to be seen
    ``fold_asked``         study UID, unfolded     a header was clicked
    ``others_asked``       none                    the studies that do not match are wanted
    ``chosen``             none                    the selection changed
    ``current_changed``    none                    the mouse or a key went to another place
    ``opened``             series                  double click or Enter
    ``chip_clicked``       list of series          the pictogram of a series or study was clicked
    ``menu_asked``         list of series, point   right click or menu key
    ``zoomed``             1 or -1                 larger or smaller pictures are wanted
    ``drag_began``         none                    what is chosen is dragged away
    =====================  ======================  ==============================================
    """

    def __init__(self, content: SheetContent, picture: Picture, reason: Callable[[SeriesRow], str]) -> None:
        qt.QWidget.__init__(self)
        self.scroll_asked = Signal()
        self.fold_asked = Signal()
        self.others_asked = Signal()
        self.chosen = Signal()
        self.current_changed = Signal()
        self.opened = Signal()
        self.chip_clicked = Signal()
        self.menu_asked = Signal()
        self.zoomed = Signal()
        self.drag_began = Signal()
        self.content = content
        self.places = SheetLayout()
        self.selection = Selection(lambda: [row.uid for row in content.shown()])
        self.notice = ""
        self.top = 0
        self.current = ""
        self.by_keys = False
        self.size_shown = ThumbnailSize.SMALL
        self.look: Look = look_of(self, self.size_shown)
        self._picture, self.picture_failure = picture, reason
        self._keys = SheetKeys(self)
        self._voice = SheetVoice(self)
        self._pointed: Spot | None = None
        self._chip_pointed = False
        self._press: _Press | None = None
        self._band: Box | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(qt.Qt.StrongFocus)
        self.setAttribute(qt.Qt.WA_OpaquePaintEvent, True)
        self.setMinimumSize(180, 80)
        self._voice.tell()

    # -- what is seen

    @property
    def seen(self) -> int:
        """The height of what is seen."""
        return int(value(self, "height"))

    def renew_look(self) -> None:
        """Take over another palette, font, size or display."""
        self.look = look_of(self, self.size_shown)
        self.places.set_measures(self.look.measures())
        self.update()

    def set_top(self, top: int) -> None:
        """Show another part of the sheet."""
        by, self.top = self.top - top, top
        if by and abs(by) < self.seen and self._band is None:
            self.scroll(0, by)
        elif by:
            self.update()

    def reveal(self, spot: Spot) -> None:
        """Ask for a scroll that brings a place into view."""
        box = self.places.box(spot)
        if box.y < self.top:
            self.scroll_asked.emit(max(0, box.y - self.places.measures.gap))
        elif box.bottom > self.top + self.seen:
            self.scroll_asked.emit(box.bottom - self.seen + self.places.measures.gap)

    def visible_rows(self) -> list[SeriesRow]:
        """Return the series that are seen, from above to below."""
        return self._rows_within(self.top, self.top + self.seen)

    def rows_around(self) -> list[SeriesRow]:
        """Return the series that some turns of the wheel bring into view: first those below, then those above."""
        bottom, room = self.top + self.seen, max(self.seen // 2, 300)
        return [*self._rows_within(bottom, bottom + room), *self._rows_within(max(0, self.top - room), self.top)]

    def _rows_within(self, top: int, bottom: int) -> list[SeriesRow]:
        spots = self.places.within(top, bottom)
        return [row for spot, _ in spots if (row := self.content.series_at(spot)) is not None]

    def renew(self) -> None:
        """Paint all anew, and tell screen readers what has changed."""
        self.update()
        self._voice.tell()

    def repaint_spot(self, spot: Spot | None) -> None:
        """Paint one place anew, and the header of its study; tell screen readers if the keys are there."""
        if spot is not None and spot == self.current_spot():
            self._voice.tell()
        for one in {spot, Spot(spot.block)} if spot is not None else ():
            if one.block < len(self.places.blocks):
                box = self.places.box(one)
                self.update(box.x, box.y - self.top, box.width, box.height)

    def current_spot(self) -> Spot | None:
        """Return where the keys are."""
        return self.content.spot_of(self.current) if self.current else None

    def go_to(self, spot: Spot | None) -> None:
        """Make a place the current one."""
        self.repaint_spot(self.current_spot())
        before, self.current = self.current, self.content.key_of(spot) if spot is not None else ""
        if spot is not None:
            self.repaint_spot(spot)
        if before != self.current:
            self._voice.tell()
            self.current_changed.emit()

    def note_choice(self, changed: bool) -> None:
        """Paint and tell that the selection is another one, if it is."""
        if changed:
            self.renew()
            self.chosen.emit()

    def toggle_study(self, study_uid: str) -> None:
        """Choose all series of a study that match, or none if all of them are chosen."""
        self.content.series_of(study_uid)
        uids = self.content.choosable(study_uid)
        self.note_choice(self.selection.set_all(uids, self.selection.share_of(uids) < 1))

    # -- Qt's events

    def paintEvent(self, event: qt.QPaintEvent) -> None:
        """Paint what is seen of the part that needs it."""
        area = event.rect()
        x, y, width, height = area.x(), area.y(), area.width(), area.height()
        if float(self.devicePixelRatioF()) != self.look.ratio:  # the window went to another display
            self.look = look_of(self, self.size_shown)
        painter = qt.QPainter()
        painter.begin(self)
        try:
            painter.fillRect(x, y, width, height, self.look.base)
            self._paint(SheetPainter(painter, self.look), Box(x, y, width, height))
        finally:
            painter.end()

    def resizeEvent(self, event: qt.QResizeEvent) -> None:
        """Fit the rows into the new width."""
        qt.QWidget.resizeEvent(self, event)
        self.scroll_asked.emit(self.top)

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow the palette and the font."""
        qt.QWidget.changeEvent(self, event)
        if event.type() in (qt.QEvent.PaletteChange, qt.QEvent.FontChange) and hasattr(self, "places"):
            self.renew_look()
            self.scroll_asked.emit(self.top)

    def wheelEvent(self, event: qt.QWheelEvent) -> None:
        """Scroll; with Ctrl make the pictures larger or smaller."""
        turn = event.angleDelta().y()
        if event.modifiers() & qt.Qt.ControlModifier:
            if turn:
                self.zoomed.emit(1 if turn > 0 else -1)
        else:
            exact = event.pixelDelta().y()
            self.scroll_asked.emit(self.top - (exact or turn * 3 * self.look.line // 120))
        event.accept()

    def mousePressEvent(self, event: qt.QMouseEvent) -> None:
        """Choose, fold, or begin a rubber band."""
        self.by_keys = False
        if event.button() == qt.Qt.LeftButton:
            self._on_press(*_point_of(event), event.modifiers())

    def mouseDoubleClickEvent(self, event: qt.QMouseEvent) -> None:
        """Open a series."""
        if event.button() != qt.Qt.LeftButton:
            return
        x, y = _point_of(event)
        spot = self._at(x, y)
        row = self.content.series_at(spot)
        if spot is None or self._is_chip(spot, x, y):
            return  # the first click has done it
        if row is not None:
            self.opened.emit(row)
        else:
            self._on_press(x, y, event.modifiers())

    def mouseMoveEvent(self, event: qt.QMouseEvent) -> None:
        """Point at something, stretch the rubber band, or begin to drag."""
        x, y = _point_of(event)
        if self._press is None:
            self._point_at(x, y)
        elif self._band is not None:
            self._stretch(x, y)
        elif max(abs(x - self._press.x), abs(y - self._press.y)) >= _DRAG_DISTANCE and self._press.spot is not None:
            spot, self._press = self._press.spot, None
            if spot.cell >= 0:
                self.drag_began.emit()

    def mouseReleaseEvent(self, event: qt.QMouseEvent) -> None:
        """End what the press began."""
        press, self._press = self._press, None
        if self._band is not None:
            self._band = None
            self.selection.end_band()
            self.update()
        elif press is not None and press.alone:
            self.note_choice(self.selection.choose(press.alone))

    def leaveEvent(self, event: qt.QEvent) -> None:
        """Point at nothing."""
        self._point_at(-1, -1)

    def focusInEvent(self, event: qt.QFocusEvent) -> None:
        """Show where the keys are."""
        self.by_keys = event.reason() in (qt.Qt.TabFocusReason, qt.Qt.BacktabFocusReason)
        if self.by_keys and self.current_spot() is None and self.places.blocks:
            self.go_to(Spot(0))
        self.repaint_spot(self.current_spot())

    def focusOutEvent(self, event: qt.QFocusEvent) -> None:
        """Show no longer where the keys are."""
        self.repaint_spot(self.current_spot())

    def keyPressEvent(self, event: qt.QKeyEvent) -> None:
        """Do what the key means."""
        if self._keys.press(int(event.key()), event.modifiers()):
            event.accept()
        else:
            qt.QWidget.keyPressEvent(self, event)

    def contextMenuEvent(self, event: qt.QContextMenuEvent) -> None:
        """Ask for a menu where the mouse is, or where the keys are."""
        if event.reason() == qt.QContextMenuEvent.Mouse:
            self._ask_menu(self._at(event.pos().x(), event.pos().y()), qt.QPoint(event.globalPos()))
        elif (spot := self.current_spot()) is not None:
            box = self.places.box(spot)
            self._ask_menu(spot, self.mapToGlobal(qt.QPoint(box.x + 24, box.y + 24 - self.top)))

    # -- painting

    def _paint(self, painter: SheetPainter, area: Box) -> None:
        if not self.places.blocks:
            painter.notice(Box(0, 0, int(value(self, "width")), self.seen), self.notice)
        current = self.current_spot() if self.by_keys and self.hasFocus() else None
        for spot, box in self.places.within(self.top + area.y, self.top + area.bottom):
            placed = Box(box.x, box.y - self.top, box.width, box.height)
            if placed.meets(area):
                self._paint_spot(painter, spot, placed, spot == current)
        if self._band is not None:
            painter.band(Box(self._band.x, self._band.y - self.top, self._band.width, self._band.height))

    def _paint_spot(self, painter: SheetPainter, spot: Spot, box: Box, current: bool) -> None:
        row, study = self.content.series_at(spot), self.content.study_at(spot)
        pointed = spot == self._pointed
        if row is not None:
            chosen, chip = row.uid in self.selection, pointed and self._chip_pointed
            state = self.content.state(row)
            painter.cell(box, Cell(row, state, self._picture(row), chosen, current, pointed, chip))
        elif study is None:
            painter.line(box, others_text(self.content.hidden_studies), link=True, current=current)
        elif spot.cell == LINE:
            painter.line(box, NO_SERIES, link=False)
        else:
            uid = study.study.study_uid
            share = self.selection.share_of(self.content.choosable(uid))
            unfolded = self.content.is_unfolded(uid)
            painter.header(box, Header(study, self.content.summary(study), unfolded, share, current, pointed))

    # -- the mouse

    def _at(self, x: int, y: int) -> Spot | None:
        return self.places.at(x, y + self.top) if x >= 0 and y >= 0 else None

    def _is_chip(self, spot: Spot | None, x: int, y: int) -> bool:
        """Tell whether a point is on the pictogram of a state that can be clicked."""
        row = self.content.series_at(spot)
        if spot is not None and spot.cell == HEADER:
            return header_chip(self.places.box(spot)).holds(x, y + self.top)
        if spot is None or row is None or self.content.state(row).presence not in ACTIONS:
            return False
        return chip_box(self.look, self.places.box(spot)).holds(x, y + self.top)

    def _on_press(self, x: int, y: int, modifiers: qt.Qt.KeyboardModifiers) -> None:
        spot = self._at(x, y)
        row, study = self.content.series_at(spot), self.content.study_at(spot)
        self._press = _Press(x, y, y + self.top, spot)
        if spot is None:
            self._band = Box(x, y + self.top, 0, 0)
            self.selection.begin_band(add=bool(modifiers & qt.Qt.ControlModifier))
            self.note_choice(self.selection.stretch_band(()))
        elif row is not None and self._is_chip(spot, x, y):
            self.chip_clicked.emit([row])
        elif row is not None:
            self._press_cell(row, spot, modifiers)
        elif study is not None and spot.cell == HEADER:
            self._press_header(study.study.study_uid, spot, x, y)
        elif study is None:
            self.others_asked.emit()

    def _press_cell(self, row: SeriesRow, spot: Spot, modifiers: qt.Qt.KeyboardModifiers) -> None:
        if modifiers & qt.Qt.ShiftModifier:
            changed = self.selection.reach(row.uid, add=bool(modifiers & qt.Qt.ControlModifier))
        elif modifiers & qt.Qt.ControlModifier:
            changed = self.selection.toggle(row.uid)
        elif row.uid in self.selection and self._press is not None:
            self._press.alone, changed = row.uid, False
        else:
            changed = self.selection.choose(row.uid)
        self.go_to(spot)
        self.note_choice(changed)

    def _press_header(self, study_uid: str, spot: Spot, x: int, y: int) -> None:
        box = self.places.box(spot)
        self.go_to(spot)
        if check_box(box).holds(x, y + self.top):
            self.toggle_study(study_uid)
        elif header_chip(box).holds(x, y + self.top):
            self.chip_clicked.emit(list(self.content.series_of(study_uid)))
        else:
            self.fold_asked.emit(study_uid, not self.content.is_unfolded(study_uid))

    def _stretch(self, x: int, y: int) -> None:
        if self._press is None or self._band is None:
            return
        if y < 0 or y > self.seen:
            self.scroll_asked.emit(self.top + (y if y < 0 else y - self.seen))
        left, right = sorted((self._press.x, x))
        above, below = sorted((self._press.below, y + self.top))
        self._band = Box(left, above, right - left, below - above)
        rows = (self.content.series_at(spot) for spot in self.places.inside(self._band))
        self.note_choice(self.selection.stretch_band(row.uid for row in rows if row is not None))
        self.update()

    def _point_at(self, x: int, y: int) -> None:
        spot = self._at(x, y)
        chip = self._is_chip(spot, x, y)
        if (spot, chip) == (self._pointed, self._chip_pointed):
            return
        before, self._pointed, self._chip_pointed = self._pointed, spot, chip
        self.repaint_spot(before)
        self.repaint_spot(spot)
        self.setToolTip(self._tip(spot, chip))

    def _tip(self, spot: Spot | None, chip: bool) -> str:
        row, study = self.content.series_at(spot), self.content.study_at(spot)
        if row is not None:
            return series_tip(row, self.content.state(row), self.picture_failure(row), chip)
        if study is None or spot is None or spot.cell != HEADER:
            return ""
        return study_tip(study, self.content.summary(study).where)

    def _ask_menu(self, spot: Spot | None, point: qt.QPoint) -> None:
        row, study = self.content.series_at(spot), self.content.study_at(spot)
        if row is not None:
            if row.uid not in self.selection:
                self.note_choice(self.selection.choose(row.uid))
            self.go_to(spot)
            self.menu_asked.emit([one for uid in self.selection.uids if (one := self.content.find(uid))], point)
        elif study is not None:
            self.menu_asked.emit(list(self.content.series_of(study.study.study_uid)), point)


def _point_of(event: qt.QMouseEvent) -> tuple[int, int]:
    point = event.pos()
    return point.x(), point.y()
