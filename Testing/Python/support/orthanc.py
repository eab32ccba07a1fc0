"""Orthanc as a peer: own temporary storage, no plug-ins, driven through its REST interface."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import peers
from .corpus import LeftOut
from .processes import HOST, PeerProcess

REST_SECONDS = 30.0
UPLOADS_AT_ONCE = 4


class Orthanc(PeerProcess):
    """A running Orthanc. ``options`` are further keys of its configuration file; they win over ours.

    :ivar refused: what it did not take in :meth:`load`.
    """

    ports_needed = 2

    def __init__(
        self,
        folder: Path,
        *,
        ae_title: str = "ORTHANC",
        check_called_aet: bool = False,
        nodelay: bool = True,
        options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(folder, ae_title=ae_title, nodelay=nodelay)
        self.check_called_aet = check_called_aet
        self.options = options or {}
        self.refused: list[LeftOut] = []

    @property
    def http_port(self) -> int:
        """The port of the REST interface."""
        return self.ports[1]

    def prepare(self) -> list[str]:
        """Write ``orthanc.json`` and return the command line."""
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(self._configuration(), indent=1), encoding="utf-8")
        return [peers.require("Orthanc"), str(path)]

    def _configuration(self) -> dict[str, Any]:
        storage = str(self.folder / "storage")
        allowed = {f"DicomAlwaysAllow{verb}": True for verb in ("Echo", "Find", "Get", "Move", "Store")}
        return {
            "Name": self.ae_title,
            "StorageDirectory": storage,
            "IndexDirectory": storage,
            "Plugins": [],
            "DicomAet": self.ae_title,
            "DicomPort": self.port,
            "DicomCheckCalledAet": self.check_called_aet,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,  # the REST interface answers loopback only
            "AuthenticationEnabled": False,
            "UnknownSopClassAccepted": True,
            "LimitFindResults": 0,
            "LimitFindInstances": 0,
            "StableAge": 1,
            "SyncStorageArea": False,
            "SaveJobs": False,
            **allowed,
            **self.options,
        }

    def upload(self, source: Path | bytes) -> dict[str, Any]:
        """Store one file. ``Status`` is Success, AlreadyStored, or Refused with the ``Reason``."""
        data = source if isinstance(source, bytes) else source.read_bytes()
        try:
            answer: dict[str, Any] = json.loads(self._rest("POST", "/instances", data))
        except urllib.error.HTTPError as error:
            return {"Status": "Refused", "Reason": _reason(error)}
        return answer

    def upload_many(self, sources: Sequence[Path]) -> list[dict[str, Any]]:
        """Store files over several connections; the answers in the order of the files."""
        with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
            return list(pool.map(self.upload, sources))

    def load(self, paths: Iterable[Path]) -> list[LeftOut]:
        """Store files and return those that it did not take (an object that it has already counts as refused)."""
        wanted = list(paths)
        answers = zip(wanted, self.upload_many(wanted), strict=True)
        refused = [
            LeftOut(path, answer.get("Reason", answer["Status"]))
            for path, answer in answers
            if answer["Status"] != "Success"
        ]
        self.refused.extend(refused)
        return refused

    def counts(self) -> tuple[int, int, int, int]:
        """Return the numbers of patients, studies, series and instances."""
        told = self.get("/statistics")
        patients, studies, series, instances = (
            int(told[f"Count{what}"]) for what in ("Patients", "Studies", "Series", "Instances")
        )
        return patients, studies, series, instances

    def instances(self) -> list[str]:
        """Return the SOP Instance UIDs of everything stored."""
        return sorted(entry["MainDicomTags"]["SOPInstanceUID"] for entry in self.get("/instances?expand"))

    def file(self, sop_uid: str) -> bytes:
        """Return a stored part-10 file.

        :raises KeyError: no such instance.
        """
        found = json.loads(self._rest("POST", "/tools/lookup", sop_uid.encode()))
        for entry in found:
            if entry["Type"] == "Instance":
                return self._rest("GET", entry["Path"] + "/file")
        raise KeyError(sop_uid)

    def delete_all(self) -> None:
        """Empty the server."""
        for patient in self.get("/patients"):
            self._rest("DELETE", f"/patients/{patient}")

    def set_modality(self, name: str, ae_title: str, port: int, host: str = HOST, *, tls: bool = False) -> None:
        """Make a DICOM node known, as a destination for C-MOVE; no other one with its AE title is known any more."""
        for other, node in self.get("/modalities?expand").items():
            if node["AET"] == ae_title and other != name:
                self._rest("DELETE", f"/modalities/{other}")
        body = json.dumps({"AET": ae_title, "Host": host, "Port": port, "UseDicomTls": tls}).encode()
        self._rest("PUT", f"/modalities/{name}", body)

    def set_default_encoding(self, name: str) -> None:
        """Change ``DefaultEncoding``, in which answers to C-FIND are written."""
        self._rest("PUT", "/tools/default-encoding", name.encode())

    def get(self, path: str) -> Any:
        """Ask the REST interface and return its JSON answer."""
        return json.loads(self._rest("GET", path))

    def _rest(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"http://{HOST}:{self.http_port}{path}", data=body, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=REST_SECONDS) as answer:
            data: bytes = answer.read()
            return data


def _reason(error: urllib.error.HTTPError) -> str:
    with error:
        text = error.read().decode("utf-8", "replace")
    try:
        told = json.loads(text)
    except ValueError:
        return f"HTTP {error.code}: {text.strip()}"
    return " ".join(str(told[key]) for key in ("OrthancError", "Details") if told.get(key))
