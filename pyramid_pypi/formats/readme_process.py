"""The process that renders descriptions apart from the index, kept for the next one.

To start it takes longer than to render most descriptions.  It is started when first
needed, ends when it has had nothing to do for a while or its parent is gone, and is
replaced when it does not answer.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import threading

from pyramid_pypi.formats import readme_render

# Its own limits end a rendering much sooner; this is for a process that is itself stuck.
_ANSWER_S = readme_render.DEADLINE_S + 2
_ATTEMPTS = 2


def render(source: bytes, media_type: str, variant: str) -> str:
    """Return safe HTML of `source`, or ``""`` if it cannot be rendered within the limits.

    Never raises.  The arguments are those of `readme_render.render`, `source` in UTF-8.
    """
    return _kept.ask(readme_render.request(source, media_type, variant)).decode()


class _Program:
    """`readme_render` at work, and the connection to it."""

    def __init__(self) -> None:
        self._connection, its_end = socket.socketpair()
        with its_end:
            self._process = subprocess.Popen(  # noqa: S603 (each argument is one of ours)
                [sys.executable, "-P", readme_render.__file__],
                stdin=its_end.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._connection.settimeout(_ANSWER_S)
        self._answers = self._connection.makefile("rb")

    def ask(self, request: bytes) -> bytes:
        """Return the answer to `request`; raise OSError or EOFError if none comes."""
        self._connection.sendall(readme_render.message(request))
        return readme_render.next_message(self._answers)

    def end(self) -> None:
        self._answers.close()
        self._connection.close()
        self._process.kill()
        self._process.wait()


class _Kept:
    """The program, if it runs; asked by one thread at a time."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Leave the program to the parent: answers to two who share it would mix."""
        self._turn = threading.Lock()
        self._program: _Program | None = None

    def ask(self, request: bytes) -> bytes:
        """Return the answer to `request`, empty when none can be had."""
        with self._turn:
            for _ in range(_ATTEMPTS):  # the first may find that the program has ended
                try:
                    self._program = self._program or _Program()
                    return self._program.ask(request)
                except (OSError, EOFError):
                    self.end()
        return b""

    def end(self) -> None:
        """End the program; the next question starts it again."""
        if self._program is not None:
            self._program.end()
            self._program = None


_kept = _Kept()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_kept.begin_anew)
atexit.register(_kept.end)
