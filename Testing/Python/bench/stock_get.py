"""Stock pynetdicom: C-GET of a series, each instance decoded and saved. Prints the seconds it took."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from pydicom.dataset import Dataset
from pynetdicom import AE, _config, build_role, evt
from pynetdicom.sop_class import CTImageStorage, StudyRootQueryRetrieveInformationModelGet

HOST, PORT, AET, STUDY, SERIES, FOLDER = sys.argv[1:]


def store(event: evt.Event) -> int:
    dataset = event.dataset
    dataset.file_meta = event.file_meta
    dataset.save_as(Path(FOLDER, f"{dataset.SOPInstanceUID}.dcm"), enforce_file_format=True)
    return 0x0000


def main() -> None:
    _config.LOG_HANDLER_LEVEL = "none"
    started = time.monotonic()
    ae = AE()
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    ae.add_requested_context(CTImageStorage)
    association = ae.associate(
        HOST,
        int(PORT),
        ae_title=AET,
        ext_neg=[build_role(CTImageStorage, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, store)],
    )
    keys = Dataset()
    keys.QueryRetrieveLevel = "SERIES"
    keys.StudyInstanceUID, keys.SeriesInstanceUID = STUDY, SERIES
    for status, _ in association.send_c_get(keys, StudyRootQueryRetrieveInformationModelGet):
        if not status or status.Status not in (0xFF00, 0x0000):
            sys.exit(f"status {status}")
    association.release()
    print(time.monotonic() - started)  # noqa: T201


if __name__ == "__main__":
    main()
