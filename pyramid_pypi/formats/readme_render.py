"""Descriptions to HTML; also a program, from standard input to standard output.

A description of 64 kB can keep its renderer busy for minutes or make it take gigabytes:
a wide Markdown table, a deep quotation, an unlucky code block.  So `formats.readme` runs
this in a process with limits.  It names nothing of the package, to start quickly.
"""

from __future__ import annotations

import html
import re
import sys

CPU_LIMIT_S = 2
MEMORY_LIMIT_BYTES = 512 * 1024 * 1024

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


def main() -> None:
    """Render standard input; the media type and variant are the arguments."""
    import resource  # noqa: PLC0415 (not on Windows, where this program fails harmlessly)

    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    description = sys.stdin.buffer.read().decode("utf-8")
    rendered = render(description, sys.argv[1], sys.argv[2])
    sys.stdout.buffer.write((rendered or "").encode("utf-8"))


if __name__ == "__main__":
    main()
