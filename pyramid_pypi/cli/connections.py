"""Connections of waitress, mended where it matters to an index on the open network.

waitress closes the connection after a 304 or 204, because such an answer has no
Content-Length.  HTTP knows where it ends all the same (RFC 9112, 6.3), and clients that
revalidate page after page should not have to connect anew for each.

It matches headers in its only loop, with an expression whose time grows with the square
of the blanks before a value: 200 kB of tabs held up everybody for minutes.  And it drops a
connection without an answer when a number or address of the request cannot be read.

Nor does it see that a client has gone while its request is worked on, as it does not read
then; a request that waits for news would keep its thread to the end.
"""

from __future__ import annotations

import re
import socket
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import WSGITask

MAX_HEADER_BYTES = 16 * 1024

_SEND_BYTES = 256 * 1024
_LONG_BLANK = re.compile(rb"[ \t]{128}")


class KeptTask(WSGITask):
    """One request and its answer."""

    def set_close_on_finish(self) -> None:
        """Close the connection after the answer, unless it merely has no body."""
        # A request that could not be parsed has no headers.
        headers = getattr(self.request, "headers", {})
        asked = headers.get("CONNECTION", "").lower() == "close"
        if self.has_body or asked or self.version != "1.1":
            super().set_close_on_finish()


class CarefulParser(HTTPRequestParser):
    """The head of one request."""

    def parse_header(self, header_plus: bytes) -> None:
        """Read the request line and the headers.

        Raises:
            ParsingError: they are malformed; waitress answers 400.
        """
        if _LONG_BLANK.search(header_plus):
            raise ParsingError("Too many blanks in a row")
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            raise ParsingError("A number or address cannot be read") from error


class KeptChannel(HTTPChannel):
    """One connection of one client."""

    task_class = KeptTask
    parser_class = CarefulParser

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # waitress reads as much of a file as the socket's buffer holds, megabytes on fast
        # links, for each of many connections; what is sent at once stays the kernel's choice.
        self.sendbuf_len = min(self.sendbuf_len, _SEND_BYTES)

    # The stub takes the inherited one for a procedure.
    def check_client_disconnected(self) -> bool:  # type: ignore[override]
        """Tell a request at work whether nobody waits for its answer any more."""
        client = self.socket
        if client is None or not self.connected:
            return True
        try:
            return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
