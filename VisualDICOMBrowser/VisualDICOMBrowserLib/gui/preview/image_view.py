"""Shows one picture as large as fits, with texts in its corners, and tells what the mouse does with it."""

from __future__ import annotations

from dataclasses import dataclass

import qt

from ..parts.pointer import place_of
from ..parts.portable import value
from ..parts.signals import Signal
from ..parts.tints import muted, palette_of
from .windowing import fitted

# Pictures are looked at on black, whatever the colours of the window.
_BLACK = (12, 13, 15)
_BRIGHT = (228, 231, 235)
_SOFT = (160, 167, 176)
_MARGIN = 8
_NOTCH = 120  # eighths of a degree that a step of the wheel turns


@dataclass(frozen=True)
class Corners:
    """Texts over the picture."""

    top_left: str = ""
    top_right: str = ""
    bottom_left: str = ""
    bottom_right: str = ""


class ImageView(qt.QWidget):
    """The picture, or a sentence in its place.

    ===============  =====================  ==================================================
    signal           values                 when
    ===============  =====================  ==================================================
    ``pressed``      none                   the left button went down: a drag may begin
    ``dragged``      right, down (pixels)   the mouse moved since then, with the button held
    ``reset``        none                   double click, or a click with the right button
    ``turned``       steps                  the wheel: one a notch, positive is towards the user
    ``resized``      none                   there is more or less room
    ===============  =====================  ==================================================
    """

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.pressed, self.dragged, self.reset = Signal(), Signal(), Signal()
        self.turned, self.resized = Signal(), Signal()
        self._image: qt.QImage | None = None
        self._aspect = 1.0
        self._corners = Corners()
        self._sentence, self._detail = "", ""
        self._press: tuple[float, float] | None = None
        self._turned = 0
        self.setFocusPolicy(qt.Qt.StrongFocus)
        self.setMinimumSize(160, 120)
        self.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Expanding)

    def show_image(self, image: qt.QImage | None, aspect: float = 1.0) -> None:
        """Show a picture, whose pixels are ``aspect`` times as high as wide; None shows none."""
        self._image, self._aspect = image, aspect
        self.update()

    def set_corners(self, corners: Corners) -> None:
        """Set the texts over the picture."""
        if corners != self._corners:
            self._corners = corners
            self.update()

    def say(self, sentence: str, detail: str = "") -> None:
        """Show a sentence in the middle, over what there is; an empty one shows the picture alone."""
        if (sentence, detail) != (self._sentence, self._detail):
            self._sentence, self._detail = sentence, detail
            self.update()

    def room(self) -> tuple[float, float]:
        """Return the width and height there are for pictures, in pixels of the screen's own."""
        ratio = self.devicePixelRatioF()
        return value(self, "width") * ratio, value(self, "height") * ratio

    def paintEvent(self, event: qt.QPaintEvent) -> None:
        """Paint the picture and the texts."""
        painter = qt.QPainter()
        painter.begin(self)
        try:
            painter.fillRect(value(self, "rect"), self._ground())
            self._paint_image(painter)
            self._paint_corners(painter)
            self._paint_sentence(painter)
        finally:
            painter.end()

    def _ground(self) -> qt.QColor:
        """Return black behind a picture; without one there is nothing that colours could disturb."""
        return qt.QColor(*_BLACK) if self._image is not None else palette_of(self).color(qt.QPalette.Window)

    def mousePressEvent(self, event: qt.QMouseEvent) -> None:
        """Begin a drag."""
        if event.button() == qt.Qt.LeftButton:
            self._press = place_of(event)
            self.pressed.emit()

    def mouseMoveEvent(self, event: qt.QMouseEvent) -> None:
        """Go on with a drag."""
        if self._press is not None:
            x, y = place_of(event)
            self.dragged.emit(x - self._press[0], y - self._press[1])

    def mouseReleaseEvent(self, event: qt.QMouseEvent) -> None:
        """End a drag; the right button sets back."""
        self._press = None
        if event.button() == qt.Qt.RightButton:
            self.reset.emit()

    def mouseDoubleClickEvent(self, event: qt.QMouseEvent) -> None:
        """Set back."""
        self._press = None
        self.reset.emit()

    def wheelEvent(self, event: qt.QWheelEvent) -> None:
        """Count notches; finer devices add up to one."""
        turned = self._turned - event.angleDelta().y()
        steps = int(turned / _NOTCH)
        self._turned = turned - steps * _NOTCH
        event.accept()
        if steps:
            self.turned.emit(steps)

    def resizeEvent(self, event: qt.QResizeEvent) -> None:
        """Tell that the room has changed."""
        qt.QWidget.resizeEvent(self, event)
        self.resized.emit()

    def _paint_image(self, painter: qt.QPainter) -> None:
        image = self._image
        if image is None or image.isNull():
            return
        area = value(self, "rect")
        box = fitted(image.width(), image.height(), self._aspect, area.width(), area.height())
        painter.setRenderHint(qt.QPainter.SmoothPixmapTransform, True)
        painter.setOpacity(0.35 if self._sentence else 1.0)
        painter.drawImage(qt.QRect(round(box.left), round(box.top), round(box.width), round(box.height)), image)
        painter.setOpacity(1.0)

    def _paint_corners(self, painter: qt.QPainter) -> None:
        area = value(self, "rect").adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        left, right, top, bottom = qt.Qt.AlignLeft, qt.Qt.AlignRight, qt.Qt.AlignTop, qt.Qt.AlignBottom
        for text, place in (
            (self._corners.top_left, left | top),
            (self._corners.top_right, right | top),
            (self._corners.bottom_left, left | bottom),
            (self._corners.bottom_right, right | bottom),
        ):
            if text:
                _draw_legible(painter, area, place, text)

    def _paint_sentence(self, painter: qt.QPainter) -> None:
        if not self._sentence:
            return
        area = value(self, "rect").adjusted(3 * _MARGIN, _MARGIN, -3 * _MARGIN, -_MARGIN)
        wrapped = int(qt.Qt.AlignHCenter) | int(qt.Qt.TextWordWrap)
        metrics = self.fontMetrics()
        first = metrics.boundingRect(area, wrapped, self._sentence).height()
        second = metrics.boundingRect(area, wrapped, self._detail).height() + _MARGIN if self._detail else 0
        top = area.y() + max(0, (area.height() - first - second) // 2)
        palette, pictured = palette_of(self), self._image is not None
        alone = palette.color(qt.QPalette.WindowText) if self._detail else muted(palette)
        painter.setPen(qt.QColor(*_BRIGHT) if pictured else alone)
        painter.drawText(qt.QRect(area.x(), top, area.width(), first), wrapped, self._sentence)
        if self._detail:
            painter.setPen(qt.QColor(*_SOFT) if pictured else muted(palette))
            rest = qt.QRect(area.x(), top + first + _MARGIN, area.width(), area.height())
            painter.drawText(rest, wrapped, self._detail)


def _draw_legible(painter: qt.QPainter, area: qt.QRect, place: int, text: str) -> None:
    """Draw a text with a dark edge, so that it can be read on white too."""
    painter.setPen(qt.QColor(0, 0, 0, 200))
    for right, down in ((1, 1), (-1, 1), (1, -1), (-1, -1)):
        painter.drawText(area.adjusted(right, down, right, down), int(place), text)
    painter.setPen(qt.QColor(*_BRIGHT))
    painter.drawText(area, int(place), text)
