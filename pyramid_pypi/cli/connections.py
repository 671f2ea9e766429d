"""Connections of waitress that outlive an answer without a body.

waitress closes the connection after a 304 or 204, because such an answer has no
Content-Length.  HTTP knows where it ends all the same (RFC 9112, 6.3), and clients that
revalidate page after page should not have to connect anew for each.
"""

from __future__ import annotations

from typing import Any

from waitress.channel import HTTPChannel
from waitress.task import WSGITask

_SEND_BYTES = 256 * 1024


class KeptTask(WSGITask):
    """One request and its answer."""

    def set_close_on_finish(self) -> None:
        """Close the connection after the answer, unless it merely has no body."""
        # A request that could not be parsed has no headers.
        headers = getattr(self.request, "headers", {})
        asked = headers.get("CONNECTION", "").lower() == "close"
        if self.has_body or asked or self.version != "1.1":
            super().set_close_on_finish()


class KeptChannel(HTTPChannel):
    """One connection of one client."""

    task_class = KeptTask

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # waitress reads as much of a file as the socket's buffer holds, megabytes on fast
        # links, for each of many connections; what is sent at once stays the kernel's choice.
        self.sendbuf_len = min(self.sendbuf_len, _SEND_BYTES)
