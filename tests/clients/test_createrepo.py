"""Five readers of createrepo's repositories, shown one that is made of values alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version

from pyramid_pypi.formats.packages_xml import KINDS
from pyramid_pypi.formats.rpm_relations import package_evr, relation_evr
from pyramid_pypi.storage.spool import Spool
from tests.clients import made_repository, repositories
from tests.clients.made_repository import NEEDS, RESOLVED, SERIAL
from tests.clients.repositories import Refused
from tests.rpm_order import compare

FILES = 2 * sum(len(versions) for versions in NEEDS.values())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_repository.write(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def address(made: Path) -> Iterator[str]:
    with repositories.served(made) as url:
        yield url


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return made_repository.write(tmp_path / "copy")


def spoil(folder: Path, pattern: str) -> None:
    """Change one byte in the middle of the first file that `pattern` finds."""
    path = sorted(folder.glob(pattern))[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


class TestAcceptance:
    def test_createrepo_c(self, made: Path, address: str) -> None:
        assert repositories.accepts_createrepo_c(address, FILES) == FILES
        assert repositories.accepts_createrepo_c(made, FILES) == FILES

    def test_createrepo_c_of_the_distribution(self, address: str) -> None:
        repositories.accepts_old_createrepo_c(address)

    def test_librepo(self, made: Path, address: str) -> None:
        for base in (address, made):
            told = repositories.accepts_librepo(base)
            assert told["revision"] == str(SERIAL)
            assert set(told["records"]) == {"primary", "filelists", "other", "shards"}

    def test_libsolv(self, address: str) -> None:
        repositories.accepts_libsolv(address, expect=NEEDS)

    def test_dnf_lists_and_mirrors(self, address: str) -> None:
        assert repositories.accepts_dnf(address, "webapp") == FILES

    def test_sqlite_twins(self, copy: Path, tmp_path: Path) -> None:
        spool = Spool(tmp_path / "spool")
        spool.prepare()
        made_repository.add_twins(copy, spool)

        with repositories.served(copy) as url:
            repositories.accepts_createrepo_c(url, FILES)
            told = repositories.accepts_librepo(url)
            repositories.accepts_libsolv(url)
            repositories.accepts_dnf(url, "webapp", sync=False)

        assert set(told["records"]) == {*KINDS, *(f"{kind}_db" for kind in KINDS), "shards"}


class TestRefusal:
    @pytest.mark.parametrize("kind", ["primary", "filelists", "other", "shards"])
    def test_librepo_refuses_an_altered_record(self, kind: str, copy: Path) -> None:
        spoil(copy, f"repodata/*-{kind}.*")

        with (
            repositories.served(copy) as url,
            pytest.raises(Refused, match="Cannot download"),
        ):
            repositories.accepts_librepo(url)

    @pytest.mark.parametrize("pattern", ["webapp-1.9-*.whl", "webapp-1.9.tar.gz"])
    def test_dnf_refuses_an_altered_release_file(self, pattern: str, copy: Path) -> None:
        spoil(copy, f"packages/*/*/*/{pattern}")

        with repositories.served(copy) as url, pytest.raises(Refused):
            repositories.accepts_dnf(url, "webapp")

    def test_createrepo_c_refuses_an_altered_record(self, copy: Path) -> None:
        spoil(copy, "repodata/*-shards.json")

        with pytest.raises(AssertionError):
            repositories.accepts_createrepo_c(copy)


class TestResolution:
    def test_comes_to_what_python_would_install(self, made: Path) -> None:
        chosen = repositories.accepts_libsolv(made, resolve="webapp < 2~~")

        assert {name: chosen[name] for name in RESOLVED} == RESOLVED
        assert set(chosen) == set(RESOLVED)

    def test_fails_where_nothing_provides_a_need(self, made: Path) -> None:
        with pytest.raises(Refused, match="nothing-has-this"):
            repositories.accepts_libsolv(made, resolve="webapp = 2~rc1")

    def test_passes_over_a_yanked_release(self, made: Path) -> None:
        chosen = repositories.accepts_libsolv(made, resolve="python3dist(shaky)")

        assert chosen == {"shaky": "1.0-1"}


def test_libsolv_orders_versions_as_our_tests_believe() -> None:
    parts = ["", "a1", "b2", "rc1", ".dev1", "a1.dev1", ".post1", ".post1.dev2", "+cpu", "+1"]
    heads = ["1", "1.0", "1.0.1", "1.10", "2", "1!1", "1!0.5"]
    versions = [Version(head + part) for head in heads for part in parts]
    evrs = [
        evr for version in versions for evr in (package_evr(version), relation_evr(version))
    ]
    chance = random.Random(41)
    pairs = [(chance.choice(evrs), chance.choice(evrs)) for _ in range(3000)]

    order = repositories.libsolv_order(
        [(f"{one.epoch}:{one.ver}-1", f"{two.epoch}:{two.ver}-1") for one, two in pairs]
    )

    assert order == [compare(one, two) for one, two in pairs]
