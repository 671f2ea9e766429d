"""The createrepo documents of a project, read back by lxml and by createrepo's own parser."""

from __future__ import annotations

import gzip
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from pyramid_pypi.formats import packages_xml
from pyramid_pypi.formats.canonical import printable
from pyramid_pypi.formats.packages_xml import KINDS, MAX_RELATIONS, MAX_TEXT_CHARS
from pyramid_pypi.formats.project import ProjectDocument
from pyramid_pypi.formats.simple import QUARANTINED
from tests.unit.formats.samples import NOON, core_metadata, project, project_file, release

NS = {
    "c": "http://linux.duke.edu/metadata/common",
    "f": "http://linux.duke.edu/metadata/filelists",
    "o": "http://linux.duke.edu/metadata/other",
    "rpm": "http://linux.duke.edu/metadata/rpm",
}
WHEEL = "demo-1.0-py3-none-any.whl"
SDIST = "demo-1.0.tar.gz"


def tree(kind: packages_xml.Kind, document: ProjectDocument) -> Any:
    """Read the document `kind` of `document` back, as a client unpacks and parses it."""
    found = packages_xml.members(document)
    content = gzip.decompress(packages_xml.whole(kind, found.of(kind), found.count))
    assert content == (
        packages_xml.opening(kind, found.count) + found.of(kind) + packages_xml.closing(kind)
    )
    root = etree.fromstring(content)
    assert root.get("packages") == str(found.count) == str(len(root))
    return root


def packages(document: ProjectDocument) -> dict[str, Any]:
    """The packages of `primary`, by filename."""
    found = {}
    for package in tree("primary", document):
        [location] = package.findall("c:location", NS)
        found[location.get("href").rpartition("/")[2]] = package
    return found


def relations(package: Any, strength: str) -> list[dict[str, str]]:
    return [dict(entry.attrib) for entry in package.findall(f".//rpm:{strength}/*", NS)]


class TestPrimary:
    def test_of_a_wheel(self) -> None:
        file = project_file(WHEEL, "1.0")
        package = packages(project(release(files=(file,))))[WHEEL]

        def text(path: str) -> str:
            found = package.findtext(path, namespaces=NS)
            assert found is not None, path
            return str(found)

        assert [etree.QName(element).localname for element in package] == [
            "name",
            "arch",
            "version",
            "checksum",
            "summary",
            "description",
            "packager",
            "url",
            "time",
            "size",
            "location",
            "format",
        ]
        assert package.get("type") == "rpm"
        assert text("c:name") == "demo"
        assert text("c:arch") == "noarch"
        assert text("c:checksum") == file.sha256
        assert text("c:summary") == text("c:description") == "A demonstration"
        assert text("c:packager") == "Ada <ada@people.example>"
        assert text("c:url") == "https://code.example/demo"
        assert text("c:format/rpm:license") == "MIT"
        attributes = {
            etree.QName(element).localname: dict(element.attrib)
            for element in package.iter()
            if element.attrib
        }
        at = str(int(NOON.timestamp()))
        assert attributes["version"] == {"epoch": "0", "ver": "1.0", "rel": "1"}
        assert attributes["checksum"] == {"type": "sha256", "pkgid": "YES"}
        assert attributes["time"] == {"file": at, "build": at}
        assert attributes["size"] == {"package": "2500", "installed": "0", "archive": "0"}
        assert attributes["location"] == {"href": file.path}
        assert attributes["header-range"] == {"start": "0", "end": "0"}

    def test_relations_of_a_wheel(self) -> None:
        package = packages(project())[WHEEL]

        assert relations(package, "provides") == [
            {"name": "demo", "flags": "EQ", "epoch": "0", "ver": "1.0", "rel": "1"},
            {"name": "python3dist(demo)", "flags": "EQ", "epoch": "0", "ver": "1"},
            {"name": "python3dist(demo[xml])", "flags": "EQ", "epoch": "0", "ver": "1"},
        ]
        assert relations(package, "requires") == [
            {"name": "python3dist(requests)", "flags": "GE", "epoch": "0", "ver": "2"}
        ]
        assert relations(package, "suggests") == [{"name": "python3dist(lxml)"}]
        assert relations(package, "recommends") == []

    def test_an_sdist_is_a_source_and_relates_to_nothing(self) -> None:
        package = packages(project())[SDIST]

        assert package.findtext("c:arch", namespaces=NS) == "src"
        assert package.findall(".//rpm:entry", NS) == []

    def test_a_yanked_wheel_is_there_but_provides_nothing(self) -> None:
        file = project_file(WHEEL, "1.0", yanked=True, yanked_reason="Eats <data>")
        package = packages(project(release(files=(file,))))[WHEEL]

        assert relations(package, "provides") == []
        assert relations(package, "requires")
        assert package.findtext("c:description", namespaces=NS) == (
            "A demonstration; yanked: Eats <data>"
        )

    def test_relations_are_bounded(self) -> None:
        many = tuple(f"dep{number}>=1,<2" for number in range(MAX_RELATIONS))
        extras = tuple(f"extra{number}" for number in range(2 * MAX_RELATIONS))
        metadata = core_metadata(requires_dist=many, provides_extra=extras)

        package = packages(project(release(metadata=metadata)))[WHEEL]

        assert len(relations(package, "requires")) == MAX_RELATIONS
        assert len(relations(package, "provides")) == MAX_RELATIONS + 2

    def test_the_path_of_a_local_version_is_not_escaped(self) -> None:
        file = project_file("demo-1.0+cpu-py3-none-any.whl", "1.0+cpu")
        document = project(release("1.0+cpu", files=(file,)))

        [(name, package)] = packages(document).items()

        assert name == "demo-1.0+cpu-py3-none-any.whl"
        version = package.find("c:version", NS)
        assert version is not None
        assert version.get("ver") == "1.0^~+cpu"


class TestOther:
    def test_tells_who_uploaded_a_file_and_when(self) -> None:
        yanked = project_file(SDIST, "1.0", yanked=True, yanked_reason="")
        files = (yanked, project_file(WHEEL, "1.0", uploaded_by="<grace>"))
        found = tree("other", project(release(files=files)))

        logs = [log for package in found for log in package.findall("o:changelog", NS)]
        at = str(int(NOON.timestamp()))
        assert [dict(log.attrib) for log in logs] == [
            {"author": "<grace>", "date": at},
            {"author": "ada", "date": at},
        ]
        assert [log.text for log in logs] == [
            f"uploaded {WHEEL}",
            f"uploaded {SDIST}; yanked: ",
        ]


class TestMembers:
    def test_all_three_name_the_same_packages_in_the_same_order(self) -> None:
        document = project(release("2.0"), release("1.0"), release("10.0"))

        primary = [
            (
                package.findtext("c:checksum", namespaces=NS),
                package.findtext("c:name", namespaces=NS),
                package.findtext("c:arch", namespaces=NS),
                dict(package.find("c:version", NS).attrib),
            )
            for package in tree("primary", document)
        ]

        for kind, prefix in (("filelists", "f"), ("other", "o")):
            assert primary == [
                (
                    package.get("pkgid"),
                    package.get("name"),
                    package.get("arch"),
                    dict(package.find(f"{prefix}:version", NS).attrib),
                )
                for package in tree(kind, document)  # type: ignore[arg-type]
            ]
        assert [row[3]["ver"] for row in primary] == [
            "1.0",
            "1.0",
            "10.0",
            "10.0",
            "2.0",
            "2.0",
        ]
        assert [row[2] for row in primary] == ["noarch", "src"] * 3

    def test_order_is_that_of_values_not_of_what_was_given(self) -> None:
        one = project(release("2.0"), release("1.0"))
        two = project(
            *(replace(known, files=known.files[::-1]) for known in reversed(one.releases))
        )

        assert packages_xml.members(one) == packages_xml.members(two)

    def test_only_wanted_files(self) -> None:
        document = project(release("2.0"), release("1.0"))

        found = packages_xml.members(document, {"demo-2.0.tar.gz"})

        assert found.count == 1
        assert b"demo-2.0.tar.gz" in found.primary
        assert b".whl" not in found.primary + found.other
        assert packages_xml.members(document, ()) == packages_xml.Members(0, b"", b"", b"")

    def test_a_quarantined_project_lists_nothing(self) -> None:
        assert packages_xml.members(project(status=QUARANTINED)).count == 0

    def test_nothing_is_a_document_too(self) -> None:
        for kind in KINDS:
            assert len(tree(kind, project(release(files=())))) == 0

    def test_members_of_projects_stand_side_by_side(self) -> None:
        one, two = (packages_xml.members(project(name=name)) for name in ("a", "b"))

        joined = b"".join(
            gzip.compress(part)
            for part in (
                packages_xml.opening("primary", one.count + two.count),
                one.primary,
                two.primary,
                packages_xml.closing("primary"),
            )
        )

        root = etree.fromstring(gzip.decompress(joined))
        assert [package.findtext("c:name", namespaces=NS) for package in root] == [
            *["a"] * 2,
            *["b"] * 2,
        ]


def one_line(text: str) -> str:
    line = " ".join(text.split())
    line = line if len(line) <= MAX_TEXT_CHARS else line[: MAX_TEXT_CHARS - 1] + "…"
    return printable(line)


class TestText:
    @given(st.text(max_size=50), st.text(st.characters(categories=["Cs", "Cc", "Cf", "Po"])))
    @example("a]]>b", "\"quoted\" & <tagged> 'once'")
    @example("two\n\nlines\r\tand\x0bmore", "\x00\x01\x1f\x7f\x85\u2028")
    @example("\u202eright to left\u200f", "\ud800 \udfff \ufffe \uffff \U0010ffff")
    @example("a  b", " a ")
    def test_of_any_kind_is_read_back_by_lxml(self, summary: str, name: str) -> None:
        metadata = core_metadata(summary=summary, author_email=name, license_expression=name)
        file = project_file(WHEEL, "1.0", uploaded_by=name, yanked=True, yanked_reason=summary)
        document = project(release(metadata=metadata, files=(file,)))

        [package] = tree("primary", document)
        [other] = tree("other", document)
        changelog = other.find("o:changelog", NS)

        assert package.findtext("c:summary", namespaces=NS) == one_line(summary)
        assert package.findtext("c:packager", namespaces=NS) == one_line(name)
        assert package.findtext("c:format/rpm:license", namespaces=NS) == one_line(name)
        assert changelog.get("author") == one_line(name)
        assert changelog.text == f"uploaded {WHEEL}; yanked: {one_line(summary)}"

    def test_of_eleven_megabytes_is_cut(self) -> None:
        huge = "<&\u20ac " * 2_000_000
        metadata = core_metadata(summary=huge, home_page=huge, license_expression=huge)
        document = project(release(metadata=metadata))
        began = time.process_time()

        found = packages_xml.members(document)

        assert time.process_time() - began < 0.5
        assert len(found.primary) < 30_000
        package = packages(document)[WHEEL]
        assert len(package.findtext("c:summary", namespaces=NS)) == MAX_TEXT_CHARS


def test_createrepo_reads_a_project_without_a_warning(tmp_path: Any) -> None:
    createrepo_c = pytest.importorskip("createrepo_c")
    found = packages_xml.members(project(release("2.0rc1"), release("1.0")))
    warnings: list[Any] = []
    read: dict[str, Any] = {}
    for kind in KINDS:
        path = tmp_path / f"{kind}.xml.gz"
        path.write_bytes(packages_xml.whole(kind, found.of(kind), found.count))

    def warn(*words: Any) -> bool:
        warnings.append(words)
        return True

    createrepo_c.xml_parse_primary(
        str(tmp_path / "primary.xml.gz"),
        pkgcb=lambda package: read.setdefault(package.pkgId, package),
        warningcb=warn,
    )
    for kind in ("filelists", "other"):
        getattr(createrepo_c, f"xml_parse_{kind}")(
            str(tmp_path / f"{kind}.xml.gz"),
            newpkgcb=lambda pkgid, name, arch: read[pkgid],
            warningcb=warn,
        )

    assert warnings == []
    assert [package.nevra() for package in read.values()] == [
        "demo-0:1.0-1.noarch",
        "demo-0:1.0-1.src",
        "demo-0:2~rc1-1.noarch",
        "demo-0:2~rc1-1.src",
    ]
    wheel = next(iter(read.values()))
    assert wheel.requires[0][:5] == ("python3dist(requests)", "GE", "0", "2", None)
    assert [len(package.changelogs) for package in read.values()] == [1] * 4
