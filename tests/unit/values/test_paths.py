from __future__ import annotations

import pytest

from pyramid_pypi.values.paths import MAX_PATH_CHARS, is_relative_path


@pytest.mark.parametrize(
    "path",
    [
        "index.html",
        "simple/demo/index.json",
        "pypi/demo/1!2.0+local.1/json",
        "repodata/t/00/1f.json",
        "static/site_wide.css",
    ],
)
def test_paths_of_documents(path: str) -> None:
    assert is_relative_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "..",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        ".hidden",
        "a/.hidden",
        "a\\b",
        "a b",
        "a\n",
        "a%2fb",
        "http://evil/a",
        "é",
        "a/" * (MAX_PATH_CHARS // 2) + "aa",
    ],
)
def test_what_leads_elsewhere(path: str) -> None:
    assert not is_relative_path(path)
