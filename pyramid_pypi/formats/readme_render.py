"""Descriptions to HTML; also a program, which renders what its standard input asks for.

A description of 64 kB can keep its renderer busy for minutes or make it take gigabytes:
a wide Markdown table, a deep quotation, an unlucky code block.  And what it defines, a
role of reStructuredText for one, would stay for those after it.  So the program, a
socket its standard input, renders each in a child of its own, with limits.  It names
nothing of the package, to start quickly.
"""

from __future__ import annotations

import html
import os
import re
import signal
import socket
import sys
from contextlib import suppress
from typing import BinaryIO, NoReturn

CPU_LIMIT_S = 2
DEADLINE_S = 5
MEMORY_LIMIT_BYTES = 512 * 1024 * 1024
MAX_HTML_BYTES = 8 * 1024 * 1024

_IDLE_S = 60
_LENGTH_BYTES = 4
_IMAGE = re.compile(r'<img((?:\s+[a-z-]+="[^"]*")*)\s*/?>')
_ALT = re.compile(r'\salt="([^"]*)"')


def render(description: str, media_type: str, variant: str) -> str | None:
    """Return safe HTML of `description`, or None if it cannot be rendered.

    Links carry rel=nofollow and go to http, https and mailto alone.  Of an image its
    alternative text remains: a page of the index never makes a reader's browser call
    another host.

    Args:
        description: reStructuredText or Markdown.
        media_type: ``text/x-rst`` or ``text/markdown``.
        variant: ``GFM`` or ``CommonMark``, for Markdown.
    """
    # Imported here because docutils and Pygments take up to a tenth of a second.
    from readme_renderer.clean import ALLOWED_ATTRIBUTES, ALLOWED_TAGS, clean  # noqa: PLC0415

    if media_type == "text/markdown":
        from readme_renderer import markdown  # noqa: PLC0415

        rendered = markdown.render(description, variant=variant)
    else:
        from readme_renderer import rst  # noqa: PLC0415

        rendered = rst.render(description)
    if not rendered:
        return None
    # The sanitizer wrote `rendered`, so its tags are well-formed; and it has the last word.
    cleaned = clean(
        _IMAGE.sub(_image_text, rendered),
        tags=ALLOWED_TAGS - {"img", "picture"},
        attributes=ALLOWED_ATTRIBUTES,
    )
    return str(cleaned) if cleaned else None


def _image_text(image: re.Match[str]) -> str:
    alt = _ALT.search(image[1])
    text = html.unescape(alt[1]).strip() if alt else ""
    return html.escape(f"[{text or 'image'}]")


def request(source: bytes, media_type: str, variant: str) -> bytes:
    """Return what to ask the program: the arguments of `render`, `source` in UTF-8."""
    return b"\n".join((media_type.encode(), variant.encode(), source))


def message(content: bytes) -> bytes:
    """Return `content` as it goes over the connection, behind its length."""
    return len(content).to_bytes(_LENGTH_BYTES, "big") + content


def next_message(stream: BinaryIO) -> bytes:
    """Return the content of the next message of `stream`.

    Raises:
        EOFError: the other side has ended.
    """
    length = stream.read(_LENGTH_BYTES)
    content = stream.read(int.from_bytes(length, "big"))
    if len(length) < _LENGTH_BYTES or len(content) < int.from_bytes(length, "big"):
        raise EOFError
    return content


def main() -> None:
    """Answer each request with HTML, or with nothing, until there are no more."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal sends it to all; the parent decides
    # Loads what every child would load again.
    render("*text*", "text/markdown", "GFM")
    render("*text*", "text/x-rst", "")
    with socket.socket(fileno=sys.stdin.fileno()) as connection:
        connection.settimeout(_IDLE_S)
        requests = connection.makefile("rb")
        with suppress(EOFError, OSError):
            while True:
                connection.sendall(message(_rendered_apart(next_message(requests))))


def _rendered_apart(asked: bytes) -> bytes:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _render_and_end(asked, writing)
    os.close(writing)
    with open(reading, "rb") as answer:
        rendered = answer.read()
    _, status = os.waitpid(child, 0)
    return rendered if status == 0 else b""


def _render_and_end(asked: bytes, writing: int) -> NoReturn:
    try:
        _limit()
        media_type, variant, description = asked.decode().split("\n", 2)
        rendered = (render(description, media_type, variant) or "").encode()
        if len(rendered) <= MAX_HTML_BYTES:
            with open(writing, "wb") as answer:
                answer.write(rendered)
            os._exit(0)
    finally:
        os._exit(1)


def _limit() -> None:
    import resource  # noqa: PLC0415 (not on Windows, where this program fails harmlessly)

    signal.alarm(DEADLINE_S)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
