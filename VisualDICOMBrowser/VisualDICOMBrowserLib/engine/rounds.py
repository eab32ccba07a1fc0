"""Which presentation contexts to propose for a study, association after association, until everything came.

Some servers say neither which SOP classes a study has nor how its objects are compressed, and send through one context
for each class, an uncompressed one if there is any, even what they cannot decompress (DCMTK's ``dcmqrscp``). So:

1. what the study likely holds, in all transfer syntaxes, and the commonest other classes uncompressed;
2. the classes that did not fit, uncompressed;
3. one compressed transfer syntax at a time, and nothing uncompressed.

Each is for what the ones before did not bring; a server that knows its business needs the first only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..dimse.contexts import MAX_CONTEXTS, Proposal, all_storage_classes, compressed_syntaxes, storage_batches
from ..dimse.negotiation import AcceptedContext

#: How many compressed syntaxes are tried, the likely ones, with a server that has not been asked for them yet.
_LIKELY = 14


class Experience:
    """What a server was offered so far, and what it took."""

    def __init__(self) -> None:
        self._accepted: set[str] = set()
        self._tried: set[str] = set()

    def note(self, proposals: Iterable[Proposal], contexts: Iterable[AcceptedContext]) -> set[str]:
        """Take over an association; return the abstract syntaxes that the server accepted in it."""
        accepted = list(contexts)
        known = {context.abstract_syntax for context in accepted}
        self._accepted.update(context.transfer_syntax for context in accepted)
        self._tried.update(s for p in proposals if p.abstract_syntax in known for s in p.transfer_syntaxes)
        return known

    def worth_trying(self) -> list[str]:
        """Return the compressed syntaxes that the server takes, or may take."""
        ranked = enumerate(compressed_syntaxes())
        return [s for rank, s in ranked if s in self._accepted or (rank < _LIKELY and s not in self._tried)]


def rounds(
    sop_classes: Sequence[str], modalities: Sequence[str], experience: Experience, *, certain: bool, services: int = 1
) -> Iterator[list[Proposal]]:
    """Yield the storage contexts for one association after the other; see the module.

    :param certain: whether nothing but ``sop_classes`` is there.
    :param experience: filled by the caller with each association, before it asks for the next.
    :param services: how many contexts of each association are for other services, as C-GET is.
    """
    room = MAX_CONTEXTS - services
    first = next(storage_batches(sop_classes, modalities, room, only_these=certain))
    yield first
    proposed = dict.fromkeys(p.abstract_syntax for p in first)
    rest = [c for c in dict.fromkeys((*sop_classes, *(() if certain else all_storage_classes()))) if c not in proposed]
    for start in range(0, len(rest), room):
        yield [Proposal(c, as_scp=True) for c in rest[start : start + room]]
    classes = [*proposed, *rest][:room]
    for syntax in experience.worth_trying():
        yield [Proposal(c, (syntax,), as_scp=True) for c in classes]
