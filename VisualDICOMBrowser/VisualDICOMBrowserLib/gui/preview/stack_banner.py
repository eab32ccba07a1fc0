"""Says how much of a series is here, and offers to fetch the rest."""

from __future__ import annotations

from dataclasses import dataclass

import qt

from ..parts.signals import Signal
from ..studies.series_state import Presence, SeriesState


@dataclass(frozen=True)
class BannerText:
    """A sentence and the name of the button; no button without a name, nothing at all without a sentence."""

    sentence: str = ""
    button: str = ""


def banner_text(state: SeriesState, pictured: bool) -> BannerText:
    """Say how far a series has got.

    :param pictured: whether a thumbnail of it is shown.
    """
    if state.presence is Presence.REMOTE:
        return BannerText("Only a preview image is here." if pictured else "This series is on the server.", "Fetch")
    if state.presence is Presence.QUEUED:
        return BannerText(f"Waiting to be fetched. {state.reason}".strip())
    if state.presence is Presence.ARRIVING:
        return BannerText(f"Arriving: {_count(state)}")
    if state.presence is Presence.PARTLY:
        return BannerText(f"{_count(state)} images are here.", "Fetch the rest")
    if state.presence is Presence.FAILED:
        return BannerText(state.reason or "It could not be fetched.", "Try again")
    return BannerText()


def _count(state: SeriesState) -> str:
    return f"{state.here:,} of {state.total:,}" if state.total else f"{state.here:,}"


class StackBanner(qt.QFrame):
    """A line with a sentence and perhaps a button. ``pressed`` tells that the button was."""

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        qt.QFrame.__init__(self, parent)
        self.pressed = Signal()
        self._shown: BannerText | None = None
        self.setAutoFillBackground(True)
        self.setBackgroundRole(qt.QPalette.AlternateBase)
        self.label = qt.QLabel("", self)
        self.label.setTextFormat(qt.Qt.PlainText)
        self.label.setWordWrap(True)
        self.button = qt.QPushButton("", self)
        self.button.clicked.connect(lambda *_: self.pressed.emit())
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(10, 4, 6, 4)
        row.addWidget(self.label, 1)
        row.addWidget(self.button, 0)
        self.show_text(BannerText())

    def show_text(self, text: BannerText) -> None:
        """Show it; an empty one hides the line."""
        if text == self._shown:
            return
        self._shown = text
        self.label.setText(text.sentence)
        self.button.setText(text.button)
        self.button.setVisible(bool(text.button))
        self.setVisible(bool(text.sentence))
