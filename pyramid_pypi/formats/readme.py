"""The description of a release as HTML that is safe to show, whatever it holds."""

from __future__ import annotations

from email.message import Message
from functools import lru_cache

from markupsafe import Markup, escape

from pyramid_pypi.formats import readme_process, readme_render
from pyramid_pypi.formats.canonical import printable

MAX_RENDERED_BYTES = 512 * 1024
MAX_HTML_CHARS = 4 * 1024 * 1024
MAX_PLAIN_CHARS = 512 * 1024

_VARIANTS = ("GFM", "CommonMark")
# The worst 2 kB of Markdown we found take a tenth of a second.
_HARMLESS_BYTES = 2 * 1024
_HIGHLIGHTED = (b"```", b"~~~", b"<pre")


# A yank or a second file of a release writes its page again with the same description.
@lru_cache(maxsize=64)
def to_html(description: str, content_type: str | None) -> Markup:
    """Return `description` as HTML without scripts, styles, images or foreign requests.

    Never raises.  Plain text, a description of more than `MAX_RENDERED_BYTES`, and one
    that cannot be rendered within `readme_render.DEADLINE_S` are shown as they are, in
    ``<pre>``.

    Args:
        description: as the core metadata gives it.
        content_type: the field Description-Content-Type; None means reStructuredText.
    """
    media_type, variant = _kind(content_type)
    text = printable(description)
    source = text.encode()
    if media_type in ("text/x-rst", "text/markdown") and len(source) <= MAX_RENDERED_BYTES:
        render = _render_here if _is_harmless(source, media_type) else readme_process.render
        rendered = render(source, media_type, variant)
        if rendered and len(rendered) <= MAX_HTML_CHARS:
            return Markup(rendered)  # noqa: S704 (the sanitizer wrote it)
    return _as_it_is(text)


def _kind(content_type: str | None) -> tuple[str, str]:
    message = Message()
    message["content-type"] = content_type or "text/x-rst"
    asked = message.get_param("variant")
    variant = next((known for known in _VARIANTS if known == asked), _VARIANTS[0])
    return message.get_content_type(), variant


def _is_harmless(source: bytes, media_type: str) -> bool:
    """Tell whether `source` cannot keep its renderer busy for long.

    A few lines of reStructuredText can: a substitution may use another one twice, and
    that one again.  So can code, which a lexer's regular expressions read.
    """
    highlighted = any(mark in source for mark in _HIGHLIGHTED)
    return media_type == "text/markdown" and len(source) <= _HARMLESS_BYTES and not highlighted


def _render_here(source: bytes, media_type: str, variant: str) -> str:
    try:
        return readme_render.render(source.decode(), media_type, variant) or ""
    except Exception:  # whatever the renderer raises, the text is still shown
        return ""


def _as_it_is(text: str) -> Markup:
    shown = text[:MAX_PLAIN_CHARS]
    if len(shown) < len(text):
        shown += "\n[…]"
    return Markup('<pre class="plain">{}</pre>').format(escape(shown))
