"""What comes in by the door: refused in telling words, or able to be shown by everything.

An upload that is taken must never stop a publish, whatever its metadata hold.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import text

from pyramid_pypi.formats.canonical import NOT_PRINTABLE
from pyramid_pypi.formats.compression import gunzip_bytes
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.values.names import ProjectName, normalize
from tests.clients import repositories
from tests.distributions import metadata, sdist, wheel
from tests.functional.conftest import Client
from tests.odd_metadata import FIELDS, SIZES, OddMetadata, in_field
from tests.unit.publishing.test_poison import told_events

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

CODES = {
    "metadata.invalid",
    "upload.license-file-missing",
    "upload.archive-corrupt",
    "upload.tar-framing",
}
_STRICT = {"resolve_entities": False, "no_network": True, "huge_tree": True}


class Door:
    """An index behind its door, and all that an upload which got in must leave in order."""

    def __init__(self, client: Client, publisher: Publisher) -> None:
        self._client = client
        self._publisher = publisher
        self.taken: set[str] = set()
        self.refused: dict[str, str] = {}

    def offer(self, odd: OddMetadata, *, number: int) -> None:
        """Upload a wheel and an sdist with `odd` metadata; whatever comes, it is in order."""
        name, version = f"odd{number}", "1.0"
        head = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
        content = head.encode() + odd.rest + b"\n"
        answers = {
            filename: self._client.upload(filename, file, status="*", version=version)
            for filename, file in (
                (
                    f"{name}-{version}-py3-none-any.whl",
                    wheel(name, version, replace={"METADATA": content}),
                ),
                (f"{name}-{version}.tar.gz", sdist(name, version, pkg_info=content)),
            )
        }
        for filename, answer in answers.items():
            self._judge(odd, filename, answer)
        if self.taken.intersection(answers):
            self.in_order(normalize(name))

    def _judge(self, odd: OddMetadata, filename: str, answer: Any) -> None:
        if answer.status_int == 200:
            assert not odd.is_illegal, f"{odd.label} was taken"
            self.taken.add(filename)
            return
        assert answer.status_int == 400, (odd.label, answer.status)
        assert answer.headers["X-Problem-Code"] in CODES, (odd.label, answer.text)
        assert len(answer.text) > 40, answer.text
        assert answer.text.isprintable() or "\n" in answer.text
        assert NOT_PRINTABLE.search(answer.text) is None
        self.refused[odd.label] = answer.text

    def in_order(self, name: ProjectName) -> None:
        """The publish went through, and every document of the project can be read."""
        publisher = self._publisher
        publisher.settle_all()
        publisher.repository.refresh(whole=True)
        assert list(publisher.failures) == []
        assert publisher.repository.serial == publisher.serial
        root = publisher.environment.tree.root
        for room in ("simple", "projects", "pypi"):
            for path in (root / room / name).rglob("*"):
                if path.is_file() and "v" not in path.parts:
                    readable(path)

    def whole_tree(self) -> int:
        """Read the whole tree as strict readers do; return how many files it lists."""
        root = self._publisher.environment.tree.root
        for path in root.rglob("*"):
            if path.is_file() and "packages" not in path.parts:
                readable(path)
        serials = [event.serial for event in told_events(self._publisher.environment.tree)]
        assert serials == list(range(1, self._publisher.serial + 1))
        for feed in ("updates.xml", "packages.xml"):
            etree.fromstring(self._client.get(f"/rss/{feed}").body, etree.XMLParser())
        assert self._client.get("/changes?limit=10000").json["serial"] == serials[-1]
        return repositories.accepts_createrepo_c(root, 0)


def readable(path: Path) -> None:
    """Fail unless the document at `path` can be read by strict parsers."""
    name, content = path.name, path.read_bytes()
    if re.fullmatch(r".*[.](html|json|xml|css|txt)?[.]?gz", name):
        content = gunzip_bytes(content, 2**28)
        name = name.removesuffix(".gz")
    if name.endswith(".xml"):
        etree.fromstring(content, etree.XMLParser(**_STRICT))  # type: ignore[arg-type]
    elif name.endswith(".json") or name == "json":
        json.loads(content)
    elif name.endswith(".html"):
        page = content.decode()
        assert NOT_PRINTABLE.search(page) is None
        assert "<script" not in page.lower()
        assert "onerror=alert" not in re.sub(r"&lt;.*?&gt;", "", page)
        for link in re.findall(r'(?:href|src)="([^"]*)"', page):
            scheme = link.partition(":")[0].strip().lower() if ":" in link else ""
            assert scheme in {"", "http", "https", "mailto"}, link


@pytest.fixture
def door(client: Client, publisher: Publisher) -> Door:
    return Door(client, publisher)


@pytest.mark.parametrize("field", FIELDS)
def test_odd_text_in_a_field(door: Door, field: str) -> None:
    for number, odd in enumerate(in_field(field)):
        door.offer(odd, number=number)
    for label in ("U+0000", "U+000B", "U+FFFF"):
        assert f"control character {label}" in door.refused[label]
    assert "not UTF-8" in door.refused["a lone surrogate"]
    if door.taken:
        assert door.whole_tree() == len(door.taken)


@pytest.mark.parametrize("label", SIZES)
def test_too_much_of_it(door: Door, label: str) -> None:
    is_illegal = label.startswith(("10000", "more than", "nested", "long number"))
    door.offer(OddMetadata(label, SIZES[label](), is_illegal), number=1)
    assert bool(door.taken) is not is_illegal
    if door.taken:
        assert door.whole_tree() == len(door.taken)


POISON = [
    ("uploaded_at", "0001-01-01 00:00:00.000000"),
    ("uploaded_at", "1969-12-31 23:59:59.000000"),
    ("uploaded_at", "1970-01-01 00:00:00.000000"),
    ("uploaded_at", "9999-12-31 23:59:59.999999"),
    ("uploaded_at", "2038-01-19 03:14:08.000000"),
    ("uploaded_by", "\x01\ufffe]]>\u202e" * 100),
    ("yanked_reason", "\x01\ufffe]]>\u202e" * 100), ("requires_python", "\x01<&\uffff"),
]  # fmt: skip
LONG = "9" * 200
VERSIONS = [
    "1!1.0", f"{LONG}!1.0"[:150], "0!0", "1.0+local.1", "1.0+ubuntu-1_2", "1.0rc1.post2.dev3+a",
    ".".join("0" * 60), ".".join(str(n) for n in range(50)), "2024.13.99", "v1.0", "1.0-1",
    "01.002.0003", "1.0+" + "a" * 120, LONG[:140], f"1.{LONG[:140]}",
]  # fmt: skip
NAMES = ["a", "0", "A.b_C-d", "x" * 128, "a" + "-._" * 20 + "b", "v", "index", "documents",
         "con", "nul", "aux", "updates", "simple0", "repodata", "__init__"]  # fmt: skip


def test_long_versions_and_odd_filenames(door: Door, client: Client) -> None:
    taken = 0
    for version in VERSIONS:
        name = f"odd{taken}"
        filename = f"{name}-{version.replace('-', '_')}-py3-none-any.whl"
        content = wheel(
            name,
            version.replace("-", "_"),
            replace={"METADATA": metadata(name, version)},
        )
        answer = client.upload(filename, content, status="*", name=name, version=version)
        assert answer.status_int in {200, 400}, answer.text
        if answer.status_int == 200:
            taken += 1
            door.in_order(normalize(name))
        else:
            assert len(answer.text) > 40, version
    assert taken >= 10
    assert door.whole_tree() == taken


def test_odd_names(door: Door, client: Client) -> None:
    taken = 0
    for number, name in enumerate(NAMES):
        stem = re.sub(r"[-_.]+", "_", name).lower()
        content = wheel(
            stem,
            f"1.{number}",
            replace={"METADATA": metadata(name, f"1.{number}")},
        )
        filename = f"{stem}-1.{number}-py3-none-any.whl"
        answer = client.upload(filename, content, status="*", name=name, version=f"1.{number}")
        assert answer.status_int in {200, 400, 403}, (name, answer.status)
        if answer.status_int == 200:
            taken += 1
            door.in_order(normalize(name))
            for path in (
                f"/simple/{normalize(name)}/",
                f"/projects/{normalize(name)}/",
                f"/rss/project/{normalize(name)}/releases.xml",
            ):
                client.get(path, status=200)
    assert taken >= 10
    assert door.whole_tree() == taken


def poison_some(publisher: Publisher) -> None:
    """Have some rows hold what no door lets in, and publish them."""
    with publisher.environment.database.writing() as session:
        files = session.scalars(text("SELECT filename FROM file ORDER BY id LIMIT 40")).all()
        for number, filename in enumerate(files):
            column, value = POISON[number % len(POISON)]
            change = f"UPDATE file SET {column} = :value WHERE filename = :name"
            session.execute(text(change), {"value": value, "name": filename})
            session.execute(text("UPDATE file SET yanked = filename LIKE 'odd1%'"))
    publisher.rebuild_all()
    publisher.settle_all()
    publisher.repository.refresh(whole=True)
    assert list(publisher.failures) == []


def test_every_reader_takes_what_got_in(client: Client, publisher: Publisher) -> None:
    """All odd metadata at once, in one index, for programs that are none of ours."""
    every = [odd for field in FIELDS for odd in in_field(field) if not odd.is_illegal]
    taken = 0
    for number, odd in enumerate(every):
        name = f"odd{number}"
        head = f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n"
        content = wheel(name, replace={"METADATA": head.encode() + odd.rest + b"\n"})
        answer = client.upload(f"{name}-1.0-py3-none-any.whl", content, status="*")
        assert answer.status_int in {200, 400}, odd.label
        taken += answer.status_int == 200
    for number, written in enumerate(VERSIONS):
        name, version = f"more{number}", written.replace("-", "_")
        filename = f"{name}-{version}-py3-none-any.whl"
        answer = client.upload(filename, wheel(name, version), status="*", version=version)
        taken += answer.status_int == 200
    assert taken > 600
    poison_some(publisher)
    root = publisher.environment.tree.root
    assert repositories.accepts_createrepo_c(root) == taken
    repositories.accepts_librepo(root)
    repositories.accepts_libsolv(root)
    repositories.accepts_old_createrepo_c(root)
    with repositories.served(root) as address:
        assert repositories.accepts_dnf(address, "odd0", sync=True) == taken
