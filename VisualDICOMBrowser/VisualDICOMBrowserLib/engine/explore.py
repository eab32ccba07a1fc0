"""What one server has of one person: the studies, and the series of each, the newest first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from ..dimse.association import Association
from ..dimse.find import Finder
from ..dimse.identifier import Keys
from ..dimse.pool import Associate
from ..domain.cancel import CancelToken
from ..domain.errors import OperationRefused
from ..domain.model import Patient, Series, Study
from ..domain.people import same_person
from ..domain.servers import Server

_MAX_STUDIES = 1_000
_MAX_SERIES = 10_000


@dataclass
class Explored:
    """What became of it.

    :ivar warnings: sentences on what could not be told.
    """

    warnings: list[str] = field(default_factory=list)


class Explorer:
    """Asks over one association.

    :param known: studies that are known to be this person's, whatever a server calls the person.
    :param associate: where the association comes from.
    :ivar on_studies: called once with the studies of the person, and whether those are all.
    :ivar on_series: called with each study's UID and series, as they come, and whether those are all.
    """

    def __init__(
        self,
        server: Server,
        person: Patient,
        known: Collection[str],
        token: CancelToken,
        associate: Associate = Association.request,
    ) -> None:
        self._server = server
        self._person = replace(person, patient_id=person.patient_id.strip())
        self._known = known
        self._token = token
        self._associate = associate
        self._explored = Explored()
        self.on_studies: Callable[[Sequence[Study], bool], None] = lambda *_: None
        self.on_series: Callable[[str, Sequence[Series], bool], None] = lambda *_: None

    def run(self) -> Explored:
        """Ask.

        :raises PeerError: the server did not answer, or refused; what came before was told.
        """
        with Finder.connect(self._server, self._token, self._associate) as finder:
            studies = self._studies(finder)
            self.on_studies(studies, not self._explored.warnings)
            for study in sorted(studies, key=lambda s: (s.date, s.time), reverse=True):
                self._token.check()
                self._tell_series(finder, study.study_uid)
            if finder.unusable:
                self._warn(f"matches left out because their UID is invalid: {len(set(finder.unusable))}.")
            if finder.damaged:
                self._warn(f"answers left out because they cannot be read: {finder.damaged}.")
        return self._explored

    def _studies(self, finder: Finder) -> list[Study]:
        found: dict[str, Study] = {}
        for keys in self._questions():
            studies, truncated = finder.studies(keys, _MAX_STUDIES)
            if truncated:
                self._warn(f"this person has more than {_MAX_STUDIES} studies; the rest is not shown.")
            found.update((s.study_uid, s) for s in studies if self._is_theirs(s))
        return list(found.values())

    def _questions(self) -> list[Keys]:
        person = self._person
        if person.patient_id:
            return [{"PatientID": person.patient_id}]
        if person.name and person.birth_date:
            return [{"PatientName": person.name, "PatientBirthDate": person.birth_date}]
        return [{"StudyInstanceUID": uid} for uid in self._known]

    def _is_theirs(self, study: Study) -> bool:
        return study.study_uid in self._known or same_person(self._person, study.patient)

    def _tell_series(self, finder: Finder, study_uid: str) -> None:
        try:
            series, truncated = finder.series(study_uid, {}, _MAX_SERIES)
        except OperationRefused as error:  # one study that the server stumbles over must not hide the others
            self._warn(f"the series of a study could not be listed: {error}")
            return
        if truncated:
            self._warn(f"a study has more than {_MAX_SERIES} series; the rest is not shown.")
        self.on_series(study_uid, series, not truncated)

    def _warn(self, sentence: str) -> None:
        self._explored.warnings.append(f"{self._server.name}: {sentence}")
