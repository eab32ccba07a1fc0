"""What an overview shows of patients, studies and series: merged knowledge of this computer and of all servers."""

from __future__ import annotations

from dataclasses import dataclass

from .model import Patient, Series, Study


@dataclass(frozen=True)
class Places:
    """Where to look.

    :ivar here: this computer.
    :ivar servers: names of servers; None for every one that is configured or was.
    """

    here: bool = True
    servers: tuple[str, ...] | None = None


@dataclass(frozen=True)
class PatientRow:
    """A person in the list.

    :ivar row: the catalogue's key of the person; patient IDs are not unique.
    :ivar studies: how many studies are known.
    :ivar local: whether anything of the person is on this computer.
    :ivar servers: the servers known to have something.
    :ivar shares_id: whether another person with the same patient ID is known: the ID alone does not tell who is meant.
    """

    row: int
    patient: Patient
    studies: int = 0
    local: bool = False
    servers: tuple[str, ...] = ()
    shares_id: bool = False


@dataclass(frozen=True)
class StudyRow:
    """A study of the chosen person.

    :ivar local_instances: how many instances are on this computer.
    :ivar series_count: how many series it has as far as anybody said; known ones at least.
    :ivar matches: whether it fits the search; others are shown less prominently.
    """

    study: Study
    local_instances: int = 0
    series_count: int = 0
    servers: tuple[str, ...] = ()
    matches: bool = True


@dataclass(frozen=True)
class Thumbnail:
    """A picture on disk that stands for a series.

    :ivar path: absolute path of the PNG file.
    :ivar placeholder: whether it was drawn because no pixels can be shown; ``reason`` says why.
    """

    path: str
    placeholder: bool = False
    reason: str = ""


@dataclass(frozen=True)
class SeriesRow:
    """A series of a study.

    :ivar instances: how many instances it has; None if a server has it and none said how many.
    :ivar local_instances: how many are on this computer.
    """

    series: Series
    instances: int | None = None
    local_instances: int = 0
    servers: tuple[str, ...] = ()
    thumbnail: Thumbnail | None = None
    matches: bool = True

    @property
    def uid(self) -> str:
        """The Series Instance UID."""
        return self.series.series_uid

    @property
    def complete(self) -> bool:
        """Whether all of it is on this computer, as far as anybody said; not while nobody did."""
        return self.instances is not None and 0 < self.local_instances >= self.instances
