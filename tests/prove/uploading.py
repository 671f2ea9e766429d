"""A client that uploads, reads and tells what it was answered; and files to upload."""

from __future__ import annotations

import hashlib
import http.client
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import quote

from tests.distributions import metadata, wheel

SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
SIMPLE_HTML = "application/vnd.pypi.simple.v1+html"


@dataclass(frozen=True)
class Parcel:
    """A wheel that is going to be uploaded, or was."""

    project: str
    version: str
    content: bytes

    @classmethod
    def new(
        cls, project: str, version: str, *, flavour: str = "", pad_bytes: int = 0
    ) -> Parcel:
        """Return a valid wheel; `flavour` makes bytes differ under one filename."""
        members = {f"{project}_flavour.py": f"{project} {version} {flavour}\n".encode()}
        if pad_bytes:
            members["noise.bin"] = secrets.token_bytes(pad_bytes)
        return cls(project, version, wheel(project, version, extra_members=members))

    @property
    def filename(self) -> str:
        return f"{self.project}-{self.version}-py3-none-any.whl"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def metadata_sha256(self) -> str:
        return hashlib.sha256(metadata(self.project, self.version)).hexdigest()

    def form(self) -> tuple[bytes, str]:
        """Return the upload form and its content type."""
        fields = {
            ":action": "file_upload",
            "protocol_version": "1",
            "metadata_version": "2.1",
            "name": self.project,
            "version": self.version,
            "filetype": "bdist_wheel",
            "pyversion": "py3",
            "sha256_digest": self.sha256,
        }
        boundary = "proof-" + secrets.token_hex(12)
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="content"; '
            f'filename="{self.filename}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        )
        body = "".join(parts).encode() + self.content + f"\r\n--{boundary}--\r\n".encode()
        return body, f"multipart/form-data; boundary={boundary}"


@dataclass(frozen=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One kept connection; opened again when the server has closed it before a read."""

    def __init__(self, host: str, port: int, token: str, *, timeout_s: float = 60) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        self._authorization = {"Authorization": f"Bearer {token}"}

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection; the next request opens another."""
        self._connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        """Read `path`; header names are given with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            return self._ask("GET", path, None, named)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            return self._ask("GET", path, None, named)

    def upload(self, parcel: Parcel) -> Reply:
        """Upload `parcel`, once."""
        body, content_type = parcel.form()
        return self.write("POST", "/legacy/", body, content_type)

    def rest(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> Reply:
        """Send a REST request with a JSON body."""
        body = json.dumps(document or {}).encode()
        return self.write(method, path, body, "application/json")

    def yank(self, parcel: Parcel, reason: str) -> Reply:
        """Yank the file of `parcel`."""
        return self.rest("PUT", f"{_file(parcel)}/yank", {"reason": reason})

    def delete(self, parcel: Parcel) -> Reply:
        """Delete the file of `parcel`."""
        return self.write("DELETE", _file(parcel), b"", "")

    def write(self, method: str, path: str, body: bytes, content_type: str) -> Reply:
        """Send a request that may change something, as the administrator."""
        headers = {**self._authorization, "Content-Length": str(len(body))}
        if content_type:
            headers["Content-Type"] = content_type
        return self._ask(method, path, body, headers)

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Reply:
        try:
            self._connection.request(method, path, body, dict(headers))
            answer = self._connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        except http.client.HTTPException as error:
            self._connection.close()
            if isinstance(error, OSError):
                raise
            raise ConnectionError(repr(error)) from error
        except OSError:
            self._connection.close()
            raise


def _file(parcel: Parcel) -> str:
    return f"/projects/{parcel.project}/files/{quote(parcel.filename)}"
