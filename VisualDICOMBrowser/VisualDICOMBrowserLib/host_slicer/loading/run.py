"""One request to load: examine each series, have the user choose if wanted, load each thing, and say what came of it.

Between two steps the event loop runs, so that the window is drawn and hears of a cancel; within a step it cannot.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import slicer

from ...domain.overview import SeriesRow
from ...gui.host import LoadOption, LoadProgress
from .plugins import (
    Candidate,
    Examined,
    Plugins,
    files_of,
    missing_files,
    reference_habit,
    referenced_series,
    tell_slicer,
)
from .slice_views import SliceViews
from .words import name_of

_log = logging.getLogger(__name__)

Later = Callable[[Callable[[], None]], None]


@dataclass
class Order:
    """Series to be loaded in one go."""

    series_uids: list[str]
    choose: bool = False


@dataclass
class Report:
    """What came of an order.

    :ivar problems: sentences on what was not loaded.
    :ivar warnings: lines on what is to be wary of.
    :ivar references: series that the loaded ones refer to, and that are in the database and not loaded.
    :ivar unseen: whether the slice views, which stay where they were, cut nothing of what was loaded.
    """

    loaded: list[Candidate] = field(default_factory=list)
    node_ids: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    unseen: bool = False
    cancelled: bool = False


class LoadRun:
    """See the module.

    :param row_of: returns what the catalogue says of a series.
    :param later: has a function called from the event loop.
    :param progress: told what is done now.
    :param ask: told the options, when :meth:`choose` is to follow.
    :param is_loaded: whether a series is loaded already.
    :param done: told the report, once.
    """

    def __init__(
        self,
        order: Order,
        plugins: Plugins,
        *,
        row_of: Callable[[str], SeriesRow | None],
        later: Later,
        progress: Callable[[LoadProgress], object],
        ask: Callable[[tuple[LoadOption, ...]], object],
        is_loaded: Callable[[str], bool],
        done: Callable[[Report], object],
    ) -> None:
        self.order = order
        self._plugins = plugins
        self._row_of = row_of
        self._name_of = cache(lambda uid: name_of(row_of(uid)))
        self._later = later
        self._progress = progress
        self._ask = ask
        self._is_loaded = is_loaded
        self._done = done
        self._report = Report()
        self._to_examine = deque(order.series_uids)
        self._examined: dict[str, list[Candidate]] = {}
        self._options: list[Candidate] = []
        self._to_load: deque[Candidate] = deque()
        self._count = 0
        self._views = SliceViews()
        self._habit = reference_habit()
        self._has_references = False

    def start(self) -> None:
        """Begin; all the rest happens later."""
        self._go_on_examining()

    def cancel(self) -> None:
        """Stop after the step that is under way."""
        self._report.cancelled = True
        if self._options:
            self._options = []
            self._ask(())
            self._finish()

    def choose(self, places: Sequence[int]) -> None:
        """Take the answer of the user."""
        if not self._options:
            return
        chosen = [self._options[place] for place in places]
        self._options = []
        self._ask(())
        if chosen:
            self._load(chosen)
        else:
            self.cancel()
            self._finish()

    # Examining

    def _go_on_examining(self) -> None:
        if self._report.cancelled:
            self._finish()
        elif self._to_examine:
            self._tell(f"Looking at {self._name_of(self._to_examine[0])} …", self._share_examined())
            self._later(self._examine_next)
        elif self.order.choose and not self._has_references:
            self._show_options()
        else:
            self._load([one for found in self._examined.values() for one in found if one.loadable.selected])

    def _share_examined(self, within: float = 0.0) -> float:
        done = len(self._examined)
        return (done + within) / max(1, done + len(self._to_examine))

    def _examine_next(self) -> None:
        if not self._report.cancelled:
            found = self._examine(self._to_examine[0])
            self._examined[self._to_examine.popleft()] = found
        self._go_on_examining()

    def _examine(self, uid: str) -> list[Candidate]:
        name, report = self._name_of(uid), self._report
        paths = files_of(uid)
        missing = missing_files(paths)
        if not paths:
            report.problems.append(f"Slicer's database has no file of {name}.")
        elif missing == len(paths):
            report.problems.append(f"The files of {name} are not on the disk any more.")
        else:
            if missing:
                report.warnings.append(f"{name}: {missing} of {len(paths)} files are not on the disk any more.")
            row = self._row_of(uid)
            if row is not None and row.instances is not None and row.local_instances < row.instances:
                report.warnings.append(f"{name}: only {row.local_instances} of {row.instances} images are here.")
            return self._ask_plugins(uid, name, paths)
        return []

    def _ask_plugins(self, uid: str, name: str, paths: Sequence[str]) -> list[Candidate]:
        def tick(_: str, percent: float) -> bool:
            self._tell(f"Looking at {name} …", self._share_examined(percent / 100))
            return self._report.cancelled

        try:
            examined = self._plugins.examine(uid, paths, tick)
        except Exception as error:  # a plugin is foreign code, and what its error says may name the patient
            _log.error("The DICOM plugins could not examine a series: %s.", type(error).__name__)
            examined = Examined(problems=[f"The DICOM plugins failed ({type(error).__name__})."])
        if self._report.cancelled:
            return []
        self._report.warnings += [f"{name}: {problem}" for problem in examined.problems]
        if not examined.candidates:
            self._report.problems.append(f"No plugin of Slicer could read {name}.")
        return examined.candidates

    # Choosing

    def _show_options(self) -> None:
        self._options = [one for found in self._examined.values() for one in found]
        if not self._options:
            self._finish()
            return
        self._tell("Waiting for your choice of what to load.", None)
        self._ask(tuple(self._option(one) for one in self._options))

    def _option(self, candidate: Candidate) -> LoadOption:
        return LoadOption(
            candidate.series_uid,
            self._name_of(candidate.series_uid),
            candidate.plugin_name,
            candidate.name,
            float(candidate.loadable.confidence),
            candidate.warning,
            bool(candidate.loadable.selected),
        )

    # Loading

    def _load(self, chosen: list[Candidate]) -> None:
        """Load what was chosen, and what it refers to before it if the user wants that always."""
        references = [] if self._has_references else [u for u in referenced_series(chosen) if not self._is_known(u)]
        if references and self._habit:
            self._has_references = True
            self._to_load = deque(chosen)
            self._examined = {}
            self._to_examine.extend(references)
            self._go_on_examining()
            return
        if self._habit is None:
            self._report.references = references
        self._to_load.extendleft(reversed(chosen))
        self._count = len(self._to_load)
        self._go_on_loading()

    def _is_known(self, uid: str) -> bool:
        return uid in self.order.series_uids or self._is_loaded(uid)

    def _go_on_loading(self) -> None:
        if self._report.cancelled or not self._to_load:
            self._finish()
            return
        self._tell_loading()
        self._later(self._load_next)

    def _tell_loading(self) -> None:
        candidate = self._to_load[0]
        self._tell(
            f"Loading {self._name_of(candidate.series_uid)} as {candidate.plugin_name} …",
            (self._count - len(self._to_load)) / self._count,
        )

    def _load_next(self) -> None:
        if not self._report.cancelled:
            self._load_one(self._to_load[0])
            self._to_load.popleft()
        self._go_on_loading()

    def _load_one(self, candidate: Candidate) -> None:
        self._views.note()
        try:
            success, nodes = self._plugins.load(candidate, lambda *_: self._report.cancelled)
        except Exception as error:  # a plugin is foreign code, and what its error says may name the patient
            _log.error("A DICOM plugin could not load a series: %s.", type(error).__name__)
            success, nodes = False, []
        self._views.restore()
        name = self._name_of(candidate.series_uid)
        self._report.node_ids += nodes
        if success:
            self._report.loaded.append(candidate)
            if candidate.warning:
                self._report.warnings.append(f"{name}: {candidate.warning}")
        elif not self._report.cancelled:
            self._report.problems.append(f"{name} could not be loaded as {candidate.plugin_name}.")

    def _finish(self) -> None:
        report = self._report
        if report.node_ids:
            tell_slicer(report.node_ids)
        volumes = [node for node in map(slicer.mrmlScene.GetNodeByID, report.node_ids) if _is_volume(node)]
        report.unseen = bool(volumes) and all(map(self._views.miss, volumes))
        if not report.loaded:
            report.references = []
        self._done(report)

    def _tell(self, text: str, fraction: float | None) -> None:
        self._progress(LoadProgress(text, fraction))


def _is_volume(node: object) -> bool:
    return isinstance(node, slicer.vtkMRMLVolumeNode)
