from __future__ import annotations

import pytest

from pyramid_pypi.formats import manifest
from pyramid_pypi.formats.canonical import json_document
from pyramid_pypi.formats.manifest import Listed, Manifest, ManifestUnreadable, shadow_path

DIGEST = "ab" * 32


def test_it_is_read_as_it_was_written() -> None:
    told = Manifest(7, {"pypi/demo/json": Listed(DIGEST, 12), "a": manifest.listed(b"x")})
    content = manifest.document(told)
    assert content.startswith(b'{"documents":{"a":["2d711642')
    assert manifest.parse(content) == told


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        json_document({"documents": {"../out": [DIGEST, 1]}, "serial": 1}),
        json_document({"documents": {"a": [DIGEST.upper(), 1]}, "serial": 1}),
        json_document({"documents": {"a": [DIGEST + "\n", 1]}, "serial": 1}),
        json_document({"documents": {"a": [DIGEST, -1]}, "serial": 1}),
        json_document({"documents": {"a": [DIGEST, 1]}, "serial": -1}),
        json_document({"documents": {"a": [DIGEST]}, "serial": 1}),
    ],
)
def test_what_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(ManifestUnreadable):
        manifest.parse(content)


@pytest.mark.parametrize(
    ("path", "shadow"),
    [
        ("simple/demo/index.json", f"simple/demo/v/{DIGEST}.json"),
        ("simple/demo/index.html.gz", f"simple/demo/v/{DIGEST}.html.gz"),
        ("simple/demo/primary.xml.gz", f"simple/demo/v/{DIGEST}.xml.gz"),
        ("pypi/demo/json", f"pypi/demo/v/{DIGEST}"),
        ("pypi/demo/1.0/json", f"pypi/demo/1.0/v/{DIGEST}"),
        ("repodata/t/0a.json", f"repodata/t/v/{DIGEST}.json"),
        ("simple/index.json", f"repodata/v/{DIGEST}.json"),
        ("index.html", f"repodata/v/{DIGEST}.html"),
    ],
)
def test_where_a_version_lies_for_good(path: str, shadow: str) -> None:
    assert shadow_path(path, DIGEST) == shadow
