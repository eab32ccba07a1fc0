"""The part of the catalogue that mirrors local content from the ctkDICOM database, study by study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..domain.model import Series, Study
from .catalogue_connection import CatalogueConnection
from .catalogue_records import ImageRow, add_images, add_series, add_study, set_meta, settling
from .sqlite import LIST, fetch_in

_STILL_TO_COME = "SELECT sop_uid FROM intents WHERE kind = 'receive'"
_FORGET_FILES = f"UPDATE instances SET file = NULL WHERE sop_uid IN {LIST} AND sop_uid NOT IN ({_STILL_TO_COME})"  # noqa: S608
_LOCAL_IMAGES = (
    "SELECT sop_uid, series_uid, file FROM series JOIN instances USING (series_uid)"  # noqa: S608 - constants
    f" WHERE study_uid IN {LIST} AND file IS NOT NULL"
)
_MIRRORED = (
    f"DELETE FROM unmirrored WHERE study_uid IN {LIST} AND study_uid NOT IN"  # noqa: S608 - constants
    f" (SELECT study_uid FROM instances JOIN series USING (series_uid) WHERE sop_uid IN ({_STILL_TO_COME}))"
)


@dataclass(frozen=True)
class MirroredStudies:
    """What the ctkDICOM database has of studies.

    :ivar study_uids: the studies, also those of which it has nothing.
    :ivar images: those that are new here, or have another file or series than before.
    :ivar gone: SOP Instance UIDs of those that it does not have any more.
    """

    study_uids: Sequence[str]
    studies: Sequence[Study]
    series: Sequence[Series]
    images: Sequence[ImageRow]
    gone: Sequence[str]


class CatalogueMirror(CatalogueConnection):
    """See the module."""

    @property
    def ctk_stamp(self) -> str:
        """The state of ``ctkDICOM.sql`` that was mirrored last."""
        return self._meta("ctk_stamp")

    def mirrored_parts(self) -> dict[str, str]:
        """Return the digests of the parts of the ctkDICOM database as they were mirrored."""
        return dict(self._rows("SELECT part, digest FROM mirrored"))

    def studies_of_parts(self, parts: Iterable[str]) -> set[str]:
        """Return the studies that these parts had to do with when they were mirrored."""
        with self._using():
            rows = fetch_in(self._connection, f"SELECT studies FROM mirrored WHERE part IN {LIST}", parts)  # noqa: S608
        return {uid for (studies,) in rows for uid in studies.splitlines()}

    def unmirrored(self) -> set[str]:
        """Return the studies whose local content this program changed itself since the last :meth:`note_mirrored`."""
        return {row[0] for row in self._rows("SELECT study_uid FROM unmirrored")}

    def local_images_of(self, study_uids: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Return series UID and stored name of the local instances of studies, by SOP Instance UID."""
        with self._using():
            return {row[0]: (row[1], row[2]) for row in fetch_in(self._connection, _LOCAL_IMAGES, study_uids)}

    def mirror(self, found: MirroredStudies) -> None:
        """Take studies over: what is gone is not local any more, unless its row is still to come."""
        sop_uids = [*found.gone, *(image[0] for image in found.images)]
        series_uids = [series.series_uid for series in found.series]
        with (
            self._writing() as db,
            settling(db, studies=found.study_uids, series=series_uids, instances=sop_uids, dropping=True),
        ):
            fetch_in(db, _FORGET_FILES, found.gone)
            for study in found.studies:
                add_study(db, study, local=True, from_rows=True)
            for series in found.series:
                add_series(db, series, local=True)
            add_images(db, found.images)

    def note_mirrored(
        self, stamp: str, parts: Mapping[str, tuple[str, Sequence[str]]], gone: Iterable[str], unmirrored: Iterable[str]
    ) -> None:
        """Note what was mirrored.

        :param parts: the digests, and the studies, of parts that are new or changed.
        :param gone: parts that are not there any more.
        :param unmirrored: what :meth:`unmirrored` told before.
        """
        gone = list(gone)
        with self._writing(scrub=True, persons=bool(gone)) as db:
            db.executemany("DELETE FROM mirrored WHERE part = ?", [(part,) for part in gone])
            db.executemany(
                "INSERT OR REPLACE INTO mirrored VALUES (?, ?, ?)",
                [(part, digest, "\n".join(studies)) for part, (digest, studies) in parts.items()],
            )
            fetch_in(db, _MIRRORED, unmirrored)
            set_meta(db, "ctk_stamp", stamp)

    def note_holding(self, studies: Mapping[str, Iterable[str]]) -> None:
        """Note that parts, which are as they were mirrored, have to do with these studies as well."""
        with self._writing() as db:
            for part, uids in studies.items():
                for (known,) in db.execute("SELECT studies FROM mirrored WHERE part = ?", (part,)).fetchall():
                    all_of_them = "\n".join(sorted({*known.splitlines(), *uids}))
                    db.execute("UPDATE mirrored SET studies = ? WHERE part = ?", (all_of_them, part))
