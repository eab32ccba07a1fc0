"""What would be sent of chosen series, and what would not, in words; without Qt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...domain.overview import SeriesRow
from ..messages import counted


@dataclass(frozen=True)
class SendPlan:
    """See the module.

    :ivar series: Series Instance UIDs of what is here, wholly or in part.
    :ivar images: how many instances are here.
    :ivar elsewhere: how many instances are only on servers, as far as these said how many they have.
    :ivar unsure: of how many series nobody said how many instances they have.
    """

    series: tuple[str, ...] = ()
    images: int = 0
    elsewhere: int = 0
    unsure: int = 0

    @classmethod
    def of(cls, rows: Iterable[SeriesRow]) -> SendPlan:
        """Count what is here and what is not."""
        rows = list(rows)
        return cls(
            tuple(row.uid for row in rows if row.local_instances),
            sum(row.local_instances for row in rows),
            sum(max(0, row.instances - row.local_instances) for row in rows if row.instances is not None),
            sum(row.instances is None for row in rows),
        )

    @property
    def is_whole(self) -> bool:
        """Whether everything is here, as far as anybody knows."""
        return not self.elsewhere and not self.unsure

    def title(self, who: str) -> str:
        """Return what is sent, as a heading.

        :param who: the patient's name; empty if it is not known.
        """
        if not self.series:
            return "Nothing of this is on this computer."
        of = f" of {who}" if who else ""
        return f"Send {counted(self.images, 'image')} of {counted(len(self.series), 'series')}{of}"

    @property
    def rest(self) -> str:
        """What is not sent, as a sentence; empty if that is nothing."""
        gone = f"{counted(self.elsewhere, 'image')} {'is' if self.elsewhere == 1 else 'are'} only on servers"
        more = f"{counted(self.unsure, 'series')} may have more on servers"
        if self.elsewhere and self.unsure:
            return f"{gone}, and {more}; that is not sent."
        if self.elsewhere:
            return f"{gone}, and not sent."
        return f"{more}, which is not sent." if self.unsure else ""
