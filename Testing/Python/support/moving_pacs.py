"""A PACS of DCMTK's that only moves: it has a study, and the nodes that it knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from VisualDICOMBrowserLib.domain.model import Level, Target

from .corpus import CorpusFile
from .dcmqrscp import Dcmqrscp, Node
from .synthetic import make_ct_series


class MovingPacs:
    """See the module.

    :param counts: how many instances each series has.
    :ivar peer: the server, not started.
    """

    def __init__(
        self,
        root: Path,
        nodes: list[Node],
        *,
        name: str = "MOVER",
        study: int = 1,
        counts: Sequence[int] = (12, 30),
        size: int = 20_000,
    ) -> None:
        self.series = [
            make_ct_series(root / f"{name}-{n}", count, size, patient_id=name, study=study, series=n)
            for n, count in enumerate(counts, 1)
        ]
        (root / name).mkdir()
        self.peer = Dcmqrscp(root / name, ae_title=name, disable_get=True, nodes=nodes)
        assert self.peer.index([f.path for f in self.files]) == []

    @property
    def files(self) -> list[CorpusFile]:
        """Everything that it has."""
        return [file for series in self.series for file in series]

    @property
    def study(self) -> Target:
        """What names all of it."""
        return Target(Level.STUDY, (self.files[0].study_uid,))

    def series_target(self, number: int) -> Target:
        """Return what names one of its series, counted from 0."""
        return Target(Level.SERIES, (self.series[number][0].series_uid,))
