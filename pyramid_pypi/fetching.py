"""The one door out: every outgoing request is bounded in time, bytes and credentials.

``requests`` bounds the silence between two bytes, not the whole: a body that drips holds
it for ever.  It also reads ``~/.netrc`` for any host, and inflates without end.  None of
that happens here.  Only addresses that the operator has configured are asked so far.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests
from urllib3.exceptions import HTTPError

from pyramid_pypi.errors import Refusal

_BLOCK_BYTES = 64 * 1024
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "pyramid_pypi"}
_FAILURES = (requests.RequestException, HTTPError, OSError, ValueError)


class FetchFailed(Refusal):
    """Another server did not answer, or not within the bounds set for its answer."""

    code = "fetch.failed"
    title = "The address could not be fetched"


class FetchTimedOut(FetchFailed):
    """Another server kept silent for longer than it may."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]  # names in lower case
    content: bytes
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class Coming:
    """An answer whose body is still to come, in `blocks`."""

    status: int
    headers: dict[str, str]  # names in lower case
    blocks: Iterator[bytes]


class Caller:
    """Asks one server again and again, over a connection that is kept; one thread's own."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False  # no proxies, no ~/.netrc

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection up."""
        self._session.close()

    @contextmanager
    def asking(
        self,
        url: str,
        *,
        deadline_s: float,
        silence_s: float | None = None,
        method: str = "GET",
    ) -> Iterator[Coming]:
        """Give the answer to `method` `url`; redirects are answers too, not followed.

        The body comes while its blocks are taken, within `deadline_s` of the call and with
        no silence longer than `silence_s`; who takes no more of them ends the connection,
        and nothing further is read.

        Raises:
            FetchFailed: no answer, or no whole body, within these bounds.
        """
        deadline = time.monotonic() + deadline_s
        with _worded(url):
            response = self._session.request(
                method,
                url,
                stream=True,
                allow_redirects=False,
                timeout=deadline_s if silence_s is None else silence_s,
                headers=_HEADERS,
            )
        with response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            yield Coming(response.status_code, headers, _blocks(url, response, deadline))

    def fetch(self, url: str, *, deadline_s: float, max_bytes: int) -> Answer:
        """Return the answer to ``GET url``, as `fetch` does."""
        started = time.monotonic()
        content = bytearray()
        with self.asking(url, deadline_s=deadline_s) as coming:
            for block in coming.blocks:
                content += block
                if len(content) > max_bytes:
                    raise FetchFailed(f"{url}: more than {max_bytes} bytes")
        elapsed_ms = int((time.monotonic() - started) * 1000)
        return Answer(coming.status, coming.headers, bytes(content), elapsed_ms)


def fetch(url: str, *, deadline_s: float = 10.0, max_bytes: int = 5_000_000) -> Answer:
    """Return the answer to ``GET url``; redirects are answers too, not followed.

    Args:
        deadline_s: seconds from the call to the last byte of the body, and the longest
            silence before it; headers that drip are bounded by the silence alone.
        max_bytes: most bytes of body, as they come over the wire.

    Raises:
        FetchFailed: no whole answer within these bounds; the detail says why.
    """
    with Caller() as caller:
        return caller.fetch(url, deadline_s=deadline_s, max_bytes=max_bytes)


@contextmanager
def _worded(url: str) -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        failure = FetchTimedOut if isinstance(error, requests.Timeout) else FetchFailed
        raise failure(f"{url}: {type(error).__name__}: {error}") from error


def _blocks(url: str, response: requests.Response, deadline: float) -> Iterator[bytes]:
    came = 0
    while block := _next_block(url, response):
        came += len(block)
        yield block
        if time.monotonic() > deadline:
            raise FetchFailed(f"{url}: the answer drips")
    stated = response.headers.get("Content-Length")
    wanted = stated if response.request.method != "HEAD" else None
    if wanted is not None and wanted.isdigit() and int(wanted) != came:
        raise FetchFailed(f"{url}: {came} of {wanted} bytes came")


def _next_block(url: str, response: requests.Response) -> bytes:
    with _worded(url):
        # read1: what has come, without waiting for a whole block that may never fill.
        block: bytes = response.raw.read1(_BLOCK_BYTES)
    return block
