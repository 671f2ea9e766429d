"""A client like twine: one form per file, one keep-alive connection, one file after another."""

from __future__ import annotations

import base64
import hashlib
import http.client
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from measuring import MeasurementFailed

_BOUNDARY = "3f1c9c0b2e7d4a5f8b6a"


@dataclass
class Uploads:
    """How long each upload took, in seconds."""

    seconds: list[float] = field(default_factory=list)

    def quantile_ms(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


class Uploader:
    """Sends distributions to one server over one connection."""

    def __init__(self, url: str, user: str = "", password: str = "") -> None:
        parts = urlsplit(url)
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        self._headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
        if user:
            credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {credentials}"

    def send(self, forms: Iterable[bytes], *, at_most_s: float = 1e9) -> Uploads:
        """Post `forms` one after another until they or the seconds are used up."""
        uploads = Uploads()
        end = time.perf_counter() + at_most_s
        for form in forms:
            start = time.perf_counter()
            self._connection.request("POST", self._path, form, self._headers)
            response = self._connection.getresponse()
            said = response.read()
            now = time.perf_counter()
            if response.status != 200:
                raise MeasurementFailed(f"upload: {response.status} {said[:200]!r}")
            uploads.seconds.append(now - start)
            if now > end:
                break
        return uploads

    def close(self) -> None:
        self._connection.close()


def form(name: str, version: str, filename: str, body: bytes) -> bytes:
    """Return the multipart body that uploads the wheel `body`."""
    fields = {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.1",
        "name": name,
        "version": version,
        "filetype": "bdist_wheel",
        "pyversion": "py3",
        "summary": f"What {name} is good for",
        "requires_python": ">=3.8",
        "md5_digest": hashlib.md5(body).hexdigest(),
        "sha256_digest": hashlib.sha256(body).hexdigest(),
        "blake2_256_digest": hashlib.blake2b(body, digest_size=32).hexdigest(),
    }
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    ]
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="content"; '
        f'filename="{filename}"\r\nContent-Type: application/octet-stream\r\n\r\n'
    )
    return ("".join(parts) + head).encode() + body + f"\r\n--{_BOUNDARY}--\r\n".encode()
