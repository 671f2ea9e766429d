"""PyPI's JSON API, as bandersnatch, poetry and scripts read it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from pyramid_pypi.formats import legacy_json
from pyramid_pypi.formats.project import ProjectDocument
from tests.unit.formats.samples import core_metadata, project, project_file, release

URL = "https://index.example/"


def read(document: ProjectDocument) -> Any:
    return json.loads(legacy_json.project(document, URL))


def test_a_file_has_all_that_bandersnatch_reads() -> None:
    document = read(project())

    [wheel, sdist] = document["releases"]["1.0"]
    sha256 = wheel["digests"]["sha256"]
    assert wheel["url"] == (
        f"https://index.example/packages/{sha256[:2]}/{sha256[2:4]}/{sha256[4:]}"
        "/demo-1.0-py3-none-any.whl"
    )
    assert wheel["size"] == 2500
    assert wheel["upload_time"] == "2026-11-22T12:00:00"
    assert wheel["upload_time_iso_8601"] == "2026-11-22T12:00:00.123456Z"
    assert wheel["requires_python"] == ">=3.8"
    assert (wheel["yanked"], wheel["yanked_reason"]) == (False, None)
    assert (wheel["packagetype"], wheel["python_version"]) == ("bdist_wheel", "py3")
    assert len(wheel["core-metadata"]["sha256"]) == 64
    assert set(wheel["digests"]) == {"sha256", "md5", "blake2b_256"}
    assert wheel["md5_digest"] == wheel["digests"]["md5"]
    assert (wheel["has_sig"], wheel["comment_text"], wheel["downloads"]) == (False, "", -1)
    assert (sdist["packagetype"], sdist["python_version"]) == ("sdist", "source")
    assert "core-metadata" not in sdist


def test_info_repeats_the_latest_release() -> None:
    document = read(project(release("2.0rc1"), release("1.1"), release("1.0")))

    info = document["info"]
    assert (info["name"], info["version"]) == ("Demo", "1.1")
    assert info["requires_dist"] == ["requests>=2", 'lxml; extra == "xml"']
    assert info["project_urls"] == {"Source": "https://code.example/demo"}
    assert info["keywords"] == "demo,index"
    assert info["home_page"] is None
    assert set(document["releases"]) == {"2.0rc1", "1.1", "1.0"}
    assert document["urls"] == document["releases"]["1.1"]
    assert (document["last_serial"], document["vulnerabilities"]) == (7, [])


def test_a_release_has_its_own_info_and_no_releases() -> None:
    old = release("1.0", metadata=core_metadata("1.0", summary="Old", requires_dist=()))
    document = json.loads(legacy_json.release(project(release("1.1"), old), old, URL))

    assert (document["info"]["version"], document["info"]["summary"]) == ("1.0", "Old")
    assert document["info"]["requires_dist"] is None
    assert [file["filename"] for file in document["urls"]] == [
        "demo-1.0-py3-none-any.whl",
        "demo-1.0.tar.gz",
    ]
    assert "releases" not in document
    assert document["last_serial"] == old.serial == 5


def test_yanks_are_told_with_their_reason() -> None:
    file = project_file("demo-1.0.tar.gz", "1.0", yanked=True, yanked_reason="Broken")
    document = read(project(release("1.0", files=(file,), yanked=True)))

    [only] = document["urls"]
    assert (only["yanked"], only["yanked_reason"]) == (True, "Broken")
    assert (document["info"]["yanked"], document["info"]["yanked_reason"]) == (True, "Broken")


@pytest.mark.parametrize(
    "document",
    [project(status="quarantined"), project(releases=())],
    ids=["quarantined", "empty"],
)
def test_without_listed_releases_the_name_remains(document: ProjectDocument) -> None:
    read_back = read(document)

    assert read_back["info"]["name"] == "Demo"
    assert read_back["info"]["version"] is None
    assert read_back["info"]["description"] is None
    assert (read_back["releases"], read_back["urls"]) == ({}, [])
    assert read_back["last_serial"] == 7


def test_a_filename_survives_its_url() -> None:
    file = project_file("demo-1!1.0+cpu-py3-none-any.whl", "1!1.0+cpu")
    [only] = read(project(release("1!1.0+cpu", files=(file,))))["urls"]

    assert unquote(urlsplit(only["url"]).path) == f"/{file.path}"


def test_the_api_has_exactly_these_fields() -> None:
    document = read(project())

    assert sorted(document["info"]) == sorted(
        [
            "author",
            "author_email",
            "bugtrack_url",
            "classifiers",
            "description",
            "description_content_type",
            "docs_url",
            "download_url",
            "downloads",
            "dynamic",
            "home_page",
            "keywords",
            "license",
            "license_expression",
            "license_files",
            "maintainer",
            "maintainer_email",
            "name",
            "package_url",
            "platform",
            "project_url",
            "project_urls",
            "provides_extra",
            "release_url",
            "requires_dist",
            "requires_python",
            "summary",
            "version",
            "yanked",
            "yanked_reason",
        ]
    )
