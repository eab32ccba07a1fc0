from __future__ import annotations

from io import BytesIO

import pydicom
import pytest

from unit.store.dicom_bytes import CT, EXPLICIT_LITTLE, dataset
from VisualDICOMBrowserLib.domain.errors import BadData
from VisualDICOMBrowserLib.domain.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from VisualDICOMBrowserLib.domain.uids import is_uid
from VisualDICOMBrowserLib.store.file_meta import file_head


@pytest.mark.parametrize("sop_uid", ["1.2.3.40", "1.2.3.4"])
@pytest.mark.parametrize("aet", ["PACS", "ODD"])
def test_the_head_reads_back_with_pydicom(sop_uid, aet):
    found = pydicom.dcmread(BytesIO(file_head(CT, sop_uid, EXPLICIT_LITTLE, aet) + dataset()))
    assert found.preamble == bytes(128)
    assert found.file_meta.FileMetaInformationVersion == b"\0\1"
    assert found.file_meta.MediaStorageSOPClassUID == CT
    assert found.file_meta.MediaStorageSOPInstanceUID == sop_uid
    assert found.file_meta.TransferSyntaxUID == EXPLICIT_LITTLE
    assert found.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert found.file_meta.ImplementationVersionName == IMPLEMENTATION_VERSION
    assert found.file_meta.SourceApplicationEntityTitle == aet
    assert found.SOPInstanceUID == "1.2.3.40"


def test_the_group_length_is_right():
    head = file_head(CT, "1.2.3", EXPLICIT_LITTLE, "PACS")
    assert int.from_bytes(head[140:144], "little") == len(head) - 144


@pytest.mark.parametrize("aet", ["", "   ", "A" * 17, "WITH\\BACKSLASH", "ÜMLAUT", "NEW\nLINE"])
def test_what_is_no_ae_title_is_left_out(aet):
    found = pydicom.dcmread(BytesIO(file_head(CT, "1.2.3", EXPLICIT_LITTLE, aet) + dataset()))
    assert "SourceApplicationEntityTitle" not in found.file_meta


def test_our_own_names_obey_the_standard():
    assert is_uid(IMPLEMENTATION_CLASS_UID)
    assert 1 <= len(IMPLEMENTATION_VERSION) <= 16


@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize("uid", ["", "abc", "1" * 65, "1.2\0"])
def test_what_is_no_uid_is_refused(position, uid):
    uids = [CT, "1.2.3", EXPLICIT_LITTLE]
    uids[position] = uid
    with pytest.raises(BadData):
        file_head(*uids, "PACS")
