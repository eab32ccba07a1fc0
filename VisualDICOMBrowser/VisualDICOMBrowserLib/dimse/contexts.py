"""Which presentation contexts to propose for a C-GET (PS3.7 D.3.2, PS3.8 7.1.1.13).

A peer accepts one transfer syntax per context, and an association holds at most 128 contexts. So each storage
SOP class gets one context with the uncompressed little endian syntaxes and one more for every compressed
syntax, the likely ones first; what does not fit goes into the next batch, for what is still missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydicom.uid import AllTransferSyntaxes, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ..domain.uids import is_standard_uid
from .library import require_pynetdicom

#: PS3.8 9.3.2.2: context identifiers are odd numbers from 1 to 255.
MAX_CONTEXTS = 128

UNCOMPRESSED = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))

_LIKELY_FIRST = (
    "1.2.840.10008.1.2.4.90",  # JPEG 2000, lossless
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first order prediction
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.80",  # JPEG-LS, lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS, near lossless
    "1.2.840.10008.1.2.1.99",  # deflated
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.51",  # JPEG extended
    "1.2.840.10008.1.2.4.201",  # HTJ2K, lossless
    "1.2.840.10008.1.2.4.202",  # HTJ2K, lossless RPCL
    "1.2.840.10008.1.2.4.203",  # HTJ2K
    str(ExplicitVRBigEndian),
)

_CT = "1.2.840.10008.5.1.4.1.1.2"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_REPORTS = tuple(f"1.2.840.10008.5.1.4.1.1.88.{n}" for n in (11, 22, 33, 34, 35, 40, 50, 59, 65, 67))

#: Storage SOP classes that objects of a modality usually have (PS3.3 A.1.4, C.7.3.1.1.1).
_BY_MODALITY: dict[str, tuple[str, ...]] = {
    "CT": (_CT, "1.2.840.10008.5.1.4.1.1.2.1", _SECONDARY_CAPTURE),
    "MR": (
        "1.2.840.10008.5.1.4.1.1.4",
        "1.2.840.10008.5.1.4.1.1.4.1",
        "1.2.840.10008.5.1.4.1.1.4.2",
        _SECONDARY_CAPTURE,
    ),
    "PT": ("1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.130", _SECONDARY_CAPTURE),
    "NM": ("1.2.840.10008.5.1.4.1.1.20", _SECONDARY_CAPTURE, "1.2.840.10008.5.1.4.1.1.5"),
    "CR": ("1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1"),
    "DX": ("1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1"),
    "MG": ("1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.13.1.3", "1.2.840.10008.5.1.4.1.1.1.2.1"),
    "US": (
        "1.2.840.10008.5.1.4.1.1.3.1",
        "1.2.840.10008.5.1.4.1.1.6.1",
        "1.2.840.10008.5.1.4.1.1.6.2",
        "1.2.840.10008.5.1.4.1.1.3",  # this and the next, as NM's last: retired, and still in archives
        "1.2.840.10008.5.1.4.1.1.6",
    ),
    "XA": ("1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.5.1.4.1.1.12.1.1"),
    "RF": ("1.2.840.10008.5.1.4.1.1.12.2", "1.2.840.10008.5.1.4.1.1.12.2.1"),
    "SC": (_SECONDARY_CAPTURE,),
    "OT": (
        _SECONDARY_CAPTURE,
        *(f"1.2.840.10008.5.1.4.1.1.7.{n}" for n in (1, 2, 3, 4)),
    ),
    "RTSTRUCT": ("1.2.840.10008.5.1.4.1.1.481.3",),
    "RTPLAN": ("1.2.840.10008.5.1.4.1.1.481.5", "1.2.840.10008.5.1.4.1.1.481.8"),
    "RTDOSE": ("1.2.840.10008.5.1.4.1.1.481.2",),
    "RTIMAGE": ("1.2.840.10008.5.1.4.1.1.481.1",),
    "SEG": ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.5.1.4.1.1.66.5"),
    "SR": _REPORTS,
    "KO": ("1.2.840.10008.5.1.4.1.1.88.59",),
    "PR": tuple(f"1.2.840.10008.5.1.4.1.1.11.{n}" for n in (1, 2, 3, 4)),
    "REG": ("1.2.840.10008.5.1.4.1.1.66.1", "1.2.840.10008.5.1.4.1.1.66.3"),
    "DOC": ("1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.104.2"),
}

#: Classes that are never compressed other than by deflation: no context for each pixel syntax.
_WITHOUT_PIXELS = (
    "1.2.840.10008.5.1.4.1.1.88.",
    "1.2.840.10008.5.1.4.1.1.11.",
    "1.2.840.10008.5.1.4.1.1.104.",
    "1.2.840.10008.5.1.4.1.1.9.",
    "1.2.840.10008.5.1.4.1.1.481.3",
    "1.2.840.10008.5.1.4.1.1.481.5",
    "1.2.840.10008.5.1.4.1.1.481.8",
    "1.2.840.10008.5.1.4.1.1.66.1",
    "1.2.840.10008.5.1.4.1.1.66.3",
)
_DEFLATED = "1.2.840.10008.1.2.1.99"


@dataclass(frozen=True)
class Proposal:
    """One presentation context to propose: an abstract syntax with its transfer syntaxes.

    :ivar as_scp: we want to play the SCP for it, as C-GET needs for storage (PS3.7 D.3.3.4).
    """

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...] = UNCOMPRESSED
    as_scp: bool = False


def storage_batches(
    sop_classes: Iterable[str], modalities: Iterable[str], room: int, *, only_these: bool = False
) -> Iterator[list[Proposal]]:
    """Yield batches of storage contexts, each for one association, until everything was proposed.

    :param sop_classes: what the peer said is there; empty if it did not say.
    :param modalities: what the series' modalities are, used where the classes are not known.
    :param room: how many contexts an association has left for storage.
    :param only_these: the peer named all classes: do not go on with every other one.
    """
    known = [c for c in dict.fromkeys(sop_classes) if is_standard_uid(c)]
    first = known or _classes_of(modalities)
    others = [] if only_these and known else [c for c in all_storage_classes() if c not in set(first)]
    proposals = [*_in_order(first), *_in_order(others)]
    for start in range(0, len(proposals), room):
        yield proposals[start : start + room]


def _in_order(sop_classes: Sequence[str]) -> Iterator[Proposal]:
    """All classes uncompressed first, then syntax by syntax: what is likely comes before what is rare."""
    for sop_class in sop_classes:
        yield Proposal(sop_class, UNCOMPRESSED, as_scp=True)
    for syntax in compressed_syntaxes():
        for sop_class in sop_classes:
            if syntax == _DEFLATED or not sop_class.startswith(_WITHOUT_PIXELS):
                yield Proposal(sop_class, (syntax,), as_scp=True)


def classes_of(modality: str) -> tuple[str, ...]:
    """Return the SOP classes that series of a modality usually hold; nothing for an unusual one."""
    return _BY_MODALITY.get(modality, ())


def _classes_of(modalities: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(c for modality in modalities for c in _BY_MODALITY.get(modality, ())))


@lru_cache(maxsize=1)
def compressed_syntaxes() -> tuple[str, ...]:
    """Every transfer syntax that needs a context of its own, likely ones first; not the referenced (JPIP) ones."""
    rest = (str(s) for s in AllTransferSyntaxes if "JPIP" not in s.name and "SMPTE" not in s.name)
    return tuple(s for s in dict.fromkeys((*_LIKELY_FIRST, *rest)) if s not in UNCOMPRESSED)


@lru_cache(maxsize=1)
def all_storage_classes() -> tuple[str, ...]:
    """Every storage SOP class that pynetdicom knows (PS3.4, table B.5-1), common ones first.

    :raises PackageMissing: it is not installed.
    """
    require_pynetdicom()
    from pynetdicom import AllStoragePresentationContexts  # noqa: PLC0415

    common = (c for classes in _BY_MODALITY.values() for c in classes)
    known = (str(context.abstract_syntax) for context in AllStoragePresentationContexts)
    return tuple(dict.fromkeys((*common, *known)))
