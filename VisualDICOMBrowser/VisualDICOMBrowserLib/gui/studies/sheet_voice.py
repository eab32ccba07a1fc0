"""What a screen reader is told of a sheet, which is one painted widget to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .sheet_layout import LINE, Spot
from .sheet_text import (
    NO_SERIES,
    others_text,
    series_facts,
    spoken_series,
    spoken_study,
    study_facts,
)

if TYPE_CHECKING:
    from .sheet_canvas import SheetCanvas

_NOWHERE = "Studies"


class SheetVoice:
    """Gives the canvas the name and the description of its current place; other words are all that it says aloud.

    PythonQt cannot make an interface of cells, but screen readers read the new name of what has the keyboard.
    """

    def __init__(self, canvas: SheetCanvas) -> None:
        self._canvas = canvas
        self._told = ("", "")

    def tell(self) -> None:
        """Say where the keys are now, unless that is what was said last."""
        words = self._words(self._canvas.current_spot())
        if words != self._told:
            self._told = words
            self._canvas.setAccessibleDescription(words[1])
            self._canvas.setAccessibleName(words[0])

    def _words(self, spot: Spot | None) -> tuple[str, str]:
        canvas, content = self._canvas, self._canvas.content
        row, study = content.series_at(spot), content.study_at(spot)
        if spot is None:
            return _NOWHERE, "" if canvas.places.blocks else canvas.notice
        if row is not None:
            state = content.state(row)
            facts = series_facts(row, state, canvas.picture_failure(row))
            return spoken_series(row, state, row.uid in canvas.selection), ", ".join(facts)
        if study is None:
            return others_text(content.hidden_studies), ""
        if spot.cell == LINE:
            return NO_SERIES, ""
        uid, summary = study.study.study_uid, content.summary(study)
        share = canvas.selection.share_of(content.choosable(uid))
        facts = study_facts(study, summary.where)
        return spoken_study(study, summary.series, content.is_unfolded(uid), share), ", ".join(facts)
