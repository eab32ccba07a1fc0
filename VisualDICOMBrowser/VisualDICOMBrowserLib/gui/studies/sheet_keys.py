"""What the keys do in a sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import qt

from .sheet_layout import HEADER, Spot, Way

if TYPE_CHECKING:
    from .sheet_canvas import SheetCanvas

_WAYS = {
    int(qt.Qt.Key_Left): Way.LEFT,
    int(qt.Qt.Key_Right): Way.RIGHT,
    int(qt.Qt.Key_Up): Way.UP,
    int(qt.Qt.Key_Down): Way.DOWN,
    int(qt.Qt.Key_Home): Way.FIRST,
    int(qt.Qt.Key_End): Way.LAST,
    int(qt.Qt.Key_PageUp): Way.PAGE_UP,
    int(qt.Qt.Key_PageDown): Way.PAGE_DOWN,
}
_ENTER = (int(qt.Qt.Key_Return), int(qt.Qt.Key_Enter))
_LARGER = (int(qt.Qt.Key_Plus), int(qt.Qt.Key_Equal))


class SheetKeys:
    """Arrows move and choose, with Shift a range, with Ctrl they only move; on a header Left and Right fold."""

    def __init__(self, canvas: SheetCanvas) -> None:
        self._canvas = canvas

    def press(self, key: int, modifiers: qt.Qt.KeyboardModifiers) -> bool:
        """Do what a key means; return whether it means anything."""
        ctrl, shift = bool(modifiers & qt.Qt.ControlModifier), bool(modifiers & qt.Qt.ShiftModifier)
        if modifiers & qt.Qt.AltModifier:
            return False
        done = self._press_ctrl(key) if ctrl else self._press_plain(key)
        if not done and key in _WAYS and self._canvas.places.blocks:
            self._move(_WAYS[key], ctrl, shift)
            done = True
        if done:
            self._canvas.by_keys = True
            self._canvas.repaint_spot(self._canvas.current_spot())
        return done

    def _press_ctrl(self, key: int) -> bool:
        canvas = self._canvas
        if key == int(qt.Qt.Key_A):
            self._choose_all()
        elif key in _LARGER:
            canvas.zoomed.emit(1)
        elif key == int(qt.Qt.Key_Minus):
            canvas.zoomed.emit(-1)
        elif key == int(qt.Qt.Key_Space):
            self._toggle()
        else:
            return False
        return True

    def _press_plain(self, key: int) -> bool:
        if key in _ENTER:
            self._enter()
        elif key == int(qt.Qt.Key_Space):
            self._toggle()
        elif key == int(qt.Qt.Key_Backspace):
            self._fold_study()
        elif key == int(qt.Qt.Key_Escape) and len(self._canvas.selection):
            self._canvas.note_choice(self._canvas.selection.clear())
        else:
            return self._fold(key)
        return True

    def _fold(self, key: int) -> bool:
        """Left and Right on a header, unless there is nothing left to fold or unfold."""
        spot = self._canvas.current_spot()
        study = self._canvas.content.study_at(spot)
        if spot is None or study is None or spot.cell != HEADER:
            return False
        uid = study.study.study_uid
        wanted = {int(qt.Qt.Key_Left): False, int(qt.Qt.Key_Right): True}.get(key)
        if wanted is None or self._canvas.content.is_unfolded(uid) == wanted:
            return False
        self._canvas.fold_asked.emit(uid, wanted)
        return True

    def _fold_study(self) -> None:
        canvas = self._canvas
        spot = canvas.current_spot()
        study = canvas.content.study_at(spot)
        if spot is not None and study is not None:
            canvas.go_to(Spot(spot.block))
            canvas.fold_asked.emit(study.study.study_uid, False)

    def _enter(self) -> None:
        canvas = self._canvas
        spot = canvas.current_spot()
        row, study = canvas.content.series_at(spot), canvas.content.study_at(spot)
        if row is not None:
            canvas.opened.emit(row)
        elif study is not None:
            uid = study.study.study_uid
            canvas.fold_asked.emit(uid, not canvas.content.is_unfolded(uid))
        elif spot is not None:
            canvas.others_asked.emit()

    def _toggle(self) -> None:
        canvas = self._canvas
        spot = canvas.current_spot()
        row, study = canvas.content.series_at(spot), canvas.content.study_at(spot)
        if row is not None:
            canvas.note_choice(canvas.selection.toggle(row.uid))
        elif study is not None:
            canvas.toggle_study(study.study.study_uid)

    def _choose_all(self) -> None:
        """Choose the whole study, and when it is chosen already, all that is unfolded."""
        canvas = self._canvas
        study = canvas.content.study_at(canvas.current_spot())
        uids = canvas.content.choosable(study.study.study_uid) if study is not None else []
        if not uids or canvas.selection.share_of(uids) == 1:
            uids = [row.uid for row in canvas.content.shown() if row.matches]
        canvas.note_choice(canvas.selection.set_all(uids))

    def _move(self, way: Way, ctrl: bool, shift: bool) -> None:
        canvas = self._canvas
        start = canvas.current_spot()
        spot = canvas.places.step(start, way, canvas.seen) if start is not None else Spot(0)
        canvas.by_keys = True
        canvas.go_to(spot)
        canvas.reveal(spot)
        row = canvas.content.series_at(spot)
        if row is not None and not ctrl:
            canvas.note_choice(canvas.selection.reach(row.uid) if shift else canvas.selection.choose(row.uid))
