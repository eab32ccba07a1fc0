"""Who the chosen patient is, and what can be done with the images."""

from __future__ import annotations

from datetime import date

import qt

from ...domain.model import Patient, readable_date
from ...domain.overview import PatientRow
from ..messages import Tone
from ..parts.elided_label import ElidedLabel
from ..parts.glyph_button import GlyphButton
from ..parts.glyphs import glyph_icon
from ..parts.portable import value
from ..parts.signals import Signal
from ..parts.tints import palette_of, tone_color
from ..patients import patient_text
from .sheet_look import ThumbnailSize

_SIZES = tuple(ThumbnailSize)
_NARROW = 760
_LOAD_WIDTH = 80
_GAP = 8
_MARK = 16


class PatientHeader(qt.QWidget):
    """A name, a line of facts, and buttons.

    ``load``, ``fetch``, ``cancel``, ``send``, ``export``, ``refresh`` and ``menu`` tell of clicks.

    ``detailed`` tells whether the preview and the elements are wanted, ``sized`` the :class:`ThumbnailSize` that was
    chosen, ``menu`` the global point below its button.

    :param loads: whether series can be loaded into the program around the window.
    """

    def __init__(self, parent: qt.QWidget | None = None, loads: bool = False) -> None:
        qt.QWidget.__init__(self, parent)
        self.load, self.fetch, self.cancel, self.send, self.export = (Signal() for _ in range(5))
        self.refresh, self.menu, self.sized, self.detailed = Signal(), Signal(), Signal(), Signal()
        self._namesake = qt.QLabel(self)
        self._namesake.setToolTip(patient_text.SHARED_ID)
        self._namesake.setAccessibleName(patient_text.SHARED_ID)
        self._name = ElidedLabel("", self, quiet=False)
        self._facts = ElidedLabel("", self)
        self._load = self._button(
            "loaded", "Load", "Load the chosen series; what is not on this computer is fetched first"
        )
        self._load.setVisible(loads)
        self._narrow = _NARROW + loads * _LOAD_WIDTH
        self._fetch = self._button("import", "Fetch", "Fetch from the servers what is not on this computer")
        self._cancel = self._button("close", "Cancel", "Stop what is being fetched")
        self._send = self._button("send", "Send…", "Send what is on this computer to a server")
        self._export = self._button("export", "Export…", "Write the files into a folder")
        self._refresh = self._button("refresh", "", "Ask the servers again")
        self._detail = self._button("pane-below", "", "Show or hide the preview and the elements (F4)")
        self._detail.setCheckable(True)
        self._more = self._button("more", "", "More")
        self._rows = self._button("rows", "", "Smaller pictures")
        self._pictures = self._button("picture", "", "Larger pictures")
        self._slider = self._sizes()
        self._build()
        self._connect()

    def show_patient(self, row: PatientRow, today: date | None = None) -> None:
        """Tell who it is."""
        self._name.set_text(patient_text.title(row))
        self._namesake.setVisible(row.shares_id)
        mark = glyph_icon("namesake", tone_color(palette_of(self), Tone.WARNING), _MARK)
        self._namesake.setPixmap(mark.pixmap(qt.QSize(_MARK, _MARK)))
        self._facts.set_text(facts(row.patient, today or date.today()))

    def set_deeds(self, chosen: int, to_fetch: int, to_cancel: int, local: int) -> None:
        """Offer what can be done.

        :param chosen: how many series are chosen; the others count all series if it is 0.
        :param local: of how many something is here, to be sent or exported.
        """
        number = f" ({chosen:,})" if chosen else ""
        self._load.setText(f"Load{number}")
        self._load.setEnabled(chosen > 0)
        self._fetch.setText(f"Fetch{number}")
        self._fetch.setEnabled(to_fetch > 0)
        self._cancel.setVisible(to_cancel > 0)
        for button, word in ((self._send, "Send"), (self._export, "Export")):
            button.setText(f"{word}{number}…")
            button.setEnabled(local > 0)

    def set_size(self, size: ThumbnailSize) -> None:
        """Move the slider."""
        self._slider.setValue(_SIZES.index(size))

    def set_detailed(self, on: bool) -> None:
        """Show whether the preview and the elements can be seen."""
        self._detail.setChecked(on)

    def resizeEvent(self, event: qt.QResizeEvent) -> None:
        """Leave the name its room: where there is little, the buttons are without words."""
        qt.QWidget.resizeEvent(self, event)
        narrow = event.size().width() < self._narrow
        style = qt.Qt.ToolButtonIconOnly if narrow else qt.Qt.ToolButtonTextBesideIcon
        for button in (self._load, self._fetch, self._cancel, self._send, self._export):
            button.setToolButtonStyle(style)

    def _button(self, glyph: str, text: str, tip: str) -> GlyphButton:
        button = GlyphButton(glyph, text, tip, self)
        button.setAccessibleName(text.rstrip("…") or tip)
        button.setFocusPolicy(qt.Qt.TabFocus)
        return button

    def _sizes(self) -> qt.QSlider:
        slider = qt.QSlider(qt.Qt.Horizontal, self)
        slider.setRange(0, len(_SIZES) - 1)
        slider.setPageStep(1)
        slider.setValue(_SIZES.index(ThumbnailSize.SMALL))
        slider.setFixedWidth(72)
        slider.setToolTip("Size of the pictures (Ctrl and mouse wheel)")
        slider.setAccessibleName("Size of the pictures")
        return slider

    def _build(self) -> None:
        font = qt.QFont(value(self, "font"))
        font.setBold(True)
        if font.pointSizeF() > 0:
            font.setPointSizeF(font.pointSizeF() * 1.2)
        self._name.setFont(font)
        for label in (self._name, self._facts):
            label.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
        words = qt.QVBoxLayout()
        words.setSpacing(2)
        title = qt.QHBoxLayout()
        title.setSpacing(6)
        title.addWidget(self._namesake)
        title.addWidget(self._name, 1)
        words.addLayout(title)
        words.addWidget(self._facts)
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(14, 8, 10, 8)
        row.setSpacing(4)
        row.addLayout(words, 1)
        for widget in (self._cancel, self._load, self._fetch, self._send, self._export):
            row.addWidget(widget)
        row.addSpacing(_GAP)
        row.addWidget(self._rows)
        row.addWidget(self._slider)
        row.addWidget(self._pictures)
        row.addSpacing(_GAP)
        for widget in (self._refresh, self._detail, self._more):
            row.addWidget(widget)

    def _connect(self) -> None:
        for button, signal in (
            (self._load, self.load),
            (self._fetch, self.fetch),
            (self._cancel, self.cancel),
            (self._send, self.send),
            (self._export, self.export),
            (self._refresh, self.refresh),
        ):
            _tell(button, signal)
        self._detail.clicked.connect(lambda *_: self.detailed.emit(bool(value(self._detail, "checked"))))
        self._rows.clicked.connect(lambda *_: self._step(-1))
        self._pictures.clicked.connect(lambda *_: self._step(1))
        self._more.clicked.connect(lambda: self.menu.emit(self._below_more()))
        self._slider.valueChanged.connect(lambda index: self.sized.emit(_SIZES[index]))

    def _step(self, by: int) -> None:
        self._slider.setValue(int(value(self._slider, "value")) + by)

    def _below_more(self) -> qt.QPoint:
        return self._more.mapToGlobal(qt.QPoint(0, value(self._more, "height")))


def _tell(button: qt.QToolButton, signal: Signal) -> None:
    button.clicked.connect(lambda *_: signal.emit())


def facts(patient: Patient, today: date) -> str:
    """Return ID, birth date, age and sex in one line."""
    born = readable_date(patient.birth_date)
    age = age_text(patient.birth_date, today)
    parts = (
        f"ID {patient.patient_id}" if patient.patient_id else "no ID",
        f"born {born} ({age})" if age else f"born {born}" if born else "",
        patient_text.SEXES.get(patient.sex, patient.sex),
    )
    return "   ·   ".join(" ".join(part.split()) for part in parts if part)


def age_text(birth_date: str, today: date) -> str:
    """Return the age today, in months below two years; empty if the date of birth is none, or lies ahead."""
    try:
        born = date(int(birth_date[:4]), int(birth_date[4:6]), int(birth_date[6:8]))
    except ValueError:
        return ""
    months = (today.year - born.year) * 12 + today.month - born.month - (today.day < born.day)
    if months < 0:
        return ""
    number, unit = (months, "month") if months < 24 else (months // 12, "year")
    return f"{number} {unit if number == 1 else unit + 's'}"
