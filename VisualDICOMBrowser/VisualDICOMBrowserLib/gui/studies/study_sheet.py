"""The heart of the window: the studies of one person, newest first, with the pictures of their series."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import qt

from ...domain.errors import StorageError
from ...domain.filters import QueryFilter
from ...domain.overview import PatientRow, Places, SeriesRow
from ..messages import Tone
from ..parts.portable import value
from ..parts.signals import Signal
from ..parts.throttle import Throttle
from ..session import Session
from .sheet_canvas import SheetCanvas
from .sheet_content import SheetContent
from .sheet_look import ThumbnailSize
from .sheet_text import ACTIONS
from .thumbnail_requests import ThumbnailRequests
from .thumbnail_store import ThumbnailStore

_SERIES_MS = 100
_CATALOGUE_MS = 150
_WISH_MS = 40
_LEFT_MS = 1000
#: So many files at most are dragged out at once.
MAX_DRAGGED = 2_000
_SIZES = tuple(ThumbnailSize)


class StudySheet(qt.QWidget):
    """Headers and cells, painted only where they are seen, read only where they are unfolded.

    =====================  ======================  ===================================================
    signal                 values                  when
    =====================  ======================  ===================================================
    ``selection_changed``  list of SeriesRow       other series are chosen
    ``opened``             SeriesRow               double click or Enter
    ``previewed``          SeriesRow or None       the current cell is another one
    ``menu_asked``         list, global point      right click or menu key
    ``retry_asked``        list of SeriesRow       the triangle of a failure was clicked
    ``fetch_asked``        list of SeriesRow       the cloud was clicked, or the arrow of a study
    ``cancel_asked``       list of SeriesRow       the cross of something under way was clicked
    ``size_changed``       ThumbnailSize           the pictures are shown larger or smaller
    ``refreshed``          none                    studies and series were read again
    =====================  ======================  ===================================================
    """

    def __init__(self, session: Session, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.selection_changed = Signal()
        self.opened = Signal()
        self.previewed = Signal()
        self.menu_asked = Signal()
        self.retry_asked = Signal()
        self.fetch_asked = Signal()
        self.cancel_asked = Signal()
        self.size_changed = Signal()
        self.refreshed = Signal()
        self._session = session
        self.content = SheetContent(session)
        self._requests = ThumbnailRequests(session)
        self._store = ThumbnailStore(self)
        self.canvas = SheetCanvas(self.content, self._picture, self._picture_failure)
        self._bar = qt.QScrollBar(qt.Qt.Vertical)
        self._changed_series: set[str] = set()
        self._read_series = Throttle(_SERIES_MS, self._on_series_due, self, at_once=False)
        self._read_all = Throttle(_CATALOGUE_MS, self.refresh, self, at_once=False)
        self._wish = Throttle(_WISH_MS, self._wish_now, self, at_once=False)
        self._wish_again = Throttle(_LEFT_MS, self._wish_now, self, at_once=False)
        self._build()
        self._listen_to_canvas()
        self._disconnects = self._listen_to_session()
        self.canvas.renew_look()

    def _build(self) -> None:
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.canvas, 1)
        row.addWidget(self._bar)
        policy = qt.QSizePolicy(value(self._bar, "sizePolicy"))
        policy.setRetainSizeWhenHidden(True)  # else the pictures would move whenever it comes or goes
        self._bar.setSizePolicy(policy)
        self.setBackgroundRole(qt.QPalette.Base)
        self.setAutoFillBackground(True)
        self.setFocusProxy(self.canvas)
        self._bar.valueChanged.connect(self._on_scrolled)

    def _listen_to_session(self) -> list[Callable[[], None]]:
        session = self._session
        self._store.loaded.connect(self._on_pictures)
        self._requests.answered.connect(self._on_answer)
        self.content.failed.connect(self._on_unread)
        return [
            session.series_changed.connect(self._on_series_changed),
            session.catalogue_changed.connect(self._read_all),
            session.jobs.changed.connect(self._on_job),
        ]

    def _listen_to_canvas(self) -> None:
        canvas = self.canvas
        canvas.scroll_asked.connect(self._scroll_to)
        canvas.fold_asked.connect(self.unfold)
        canvas.others_asked.connect(self._show_others)
        canvas.chosen.connect(lambda: self.selection_changed.emit(self.selected()))
        canvas.current_changed.connect(lambda: self.previewed.emit(self.current()))
        canvas.opened.connect(self.opened.emit)
        canvas.chip_clicked.connect(self._on_chip)
        canvas.menu_asked.connect(self.menu_asked.emit)
        canvas.zoomed.connect(self._zoom)
        canvas.drag_began.connect(self._drag)

    # -- what is shown

    def show_patient(self, patient: PatientRow | None) -> None:
        """Show the studies of a person, or none."""
        self._read_all.cancel()
        self.content.show(patient)
        self._changed_series.clear()
        self.canvas.note_choice(self.canvas.selection.clear())
        self.canvas.go_to(None)
        self._arrange(0)

    def set_filter(self, wanted: QueryFilter, places: Places) -> None:
        """Show what matches, and the rest less prominently."""
        anchor = self._anchor()
        self.content.set_filter(wanted, places)
        self._after_reading(anchor)

    def set_notice(self, text: str) -> None:
        """Say something where there are no studies to show."""
        self.canvas.notice = text
        self.canvas.renew()

    def set_thumbnail_size(self, wanted: ThumbnailSize) -> None:
        """Show larger or smaller pictures, or rows of text."""
        if wanted == self.canvas.size_shown:
            return
        anchor = self._anchor()
        self.canvas.size_shown = ThumbnailSize(wanted)
        self.canvas.renew_look()
        self._arrange(self._top_at(anchor))
        self.size_changed.emit(self.canvas.size_shown)

    def thumbnail_size(self) -> ThumbnailSize:
        """Return how large the pictures are."""
        return self.canvas.size_shown

    def set_loaded(self, series_uids: Iterable[str]) -> None:
        """Tell which series are open in the host."""
        self.content.loaded = frozenset(series_uids)
        self.content.forget_states()
        self.canvas.renew()

    def refresh(self) -> None:
        """Read the studies and series again; what is chosen, seen and current stays as far as it is still there."""
        anchor = self._anchor()
        self.content.read()
        self._requests.tell_again()
        self._after_reading(anchor)

    def retry_pictures(self) -> None:
        """Ask again for the pictures that could not be had."""
        self._requests.forgive()
        self._wish()

    def cleanup(self) -> None:
        """Hear nothing more of the session."""
        for disconnect in self._disconnects:
            disconnect()
        self._requests.close()
        self._store.close()
        for later in (self._read_series, self._read_all, self._wish, self._wish_again):
            later.cancel()

    # -- what is chosen

    def selected(self) -> list[SeriesRow]:
        """Return the chosen series, in the order of the sheet."""
        rows = (self.content.find(uid) for uid in self.canvas.selection.uids)
        return sorted((row for row in rows if row is not None), key=self.content.place_of)

    def current(self) -> SeriesRow | None:
        """Return the series that the keys or the mouse went to last."""
        return self.content.series_at(self.canvas.current_spot())

    def all_series(self) -> list[SeriesRow]:
        """Return the series of all studies that are shown, folded or not."""
        return [row for study in self.content.studies for row in self.content.series_of(study.study.study_uid)]

    def select(self, series_uids: Sequence[str]) -> None:
        """Choose these series, and go to the first of them."""
        self.canvas.note_choice(self.canvas.selection.clear() | self.canvas.selection.set_all(series_uids))
        if series_uids and (spot := self.content.spot_of(series_uids[0])) is not None:
            self.canvas.go_to(spot)
            self.canvas.reveal(spot)

    def unfold(self, study_uid: str, unfolded: bool = True) -> None:
        """Show or hide the series of a study."""
        self.content.unfold(study_uid, unfolded)
        current = self.canvas.current
        self._arrange(self.canvas.top)
        if current and self.canvas.current_spot() is None:
            self.canvas.go_to(self.content.spot_of(study_uid))

    # -- layout and scrolling

    def _after_reading(self, anchor: tuple[str, int]) -> None:
        changed = self.canvas.selection.keep_only(self.content.known_uids())
        self._arrange(self._top_at(anchor))
        self.canvas.note_choice(changed)
        self.refreshed.emit()

    def _anchor(self) -> tuple[str, int]:
        """Return what is at the upper edge, and how far above it it begins; nothing at the very top."""
        canvas = self.canvas
        spot = canvas.places.at(canvas.places.measures.margin, canvas.top) if canvas.top else None
        return (self.content.key_of(spot), canvas.places.box(spot).y - canvas.top) if spot is not None else ("", 0)

    def _top_at(self, anchor: tuple[str, int]) -> int:
        key, above = anchor
        self.canvas.places.set_blocks(self.content.blocks())
        spot = self.content.spot_of(key) if key else None
        return self.canvas.places.box(spot).y - above if spot is not None else self.canvas.top

    def _arrange(self, top: int) -> None:
        self.canvas.places.set_blocks(self.content.blocks())
        self.canvas.renew()
        self._scroll_to(top)

    def _scroll_to(self, top: int) -> None:
        canvas = self.canvas
        canvas.places.set_width(int(value(canvas, "width")))
        most = max(0, canvas.places.height - canvas.seen)
        self._bar.setRange(0, most)
        self._bar.setVisible(most > 0)
        self._bar.setPageStep(max(1, canvas.seen))
        self._bar.setSingleStep(3 * canvas.look.line)
        self._bar.setValue(max(0, min(top, most)))
        self._on_scrolled(max(0, min(top, most)))

    def _on_scrolled(self, top: int) -> None:
        self.canvas.set_top(top)
        self._want_pictures()
        self._wish()

    def _zoom(self, by: int) -> None:
        index = _SIZES.index(self.canvas.size_shown) + by
        self.set_thumbnail_size(_SIZES[max(0, min(index, len(_SIZES) - 1))])

    def _show_others(self) -> None:
        self.content.show_all()
        self._arrange(self.canvas.top)

    # -- pictures

    def _picture(self, row: SeriesRow) -> qt.QPixmap | None:
        thumbnail = row.thumbnail or self._requests.thumbnail(row.uid)
        return self._store.picture(thumbnail.path, int(self.canvas.size_shown)) if thumbnail is not None else None

    def _picture_failure(self, row: SeriesRow) -> str:
        reason = self._requests.failure(row.uid)
        return f"No picture: {reason}" if reason else ""

    def _want_pictures(self) -> None:
        """Have the pictures of what is seen read from their files."""
        self._store.set_ratio(self.canvas.look.ratio)
        self._store.want(self._files_of(self.canvas.visible_rows()))

    def _files_of(self, rows: Sequence[SeriesRow]) -> list[tuple[str, int]]:
        side = int(self.canvas.size_shown)
        found = (row.thumbnail or self._requests.thumbnail(row.uid) for row in rows)
        return [(one.path, side) for one in found if one is not None and one.path] if side else []

    def _wish_now(self) -> None:
        """Have pictures made of what is seen and has none, and have those read that are seen next."""
        rows = self.canvas.visible_rows()
        lacking: dict[str, tuple[str, ...]] = {}
        if self.canvas.size_shown:
            lacking = {row.uid: () if row.local_instances else row.servers for row in rows if self._lacks_picture(row)}
        else:
            self._requests.give_up()
        self._requests.want(lacking, [row.uid for row in rows], self._partly_elsewhere(rows))
        if self._requests.lingers:
            self._wish_again()
        self._store.expect(self._files_of(self.canvas.rows_around()))

    def _partly_elsewhere(self, rows: Sequence[SeriesRow]) -> list[str]:
        """Return the studies of series of which a server has something that is not here."""
        studies = dict.fromkeys(row.series.study_uid for row in rows)
        lacking = (any(one.servers and not one.complete for one in self.content.series_of(uid)) for uid in studies)
        return [uid for uid, lacks in zip(studies, lacking, strict=True) if lacks]

    def _lacks_picture(self, row: SeriesRow) -> bool:
        return row.thumbnail is None or self._store.has_failed(row.thumbnail.path)

    def _on_pictures(self, paths: Sequence[str]) -> None:
        self._wish()
        read = set(paths)
        for row in self.canvas.visible_rows():
            thumbnail = row.thumbnail or self._requests.thumbnail(row.uid)
            if thumbnail is not None and thumbnail.path in read:
                self.canvas.repaint_spot(self.content.spot_of(row.uid))

    def _on_answer(self, uid: str) -> None:
        thumbnail = self._requests.thumbnail(uid)
        if thumbnail is not None and self._store.has_failed(thumbnail.path):
            self._store.renew(thumbnail.path)
        self._want_pictures()
        self._wish()

    # -- the session

    def _on_unread(self, error: StorageError) -> None:
        """Read again soon what another process had locked; tell of anything else."""
        if error.retryable:
            self._read_all()
        else:
            self._session.say(str(error), Tone.PROBLEM, "catalogue")

    def _on_series_changed(self, uid: str) -> None:
        self._changed_series.add(uid)
        self._read_series()

    def _on_series_due(self) -> None:
        uids, self._changed_series = self._changed_series, set()
        strange = self.content.read_series(uid for uid in uids if self.content.find(uid) is not None)
        if strange:
            self._read_all()
        for uid in uids:
            row = self.content.find(uid)
            if row is not None and row.thumbnail is not None:
                self._store.renew(row.thumbnail.path)
            else:
                self._requests.outdate(uid)
            self.canvas.repaint_spot(self.content.spot_of(uid))
        self._want_pictures()
        self._wish()

    def _on_job(self, job_id: str | None) -> None:
        if job_id is None:
            self.content.forget_states()
            self.canvas.renew()
            return
        uids = self.content.uids_in_job(job_id)
        self.content.forget_states(uids)
        for uid in uids:
            self.canvas.repaint_spot(self.content.spot_of(uid))

    # -- what is to be done with series

    def _on_chip(self, rows: list[SeriesRow]) -> None:
        """Stop what is under way; if nothing is, try again what failed, and fetch the rest."""
        deeds: dict[str, list[SeriesRow]] = {"cancel": [], "retry": [], "fetch": []}
        for row in rows:
            deed = ACTIONS.get(self.content.state(row).presence)
            if deed is not None:
                deeds[deed].append(row)
        if deeds["cancel"]:
            self.cancel_asked.emit(deeds["cancel"])
            return
        for deed, signal in (("retry", self.retry_asked), ("fetch", self.fetch_asked)):
            if deeds[deed]:
                signal.emit(deeds[deed])

    def _drag(self) -> None:
        """Drag the files of what is chosen and here to another program."""
        uids = [row.uid for row in self.selected() if row.local_instances]
        try:
            paths = self._session.reader.local_paths(uids, MAX_DRAGGED) if uids else []
        except StorageError as error:
            self._on_unread(error)
            return
        if not paths:
            return
        if len(paths) == MAX_DRAGGED:
            self._session.say(f"Only the first {MAX_DRAGGED:,} files are dragged; Export writes all.", Tone.WARNING)
        data = qt.QMimeData()
        data.setUrls([qt.QUrl.fromLocalFile(str(path)) for path in paths])
        drag = qt.QDrag(self.canvas)
        drag.setMimeData(data)
        drag.exec_(qt.Qt.CopyAction)
