"""Core metadata that nobody meant well: what a field may hold that a document may not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

ILLEGAL = [chr(code) for code in range(32) if chr(code) not in "\t\n\r"] + ["\ufffe", "\uffff"]
"""Every character that no XML document can carry (XML 1.0, 2.2)."""

NOT_UTF8 = {
    "a lone surrogate": b"\xed\xa0\x80",
    "the second half of one": b"\xed\xbf\xbf",
    "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "an overlong NUL": b"\xc0\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "a byte of Latin-1": b"\xe9",
    "UTF-16": b"\xff\xfea\0",
    "cut short": b"\xf0\x9f\x98",
}

ODD = {
    "quotes": "\"a\" 'b' `c` \u201cd\u201d",
    "escaped already": "&lt;script&gt; &amp;amp; &#1; &#x0; &#xd800; &nbsp; &bogus;",
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)></package></metadata>",
    "end of CDATA": "]]> <![CDATA[ ]]>",
    "document type": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>&e;',
    "comment": "<!-- a -- b --> <!--",
    "instruction": '<?xml version="1.0"?> <?php ?>',
    "right to left": "\u200f\u05d0\u202eabc\u202c\u2066x\u2069\u061c",
    "zero width": "a\u200bb\u200dc\u2060d\ufeffe\u00ade",
    "combining flood": "a" + "\u0301\u0489" * 200,
    "separators of lines": "a\x85b\u2028c\u2029d\xa0e",
    "C1": "\x7f\x80\x9b\x9f",
    "far noncharacters": "\U0001fffe\U0010ffff\ufdd0",
    "astral": "\U0001f600\U0001f468\u200d\U0001f469 \U000e0041",
    "templates": "{{7*7}} ${x} %s %(a)s {0} #{y}",
    "escapes": r"\u0000 \x00 \ud800 \n %00 %0a",
    "spaces": "a\t\tb   c",
    "a dash": "--",
}

LINKS = {
    "javascript": "javascript:alert(1)",
    "javascript in disguise": "JaVaScRiPt\t:alert(1)",
    "data": "data:text/html,<script>alert(1)</script>",
    "a file": "file:///etc/passwd",
    "up": "../../../../etc/passwd",
    "no scheme": "//evil.example/x",
    "spaces": "https://example.org/a b c",
    "percent junk": "https://example.org/%zz%00%%%u0041",
    "quotes": "https://example.org/\"onclick='x'",
    "brackets": "http://[::1",
    "a user": "https://user:secret@example.org:99999/",
    "no host": "https:///x",
    "right to left": "https://example.org/\u202egpj.exe",
    "long": "https://example.org/" + "a" * 60_000,
    "odd host": "https://ex\xadample.org\uff0fevil.example/",
    "anchor": "#x",
    "nothing": "://",
}

FIELDS = {
    "Summary": "Summary: {}",
    "Author": "Author: {}",
    "Author-email": "Author-email: {}",
    "Maintainer": "Maintainer: {}",
    "Maintainer-email": "Maintainer-email: {}",
    "License": "License: {}",
    "License-Expression": "License-Expression: {}",
    "License-File": "License-File: {}",
    "Keywords": "Keywords: a,{},b",
    "Classifier": "Classifier: {}",
    "Classifier group": "Classifier: {} :: {}",
    "Project-URL label": "Project-URL: {}, https://example.org/",
    "Project-URL": "Project-URL: Home, {}",
    "Home-page": "Home-page: {}",
    "Download-URL": "Download-URL: {}",
    "Requires-Dist": "Requires-Dist: {}",
    "Requires-Dist bound": "Requires-Dist: x>={}",
    "Requires-Dist marker": "Requires-Dist: x; python_version > '{}'",
    "Requires-Dist extra": "Requires-Dist: x[{}]; extra == '{}'",
    "Requires-Dist URL": "Requires-Dist: x @ https://example.org/{}",
    "Requires-Python": "Requires-Python: {}",
    "Requires-External": "Requires-External: {}",
    "Provides-Extra": "Provides-Extra: {}",
    "Provides-Dist": "Provides-Dist: {}",
    "Obsoletes-Dist": "Obsoletes-Dist: {}",
    "Platform": "Platform: {}",
    "Supported-Platform": "Supported-Platform: {}",
    "Dynamic": "Dynamic: {}",
    "Import-Name": "Import-Name: {}",
    "Unknown": "X-Unknown: {}",
    "Description header": "Description: {}",
    "Description": "\n{}",
    "plain text": "Description-Content-Type: text/plain\n\n{}",
    "reStructuredText": "Description-Content-Type: text/x-rst\n\n{}",
    "Markdown": "Description-Content-Type: text/markdown; variant=GFM\n\n# {}\n\n[{}]({})",
    "Content type": "Description-Content-Type: text/markdown; variant={}",
}
"""Where a text may stand: the rest of METADATA with a place for it."""

LINK_FIELDS = ("Project-URL", "Home-page", "Download-URL", "Requires-Dist URL", "Markdown")


@dataclass(frozen=True)
class OddMetadata:
    """The rest of a METADATA, and whether it must be refused."""

    label: str
    rest: bytes
    is_illegal: bool = False


def in_field(field: str) -> Iterator[OddMetadata]:
    """Yield every odd text in the field that `FIELDS` calls so."""
    template = FIELDS[field]
    for char in ILLEGAL:
        rest = template.replace("{}", f"a{char}b").encode()
        # A page break in a README is taken for a blank.
        is_break = char == "\f" and char in rest.decode().partition("\n\n")[2]
        is_break |= char == "\f" and field == "Description"
        yield OddMetadata(f"U+{ord(char):04X}", rest, is_illegal=not is_break)
    for label, content in NOT_UTF8.items():
        rest = template.encode().replace(b"{}", b"a" + content + b"b")
        yield OddMetadata(label, rest, is_illegal=True)
    texts = ODD | (LINKS if field in LINK_FIELDS else {})
    for label, text in texts.items():
        yield OddMetadata(label, template.replace("{}", text).encode())
    yield OddMetadata("100 kB in one line", template.replace("{}", "x" * 100_000).encode())
    folded = template.replace("{}", "a\n        b\n\tc\n |d")
    yield OddMetadata("folded", folded.encode())
    yield OddMetadata("a bare return", template.replace("{}", "a\rb").encode())
    yield OddMetadata("empty", template.replace("{}", "").encode())


def _lines(line: str, count: int) -> Callable[[], bytes]:
    return lambda: "".join(line.format(n=n) + "\n" for n in range(count)).encode()


def _long(media_type: str) -> Callable[[], bytes]:
    head = f"Description-Content-Type: {media_type}\n\n".encode()
    return lambda: head + b"Lorem *ipsum* <b>dolor</b> &amp; ]]>\n\n" * 289_000


_REPEATED = {
    "requirements": "Requires-Dist: p{n}>=1.{n}; extra == 'x'",
    "classifiers": "Classifier: Topic :: {n}",
    "extras": "Provides-Extra: e{n}",
    "links": "Project-URL: L{n}, https://example.org/{n}",
}
_DIGITS = "9" * 4_000

SIZES: dict[str, Callable[[], bytes]] = {
    **{
        f"{count} {what}": _lines(line, count)
        for what, line in _REPEATED.items()
        for count in (300, 5_000, 10_000)
    },
    **{
        f"11 MB of {kind}": _long(kind)
        for kind in ("text/plain", "text/x-rst", "text/markdown")
    },
    "nested marker": lambda: b"Requires-Dist: x; %s'a' == 'b'%s" % (b"(" * 1_500, b")" * 1_500),
    "nested licence": lambda: b"License-Expression: %sMIT" % (b"(" * 3_000),
    "long number": f"Requires-Dist: x>={_DIGITS}".encode,
    "long bound": f"Requires-Dist: x>={_DIGITS[:200]}".encode,
    "long range": f"Requires-Python: >={_DIGITS[:200]}".encode,
    "12 MB beyond ASCII": lambda: b"\n" + "\u00e9".encode() * 6_000_000,
    "more than 11 million": lambda: b"\n" + b"x" * 11_000_001,
    "more than 12 MiB": lambda: b"\n" + b"x" * (12 * 2**20 + 1),
}
"""What is merely too much, or just not yet."""
