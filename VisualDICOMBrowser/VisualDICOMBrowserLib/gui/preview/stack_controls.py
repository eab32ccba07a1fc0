"""The line below the picture: play, slider, frame counter, rate, windows, invert."""

from __future__ import annotations

import qt

from ..parts.glyph_button import GlyphButton
from ..parts.portable import value
from ..parts.signals import Signal
from .stack_state import RATES
from .windowing import Preset, Window

#: Pixels from which on the rate has its place.
_WIDE = 400


class StackControls(qt.QWidget):
    """Controls of a stack; setting them from outside emits nothing.

    ===================  ==============  ==============================================
    signal               values          when
    ===================  ==============  ==============================================
    ``moved``            index           the slider was moved
    ``play_toggled``     none            play or pause was pressed
    ``rate_chosen``      frames/s        another rate was chosen
    ``window_chosen``    Window or None  a preset was chosen; None is the file's own
    ``invert_toggled``   none            invert was pressed
    ===================  ==============  ==============================================
    """

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.moved, self.play_toggled, self.rate_chosen = Signal(), Signal(), Signal()
        self.window_chosen, self.invert_toggled = Signal(), Signal()
        self._setting = False
        self._playing = False
        self._build()
        self.set_place(0, 0)

    def set_place(self, index: int, count: int) -> None:
        """Show which of how many frames is looked at."""
        self._setting = True
        self.slider.setRange(0, max(0, count - 1))
        self.slider.setPageStep(max(1, count // 10))
        self.slider.setValue(index)
        self._setting = False
        self.counter.setText(f"{index + 1} / {count}" if count else "")
        self.counter.setMinimumWidth(self.fontMetrics().horizontalAdvance(f"{count} / {count}") + 4)
        self.setVisible(count > 0)
        for widget in (self.slider, self.play, self.rate):
            widget.setEnabled(count > 1)

    def resizeEvent(self, event: qt.QResizeEvent) -> None:
        """Leave the slider its room: the rate is the first to go."""
        qt.QWidget.resizeEvent(self, event)
        self.rate.setVisible(value(self, "width") >= _WIDE)

    def set_playing(self, playing: bool) -> None:
        """Show play or pause."""
        if playing != self._playing:
            self._playing = playing
            self.play.set_glyph("pause" if playing else "play")
            self.play.setToolTip("Pause (Space)" if playing else "Play (Space)")

    def set_rate(self, rate: float) -> None:
        """Show the rate of the cine."""
        self._setting = True
        self.rate.setValue(max(1, round(rate)))
        self._setting = False

    def set_presets(self, presets: tuple[Preset, ...], grey: bool) -> None:
        """Offer windows; colours have none."""
        self.menu.clear()
        self.windows.setEnabled(grey)
        self.invert.setEnabled(grey)
        self._add("As stored", None)
        if presets:
            self.menu.addSeparator()
        for preset in presets:
            self._add(f"{preset.name}\t{preset.window.words}", preset.window)

    def set_inverted(self, inverted: bool) -> None:
        """Show whether black and white are exchanged."""
        self.invert.setChecked(inverted)

    def _add(self, text: str, window: Window | None) -> None:
        action = self.menu.addAction(text)
        action.triggered.connect(lambda *_: self.window_chosen.emit(window))

    def _build(self) -> None:
        self.play = GlyphButton("play", "", "Play (Space)", self)
        self.play.clicked.connect(lambda *_: self.play_toggled.emit())
        self.slider = qt.QSlider(qt.Qt.Horizontal, self)
        self.slider.setMinimumWidth(60)
        self.slider.setFocusPolicy(qt.Qt.NoFocus)  # the picture has the keys, with more of them
        self.slider.valueChanged.connect(lambda number: self._emit(self.moved, number))
        self.counter = qt.QLabel("", self)
        self.counter.setAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
        self.rate = qt.QSpinBox(self)
        self.rate.setRange(*RATES)
        self.rate.setSuffix(" /s")
        self.rate.setToolTip("Frames a second")
        self.rate.setAccessibleName("Frames a second")
        self.rate.setKeyboardTracking(False)
        self.rate.valueChanged.connect(lambda number: self._emit(self.rate_chosen, number))
        self._build_window_buttons()
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(4, 2, 4, 2)
        row.setSpacing(6)
        for widget in (self.play, self.slider, self.counter, self.rate, self.windows, self.invert):
            row.addWidget(widget, 1 if widget is self.slider else 0)

    def _build_window_buttons(self) -> None:
        self.windows = GlyphButton("", "Window ▾", "Window presets; drag in the picture to set your own", self)
        self.windows.setToolButtonStyle(qt.Qt.ToolButtonTextOnly)
        self.menu = qt.QMenu(self.windows)
        self.windows.clicked.connect(lambda *_: self._open_menu())
        self.invert = GlyphButton("", "Invert", "Exchange black and white (I)", self)
        self.invert.setToolButtonStyle(qt.Qt.ToolButtonTextOnly)
        self.invert.setCheckable(True)
        self.invert.clicked.connect(lambda *_: self.invert_toggled.emit())

    def _open_menu(self) -> None:
        self.menu.popup(self.windows.mapToGlobal(qt.QPoint(0, value(self.windows, "height"))))

    def _emit(self, signal: Signal, number: int) -> None:
        if not self._setting:
            signal.emit(number)
