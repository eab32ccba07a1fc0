"""Shows a series, picture by picture, from the first instance that is here."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import qt

from ...domain.errors import Cancelled, StorageError, VisualDicomError
from ...domain.overview import SeriesRow
from ..messages import Tone
from ..parts.signals import Signal
from ..parts.throttle import Throttle
from ..session import Call, Session
from ..studies.series_state import state_of
from .frame_loader import FrameLoader, Pixels
from .frame_painter import FramePainter
from .image_view import Corners, ImageView
from .stack_banner import BannerText, StackBanner, banner_text
from .stack_controls import StackControls
from .stack_state import CineClock, Frame, StackState, cine_rate, frames_of
from .windowing import Window, presets_for

#: A series that arrives is looked at again as often as this.
_REFRESH_MS = 300
#: Only a wait that is longer is worth a word.
_PATIENCE_MS = 150


class StackPreview(qt.QWidget):
    """The pictures of one series, with slider, wheel, keys, window and level, and cine.

    ======================  ==========================  =====================================
    signal                  values                      when
    ======================  ==========================  =====================================
    ``instance_changed``    SOP Instance UID or empty   another instance is looked at
    ``fetch_asked``         list of one SeriesRow       the rest is wanted, or another try
    ======================  ==========================  =====================================

    :param clock: seconds for the cine.
    """

    def __init__(
        self, session: Session, parent: qt.QWidget | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        qt.QWidget.__init__(self, parent)
        self.instance_changed, self.fetch_asked = Signal(), Signal()
        self.state = StackState()
        self._session, self._clock = session, clock
        self._loader, self._painter, self._cine = FrameLoader(session), FramePainter(), CineClock()
        self._series_uid = ""
        self._modality = ""
        self._asking: Call | None = None
        self._known = False  # the engine said what is here
        self._painted: tuple[Any, ...] = ()
        self._told = ""
        self._window: Window | None = None  # the user's; None is the file's own
        self._at_press: Window | None = None
        self._inverted = False
        self._offered: tuple[str, bool] | None = None
        self._build()
        self._refresh = Throttle(_REFRESH_MS, self._ask_for_stack, self)
        self._review = Throttle(_REFRESH_MS, self._show_banner, self)
        self._endings = [
            self._loader.arrived.connect(self._on_frame),
            session.series_changed.connect(self._on_series_changed),
            session.jobs.changed.connect(lambda *_: self._review()),
            session.ready_changed.connect(self._on_ready),
        ]
        self.show_series("")

    def show_series(self, series_uid: str) -> None:
        """Show another series; an empty UID shows none."""
        if series_uid == self._series_uid and series_uid:
            self._refresh()
            return
        self.pause()
        self._stop_asking()
        self._refresh.cancel()
        self._loader.clear()
        self._series_uid, self._modality, self._known = series_uid, "", False
        self.state = StackState()
        self._set_back()
        self._show()
        if series_uid:
            self._ask_for_stack()

    def show_instance(self, sop_uid: str) -> None:
        """Go to an instance of the series."""
        place = self.state.place_of(sop_uid)
        current = self.state.current
        if place is not None and current is not None and current.sop_uid != sop_uid:
            self._go(place)

    def play(self) -> None:
        """Start the cine."""
        if self.state.count > 1:
            self._cine.start(self._clock())
            self._ticker.start(max(8, int(500 / self._cine.rate)))
            self.controls.set_playing(True)

    def pause(self) -> None:
        """Stop the cine."""
        self._ticker.stop()
        self.controls.set_playing(False)

    def cleanup(self) -> None:
        """Stop everything and let go of the session."""
        self.pause()
        self._stop_asking()
        self._loader.clear()
        self._refresh.cancel()
        self._review.cancel()
        for end in self._endings:
            end()

    def keyPressEvent(self, event: qt.QKeyEvent) -> None:
        """Move through the stack; the keys are those of the tool tips."""
        page = max(1, self.state.count // 10)
        steps = {qt.Qt.Key_Left: -1, qt.Qt.Key_Up: -1, qt.Qt.Key_Right: 1, qt.Qt.Key_Down: 1}
        steps.update({qt.Qt.Key_PageUp: -page, qt.Qt.Key_PageDown: page})
        steps.update({qt.Qt.Key_Home: -self.state.count, qt.Qt.Key_End: self.state.count})
        acts = {qt.Qt.Key_Space: self._toggle_play, qt.Qt.Key_I: self._toggle_invert, qt.Qt.Key_R: self._reset_window}
        key = event.key()
        if key in steps:
            self._step(steps[key])
        elif key in acts:
            acts[key]()
        else:
            qt.QWidget.keyPressEvent(self, event)

    # what is there

    def _ask_for_stack(self) -> None:
        if self._series_uid and self._asking is None:
            done, failed = (partial(act, self._series_uid) for act in (self._on_stack, self._on_no_stack))
            self._asking = self._session.ask("stack", {"series_uid": self._series_uid}, done, failed)
        self._show_banner()

    def _on_stack(self, series_uid: str, answer: dict[str, Any]) -> None:
        if series_uid != self._series_uid:
            return
        self._asking = None
        if not self._known:
            self._known = True
            self._modality = str(answer.get("modality", ""))
            self._choose_rate(cine_rate(answer.get("frame_time_ms")))
            self.controls.set_rate(self._cine.rate)
        self.state.set_frames(frames_of(answer["images"]))
        if self.state.count < 2:
            self.pause()  # the rest was removed while the cine ran
        self._show()

    def _on_no_stack(self, series_uid: str, error: VisualDicomError) -> None:
        if series_uid == self._series_uid:
            self._asking = None
            if not isinstance(error, Cancelled):
                self._waiting.stop()
                self.view.say("This series cannot be shown.", str(error))

    def _on_series_changed(self, series_uid: str) -> None:
        if series_uid == self._series_uid:
            self._loader.retry()
            self._refresh()

    def _on_ready(self, ready: bool, _sentence: str) -> None:
        if ready:
            self._loader.renew()
            self._ask_for_stack()

    def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking.stop()
            self._asking = None

    def _row(self) -> SeriesRow | None:
        """Return what the catalogue knows of the series; None, and another look soon, while somebody locks it."""
        try:
            return self._session.reader.series_by_uid([self._series_uid]).get(self._series_uid)
        except StorageError as error:
            if error.retryable:
                self._review()
            else:
                self._session.say(str(error), Tone.PROBLEM, "catalogue")
            return None

    # moving

    def _step(self, steps: int) -> None:
        self._go(self.state.index + steps)

    def _go(self, index: int) -> None:
        self.pause()
        if self.state.go(index):
            self._show()

    def _toggle_play(self) -> None:
        if self._ticker.isActive():
            self.pause()
        else:
            self.play()

    def _on_tick(self) -> None:
        now = self._clock()
        following = self.state.frames[(self.state.index + 1) % self.state.count]
        if not self._loader.has(following):
            self._cine.start(now)
            return
        steps = self._cine.due(now)
        if steps:
            self.state.go_round(steps)
            self._show()

    def _choose_rate(self, rate: float) -> None:
        self._cine.rate = rate
        if self._ticker.isActive():
            self.play()

    # showing

    def _show(self) -> None:
        frame = self.state.current
        self.controls.set_place(self.state.index, self.state.count)
        self._show_banner()
        if frame is None:
            self._show_stand_in()
        else:
            self._loader.want(self.state.wanted(round_trip=self._ticker.isActive()))
            self._show_frame(frame)
        self._tell(frame.sop_uid if frame else "")

    def _show_frame(self, frame: Frame) -> None:
        pixels, reason = self._loader.get(frame), self._loader.reason(frame)
        if pixels is not None:
            self._waiting.stop()
            self._paint(pixels)
        elif reason:
            self._waiting.stop()
            self._show_nothing("This image cannot be shown.", reason)
        elif not self._waiting.isActive():
            self._waiting.start()

    def _paint(self, pixels: Pixels) -> None:
        if pixels.note:
            self._show_nothing("This image cannot be shown.", pixels.note)
            return
        window = self._window or pixels.window
        inverted = self._inverted != pixels.inverted
        painted = (pixels, window, inverted, self.view.room())
        if painted != self._painted:
            self._painted = painted
            self.view.show_image(self._painter.picture(pixels, window, inverted, self.view.room()), pixels.aspect)
        self.view.say("")
        self._offer_windows(grey=not pixels.coloured)
        remark = "" if self._window is not None else pixels.remark
        words = f"≈ {window.words}" if remark else window.words
        self.view.setToolTip(remark)
        self._write_corners(f"{pixels.columns} × {pixels.rows}", "" if pixels.coloured else words)

    def _write_corners(self, extent: str, window: str) -> None:
        place = f"{self.state.index + 1} / {self.state.count}" if self.state.count > 1 else ""
        self.view.set_corners(Corners(extent, place, window, "Inverted" if self._inverted and window else ""))

    def _offer_windows(self, *, grey: bool) -> None:
        offered = (self._modality, grey)
        if offered != self._offered:
            self._offered = offered
            self.controls.set_presets(presets_for(self._modality), grey)

    def _show_stand_in(self) -> None:
        """Show the thumbnail while no instance is here."""
        self._waiting.stop()
        row = self._row() if self._series_uid else None
        if not self._series_uid:
            self._show_nothing("Choose a series to look at its images.", "")
        elif row is not None and row.thumbnail is not None and not row.thumbnail.placeholder:
            self._painted = ()
            self.view.say("")
            self.view.show_image(qt.QImage(row.thumbnail.path))
            self.view.set_corners(Corners())
        elif self._known:
            here = row is not None and row.local_instances > 0
            reason = row.thumbnail.reason if row is not None and row.thumbnail is not None else ""
            absent = "No image of this series is on this computer."
            self._show_nothing("This series has no images to look at." if here else absent, reason)
        else:
            self._show_nothing("", "")
            self._waiting.start()

    def _show_nothing(self, sentence: str, reason: str) -> None:
        self._painted = ()
        self.view.show_image(None)
        self.view.say(sentence, reason)
        self._write_corners("", "")

    def _show_banner(self) -> None:
        row = self._row() if self._series_uid else None
        if row is None:
            self.banner.show_text(BannerText())
            return
        pictured = row.thumbnail is not None and not row.thumbnail.placeholder
        self.banner.show_text(banner_text(state_of(row, self._session.jobs.retrieve_of(row)), pictured))

    def _on_waiting(self) -> None:
        if not self.state.count:
            self.view.say("Loading…")
        else:
            self.view.set_corners(Corners("", f"{self.state.index + 1} / {self.state.count}", "", "Loading…"))

    def _on_frame(self, frame: Frame) -> None:
        if frame == self.state.current:
            self._show_frame(frame)

    def _tell(self, sop_uid: str) -> None:
        if sop_uid != self._told:
            self._told = sop_uid
            self.instance_changed.emit(sop_uid)

    # window and level

    def _set_back(self) -> None:
        self._window = self._at_press = self._offered = None
        self._inverted = False
        self.controls.set_inverted(False)

    def _current_pixels(self) -> Pixels | None:
        return self._loader.get(self.state.current) if self.state.current is not None else None

    def _on_press(self) -> None:
        pixels = self._current_pixels()
        shown = self._window or (pixels.window if pixels is not None else None)
        self._at_press = None if pixels is None or pixels.coloured else shown

    def _on_drag(self, right: float, down: float) -> None:
        if self._at_press is not None:
            self._set_window(self._at_press.dragged(right, down))

    def _reset_window(self) -> None:
        self._set_window(None)

    def _set_window(self, window: Window | None) -> None:
        self._window = window
        self._repaint()

    def _toggle_invert(self) -> None:
        self._inverted = not self._inverted
        self._repaint()

    def _repaint(self) -> None:
        self.controls.set_inverted(self._inverted)
        pixels = self._current_pixels()
        if pixels is not None:
            self._paint(pixels)

    # the rest

    def _fetch(self) -> None:
        row = self._row()
        if row is not None:
            self.fetch_asked.emit([row])

    def _build(self) -> None:
        self.view = ImageView(self)
        self.banner = StackBanner(self)
        self.controls = StackControls(self)
        self.setFocusProxy(self.view)
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.view, 1)
        column.addWidget(self.banner, 0)
        column.addWidget(self.controls, 0)
        self._ticker = qt.QTimer(self)
        self._ticker.timeout.connect(self._on_tick)
        self._waiting = qt.QTimer(self)
        self._waiting.setSingleShot(True)
        self._waiting.setInterval(_PATIENCE_MS)
        self._waiting.timeout.connect(self._on_waiting)
        self._connect()

    def _connect(self) -> None:
        view, controls = self.view, self.controls
        view.pressed.connect(self._on_press)
        view.dragged.connect(self._on_drag)
        view.reset.connect(self._reset_window)
        view.turned.connect(self._step)
        view.resized.connect(self._repaint)
        controls.moved.connect(self._go)
        controls.play_toggled.connect(self._toggle_play)
        controls.rate_chosen.connect(self._choose_rate)
        controls.window_chosen.connect(self._set_window)
        controls.invert_toggled.connect(self._toggle_invert)
        self.banner.pressed.connect(self._fetch)
