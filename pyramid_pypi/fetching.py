"""The one door out: every outgoing request is bounded in time, bytes and credentials.

``requests`` bounds the silence between two bytes, not the whole: a body that drips holds
it for ever.  It also reads ``~/.netrc`` for any host, and inflates without end.  None of
that happens here.  Only addresses that the operator has configured are asked so far.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import requests
from urllib3.exceptions import HTTPError

from pyramid_pypi.errors import Refusal

_BLOCK_BYTES = 64 * 1024


class FetchFailed(Refusal):
    """Another server did not answer, or not within the bounds set for its answer."""

    code = "fetch.failed"
    title = "The address could not be fetched"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]  # names in lower case
    content: bytes
    elapsed_ms: int


def fetch(url: str, *, deadline_s: float = 10.0, max_bytes: int = 5_000_000) -> Answer:
    """Return the answer to ``GET url``; redirects are answers too, not followed.

    Args:
        deadline_s: seconds from the call to the last byte of the body, and the longest
            silence before it; headers that drip are bounded by the silence alone.
        max_bytes: most bytes of body, as they come over the wire.

    Raises:
        FetchFailed: no whole answer within these bounds; the detail says why.
    """
    started = time.monotonic()
    with requests.Session() as session:
        session.trust_env = False  # no proxies, no ~/.netrc
        try:
            with session.get(
                url,
                stream=True,
                allow_redirects=False,
                timeout=deadline_s,
                headers={"Accept-Encoding": "identity", "User-Agent": "pyramid_pypi"},
            ) as response:
                content = _body(response, started + deadline_s, max_bytes)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise FetchFailed(f"{url}: {type(error).__name__}: {error}") from error
    return Answer(
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        content=content,
        elapsed_ms=int((time.monotonic() - started) * 1000),
    )


def _body(response: requests.Response, deadline: float, max_bytes: int) -> bytes:
    content = bytearray()
    while True:
        # read1: what has come, without waiting for a whole block that may never fill.
        block = response.raw.read1(_BLOCK_BYTES)
        if not block:
            break
        content += block
        if len(content) > max_bytes:
            raise FetchFailed(f"{response.url}: more than {max_bytes} bytes")
        if time.monotonic() > deadline:
            raise FetchFailed(f"{response.url}: the answer drips")
    stated = response.headers.get("Content-Length")
    if stated is not None and stated.isdigit() and int(stated) != len(content):
        raise FetchFailed(f"{response.url}: {len(content)} of {stated} bytes came")
    return bytes(content)
